"""`deid-node explain FILE`: what is done with every attribute of an object, and which row says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json, KeyFile, Profile
from deid_node.commands.terminal import complain, leave, print_json, print_table
from deid_node.errors import Excluded, ObjectRefused, Rejected

if TYPE_CHECKING:
    from deid_node.engine.deidentified import Summary
    from deid_node.engine.explain import Explanation
    from deid_node.profile.procedure import Procedure
    from deid_node.settings import Settings


def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A DICOM file.")],
    profile: Profile = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show values before and after. They identify the patient.")
    ] = False,
    key_file: KeyFile = None,
    config: Config = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            help="Write one page with all values, reasons and findings. It identifies the patient.",
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show for every attribute of a file the action and the row that decided."""
    if file.is_dir():
        leave(ExitCode.NO_INPUT, f"{file}: is a folder; name one file of it.")
    if not file.is_file():
        leave(ExitCode.NO_INPUT, f"{file}: there is no such file.")
    if html is not None:
        _write_page(file, html, profile, key_file, config)
        return
    try:
        rows = _explanations(file, *_loaded(profile, config), key_file)[0]
    except ObjectRefused as refusal:
        word = _word(refusal)
        where = f" (at {refusal.path})" if refusal.path else ""
        if as_json:
            told = {"outcome": word, "code": refusal.code, "reason": refusal.reason, "path": refusal.path}
            print_json(told)
            leave(ExitCode.INCOMPLETE)
        leave(ExitCode.INCOMPLETE, f"{file}: {word}: {refusal.reason}{where} [{refusal.code}]")
    if as_json:
        print_json({"outcome": "deidentified", "attributes": [_as_json(row, values) for row in rows]})
    elif sys.stdout.isatty():
        _print_for_people(rows, values)
    else:
        heads = ["path", "tag", "vr", "action", "changed", "decided by", "because"]
        table = [[r.name, r.tag, r.vr, r.action, _changed(r), r.decided_by, r.because] for r in rows]
        if values:
            heads += ["before", "after"]
            table = [
                [*line, _cell(row.before), _cell(row.after)] for line, row in zip(table, rows, strict=True)
            ]
        print_table(heads, table)


def _loaded(profile: str | None, config: Path | None, *, review: bool = False) -> tuple[Settings, Procedure]:
    from deid_node.settings.load import load_settings

    settings = load_settings(config).settings
    return settings, _procedure(profile or settings.profile, review=review)


def _explanations(
    file: Path, settings: Settings, procedure: Procedure, key_file: Path | None
) -> tuple[list[Explanation], Summary]:
    from deid_node.commands.project import load_pseudonyms
    from deid_node.engine.explain import explain as explain_dataset
    from deid_node.node.named_secrets import read_secrets
    from deid_node.node.part10 import read_part10

    pseudonyms = load_pseudonyms(settings, key_file, keeps=False)
    with file.open("rb") as stream:
        part10 = read_part10(stream)
        stream.seek(part10.offset)
        dataset = stream.read()
    return explain_dataset(
        procedure,
        pseudonyms,
        dataset,
        transfer_syntax_uid=part10.transfer_syntax_uid,
        secrets=read_secrets(procedure.secrets, settings.state),
        now=datetime.now(),
        repairs=frozenset(settings.limits.repairs),
    )


def _procedure(profile: str, *, review: bool) -> Procedure:
    """Return the procedure; for a review with every check, as serious as the profile says or a note."""
    from dataclasses import fields, replace

    from deid_node.node.procedures import load_procedure
    from deid_node.profile.procedure import Checks, Level

    procedure = load_procedure(profile)
    if not review or not procedure.identity_removed:
        return procedure
    usual = {"values": Level.NOTE, "required": Level.NOTE}
    levels = {
        check.name: getattr(procedure.checks, check.name) or usual.get(check.name, Level.WARN)
        for check in fields(Checks)
    }
    return replace(procedure, checks=Checks(**levels))


def _write_page(
    file: Path, html: Path, profile: str | None, key_file: Path | None, config: Path | None
) -> None:
    from deid_node.commands.explain_page import Page, render

    refused = None
    settings, procedure = _loaded(profile, config, review=True)
    told = f"{procedure.name} {procedure.version}".strip()
    try:
        rows, summary = _explanations(file, settings, procedure, key_file)
        page = Page(str(file), told, "de-identified", rows, summary.findings, summary.notes)
    except ObjectRefused as refusal:
        where = f" (at {refusal.path})" if refusal.path else ""
        refused = f"{_word(refusal)}: {refusal.reason}{where} [{refusal.code}]"
        page = Page(str(file), told, refused)
    _store(html, render(page))
    complain(f"{html} identifies the patient.")
    if refused is not None:
        leave(ExitCode.INCOMPLETE, f"{file}: {refused}")


def _store(html: Path, text: str) -> None:
    """Write a page for its owner only; it replaces an earlier page and nothing else."""
    import os

    from deid_node.commands.explain_page import MARK

    try:
        if html.exists():
            with html.open("rb") as stream:
                if MARK.encode() not in stream.read(200):
                    leave(ExitCode.CANNOT_CREATE, f"{html}: is there, and is no page of deid-node explain.")
            html.unlink()
        descriptor = os.open(html, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as page:
            page.write(text)
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{html}: cannot be written ({error.strerror}).")


def _word(refusal: ObjectRefused) -> str:
    if isinstance(refusal, Excluded):
        return "excluded"
    if refusal.code == "held":
        return "held"
    return "rejected" if isinstance(refusal, Rejected) else "failed"


_COLORS = {"K": "green", "X": "red", "Z": "red", "R": "red"}


def _print_for_people(rows: Sequence[Explanation], values: bool) -> None:
    """Print two lines an attribute: what is done, and below it why and by which row."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        color = _COLORS.get(row.action, "yellow") if _changed(row) else "green"
        line = Text.assemble((f"{row.action} ", f"bold {color}"), (row.name, "bold"), f" {row.tag} {row.vr}")
        if values:
            line.append("  ")
            line.append(_cell(row.before))
            if _changed(row):
                line.append(" -> ", color)
                line.append(_cell(row.after), color)
        elif _changed(row):
            line.append(f"  {_changed(row)}", color)
        console.print(line)
        console.print(Text(f"    {row.because} ({row.decided_by})", "dim"))


def _changed(row: Explanation) -> str:
    if row.after is None:
        return "removed"
    if row.before is None:
        return "added"
    return "changed" if row.changed else ""


def _cell(value: str | None) -> str:
    """Return a value on one line; an absent one as a dash."""
    return "-" if value is None else " ".join(value.split())


def _as_json(row: Explanation, values: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "path": row.path,
        "tag": row.tag,
        "keyword": row.keyword,
        "selector": row.selector or row.keyword or row.tag,
        "vr": row.vr,
        "action": str(row.action),
        "changed": _changed(row) or "no",
        "decided_by": row.decided_by,
        "because": row.because,
    }
    return {**told, "before": row.before, "after": row.after} if values else told
