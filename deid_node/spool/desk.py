"""The ledger for people: what is where, why it waits, try it again, give it up.

Works beside a running node and without one, from any process that may read the spool's folder. Shows
nothing but de-identified UIDs, states and reasons.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from deid_node.errors import SpoolError
from deid_node.spool import counts, handing, ledger, schema, sealed_rows
from deid_node.spool.counts import StudyCounts
from deid_node.spool.entry import Refusal
from deid_node.spool.envelope import erase_file
from deid_node.spool.outcomes import DeliveryState
from deid_node.spool.recovery import place, sealed_place
from deid_node.spool.sealed_rows import SealedRow

UNSETTLED: Final = frozenset(
    {
        DeliveryState.PENDING,
        DeliveryState.LEASED,
        DeliveryState.DEFERRED,
        DeliveryState.UNCOMMITTED,
        DeliveryState.ASKED,
        DeliveryState.HELD,
        DeliveryState.REFUSED,
    }
)
_RETRIED: Final = frozenset({DeliveryState.DEFERRED, DeliveryState.HELD, DeliveryState.REFUSED})
_MOVED: Final = _RETRIED | {DeliveryState.PENDING}
_PRUNED_AT_A_TIME: Final = 1000
_DROPPED: Final = _RETRIED | {DeliveryState.PENDING, DeliveryState.UNCOMMITTED, DeliveryState.ASKED}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant; what is None or empty does not choose."""

    ids: tuple[int, ...] = ()
    states: frozenset[DeliveryState] = frozenset()
    destination: str | None = None
    study_uid: str | None = None

    def where(self, states: Collection[DeliveryState]) -> tuple[str, list[object]]:
        """Return the condition on d (delivery) and i (item), and its parameters."""
        chosen = sorted(self.states & set(states) if self.states else states)
        terms = [f"d.state IN ({_marks(chosen)})"]
        values: list[object] = [*chosen]
        if self.ids:
            terms.append(f"d.id IN ({_marks(self.ids)})")
            values += self.ids
        for column, value in (("d.destination", self.destination), ("i.study_uid", self.study_uid)):
            if value is not None:
                terms.append(f"{column} = ?")
                values.append(value)
        return " AND ".join(terms), values


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One object for one destination, as an operator sees it. Times are seconds since 1970."""

    id: int
    item: int
    route: str
    destination: str
    state: DeliveryState
    why: str
    status: int | None
    attempts: int
    not_before: float
    changed_at: float
    received_at: float
    revision: int
    size: int
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a destination is out of use, and since when (seconds since 1970)."""

    why: str
    since: float


@dataclass(frozen=True, slots=True)
class RefusalCounts:
    """Objects that were not taken: `objects` different ones, sent `times` times."""

    route: str
    code: str
    reason: str
    objects: int
    times: int
    last_at: float


@dataclass(frozen=True, slots=True)
class RepairCounts:
    """Objects of a route in which something was put right; `name` is one of `standard.repairs`."""

    route: str
    name: str
    objects: int
    last_at: float


@dataclass(frozen=True, slots=True)
class SealedCounts:
    """Originals that wait to be de-identified, and what those that are held wait for."""

    route: str
    state: str
    code: str
    reason: str
    path: str
    objects: int
    oldest_at: float


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """Everything the ledger knows, in counts of one moment."""

    studies: tuple[StudyCounts, ...]
    refusals: tuple[RefusalCounts, ...]
    destinations: Mapping[str, Mapping[DeliveryState, int]]
    oldest_unsettled_at: Mapping[str, float]
    outages: Mapping[str, Outage]
    sealed: tuple[SealedCounts, ...]
    repairs: tuple[RepairCounts, ...]

    def only(self, states: frozenset[DeliveryState]) -> SpoolStatus:
        """Return the counts of some states alone: of destinations, and of studies that have such entries."""
        studies = (replace(one, destinations=_only(one.destinations, states)) for one in self.studies)
        return replace(
            self,
            studies=tuple(study for study in studies if study.destinations),
            destinations=_only(self.destinations, states),
        )


