"""`deid-node crosswalk`: who is behind a pseudonym. For those who may read the key; every read is audited."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import ask, complain, leave, leave_unwritten, print_json, print_table, say
from deid_node.commands.usage import Commands

if TYPE_CHECKING:
    from deid_node.node.audit import AuditTrail
    from deid_node.node.crosswalk import Crosswalk, Link
    from deid_node.node.crosswalk_vault import Vault
    from deid_node.settings import Settings

app = Commands(
    name="crosswalk",
    help="Who is behind a pseudonym. Needs the project key; every read is audited.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FormerKeys = Annotated[
    list[Path] | None,
    typer.Option("--former-key", help="A key of a former epoch that is not beside the one in use."),
]


@app.command()
def lookup(
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="Patient ID, Study Instance UID, or what stands for one. - reads it from standard input: "
            "other accounts can see the words of a command.",
        ),
    ],
    former: FormerKeys = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find who is behind a pseudonym, or the pseudonym of a patient or study."""
    if value == "-":
        value = sys.stdin.readline().strip()
    with _open(config, former) as (crosswalk, vault, audit, _):
        found = crosswalk.lookup(value)
        index = vault.index("audit", value)[:8].hex()
        _write(audit, "crosswalk-read", how="lookup", digest=index, count=len(found))
    if as_json:
        print_json([asdict(link) for link in found])
    elif found:
        _show(found)
    if not found:
        complain("The crosswalk does not know it.")
        leave(ExitCode.INCOMPLETE)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file to write; must not be there yet.")],
    former: FormerKeys = None,
    config: Config = None,
) -> None:
    """Write the whole crosswalk as CSV. The file identifies patients: guard it, or delete it after use."""
    from deid_node.node.crosswalk_csv import write_links

    with _open(config, former) as (crosswalk, _, audit, _):
        links = crosswalk.links()
        _write(audit, "crosswalk-read", how="export", count=len(links))
        try:
            write_links(target, links)
        except OSError as error:
            leave_unwritten(target, error)
    say(f"{target} holds {len(links)} links in clear.")


@app.command("import")
def take_over(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV file: kind, original, pseudonym, days.")
    ],
    former: FormerKeys = None,
    config: Config = None,
) -> None:
    """Take over links. With random pseudonyms they become the codes of these patients and studies."""
    from deid_node.node.crosswalk_csv import read_links

    try:
        links = read_links(source)
    except OSError as error:
        leave(ExitCode.NO_INPUT, f"{source}: cannot be read ({error.strerror}).")
    except UnicodeDecodeError:
        leave(ExitCode.NO_INPUT, f"{source}: is not UTF-8 text.")
    with _open(config, former) as (crosswalk, vault, audit, settings):
        _write(audit, "crosswalk-written", how="import", count=len(links))
        _give_codes(settings, vault, links)
        added = crosswalk.add(links)
    say(f"{added} links are new, {len(links) - added} were known.")


def _give_codes(settings: Settings, vault: Vault, links: list[Link]) -> None:
    from deid_node.node.crosswalk import LinkKind
    from deid_node.node.crosswalk_codes import RandomCodes
    from deid_node.settings.records import PseudonymKind

    if settings.pseudonyms is not PseudonymKind.RANDOM:
        return
    given = []
    for link in links:
        given.append(("patient" if link.kind is LinkKind.PATIENT else "uid", link.original, link.pseudonym))
        if link.days is not None:
            given.append(("days", link.original, str(link.days)))
    RandomCodes(vault).put_all(given)


