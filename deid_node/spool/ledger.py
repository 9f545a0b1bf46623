"""The transitions of the ledger, each a function of an open transaction.

Nothing here commits, opens a file or reads the clock. One transition of one row happens in exactly one
of these functions; `deid_node.spool.outcomes` says what the states mean.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from deid_node.engine.deidentified import Summary
from deid_node.spool import counts
from deid_node.spool.content import is_former
from deid_node.spool.entry import SERIES, STUDY, Commit, CommitKind, Entry, Origin, Refusal
from deid_node.spool.outcomes import (
    SETTLED,
    Deferred,
    Delivered,
    DeliveryState,
    Held,
    HeldFor,
    Outcome,
    Refused,
    Released,
)

_as_json: Final = json.JSONEncoder(separators=(",", ":")).encode  # dumps() would make one each time
_SETTLED: Final = ", ".join(f"'{state}'" for state in sorted(SETTLED))


class Arrival(NamedTuple):
    """An object whose file is complete and has its final name.

    `former_digest` is that of ledgers before version 6, made where a row of one is compared.
    """

    object: str
    digest: bytes
    dataset_at: int
    size: int
    summary: Summary
    route: str
    profile: str
    origin: Origin
    destinations: tuple[str, ...]
    at: float
    epoch: str = ""
    original: int = 0
    former_digest: bytes = b""


class FormerDigestNeeded(Exception):
    """The object came before under the program that told contents by SHA-256."""


class Recorded(NamedTuple):
    """What `record` decided: the commit, and whether the new file is the one the ledger names."""

    commit: Commit
    file_is_used: bool
    wanted_by: tuple[str, ...]


_LATEST: Final = """
SELECT id, digest, revision, state FROM item WHERE uid_digest = ? AND route = ?
ORDER BY revision DESC LIMIT 1
"""
_ADOPTED: Final = """
SELECT id, digest, state FROM item WHERE uid_digest IS NULL AND sop_instance_uid = ?
ORDER BY id DESC LIMIT 1
"""
_INSERT_ITEM: Final = """
INSERT INTO item (object, state, route, profile, uid_digest, revision, predecessor, digest, dataset_at,
  size, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_uid, series_uid, attributes,
  calling, called, address, association, kept, changed, removed, cleaned, warnings, received_at, epoch)
