"""`deid-node fsck` and `deid-node backup`: check the spool against its ledger, copy the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from deid_node.spool.upkeep import check

    found = check(_folder(config), contents=contents)
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


def _folder(config: Path | None) -> Path:
    from deid_node.settings_load import load_settings

    folder = load_settings(config).settings.spool_folder
    if not folder.is_dir():
        leave(ExitCode.NO_INPUT, f"{folder}: there is no spool yet; the node makes it.")
    return folder
