"""`deid-node queue` and `deid-node status`: what waits and why, try it again, give it up."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import ask, leave, print_json, print_table, say, tell_count
from deid_node.commands.usage import Commands

if TYPE_CHECKING:
    from deid_node.spool.desk import Desk, Outage, Selection

app = Commands(
    name="queue", help="What waits for a destination: list, retry, move, drop.", rich_markup_mode=None
)


class State(StrEnum):
    """The states an entry can be chosen by."""

    PENDING = "pending"
    LEASED = "leased"
    DEFERRED = "deferred"
    HELD = "held"
    REFUSED = "refused"
    DELIVERED = "delivered"
    WARNED = "warned"
    UNCOMMITTED = "uncommitted"
    ASKED = "asked"
    COMMITTED = "committed"
    DROPPED = "dropped"
    REROUTED = "rerouted"


Ids = Annotated[list[int] | None, typer.Argument(metavar="[ENTRY]...", help="Numbers from `queue list`.")]
States = Annotated[list[State] | None, typer.Option("--state", "-s", help="Only entries in this state.")]
ToDestination = Annotated[str | None, typer.Option("--destination", "-d", help="Only this destination.")]
Study = Annotated[str | None, typer.Option("--study", help="Only this de-identified Study Instance UID.")]


@app.callback(invoke_without_command=True)
def queue(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """Show what waits for a destination. Works beside a running node and without one."""
    if context.invoked_subcommand is None:
        list_entries(config=config, as_json=as_json)
    elif config is not None or as_json:
        leave(ExitCode.USAGE, f"Options go behind the command: queue {context.invoked_subcommand} ...")


@app.command("list")
def list_entries(
    states: States = None,
    destination: ToDestination = None,
    study: Study = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many entries.")] = 1000,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List entries that are not settled: pending, deferred, held, refused."""
    desk = _desk_for(destination, config)
    entries = desk.queue(_selection(None, states, destination, study), limit=limit)
    outages = desk.outages()
    if as_json:
        out = {name: asdict(outage) for name, outage in outages.items()}
        print_json([{**asdict(entry), "destination_out": out.get(entry.destination)} for entry in entries])
        return
    for name, outage in outages.items():
        if destination in (None, name):
            say(f"{name}: {_out(outage)}")
    sealed = sum(group.objects for group in desk.sealed_counts())
    if sealed:
        say(f"{sealed} originals wait sealed, not yet de-identified: `deid-node sealed list`.")
    if not entries:
        say("Nothing waits for a destination." if sealed else "Nothing waits.")
        return
    columns = ("entry", "destination", "state", "status", "attempts", "next", "age", "why", "object")
    now = time.time()
    print_table(
        columns,
        (
            (
                entry.id,
                entry.destination,
                entry.state,
                "" if entry.status is None else f"{entry.status:04X}",
                entry.attempts,
                f"in {span(entry.not_before - now)}" if entry.not_before > now else "",
                span(now - entry.received_at),
                entry.why,
                entry.sop_instance_uid,
            )
            for entry in entries
        ),
    )


