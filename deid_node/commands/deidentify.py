"""`deid-node deidentify IN... OUT`: files, trees, web addresses, object stores; without the network part."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deid_node.commands import run_options as options
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json, KeyFile, Profile
from deid_node.commands.private_file import PrivateFile
from deid_node.commands.terminal import complain, leave, plain, print_json, say

if TYPE_CHECKING:
    from deid_node.engine.rewrite import Deidentifier
    from deid_node.files import Options
    from deid_node.files.result import FileResult

_REMOTE = ("http://", "https://", "s3://")


def deidentify(
    paths: options.Sources,
    profile: Profile = None,
    key_file: KeyFile = None,
    config: Config = None,
    template: options.Template = None,
    mirror: options.Mirror = False,
    leaf: options.Leaf = "",
    name: options.NameTexts = None,
    every_name: options.EveryName = False,
    folder: options.FolderTexts = None,
    every_folder: options.EveryFolder = False,
    depth: options.Depth = None,
    skip: options.Skip = None,
    dry_run: options.DryRun = False,
    resume: options.Resume = None,
    headers: options.Headers = None,
    target_headers: options.TargetHeaders = None,
    endpoint: options.Endpoint = "",
    region: options.Region = "",
    part_size: options.PartSize = 16,
    tell_times: options.TellTimes = False,
    private_list: options.PrivateList = None,
    repairs: options.Repairs = None,
    workers: options.Workers = None,
    as_json: Json = False,
) -> None:
    """De-identify files, folder trees, web addresses and object stores.

    Results have the paths of the inputs below OUT; a name that may identify somebody becomes a code. An
    existing file is never replaced. What is no DICOM object, and DICOMDIRs, is reported and skipped. One
    bad object never stops the run. OUT is a folder, for one object also a file, a web address that takes
    PUT, or s3://BUCKET/PREFIX; with --template, --leaf or --resume always a folder.
    """
    from deid_node.files import MIRROR, Filters, Options
    from deid_node.files.web import read_headers

    if len(paths) < 2:
        leave(ExitCode.USAGE, "Say what to read and where to write: deid-node deidentify IN... OUT.")
    *sources, target = paths
    try:
        _check_paths(sources, target)
        is_file = not _is_remote(target) and Path(target).is_file()
        is_folder = target.endswith("/") or (not _is_remote(target) and Path(target).is_dir())
    except OSError as error:
        leave(ExitCode.USAGE, f"A path that cannot be looked at: {error.strerror}.")
    if template or leaf or resume:
        if is_file:
            leave(
                ExitCode.USAGE, f"{target}: is a file; with --template, --leaf and --resume OUT is a folder."
            )
        is_folder = True
    taken = Filters(
        tuple(name or ()), every_name, tuple(folder or ()), every_folder, depth, tuple(skip or ())
    )
    run = Options(
        template=template or MIRROR,
        keep_names=mirror,
        leaf=leaf,
        filters=taken,
        workers=workers or _cores(),
        dry_run=dry_run,
        resume=resume,
        headers=read_headers(headers) if headers else {},
        target_headers=read_headers(target_headers) if target_headers else {},
        endpoint=endpoint,
        region=region,
        part_bytes=part_size << 20,
        tell_times=tell_times,
        list_private=private_list is not None,
        hashes=as_json,  # nobody sees them else
    )
    deidentifier = _engine(profile, key_file, config, run, repairs or ())
    listed = PrivateFile(private_list) if private_list is not None else None
    single = len(sources) == 1 and _is_one(sources[0])
    if single and not (_is_remote(target) or is_folder):
        results = [_run_one(deidentifier, sources[0], Path(target), run)]
    else:
        results = _run_all(deidentifier, sources, target, run, show=not as_json)
    if listed is not None:
        listed.write(results)
    procedure = deidentifier.procedure
    told = f"{procedure.name} {procedure.version}".strip()
    if not procedure.identity_removed:
        complain(f"NOT DE-IDENTIFIED: under the profile {told} results keep the identity of the patient.")
    _report(results, told, as_json=as_json, single=single, dry_run=dry_run)


def _is_remote(path: str) -> bool:
    return path.startswith(_REMOTE)


def _is_one(source: str) -> bool:
    """Tell whether an IN is one object; what s3:// names is known when it is listed."""
    return source.startswith(("http://", "https://")) or not (_is_remote(source) or Path(source).is_dir())


def _check_paths(sources: list[str], target: str) -> None:
    for path in (*sources, target):
        if not path:
            leave(ExitCode.USAGE, "An IN or OUT is empty; write . for the folder that you are in.")
        if "://" in path and not _is_remote(path):
            scheme = path.partition(":")[0]
            leave(ExitCode.USAGE, f"{scheme}:// is neither read nor written; http, https and s3 are.")
    for source in sources:
        if _is_remote(source):
            continue
        if not Path(source).exists():
            leave(ExitCode.NO_INPUT, f"{source}: there is no such file or folder.")
        if _is_remote(target) or not Path(source).is_dir() or not Path(target).exists():
            continue
        if Path(source).resolve() == Path(target).resolve():
            leave(ExitCode.USAGE, "IN and OUT must be two folders.")
        if not Path(target).is_dir():
            leave(ExitCode.USAGE, f"{target}: is a file, but IN is a folder.")
    for above in Path(target).parents if not _is_remote(target) else ():
        if above.exists() and not above.is_dir():
            leave(ExitCode.USAGE, f"{above}: is a file, so nothing can be written below it. OUT stands last.")
    if len(sources) > 1 and not _is_remote(target) and Path(target).is_file():
        leave(ExitCode.USAGE, f"{target}: is a file, and there is more than one IN. OUT stands last.")