@app.command()
def forget(
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="Patient ID, Study Instance UID, or what stands for one. - reads it from standard input.",
        ),
    ],
    codes: Annotated[
        bool,
        typer.Option(
            "--codes",
            help="Also the random codes: what comes later gets new ones. Stop the node first.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    former: FormerKeys = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Delete what is recorded of a patient with its studies, or of a study, for good.

    Objects that were delivered stay as they are; what comes later is recorded anew. Backups are not touched.
    """
    from deid_node.node.crosswalk import LinkKind

    if value == "-":
        value = sys.stdin.readline().strip()
    with ExitStack() as opened:
        crosswalk, vault, audit, settings = opened.enter_context(_open(config, former))
        if codes:
            opened.enter_context(_stopped(settings))
        chosen, left = crosswalk.belonging(value)
        index = vault.index("audit", value)[:8].hex()
        _write(audit, "crosswalk-read", how="forget", digest=index, count=len(chosen))
        if not chosen:
            leave(ExitCode.INCOMPLETE, "The crosswalk does not know it; nothing was deleted.")
        patients = sum(link.kind is LinkKind.PATIENT for link in chosen)
        told = f"{patients} patients and {len(chosen) - patients} studies"
        ask(f"{told} will be forgotten for good. Go on?", yes=yes, otherwise="Nothing was deleted.")
        _write(audit, "crosswalk-forgotten", how="asked", digest=index, count=len(chosen))
        count = crosswalk.forget(chosen)
        removed = _take_codes(settings, vault, chosen) if codes else 0
    if as_json:
        print_json({"links": count, "codes": removed, "left": left})
    else:
        say(f"{told} are forgotten{f', and {removed} codes' if removed else ''}.")
    if left:
        leave(
            ExitCode.INCOMPLETE,
            f"{left} studies stay: other patients have the same pseudonym, so nobody knows whose they are. "
            "Name them by Study Instance UID.",
        )


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    """Keep the node from running: it has codes in memory that would come back."""
    from deid_node.errors import SpoolError
    from deid_node.spool.lock import lock

    try:
        held = lock(settings.spool_folder)
    except FileNotFoundError:  # no node was ever here
        yield
        return
    except SpoolError:
        leave(ExitCode.UNAVAILABLE, "Stop the node first: it has codes in memory. Nothing was deleted.")
    try:
        yield
    finally:
        os.close(held)


def _take_codes(settings: Settings, vault: Vault, links: list[Link]) -> int:
    from deid_node.node.crosswalk import LinkKind
    from deid_node.node.crosswalk_codes import RandomCodes
    from deid_node.settings.records import PseudonymKind

    if settings.pseudonyms is not PseudonymKind.RANDOM:
        return 0
    names = [
        (kind, link.original)
        for link in links
        for kind in (("patient", "days") if link.kind is LinkKind.PATIENT else ("uid",))
    ]
    return RandomCodes(vault).remove(names)


@contextmanager
def _open(
    config: Path | None, former: list[Path] | None
) -> Iterator[tuple[Crosswalk, Vault, AuditTrail | None, Settings]]:
    from deid_node.node.crosswalk import Crosswalk
    from deid_node.node.epochs import key_ring
    from deid_node.node.records import open_audit, open_vault
    from deid_node.settings.load import load_settings

    settings = load_settings(config).settings
    if not settings.crosswalk.enabled:
        leave(ExitCode.CONFIGURATION, "The crosswalk is off; crosswalk.enabled = true switches it on.")
    vault = open_vault(settings, key_ring(settings, former or ()))
    assert vault is not None
    audit = open_audit(settings)
    try:
        yield Crosswalk(vault), vault, audit, settings
    finally:
        vault.close()


def _write(audit: AuditTrail | None, event: str, **fields: object) -> None:
    from deid_node.node.audit import who

    if audit is None:
        leave(ExitCode.CONFIGURATION, "The crosswalk is not opened without an audit: audit.enabled is false.")
    audit.write(event, **fields, **who())


def _show(links: list[Link]) -> None:
    columns = ("kind", "original", "pseudonym", "days", "name", "patient", "epoch")
    print_table(
        columns,
        (
            (
                link.kind.value,
                link.original,
                link.pseudonym,
                "" if link.days is None else link.days,
                link.name,
                link.patient,
                link.epoch,
            )
            for link in links
        ),
    )