@app.command()
def retry(
    ids: Ids = None,
    states: States = None,
    destination: ToDestination = None,
    study: Study = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try deferred, held and refused entries again, at once; all of them when none is chosen."""
    desk = _desk_for(destination, config)
    write_audit(config, "queue-retried", **_asked(ids, states, destination, study))
    count = desk.retry(_selection(ids, states, destination, study))
    tell_count(count, "retried", "will be tried again", ids or (), as_json=as_json)


@app.command()
def move(
    to: Annotated[str, typer.Option("--to", help="Destination of the settings that gets them.")],
    ids: Ids = None,
    states: States = None,
    destination: ToDestination = None,
    study: Study = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Hand pending, deferred, held and refused entries to another destination, for good.

    They count as rerouted where they were. An entry that is being sent now stays, and an object that the
    other destination has already is not sent there twice.
    """
    from deid_node.settings.load import load_settings

    desk = _desk_for(destination, config)
    _check_known(to, load_settings(config).settings.effective_destinations)
    if not (ids or states or destination or study):
        leave(ExitCode.USAGE, "Say which entries to move: numbers, --state, --destination or --study.")
    write_audit(config, "queue-moved", to=to, **_asked(ids, states, destination, study))
    count = desk.move(_selection(ids, states, destination, study), to)
    tell_count(count, "moved", f"moved to {to}", ids or (), as_json=as_json)


@app.command()
def drop(
    ids: Ids = None,
    states: States = None,
    destination: ToDestination = None,
    study: Study = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give entries up: they are not delivered any more, and what nothing needs is removed."""
    selection = _selection(ids, states, destination, study)
    desk = _desk_for(destination, config)
    if not (ids or states or destination or study):
        leave(ExitCode.USAGE, "Say which entries to drop: numbers, --state, --destination or --study.")
    ask("Dropped entries are not delivered. Go on?", yes=yes, otherwise="Nothing was dropped.")
    write_audit(config, "queue-dropped", **_asked(ids, states, destination, study))
    count = desk.drop(selection)
    tell_count(count, "dropped", "dropped", ids or (), as_json=as_json)


def status(
    studies: Annotated[bool, typer.Option("--studies", help="Also one line for each study.")] = False,
    states: Annotated[
        list[State] | None, typer.Option("--state", "-s", help="Count only entries in this state.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Count what was received, refused and delivered, for each study and destination."""
    from deid_node.spool.outcomes import DeliveryState

    counts = desk_of(config).status()
    if states:
        counts = counts.only(frozenset(DeliveryState(state.value) for state in states))
    if as_json:
        print_json(asdict(counts))
        return
    rows: list[tuple[object, ...]] = []
    for destination, counted in sorted(counts.destinations.items()):
        oldest = counts.oldest_unsettled_at.get(destination)
        age = "" if oldest is None else f"oldest {span(time.time() - oldest)}"
        out = counts.outages.get(destination)
        rows.append((destination, _counted(counted), age, "" if out is None else _out(out)))
    say(f"{sum(study.objects for study in counts.studies)} objects of {len(counts.studies)} studies.")
    if rows:
        print_table(("destination", "objects", "", ""), rows)
    if studies:
        print_table(
            ("study", "objects", "again", "revisions", "destination", "of it"),
            (
                (study.study_uid, study.objects, study.duplicates, study.revisions, name, _counted(counted))
                for study in counts.studies
                for name, counted in sorted(study.destinations.items())
            ),
        )
    if counts.sealed:
        say("Sealed, not yet de-identified:")
        print_table(
            ("route", "state", "objects", "oldest", "code", "at", "reason"),
            (
                (s.route, s.state, s.objects, span(time.time() - s.oldest_at), s.code, s.path, s.reason)
                for s in counts.sealed
            ),
        )
    if counts.repairs:
        say("Put right:")
        print_table(
            ("route", "repair", "objects", "last"),
            ((r.route, r.name, r.objects, f"{span(time.time() - r.last_at)} ago") for r in counts.repairs),
        )
    if counts.refusals:
        say("Not taken:")
        print_table(
            ("route", "code", "objects", "times", "reason"),
            ((r.route, r.code, r.objects, r.times, r.reason) for r in counts.refusals),
        )


def desk_of(config: Path | None) -> Desk:
    """Return the desk of the configured spool; leaves when there is none yet."""
    from deid_node.settings.load import load_settings
    from deid_node.spool.desk import Desk

    settings = load_settings(config).settings
    if not settings.spool_folder.is_dir():
        leave(
            ExitCode.NO_INPUT,
            f"{settings.spool_folder}: there is no spool yet; the node makes it. For a node with other "
            "settings say --config, for one with another state DEID_NODE_STATE=FOLDER.",
        )
    return Desk(settings.spool_folder)


def _desk_for(destination: str | None, config: Path | None) -> Desk:
    """Return the desk; leaves when neither the settings nor the ledger know the destination."""
    desk = desk_of(config)
    if destination is not None:
        from deid_node.settings.load import load_settings

        known = {*load_settings(config).settings.effective_destinations, *desk.status().destinations}
        _check_known(destination, known)
    return desk


def _check_known(destination: str, known: Collection[str]) -> None:
    from deid_node.profile.names import did_you_mean

    if destination not in known:
        near = did_you_mean(destination, known) or f"; there are {', '.join(sorted(known))}"
        leave(ExitCode.USAGE, f"There is no destination {destination!r}{near}")


def _selection(
    ids: list[int] | None, states: list[State] | None, destination: str | None, study: str | None
) -> Selection:
    from deid_node.spool.desk import Selection
    from deid_node.spool.outcomes import DeliveryState

    chosen = frozenset(DeliveryState(state.value) for state in states or ())
    return Selection(tuple(ids or ()), chosen, destination, study)


def _asked(
    ids: list[int] | None, states: list[State] | None, destination: str | None, study: str | None
) -> dict[str, object]:
    """Return what chose the entries, for the audit."""
    return {"entries": ids, "states": states, "destination": destination, "study_uid": study}


def _counted(states: Any) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _out(outage: Outage) -> str:
    return f"out for {span(time.time() - outage.since)}: {outage.why}"


def span(seconds: float) -> str:
    """Return a duration as a person says it: 45 s, 12 min, 5 h, 3 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