_QUEUE: Final = """
SELECT d.id, d.item, i.route, d.destination, d.state, d.why, d.status, d.attempts, d.not_before,
  d.changed_at, i.received_at, i.revision, i.size, i.sop_class_uid, i.sop_instance_uid, i.study_uid,
  i.series_uid
FROM delivery d JOIN item i ON i.id = d.item WHERE {where} ORDER BY d.id LIMIT ?
"""
_ARRIVAL: Final = (
    *("id", "route", "profile", "epoch", "sop_class_uid", "sop_instance_uid", "study_uid", "series_uid"),
    *("association", "calling", "called", "address", "received_at"),
)
_BY_REFUSAL: Final = """
SELECT route, code, reason, count(DISTINCT CASE digest WHEN x'' THEN CAST(id AS BLOB) ELSE digest END),
  sum(count), max(last_at)
FROM refusal GROUP BY route, code, reason ORDER BY max(last_at) DESC
"""
_BY_REPAIR: Final = "SELECT route, name, objects, last_at FROM repair ORDER BY route, name"
_BY_SEALED: Final = """
SELECT route, state, code, reason, path, count(*), min(received_at)
FROM sealed GROUP BY route, state, code, reason, path ORDER BY min(received_at)
"""


class Desk:
    """Answers and orders of an operator about one spool."""

    def __init__(self, folder: Path, ring: Callable[[str], None] = lambda _: None) -> None:
        """Look after the spool in `folder`; `ring` wakes the lane of a destination."""
        self._folder = folder
        self._ring = ring

    def queue(self, selection: Selection = Selection(), *, limit: int = -1) -> list[QueueEntry]:  # frozen
        """Return the entries that are not settled, the oldest first; with states in the selection, those.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        where, values = selection.where(selection.states or UNSETTLED)
        with self._reading() as conn:
            rows = conn.execute(_QUEUE.format(where=where), (*values, limit)).fetchall()
        return [_queue_entry(row) for row in rows]

    def status(self) -> SpoolStatus:
        """Count everything; the numbers are of one moment and add up.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            conn.execute("BEGIN")
            found = counts.count(conn, UNSETTLED)
            refusals = conn.execute(_BY_REFUSAL).fetchall()
            outages = _outages(conn)
            sealed = conn.execute(_BY_SEALED).fetchall()
            repairs = conn.execute(_BY_REPAIR).fetchall()
            conn.execute("COMMIT")
        return SpoolStatus(
            found.studies,
            tuple(RefusalCounts(*row) for row in refusals),
            found.destinations,
            found.oldest_unsettled_at,
            outages,
            tuple(SealedCounts(*row) for row in sealed),
            tuple(RepairCounts(*row) for row in repairs),
        )

    def outages(self) -> dict[str, Outage]:
        """Return the destinations that the running node, or the one that crashed, found out of use.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            return _outages(conn)

    def last_item(self) -> int:
        """Return the number of the item that came last, 0 when none did.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            found: int = conn.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()[0]
        return found

    def arrivals(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return who brought the items after one, and what they are: for an audit.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            rows = conn.execute(
                f"SELECT {', '.join(_ARRIVAL)}, revision FROM item WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # our own names
                (after, limit),
            ).fetchall()
        return [
            {
                "item": row[0],
                "kind": "revision" if row[-1] else "new",
                **dict(zip(_ARRIVAL[1:], row[1:-1], strict=True)),
            }
            for row in rows
        ]

    def retry(self, selection: Selection = Selection()) -> int:  # frozen
        """Let deferred, held and refused entries be tried at once; returns how many.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        where, values = selection.where(_RETRIED)
        now = time.time()
        with self._writing() as conn:
            rows = _select(conn, where, values)
            conn.executemany(
                "UPDATE delivery SET state = 'pending', why = 'retried', aborts = 0, not_before = 0,"
                " changed_at = ? WHERE id = ?",
                [(now, entry) for entry, _, _ in rows],
            )
        self._ring_for(rows)
        return len(rows)

    def drop(self, selection: Selection) -> int:
        """Give entries up: they are delivered no more, and a file that nothing needs is removed.

        An entry whose attempt runs now is left alone. Returns how many were dropped.

        Raises:
            SpoolError: nothing is selected, or the ledger cannot be written.
        """
        if selection == Selection():
            raise SpoolError("Say which entries to drop: ids, a state, a destination or a study.")
        where, values = selection.where(_DROPPED)
        now = time.time()
        names: list[str] = []
        with self._writing() as conn:
            rows = _select(conn, where, values)
            for entry, item, _ in rows:
                conn.execute(
                    "UPDATE delivery SET state = 'dropped', changed_at = ? WHERE id = ?", (now, entry)
                )
                name = ledger.finish(conn, item, now, keeps=False)
                if name is not None:
                    names.append(name)
        for name in names:
            with contextlib.suppress(OSError):  # an orphan is removed at the next start
                os.unlink(self._folder / place(name))
        return len(rows)

    def move(self, selection: Selection, to: str) -> int:
        """Hand waiting, held and refused entries to another destination, at once; returns how many.

        An entry whose attempt runs now is left alone, and so is what is there already.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        where, values = selection.where(_MOVED)
        now = time.time()
        with self._writing() as conn:
            rows = [row for row in _select(conn, where, values) if row[2] != to]
            names = handing.move(conn, [row[:2] for row in rows], to, now)
        for name in names:
            with contextlib.suppress(OSError):  # an orphan is removed at the next start
                os.unlink(self._folder / place(name))
        self._ring(to)
        return len(rows)

    def prune(self, older_than_s: float) -> int:
        """Delete the history of objects that were settled that long ago; returns how many.

        Their counts stay. In small steps, so that a running node gets its turn.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        before = time.time() - older_than_s
        with self._writing() as conn:
            ledger.prune_refusals(conn, before)
        deleted, after, more = 0, 0, True
        while more:
            with self._writing() as conn:
                some, after, more = ledger.prune(conn, before, after, _PRUNED_AT_A_TIME)
            deleted += some
        return deleted

    def sealed(self, codes: Collection[str] = (), *, limit: int = -1) -> list[SealedRow]:
        """Return the originals that wait to be de-identified, the oldest first.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            return sealed_rows.listed(conn, codes, limit)

    def sealed_counts(self) -> list[SealedCounts]:
        """Count the originals that wait to be de-identified, by route, state and what they wait for.

        Raises:
            SpoolError: there is no ledger that can be read.
        """
        with self._reading() as conn:
            return [SealedCounts(*row) for row in conn.execute(_BY_SEALED)]

    def release_sealed(self, ids: Collection[int] = (), codes: Collection[str] = ()) -> int:
        """Let originals that are held be tried again, all of them when none is chosen; returns how many.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        with self._writing() as conn:
            return sealed_rows.release(conn, time.time(), ids=ids, codes=codes)

    def drop_sealed(self, ids: Collection[int] = (), codes: Collection[str] = ()) -> int:
        """Give originals up and erase them; one that is being de-identified is left alone.

        Returns how many were dropped; each is in the ledger as not taken.

        Raises:
            SpoolError: nothing is chosen, or the ledger cannot be written.
        """
        if not ids and not codes:
            raise SpoolError("Say which originals to drop: numbers, or a code.")
        with self._writing() as conn:
            rows = sealed_rows.take_out(conn, ids, codes)
            for row in rows:
                refusal = Refusal(
                    row.route, "dropped", "given up by a person", sop_class_uid=row.sop_class_uid
                )
                ledger.refuse(conn, refusal, time.time())
        root_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for row in rows:
                with contextlib.suppress(OSError):  # the next start erases it
                    erase_file(sealed_place(row.object), root_fd, durable=True)
        finally:
            os.close(root_fd)
        return len(rows)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(schema.connect_to_read(self._folder)) as conn:
            try:
                yield conn
            except sqlite3.Error as error:
                raise SpoolError(f"The ledger cannot be read: {error}.") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        schema.connect_to_read(self._folder).close()  # refuses another version, and makes nothing
        with contextlib.closing(schema.connect(self._folder)) as conn:
            try:
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.execute("COMMIT")
            except sqlite3.Error as error:
                raise SpoolError(f"The ledger cannot be written: {error}.") from error

    def _ring_for(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for destination in {row[2] for row in rows}:
            self._ring(destination)


def _only(
    counted: Mapping[str, Mapping[DeliveryState, int]], states: frozenset[DeliveryState]
) -> dict[str, dict[DeliveryState, int]]:
    kept = {name: {s: n for s, n in by_state.items() if s in states} for name, by_state in counted.items()}
    return {name: by_state for name, by_state in kept.items() if by_state}


def _outages(conn: sqlite3.Connection) -> dict[str, Outage]:
    rows = conn.execute("SELECT destination, why, since FROM outage ORDER BY destination")
    return {destination: Outage(why, since) for destination, why, since in rows}


def _select(conn: sqlite3.Connection, where: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    return conn.execute(
        f"SELECT d.id, d.item, d.destination FROM delivery d JOIN item i ON i.id = d.item WHERE {where}",  # noqa: S608  # built of marks above
        values,
    ).fetchall()


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _queue_entry(row: Sequence[Any]) -> QueueEntry:
    columns = list(row)
    columns[4] = DeliveryState(row[4])
    return QueueEntry(*columns)
