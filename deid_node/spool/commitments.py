"""Storage commitment in the ledger: which destination was asked to keep what, and what it said.

A delivery to a destination that is asked goes on from delivered: `uncommitted`, `asked`, `committed`.
A transaction is written down before it is asked. Files stay until the last destination has committed
itself. The functions below are transitions of an open transaction, as those of `ledger` are.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deid_node.spool import ledger
from deid_node.spool.failpoint import reach
from deid_node.spool.spool import Spool

Named = tuple[str, str]
"""SOP class UID and SOP instance UID."""

NO_SUCH_INSTANCE: Final = 0x0112
DUPLICATE_TRANSACTION: Final = 0x0131
_LASTING: Final = frozenset({0x0119, 0x0122})
_FIRST_PAUSE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 6 * 3600.0
_KEPT_S: Final = 90 * 86400.0


class Kept(StrEnum):
    """What the destinations of a route have said about one original."""

    COMMITTED = "committed"
    WAITING = "waiting"
    FAILED = "failed"
    OTHER_CLASS = "other-class"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a peer to us, sealed, as it waits for its report."""

    id: int
    sealed: bytes
    at: float
    tries: int


class Commitments:
    """The transactions of one spool. Every method may be called from any thread; all raise SpoolError."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def begin(self, destination: str, transaction_uid: str, limit: int) -> tuple[Named, ...]:
        """Write down a transaction over what is due at a destination, if anything is."""
        now = time.time()
        named = self._spool.transact(lambda conn: begin(conn, destination, transaction_uid, limit, now))
        if named:
            reach("commitment-begun")
        return named

    def accepted(self, transaction_uid: str) -> None:
        """Write down that the destination took the request."""
        reach("commitment-taken")
        self._spool.transact(lambda conn: accepted(conn, transaction_uid))

    def withdraw(self, transaction_uid: str, why: str) -> None:
        """Write down that the request was not taken, or that nobody knows: it is asked again, anew."""
        now = time.time()
        self._spool.transact(lambda conn: withdraw(conn, transaction_uid, why, now))

    def report(
        self,
        destination: str,
        transaction_uid: str,
        committed: frozenset[Named],
        failed: Mapping[Named, int],
    ) -> bool:
        """Write down a report, also a second time; tell whether the transaction is known."""
        now, keeps = time.time(), self._spool.keeps
        reach("commitment-heard")
        known, names = self._spool.transact(
            lambda conn: report(conn, destination, transaction_uid, committed, failed, now, keeps)
        )
        reach("commitment-reported")
        self._spool.files.release(names)
        if known:
            self._spool.ring(destination)
        return known

    def give_up(self, destination: str, patience_s: float) -> int:
        """Let what was asked so long ago be asked again; returns how many transactions."""
        now = time.time()
        return self._spool.transact(lambda conn: give_up(conn, destination, now - patience_s, now))

    def recover(self) -> None:
        """Let be asked again what was under way when the process ended."""
        now = time.time()
        self._spool.transact(
            lambda conn: _withdraw_all(conn, "interrupted", "state = 'new'", (), now, pauses=False)
        )

    def release(self, still_asked: frozenset[str]) -> int:
        """Take what waits for other destinations than these for delivered; returns how many.

        For destinations that are not asked any more, by their settings.
        """
        now, keeps = time.time(), self._spool.keeps
        count, names = self._spool.transact(lambda conn: release(conn, still_asked, now, keeps))
        self._spool.files.release(names)
        return count

    def kept(self, route: str, originals: Sequence[tuple[bytes, str]]) -> list[Kept]:
        """Return what is known of the latest revisions of originals: keyed digest and SOP class of each."""
        return self._spool.transact(
            lambda conn: [kept(conn, route, digest, sop_class) for digest, sop_class in originals]
        )

    # --- requests of peers to us ----------------------------------------------------------------

    def keep_request(self, digest: bytes, sealed: bytes) -> None:
        """Keep a request of a peer until it has its report; the same one again changes nothing."""
        now = time.time()
        self._spool.transact(
            lambda conn: (
                conn.execute(
                    "INSERT INTO commitment_request (digest, sealed, at, not_before) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (digest) DO NOTHING",
                    (digest, sealed, now, now),
                ).rowcount
            )
        )

    def requests(self, limit: int) -> list[Asked]:
        """Return requests whose time has come, the oldest first."""
        now = time.time()
        rows = self._spool.transact(
            lambda conn: conn.execute(
                "SELECT id, sealed, at, tries FROM commitment_request WHERE not_before <= ?"
                " ORDER BY not_before LIMIT ?",
                (now, limit),
            ).fetchall()
        )
        return [Asked(*row) for row in rows]

    def postpone_request(self, request: Asked, pause_s: float, *, tried: bool) -> None:
        """Look at a request again after a pause."""
        at = time.time() + pause_s
        self._spool.transact(
            lambda conn: (
                conn.execute(
                    "UPDATE commitment_request SET not_before = ?, tries = tries + ? WHERE id = ?",
                    (at, int(tried), request.id),
                ).rowcount
            )
        )

    def forget_request(self, request: Asked) -> None:
        """Forget a request that has its report."""
        self._spool.transact(
            lambda conn: conn.execute("DELETE FROM commitment_request WHERE id = ?", (request.id,)).rowcount
        )


# --- transitions ------------------------------------------------------------------------------------

_DUE: Final = """
SELECT d.id, i.sop_class_uid, i.sop_instance_uid FROM delivery d JOIN item i ON i.id = d.item
WHERE d.destination = ? AND d.state = 'uncommitted' AND d.not_before <= ? ORDER BY d.not_before, d.id LIMIT ?
"""
_OF_TRANSACTION: Final = """
SELECT d.id, d.item, d.state, i.sop_class_uid, i.sop_instance_uid,
  (SELECT count(*) FROM commitment_item c WHERE c.delivery = d.id)
