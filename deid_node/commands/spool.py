"""`deid-node fsck`, `backup`, `restore`, `purge`: check, copy and put back the ledger, delete history."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import leave, print_json, print_table, say


def fsck(
    contents: Annotated[
        bool, typer.Option("--contents/--no-contents", help="Also read every file and compare its content.")
    ] = True,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check the spool against its ledger. Changes nothing; also while the node runs."""
    from deid_node.node.key_file import open_envelopes
    from deid_node.settings.load import load_settings
    from deid_node.spool.upkeep import check

    settings = load_settings(config).settings
    found = check(
        _folder(config), contents=contents, envelopes=open_envelopes(settings) if contents else None
    )
    if as_json:
        print_json([{"fault": str(f.fault), "object": f.object, "item": f.item} for f in found])
    elif found:
        print_table(("fault", "object", "item"), ((f.fault, f.object, f.item or "") for f in found))
    else:
        say("Spool and ledger agree.")
    if found:
        leave(ExitCode.INCOMPLETE)


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; must not be there yet.")],
    config: Config = None,
) -> None:
    """Copy the ledger as of one moment, also while the node runs. The key is not in it: keep it apart."""
    from deid_node.spool.upkeep import backup as copy

    copy(_folder(config), target)
    say(f"{target} holds the ledger.")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup of the ledger.")],
    destinations: Annotated[
        list[str] | None,
        typer.Option("--destination", "-d", help="Where objects go that came after the backup."),
    ] = None,
    config: Config = None,
) -> None:
    """Put a backup in the place of the ledger, and take in what came after it. Stop the node first."""
    from deid_node.node.key_file import open_envelopes
    from deid_node.node.restore import destinations_of_found, object_reader
    from deid_node.settings.load import load_settings
    from deid_node.spool.restore import restore as put_back

    settings = load_settings(config).settings
    if not settings.spool_folder.is_dir():
        leave(ExitCode.NO_INPUT, f"{settings.spool_folder}: there is no spool.")
    if not source.is_file():
        leave(ExitCode.NO_INPUT, f"{source}: there is no such file.")
    targets = destinations_of_found(settings, destinations or [])
    read = object_reader(settings)
    envelopes = open_envelopes(settings)
    done = put_back(settings.spool_folder, source, read=read, destinations=targets, envelopes=envelopes)
    write_audit(config, "ledger-restored", items=done.items, adopted=done.adopted)
    say(f"The ledger knows {done.items} objects; {done.adopted} of them came after the backup.")
    if done.sealed:
        say(f"{done.sealed} sealed originals came after the backup, and wait to be de-identified.")
    if done.aside is not None:
        say(f"The former ledger is {done.aside}.")
    if done.unreadable:
        say(f"{done.unreadable} files could not be read; they are in {settings.spool_folder / 'found'}.")
        leave(ExitCode.INCOMPLETE)


def purge(
    older_than: Annotated[str, typer.Option("--older-than", help="Age since the last delivery: 90d, 12h.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Delete the history of objects that were settled long ago; counts stay. Also while the node runs."""
    from deid_node.spool.desk import Desk

    age_s = _seconds(older_than)
    folder = _folder(config)
    write_audit(config, "history-deleted", older_than_s=age_s)
    count = Desk(folder).prune(age_s)
    print_json({"deleted": count}) if as_json else say(f"The history of {count} objects was deleted.")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(d|h|min)", text.strip())
    if found is None:
        leave(ExitCode.USAGE, "An age is written as 90d, 12h or 30min.")
    return float(found[1]) * {"d": 86400.0, "h": 3600.0, "min": 60.0}[found[2]]


def _folder(config: Path | None) -> Path:
    from deid_node.settings.load import load_settings

    folder = load_settings(config).settings.spool_folder
    if not folder.is_dir():
        leave(ExitCode.NO_INPUT, f"{folder}: there is no spool yet; the node makes it.")
    return folder