def _engine(
    profile: str | None, key_file: Path | None, config: Path | None, run: Options, repairs: Iterable[str]
) -> Deidentifier:
    from deid_node.commands.project import load_pseudonyms
    from deid_node.engine.private_list import listing_plans
    from deid_node.engine.rewrite import Deidentifier
    from deid_node.files import parse_template
    from deid_node.node.engine_limits import engine_limits
    from deid_node.node.named_secrets import read_secrets
    from deid_node.node.procedures import load_procedure
    from deid_node.settings.load import load_settings

    settings = load_settings(config).settings
    procedure = load_procedure(profile or settings.profile)
    pseudonyms = load_pseudonyms(settings, key_file, keeps=not run.dry_run)
    secrets = read_secrets(procedure.secrets, settings.state)
    fields = parse_template(run.template, run.leaf).fields
    plans = listing_plans(procedure) if run.list_private else None
    limits = engine_limits(settings.limits, repairs)
    return Deidentifier(procedure, pseudonyms, limits=limits, capture=fields, secrets=secrets, plans=plans)


def _run_one(deidentifier: Deidentifier, source: str, target: Path, run: Options) -> FileResult:
    from deid_node.files import one_file
    from deid_node.files.memory import input_of

    return one_file(
        deidentifier, input_of(source, run.headers), target, dry_run=run.dry_run, hashes=run.hashes
    )


def _run_all(
    deidentifier: Deidentifier, sources: list[str], target: str, run: Options, *, show: bool
) -> list[FileResult]:
    from dataclasses import replace

    from deid_node.files import inputs_for, run_of
    from deid_node.files.tree import deidentify_all

    inputs = list(inputs_for(sources, target, run))
    run = replace(run, workers=max(1, min(run.workers, len(inputs))))
    job = run_of(deidentifier, target, run)
    done: list[FileResult] = []
    try:
        with _progress(deidentify_all(job, inputs, run.workers), len(inputs), show=show) as results:
            done.extend(results)
    except KeyboardInterrupt:
        leave(
            ExitCode.INTERRUPTED,
            f"Interrupted after {len(done)} of {len(inputs)}. Every result that was written is whole; the "
            "same command goes on, and with --resume it takes only what is left.",
        )
    return done


@contextmanager
def _progress(results: Iterable[FileResult], total: int, *, show: bool) -> Iterator[Iterable[FileResult]]:
    """Draw a bar with rate and time left on stderr while results come, when a person looks at it."""
    if not (show and sys.stderr.isatty()):
        yield results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("de-identifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    iterator = iter(results)
    first = list(islice(iterator, 1))

    def counted() -> Iterator[FileResult]:
        task = bar.add_task("", total=total, rate="")
        for result in chain(first, iterator):
            speed = bar.tasks[task].speed
            bar.update(task, advance=1, rate=f"{speed:.0f}/s" if speed else "")
            yield result

    # The workers are forked before the bar starts its thread.
    with bar:
        yield counted()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(results: list[FileResult], profile: str, *, as_json: bool, single: bool, dry_run: bool) -> None:
    from deid_node.files.result import Outcome

    counts = Counter(result.outcome for result in results)
    levels = Counter(finding.level for result in results for finding in result.findings)
    repairs = Counter(name for result in results for name in result.repairs)
    if as_json:
        outcomes: dict[str, int] = {outcome.value: counts[outcome] for outcome in Outcome}
        summary = {
            "profile": profile,
            "dry_run": dry_run,
            "in": len(results),
            **outcomes,
            "findings": {level.value: count for level, count in sorted(levels.items())},
            "repairs": dict(sorted(repairs.items())),
            "bytes_in": sum(result.source_size for result in results),
            "bytes_out": sum(result.target_size for result in results),
        }
        print_json({"summary": summary, "files": [_as_json(result) for result in results]})
    else:
        for result in results:
            _tell(result, single=single)
        if not results:
            complain("Nothing was found to de-identify: the folders are empty, or the options leave nothing.")
        told = [f"{counts[outcome]} {outcome}" for outcome in Outcome if _is_told(outcome, counts)]
        if repairs:
            say("Put right: " + ", ".join(f"{name} in {count}" for name, count in sorted(repairs.items())))
        say(f"{len(results)} in: " + ", ".join(told) + (". No result was written." if dry_run else "."))
    bad = counts[Outcome.REJECTED] + counts[Outcome.HELD] + counts[Outcome.FAILED]
    if bad + (counts[Outcome.SKIPPED] if single else 0):
        leave(ExitCode.INCOMPLETE)


def _is_told(outcome: str, counts: Counter[Any]) -> bool:
    """Outcomes that need a special profile or option are told only when they occur."""
    return bool(counts[outcome]) or outcome not in ("unchanged", "held")


def _tell(result: FileResult, *, single: bool) -> None:
    source = plain(result.source)
    if not result.is_done:
        where = f" at {result.path}" if result.path else ""
        complain(f"{result.outcome}: {source}: {plain(result.reason)}{where} [{result.code}]")
    elif single:
        say(f"{source} -> {plain(result.target)}")
    for finding in result.findings:
        where = f" at {finding.path}" if finding.path else ""
        complain(f"{finding.level}: {source}: {finding.message}{where} [{finding.code}]")


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
        "repairs": list(result.repairs),
        "findings": [
            {"level": f.level.value, "code": f.code, "message": f.message, "path": f.path}
            for f in result.findings
        ],
        "source_size": result.source_size,
        "target_size": result.target_size,
        "source_sha256": result.source_sha256,
        "target_sha256": result.target_sha256,
    }