FROM commitment_item m JOIN delivery d ON d.id = m.delivery JOIN item i ON i.id = d.item
WHERE m.commitment = ?
"""
_MOVE: Final = """
UPDATE delivery SET state = ?, why = ?, not_before = ?, changed_at = ? WHERE id = ?
"""


def begin(
    conn: sqlite3.Connection, destination: str, transaction_uid: str, limit: int, now: float
) -> tuple[Named, ...]:
    """Make a transaction over deliveries that are due."""
    due = conn.execute(_DUE, (destination, now, limit)).fetchall()
    if not due:
        return ()
    conn.execute("DELETE FROM commitment WHERE state <> 'new' AND asked_at < ?", (now - _KEPT_S,))
    commitment = conn.execute(
        "INSERT INTO commitment (uid, destination, state, asked_at) VALUES (?, ?, 'new', ?)",
        (transaction_uid, destination, now),
    ).lastrowid
    conn.executemany("INSERT INTO commitment_item VALUES (?, ?)", [(commitment, row[0]) for row in due])
    conn.executemany(
        "UPDATE delivery SET state = 'asked', changed_at = ? WHERE id = ?", [(now, row[0]) for row in due]
    )
    return tuple((row[1], row[2]) for row in due)


def accepted(conn: sqlite3.Connection, transaction_uid: str) -> None:
    """Note that a request was taken, unless its report was faster."""
    conn.execute("UPDATE commitment SET state = 'asked' WHERE uid = ? AND state = 'new'", (transaction_uid,))


def withdraw(conn: sqlite3.Connection, transaction_uid: str, why: str, now: float) -> None:
    """Take a transaction back; a late report on it still counts for what it commits to."""
    which = "uid = ? AND state IN ('new', 'asked')"
    _withdraw_all(conn, why, which, (transaction_uid,), now, pauses=True)


def give_up(conn: sqlite3.Connection, destination: str, asked_before: float, now: float) -> int:
    """Take back what was asked so long ago that no report is waited for."""
    which = "destination = ? AND state = 'asked' AND asked_at <= ?"
    return _withdraw_all(conn, "no report", which, (destination, asked_before), now, pauses=False)


def _withdraw_all(
    conn: sqlite3.Connection,
    why: str,
    which: str,
    values: tuple[object, ...],
    now: float,
    *,
    pauses: bool,
) -> int:
    query = f"SELECT id FROM commitment WHERE {which}"  # noqa: S608  # texts of this module
    found = conn.execute(query, values).fetchall()
    for (commitment,) in found:
        conn.execute("UPDATE commitment SET state = 'void' WHERE id = ?", (commitment,))
        for delivery, _, state, _, _, times in conn.execute(_OF_TRANSACTION, (commitment,)).fetchall():
            if state == "asked":
                at = now + (_pause_s(times) if pauses else 0.0)
                conn.execute(_MOVE, ("uncommitted", f"commitment: {why}", at, now, delivery))
    return len(found)


def report(
    conn: sqlite3.Connection,
    destination: str,
    transaction_uid: str,
    committed: frozenset[Named],
    failed: Mapping[Named, int],
    now: float,
    keeps: bool,
) -> tuple[bool, list[str]]:
    """Move the deliveries of a transaction; return whether it is known, and files that may go."""
    row = conn.execute(
        "SELECT id, state FROM commitment WHERE uid = ? AND destination = ?", (transaction_uid, destination)
    ).fetchone()
    if row is None:
        return False, []
    commitment, state_before = row
    names: list[str] = []
    for delivery, item, state, *named, times in conn.execute(_OF_TRANSACTION, (commitment,)).fetchall():
        instance = (named[0], named[1])
        if instance in committed and instance not in failed:
            if state in {"uncommitted", "asked"}:
                conn.execute(_MOVE, ("committed", "", 0.0, now, delivery))
                name = ledger.finish(conn, item, now, keeps)
                names += [name] if name is not None else []
        elif state == "asked" and state_before in {"new", "asked"}:
            conn.execute(_MOVE, (*_after_failure(failed.get(instance), times, now), now, delivery))
    conn.execute("UPDATE commitment SET state = 'answered' WHERE id = ?", (commitment,))
    return True, names


def _after_failure(reason: int | None, times: int, now: float) -> tuple[str, str, float]:
    """Return state, why and not-before of a delivery that the destination has not committed itself to."""
    if reason is None:
        return "uncommitted", "commitment: not in the report", now + _pause_s(times)
    why = f"commitment: {reason:04X}"
    if reason == NO_SUCH_INSTANCE:  # it was lost there: send it again, then ask again
        return "deferred", why, now + (_pause_s(times) if times > 1 else 0.0)
    if reason in _LASTING:
        return "held", why, 0.0
    return "uncommitted", why, now + (0.0 if reason == DUPLICATE_TRANSACTION else _pause_s(times))


def _pause_s(times: int) -> float:
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(max(times - 1, 0), 16)))


def release(
    conn: sqlite3.Connection, still_asked: frozenset[str], now: float, keeps: bool
) -> tuple[int, list[str]]:
    """Settle deliveries to destinations that are not asked any more; return the count, and files to go."""
    rows = [
        row
        for row in conn.execute(
            "SELECT id, item, destination FROM delivery WHERE state IN ('uncommitted', 'asked')"
        ).fetchall()
        if row[2] not in still_asked
    ]
    names = []
    for delivery, item, _ in rows:
        conn.execute(_MOVE, ("delivered", "commitment: not asked any more", 0.0, now, delivery))
        name = ledger.finish(conn, item, now, keeps)
        names += [name] if name is not None else []
    return len(rows), names


_LATEST: Final = """
SELECT id, sop_class_uid FROM item WHERE uid_digest = ? AND route = ? ORDER BY revision DESC LIMIT 1
"""


def kept(conn: sqlite3.Connection, route: str, digest: bytes, sop_class_uid: str) -> Kept:
    """Return what the destinations have said of the latest revision of an original."""
    found = conn.execute(_LATEST, (digest, route)).fetchone()
    if found is None:
        return Kept.UNKNOWN
    if found[1] != sop_class_uid:
        return Kept.OTHER_CLASS
    states = {
        state
        for (state,) in conn.execute(
            "SELECT state FROM delivery WHERE item = ? AND state <> 'rerouted'", (found[0],)
        )
    }
    if states == {"committed"}:
        return Kept.COMMITTED
    if not states or states & {"held", "refused", "dropped", "delivered", "warned"}:
        return Kept.FAILED
    return Kept.WAITING