VALUES (?, 'ready', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_DELIVERY: Final = """
INSERT INTO delivery (item, destination, state, changed_at) VALUES (?, ?, 'pending', ?)
ON CONFLICT (item, destination) DO NOTHING
"""
_INSERT_REPAIR: Final = """
INSERT INTO repair (route, name, objects, last_at) VALUES (?, ?, 1, ?)
ON CONFLICT (route, name) DO UPDATE SET objects = objects + 1, last_at = excluded.last_at
"""


def record(conn: sqlite3.Connection, new: Arrival) -> Recorded:
    """Write the rows of an object that arrived, or recognize it.

    It is recognized by the keyed digest of its original SOP Instance UID within its route. Equal to
    the latest revision: a duplicate. Otherwise a new revision, delivered after the one before it.

    Raises:
        FormerDigestNeeded: to tell which.
    """
    if new.original:
        conn.execute("DELETE FROM sealed WHERE id = ?", (new.original,))
    uid_digest = new.summary.original_uid_digest or None
    latest = conn.execute(_LATEST, (uid_digest, new.route)).fetchone() if uid_digest else None
    if uid_digest and (latest is None or latest[1] != new.digest):
        latest = _adopt(conn, new, uid_digest, 0 if latest is None else latest[2] + 1) or latest
    if latest is None:
        return _insert(conn, new, uid_digest, CommitKind.NEW, 0, None)
    item, digest, revision, state = latest
    if is_former(digest) and new.object and not new.former_digest:
        raise FormerDigestNeeded
    if digest in (new.digest, new.former_digest):
        return _recognize(conn, new, item, revision, state)
    return _insert(conn, new, uid_digest, CommitKind.REVISION, revision + 1, item)


def _adopt(
    conn: sqlite3.Connection, new: Arrival, uid_digest: bytes, revision: int
) -> tuple[Any, ...] | None:
    """Find an object that a restore took in, by its de-identified UID, and let it be known from now on."""
    found = conn.execute(_ADOPTED, (new.summary.heading.sop_instance_uid,)).fetchone()
    if found is None:
        return None
    item, digest, state = found
    is_closed = state in {"done", "purged"}
    if is_closed:
        counts.reopen(conn, item)
    conn.execute(
        "UPDATE item SET uid_digest = ?, route = ?, revision = ? WHERE id = ?",
        (uid_digest, new.route, revision, item),
    )
    if is_closed:
        counts.close(conn, item)
    return item, digest, revision, state


def _insert(
    conn: sqlite3.Connection,
    new: Arrival,
    uid_digest: bytes | None,
    kind: CommitKind,
    revision: int,
    predecessor: int | None,
) -> Recorded:
    done, heading, origin = new.summary, new.summary.heading, new.origin
    attributes = done.attributes
    row = (
        *(new.object, new.route, new.profile, uid_digest, revision, predecessor),
        *(new.digest, new.dataset_at, new.size),
        *(heading.sop_class_uid, heading.sop_instance_uid, heading.transfer_syntax_uid),
        *(attributes.get(STUDY, ""), attributes.get(SERIES, "")),
        _as_json(dict(attributes)),
        *(origin.calling, origin.called, origin.address, origin.association),
        *(done.kept, done.changed, done.removed, done.cleaned),
        *(_as_json(done.notes) if done.repairs or done.warnings else "[]", new.at, new.epoch),
    )
    item = conn.execute(_INSERT_ITEM, row).lastrowid
    assert item is not None
    for destination in new.destinations:
        conn.execute(_INSERT_DELIVERY, (item, destination, new.at))
    for name in done.repairs:
        conn.execute(_INSERT_REPAIR, (new.route, name, new.at))
    return Recorded(Commit(kind, item, revision), True, new.destinations)


def _recognize(conn: sqlite3.Connection, new: Arrival, item: int, revision: int, state: str) -> Recorded:
    """Count a duplicate. Its file is taken only when the one we had is gone or damaged and still needed."""
    conn.execute("UPDATE item SET duplicates = duplicates + 1 WHERE id = ?", (item,))
    closed = state in {"done", "purged"}
    if closed:
        counts.duplicate(conn, item)
        counts.reopen(conn, item)
    added = [
        destination
        for destination in new.destinations
        if conn.execute(_INSERT_DELIVERY, (item, destination, new.at)).rowcount
    ]
    lost = state in {"missing", "damaged"}
    if lost:
        conn.execute(
            "UPDATE delivery SET state = 'pending', why = 'file came again', changed_at = ?"
            " WHERE item = ? AND state = 'held' AND why IN (?, ?)",
            (new.at, item, HeldFor.MISSING, HeldFor.DAMAGED),
        )
    uses = lost or (state == "purged" and bool(added))
    if uses:
        conn.execute(
            "UPDATE item SET object = ?, state = 'ready', done_at = NULL, dataset_at = ?, size = ?"
            " WHERE id = ?",
            (new.object, new.dataset_at, new.size, item),
        )
    elif added:
        conn.execute("UPDATE item SET state = 'ready', done_at = NULL WHERE id = ?", (item,))
    if closed and not added:
        counts.close(conn, item)
    wanted_by = new.destinations if lost else tuple(added)
    return Recorded(Commit(CommitKind.DUPLICATE, item, revision), uses, wanted_by)


def withdraw(conn: sqlite3.Connection, recorded: Recorded) -> Recorded:
    """Take back what `record` wrote a moment ago; a duplicate brought nothing that could be taken back."""
    if recorded.commit.kind is CommitKind.DUPLICATE:
        return recorded
    conn.execute("DELETE FROM item WHERE id = ?", (recorded.commit.item,))
    return Recorded(recorded.commit, False, ())


# An entry waits while the revision before it is still on its way to the same destination.
_FREE: Final = """NOT EXISTS (
  SELECT 1 FROM item i JOIN delivery e ON e.item = i.predecessor
  WHERE i.id = d.item AND i.predecessor IS NOT NULL AND e.destination = d.destination
    AND e.state IN ('pending', 'leased', 'deferred'))"""
_DUE: Final = f"""
SELECT id FROM (
  SELECT * FROM (SELECT d.id FROM delivery d WHERE d.destination = :to AND d.state = 'deferred'
    AND d.not_before <= :now AND {_FREE} ORDER BY d.not_before LIMIT :limit)
  UNION ALL
  SELECT * FROM (SELECT d.id FROM delivery d WHERE d.destination = :to AND d.state = 'pending'
    AND {_FREE} ORDER BY d.id LIMIT :limit))
ORDER BY id LIMIT :limit
"""  # noqa: S608  # a constant is put in, no input
_LEASE: Final = """
UPDATE delivery SET state = 'leased', attempts = attempts + 1, changed_at = ? WHERE id = ?
"""
_ENTRY: Final = """
SELECT d.id, d.item, d.destination, i.route, i.object, i.dataset_at, i.size, i.digest, i.sop_class_uid,
  i.sop_instance_uid, i.transfer_syntax_uid, i.attributes, d.attempts, d.aborts, i.revision, i.received_at
FROM delivery d JOIN item i ON i.id = d.item WHERE d.id = ?
"""


def claim(
    conn: sqlite3.Connection, destination: str, limit: int, now: float, steady: float
) -> list[tuple[Any, ...]]:
    """Lease the entries of a destination that are due, the oldest first; return their rows.

    `now` is written down, `steady` is the clock of pauses.
    """
    due = conn.execute(_DUE, {"to": destination, "now": steady, "limit": limit}).fetchall()
    conn.executemany(_LEASE, [(now, entry) for (entry,) in due])
    return [conn.execute(_ENTRY, due_id).fetchone() for due_id in due]


def entry_of(row: Sequence[Any], objects: str) -> Entry:
    """Make an entry of a claimed row; `objects` is the folder of the object files."""
    name, dataset_at, size = row[4], row[5], row[6]
    attributes = {int(tag): text for tag, text in json.loads(row[11]).items()}
    return Entry(
        id=row[0],
        item=row[1],
        destination=row[2],
        route=row[3],
        object=name,
        path=f"{objects}/{name[:2]}/{name}.dcm",
        offset=dataset_at,
        length=size - dataset_at,
        digest=row[7],
        sop_class_uid=row[8],
        sop_instance_uid=row[9],
        transfer_syntax_uid=row[10],
        attributes=attributes,
        attempt=row[12],
        aborts=row[13],
        revision=row[14],
        received_at=row[15],
    )


_SETTLE: Final = """
UPDATE delivery SET state = ?, why = ?, status = ?, not_before = ?, attempts = attempts - ?,
  aborts = aborts + ?, changed_at = ?
WHERE id = ? AND state = 'leased' AND attempts = ?
"""
_DONE: Final = f"""
UPDATE item SET state = ?, done_at = ? WHERE id = ? AND state IN ('ready', 'missing', 'damaged')
AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.item = item.id AND d.state NOT IN ({_SETTLED}))
RETURNING object
"""  # noqa: S608  # a constant is put in, no input


def settle(
    conn: sqlite3.Connection, entry: Entry, outcome: Outcome, now: float, steady: float, keeps: bool
) -> str | None:
    """Write down what became of a claimed entry, `now`; a pause ends on the clock of `steady`.

    Returns the name of the file when nothing needs it any more and its purge was written.
    `keeps`: a file that is done with is kept for a while.
    """
    state, why, status, not_before, back, aborted = _as_row(outcome, steady)
    changed = conn.execute(
        _SETTLE, (state, why, status, not_before, back, aborted, now, entry.id, entry.attempt)
    ).rowcount
    if not changed:
        return None  # a lease that was void: whoever holds the entry now settles it
    if state == DeliveryState.HELD and why in {HeldFor.MISSING, HeldFor.DAMAGED}:
        _lose(conn, entry.item, HeldFor(why), now)
    elif state in SETTLED:
        return finish(conn, entry.item, now, keeps)
    return None


def _as_row(outcome: Outcome, now: float) -> tuple[DeliveryState, str, int | None, float, int, int]:
    """Return state, why, status, not before, attempts to take back, aborts to add."""
    match outcome:
        case Delivered(status, awaits_commitment=True):
            return DeliveryState.UNCOMMITTED, "", status, 0.0, 0, 0
        case Delivered(status, warning):
            return (DeliveryState.WARNED if warning else DeliveryState.DELIVERED), "", status, 0.0, 0, 0
        case Deferred(why, pause_s, status, aborted):
            return DeliveryState.DEFERRED, why, status, now + (pause_s or 0.0), 0, int(aborted)
        case Refused(why, status):
            return DeliveryState.REFUSED, why, status, 0.0, 0, 0
        case Held(why, status):
            return DeliveryState.HELD, why, status, 0.0, 0, 0
        case Released(why):
            return DeliveryState.PENDING, why, None, 0.0, 1, 0


def finish(conn: sqlite3.Connection, item: int, now: float, keeps: bool) -> str | None:
    """Close an item when every delivery of it is settled; return the file's name if it may be removed."""
    closed = conn.execute(_DONE, ("done" if keeps else "purged", now, item)).fetchone()
    if closed is None:
        return None
    counts.close(conn, item)
    return None if keeps else str(closed[0])


def _lose(conn: sqlite3.Connection, item: int, why: HeldFor, now: float) -> None:
    """Hold an item whose file is missing or damaged, until a person or a resend mends it."""
    conn.execute("UPDATE item SET state = ? WHERE id = ? AND state = 'ready'", (why.value, item))
    conn.execute(
        "UPDATE delivery SET state = 'held', why = ?, changed_at = ?"
        " WHERE item = ? AND state IN ('pending', 'deferred')",
        (why.value, now, item),
    )


def lose(conn: sqlite3.Connection, items: Iterable[int], why: HeldFor, now: float) -> None:
    """Hold every open delivery of items whose files are missing or damaged."""
    for item in items:
        _lose(conn, item, why, now)


def void_leases(conn: sqlite3.Connection, now: float) -> None:
    """Give back what a process that is gone had claimed; its attempt stays counted."""
    conn.execute(
        "UPDATE delivery SET state = 'pending', why = 'interrupted', changed_at = ? WHERE state = 'leased'",
        (now,),
    )


def cap_pauses(conn: sqlite3.Connection, latest: float) -> None:
    """Let no entry wait longer than `latest`, whatever the clock said when it was deferred."""
    conn.execute(
        "UPDATE delivery SET not_before = ? WHERE state = 'deferred' AND not_before > ?", (latest, latest)
    )


def purge(conn: sqlite3.Connection, done_before: float, limit: int) -> list[str]:
    """Mark items that are done with for long enough as purged; return the names of their files."""
    rows = conn.execute(
        "SELECT id, object FROM item WHERE state = 'done' AND done_at <= ? LIMIT ?", (done_before, limit)
    ).fetchall()
    conn.executemany("UPDATE item SET state = 'purged' WHERE id = ?", [(item,) for item, _ in rows])
    return [name for _, name in rows]


def prune(conn: sqlite3.Connection, done_before: float, after: int, limit: int) -> tuple[int, int, bool]:
    """Delete closed items without a file among the next `limit` ones; their counts stay.

    The newest item stays, whatever it is: its number must never be given again.
    Returns how many were deleted, the last item looked at, and whether there is more to look at.
    """
    rows = conn.execute(
        "SELECT id, state, done_at, received_at FROM item WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()
    newest = conn.execute("SELECT max(id) FROM item").fetchone()[0]
    old = [
        (item,)
        for item, state, done_at, _ in rows
        if state == "purged" and done_at <= done_before and item != newest
    ]
    conn.executemany("DELETE FROM item WHERE id = ?", old)
    more = len(rows) == limit and rows[-1][3] <= done_before
    return len(old), rows[-1][0] if rows else after, more


def prune_refusals(conn: sqlite3.Connection, last_before: float) -> None:
    """Delete what is known of objects that were refused for the last time long ago."""
    conn.execute("DELETE FROM refusal WHERE last_at <= ?", (last_before,))


_TOO_OLD: Final = """
UPDATE delivery SET state = 'held', why = :why, changed_at = :now WHERE id IN (
  SELECT id FROM (SELECT d.id, i.received_at FROM delivery d JOIN item i ON i.id = d.item
    WHERE d.destination = :to AND d.state = 'pending' ORDER BY d.id LIMIT :limit)
  WHERE received_at < :before
  UNION ALL
  SELECT d.id FROM delivery d JOIN item i ON i.id = d.item
    WHERE d.destination = :to AND d.state = 'deferred' AND i.received_at < :before)
"""


def hold_older(
    conn: sqlite3.Connection, destination: str, received_before: float, limit: int, now: float
) -> int:
    """Hold what has waited too long; returns how many. Nothing is ever given up by itself.

    Of what was never tried only the oldest are looked at: a queue of a million is not read through.
    """
    values = {
        "why": HeldFor.TOO_OLD.value,
        "now": now,
        "to": destination,
        "before": received_before,
        "limit": limit,
    }
    return conn.execute(_TOO_OLD, values).rowcount


def note_outage(conn: sqlite3.Connection, destination: str, why: str | None, now: float) -> None:
    """Write down that a destination is out of use and why, or with None that it is back."""
    conn.execute("DELETE FROM outage WHERE destination = ?", (destination,))
    if why is not None:
        conn.execute("INSERT INTO outage VALUES (?, ?, ?)", (destination, why, now))


def oldest_waiting(conn: sqlite3.Connection, destination: str) -> float | None:
    """Return when the oldest object came that still waits for its delivery; of the pending the first."""
    found = conn.execute(_OLDEST, {"to": destination}).fetchone()[0]
    return None if found is None else float(found)


_OLDEST: Final = """
SELECT min(received_at) FROM (
  SELECT * FROM (SELECT i.received_at FROM delivery d JOIN item i ON i.id = d.item
    WHERE d.destination = :to AND d.state = 'pending' ORDER BY d.id LIMIT 1)
  UNION ALL
  SELECT i.received_at FROM delivery d JOIN item i ON i.id = d.item
    WHERE d.destination = :to AND d.state = 'deferred')
"""
_REFUSAL: Final = """
INSERT INTO refusal (route, code, reason, path, digest, sop_class_uid, calling, called, address,
  association, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + 1, last_at = excluded.last_at, association = excluded.association
"""


def refuse(conn: sqlite3.Connection, refusal: Refusal, now: float) -> None:
    """Write down an object that was not taken, or count it when it was sent before."""
    origin = refusal.origin
    conn.execute(
        _REFUSAL,
        (
            *(refusal.route, refusal.code, refusal.reason, refusal.path, refusal.digest),
            *(refusal.sop_class_uid, origin.calling, origin.called, origin.address, origin.association),
            *(now, now),
        ),
    )
