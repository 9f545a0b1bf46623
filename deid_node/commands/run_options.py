"""The arguments and options of runs over many objects, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.standard.repairs import REPAIRS

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="IN... OUT",
        help="DICOM files, folders, http(s) addresses or s3://BUCKET/PREFIX; the last is where results go.",
        show_default=False,
    ),
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        "-t",
        help="Path of each result below OUT, from de-identified attributes. Else the path of the input.",
    ),
]
Mirror = Annotated[
    bool,
    typer.Option("--mirror", help="Keep the names of inputs as they are. They may identify patients."),
]
Leaf = Annotated[
    str,
    typer.Option("--leaf", help="New name of the last folder of each result, as `anon-{}`; {} is the old."),
]
NameTexts = Annotated[
    list[str] | None, typer.Option("--name", help="Only files with this text in their name. Several: any.")
]
EveryName = Annotated[bool, typer.Option("--every-name", help="All texts of --name are asked for.")]
FolderTexts = Annotated[
    list[str] | None,
    typer.Option("--folder", help="Only files in a folder with this text in its name. Several: any."),
]
EveryFolder = Annotated[bool, typer.Option("--every-folder", help="All texts of --folder are asked for.")]
Depth = Annotated[
    int | None, typer.Option("--depth", min=0, help="Only files at most so many folders below IN.")
]
Skip = Annotated[
    list[str] | None, typer.Option("--skip", help="Not files with this name, in upper or lower case.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Do everything but write: no result, index or key; a --private-list is written."
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Index of what was done, made when absent. What has not changed since is not done again. "
        "It names inputs: keep it apart from the results.",
        dir_okay=False,
    ),
]
Headers = Annotated[
    Path | None,
    typer.Option("--headers", help="Text file with headers for reading web addresses, Name: value."),
]
TargetHeaders = Annotated[
    Path | None,
    typer.Option("--out-headers", help="Text file with headers for writing to a web address, Name: value."),
]
Endpoint = Annotated[
    str, typer.Option("--s3-endpoint", help="Address of an object store that is not the one of AWS.")
]
Region = Annotated[str, typer.Option("--s3-region", help="Region of the object store.")]
PartSize = Annotated[
    int, typer.Option("--s3-part-size", min=5, max=5120, help="MiB; larger objects go in parts of this size.")
]
TellTimes = Annotated[
    bool,
    typer.Option(
        "--tell-times",
        help="Tell a web server or object store when inputs were changed; often the date of the study.",
    ),
]
PrivateList = Annotated[
    Path | None,
    typer.Option(
        "--private-list",
        help="Write a CSV file of all private attributes in the results, with their values, for review. "
        "It identifies patients.",
        dir_okay=False,
    ),
]


def _known_repairs(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if name not in REPAIRS:
            raise typer.BadParameter(f"there is no repair {name!r}; there are {', '.join(sorted(REPAIRS))}.")
    return names


Repairs = Annotated[
    list[str] | None,
    typer.Option(
        "--repair",
        help="Also put this right, beside what `limits.repairs` of the settings allows: "
        + ", ".join(sorted(REPAIRS))
        + ". Several: all.",
        callback=_known_repairs,
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-j", min=1, help="Processes; one for each core if not given.")
]
