"""`deid-node deidentify IN OUT`: a file or a folder tree, on all cores, without a network."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json, KeyFile, Profile
from deid_node.commands.terminal import complain, leave, print_json, say

if TYPE_CHECKING:
    from deid_node.files import FileResult
    from deid_node.files_tree import Job

_MIRROR = "{input_path}/{input_stem}.dcm"


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A DICOM file, or a folder with such files.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write, or the folder for results.")
    ],
    profile: Profile = None,
    key_file: KeyFile = None,
    config: Config = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", "-t", help="Path of each result below OUT, from de-identified attributes."
        ),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror", help="Name results like the files below IN. Such names may identify patients."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Processes; one for each core if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """De-identify a file or a folder tree.

    Results are named by de-identified attributes; an existing file is never replaced. Files that are
    no DICOM objects, and DICOMDIRs, are reported and skipped.
    """
    if not source.exists():
        leave(ExitCode.NO_INPUT, f"{source}: there is no such file or folder.")
    if template is not None and mirror:
        leave(ExitCode.USAGE, "--template and --mirror exclude each other.")
    if source.is_dir() and target.exists() and source.resolve() == target.resolve():
        leave(ExitCode.USAGE, "IN and OUT must be two folders.")
    if source.is_dir() and target.exists() and not target.is_dir():
        leave(ExitCode.USAGE, f"{target}: is a file, but IN is a folder.")

    into_folder = source.is_dir() or target.is_dir() or str(target).endswith("/")
    job, profile_name = _job(source, target, profile, key_file, config, template, mirror)
    if into_folder:
        results = _run_tree(job, workers or _cores(), show=not as_json)
    else:
        from deid_node.files import deidentify_file

        results = [deidentify_file(job.deidentifier, source, lambda _: target, target.absolute().parent)]
    _report(results, profile_name, as_json=as_json, single=source.is_file())


def _job(
    source: Path,
    target: Path,
    profile: str | None,
    key_file: Path | None,
    config: Path | None,
    template: str | None,
    mirror: bool,
) -> tuple[Job, str]:
    from deid_node.commands.project import load_project_key
    from deid_node.delivery.template import FILE_FIELDS, PathTemplate
    from deid_node.engine.keys import Pseudonyms
    from deid_node.engine.rewrite import Deidentifier
    from deid_node.files_tree import Job
    from deid_node.node.named_secrets import read_secrets
    from deid_node.node.procedures import load_procedure
    from deid_node.settings import DEFAULT_TEMPLATE
    from deid_node.settings_load import load_settings

    settings = load_settings(config).settings
    procedure = load_procedure(profile or settings.profile)
    key = load_project_key(settings, key_file)
    text = _MIRROR if mirror else template or DEFAULT_TEMPLATE
    path_template = PathTemplate.parse(text, extra=FILE_FIELDS)
    secrets = read_secrets(procedure.secrets, settings.state)
    deidentifier = Deidentifier(procedure, Pseudonyms(key), capture=path_template.fields, secrets=secrets)
    base = source if source.is_dir() else source.parent
    name = f"{procedure.name} {procedure.version}".strip()
    return Job(deidentifier, base, target, path_template), name


def _run_tree(job: Job, workers: int, *, show: bool) -> list[FileResult]:
    from deid_node.files_tree import deidentify_tree, files_below

    files = [job.source] if job.source.is_file() else list(files_below(job.source, without=job.target))
    workers = max(1, min(workers, len(files)))
    with _progress(deidentify_tree(job, files, workers), len(files), show=show) as results:
        return list(results)


@contextmanager
def _progress(results: Iterable[FileResult], total: int, *, show: bool) -> Iterator[Iterable[FileResult]]:
    """Draw a bar on stderr while results come, when a person looks at it."""
    if not (show and sys.stderr.isatty()):
        yield results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("de-identifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    iterator = iter(results)
    first = list(islice(iterator, 1))
    # The workers are forked before the bar starts its thread.
    with bar:
        yield bar.track(chain(first, iterator), total=total)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(results: list[FileResult], profile: str, *, as_json: bool, single: bool) -> None:
    from deid_node.files import Outcome

    counts = Counter(result.outcome for result in results)
    if as_json:
        outcomes: dict[str, int] = {outcome.value: counts[outcome] for outcome in Outcome}
        summary = {"profile": profile, "in": len(results), **outcomes}
        print_json({"summary": summary, "files": [_as_json(result) for result in results]})
    else:
        for result in results:
            if result.outcome is not Outcome.DEIDENTIFIED:
                where = f" at {result.path}" if result.path else ""
                complain(f"{result.outcome}: {result.source}: {result.reason}{where} [{result.code}]")
            elif single:
                say(f"{result.source} -> {result.target}")
        say(f"{len(results)} in: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome) + ".")
    bad = counts[Outcome.REJECTED] + counts[Outcome.HELD] + counts[Outcome.FAILED]
    bad += counts[Outcome.SKIPPED] if single else 0
    if bad:
        leave(ExitCode.INCOMPLETE)


def _as_json(result: FileResult) -> dict[str, Any]:
    return {
        "source": str(result.source),
        "outcome": result.outcome.value,
        "target": str(result.target) if result.target else None,
        "code": result.code,
        "reason": result.reason,
        "path": result.path,
        "sop_class": result.sop_class_uid,
        "notes": list(result.notes),
    }
