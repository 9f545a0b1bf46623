"""`deid-node table`: lookup tables of profiles."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands import run_options as options
from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Profile
from deid_node.commands.queue import desk_of
from deid_node.commands.terminal import complain, leave, leave_unwritten, say
from deid_node.commands.usage import Commands

if TYPE_CHECKING:
    from deid_node.files.collect import Wanted
    from deid_node.files.input import Input
    from deid_node.profile.procedure import Procedure

app = Commands(name="table", help="Lookup tables of profiles.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def table() -> None:
    """Lookup tables of profiles."""


@app.command()
def collect(
    output: Annotated[Path, typer.Option("--out", "-o", help="The CSV file to write.")],
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[IN]...", help="Files, folders or addresses.")
    ] = None,
    held: Annotated[
        bool, typer.Option("--held", help="Read the originals that the node holds, sealed, in place of IN.")
    ] = False,
    config: Config = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", "-a", help="Keyword or tag whose values are collected. Several: all."),
    ] = None,
    profile: Profile = None,
    name: Annotated[
        str, typer.Option("--table", help="Collect what the rows of the profile look up in this table.")
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            "--columns", help="Names of the columns: one or more of original values, and the new one."
        ),
    ] = "old,new",
    endpoint: options.Endpoint = "",
    region: options.Region = "",
    headers: options.Headers = None,
) -> None:
    """Collect the values that a lookup table must cover, as a CSV to fill in.

    The file holds original values, and the new ones that the table of the profile has already. It
    identifies patients: only you may read it.
    """
    from deid_node.files.collect import collect as collect_values
    from deid_node.files.input import Remote, inputs_of
    from deid_node.files.web import read_headers
    from deid_node.profile.lookup import parts_of_key

    if held == bool(sources):
        leave(ExitCode.USAGE, "Say what to read: files, folders or addresses, or --held.")
    heads = [column.strip() for column in columns.split(",")]
    if len(heads) < 2 or not all(heads) or len(set(heads)) < len(heads):
        leave(ExitCode.USAGE, "--columns has two different names or more, separated by commas.")
    if bool(attribute) == bool(name):
        leave(ExitCode.USAGE, "Say what to collect: --attribute KEYWORD, or --profile FILE --table NAME.")
    wanted, known = _wanted(attribute or [], profile, name)
    remote = Remote(read_headers(headers) if headers else {}, endpoint, region)
    inputs = _held(config) if held else inputs_of(sources or (), remote=remote)
    found = collect_values(inputs, wanted, name)
    rows = {**dict.fromkeys(found.values, ""), **known}
    keys = max((len(parts_of_key(old)) for old in rows), default=len(heads) - 1)
    if keys != len(heads) - 1:
        leave(ExitCode.USAGE, f"--columns has {keys + 1} names: the table has {keys} keys.")
    _write(output, heads, rows)
    for source, why in found.failed:
        complain(f"not read: {source} [{why}]")
    missing = sum(not new for new in rows.values())
    say(f"{output} written: {len(rows)} values of {found.read} objects, {missing} to fill in.")
    complain(f"{output} identifies patients.")
    if found.failed:
        leave(ExitCode.INCOMPLETE)


def _held(config: Path | None) -> Sequence[Input]:
    """Return the held originals as inputs, after it was written down who reads them."""
    from deid_node.node.held_originals import held_inputs
    from deid_node.node.key_file import open_envelopes
    from deid_node.settings.load import load_settings
    from deid_node.spool.sealed_rows import Cause

    settings = load_settings(config).settings
    envelopes = open_envelopes(settings)
    if envelopes is None:
        leave(ExitCode.CONFIGURATION, "sealed.key_file is not set: nothing is held here that could be read.")
    rows = desk_of(config).sealed([Cause.HELD])
    write_audit(config, "sealed-read", ids=[row.id for row in rows])
    return held_inputs(settings.spool_folder, rows, envelopes)


def _wanted(
    attributes: list[str], profile: str | None, name: str
) -> tuple[Wanted | Procedure, Mapping[str, str]]:
    from deid_node.files.collect import Wanted
    from deid_node.node.procedures import load_procedure
    from deid_node.profile.selector import Selector

    if attributes:
        tags = [Selector.parse(text).last.tag for text in attributes]
        if None in tags:
            leave(ExitCode.USAGE, "--attribute is one attribute: a keyword or (gggg,eeee).")
        return Wanted(frozenset(tag for tag in tags if tag is not None)), {}
    if profile is None:
        leave(ExitCode.USAGE, "--table needs the --profile that has it.")
    procedure = load_procedure(profile)
    if name not in procedure.lookups:
        leave(ExitCode.CONFIGURATION, f"{profile}: has no table {name!r}.")
    return procedure, procedure.lookups[name]


def _write(output: Path, heads: list[str], rows: Mapping[str, str]) -> None:
    from deid_node.profile.lookup import parts_of_key

    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        leave_unwritten(output, error)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(heads)
        writer.writerows([*parts_of_key(old), new] for old, new in sorted(rows.items()))
