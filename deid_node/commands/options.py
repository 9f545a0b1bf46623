"""Options that several commands share, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings. Else DEID_NODE_CONFIG, ./deid-node.toml, /etc/deid-node/deid-node.toml.",
        dir_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Profile = Annotated[
    str | None, typer.Option("--profile", "-p", help="Built-in profile name or path of a profile file.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="File with the project key. Else the configured one. Made if absent, where results are written.",
    ),
]
