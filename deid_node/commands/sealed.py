"""`deid-node sealed`: originals that wait in the spool, encrypted, to be de-identified."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.queue import desk_of, span
from deid_node.commands.terminal import ask, leave, print_json, print_table, say, tell_count
from deid_node.commands.usage import Commands

app = Commands(
    name="sealed",
    help="Originals that wait, encrypted, to be de-identified: list, release, drop.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ORIGINAL]...", help="Numbers from `sealed list`.")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="Only those held for this code.")]


@app.command("list")
def list_originals(
    codes: Codes = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many originals.")] = 1000,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what waits, and why what is held does: code, attribute, reason; never a value."""
    found = desk_of(config).sealed(codes or (), limit=limit)
    if as_json:
        print_json(
            [{name: value for name, value in asdict(row).items() if name != "object"} for row in found]
        )
        return
    if not found:
        say("Nothing waits sealed.")
        return
    now = time.time()
    print_table(
        ("original", "state", "route", "from", "bytes", "age", "code", "at", "reason"),
        (
            (
                row.id,
                row.state,
                row.route,
                row.calling,
                row.size,
                span(now - row.received_at),
                row.code,
                row.path,
                row.reason,
            )
            for row in found
        ),
    )


@app.command()
def release(
    ids: Ids = None,
    codes: Codes = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let held originals be tried again, under the profile as the node has it; all when none is chosen.

    A running node takes them up within seconds. What is still not decided is held again.
    """
    desk = desk_of(config)
    write_audit(config, "sealed-released", ids=ids, codes=codes)
    count = desk.release_sealed(ids or (), codes or ())
    tell_count(count, "released", "will be tried again", ids or (), as_json=as_json)


@app.command()
def drop(
    ids: Ids = None,
    codes: Codes = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give originals up: their keys are overwritten, and nothing of them is ever delivered."""
    if not ids and not codes:
        leave(ExitCode.USAGE, "Say which originals to drop: numbers, or --code.")
    desk = desk_of(config)
    ask(
        "Senders were told that these are kept. Drop them for good?",
        yes=yes,
        otherwise="Nothing was dropped.",
    )
    write_audit(config, "sealed-dropped", ids=ids, codes=codes)
    count = desk.drop_sealed(ids or (), codes or ())
    tell_count(count, "dropped", "dropped", ids or (), as_json=as_json)
