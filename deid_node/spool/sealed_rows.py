"""The transitions of sealed originals in the ledger, each a function of an open transaction.

As in `ledger`, nothing here commits, opens a file or reads the clock. A row is there while its original
is: it goes with the commit of what was made of it, and with it the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from deid_node.spool.entry import Origin

MAX_STARTS: Final = 5
"""An original that was begun so often, while the process ended each time, is held."""


class SealedState(StrEnum):
    """Where a sealed original is."""

    WAITING = "waiting"  # for its turn to be de-identified
    WORKING = "working"  # it is being de-identified
    HELD = "held"  # for a row of a lookup table, or for a person


class Cause(StrEnum):
    """Why an original is held, beside the codes of refusals: one word of a closed list."""

    HELD = "held"  # the profile says so: goes on when a table changes
    NO_ROUTE = "no-route"  # goes on when the route is configured again
    POISON = "poison"
    MISSING = "missing"
    DAMAGED = "damaged"
    MEMORY = "memory"
    FAULT_OF_NODE = "fault-of-node"


WAITS_FOR_SETTINGS: Final = (Cause.HELD, Cause.NO_ROUTE)
"""What is looked at again when settings, profiles and tables were read again."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why an original is held: a fixed word, a reason and an attribute path, none with values."""

    code: str
    reason: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Deposited:
    """An original whose file is complete and has its final name; `why` holds it from the beginning."""

    object: str
    route: str
    uid_digest: bytes
    content_digest: bytes
    size: int
    sop_class_uid: str
    origin: Origin
    at: float
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A sealed original as an operator sees it. Times are seconds since 1970, `size` is of the file."""

    id: int
    state: SealedState
    route: str
    code: str
    reason: str
    path: str
    starts: int
    duplicates: int
    size: int
    sop_class_uid: str
    calling: str
    called: str
    address: str
    received_at: float
    changed_at: float
    object: str


_COLUMNS: Final = """id, state, route, code, reason, path, starts, duplicates, size, sop_class_uid, calling,
  called, address, received_at, changed_at, object"""
_INSERT: Final = """
INSERT INTO sealed (object, state, route, uid_digest, content_digest, size, sop_class_uid, calling, called,
  address, association, code, reason, path, received_at, changed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RELEASE: Final = """
UPDATE sealed SET state = 'waiting', code = '', reason = '', path = '', starts = 0, changed_at = ?
WHERE state = 'held'"""
# An original waits while one that came before it under its UID does, so that the newest is delivered last.
_NEXT: Final = """
SELECT id FROM sealed s WHERE state = 'waiting' AND NOT EXISTS (
  SELECT 1 FROM sealed e WHERE e.route = s.route AND e.uid_digest = s.uid_digest AND e.id < s.id
    AND (e.state <> 'held' OR e.code = 'held'))
ORDER BY id LIMIT 1
"""


def deposit(conn: sqlite3.Connection, new: Deposited) -> int:
    """Write the row of an original that arrived and return its number; 0 when the same is here already."""
    known = conn.execute(
        "UPDATE sealed SET duplicates = duplicates + 1"
        " WHERE route = ? AND uid_digest = ? AND content_digest = ?",
        (new.route, new.uid_digest, new.content_digest),
    ).rowcount
    if known:
        return 0
    origin, why = new.origin, new.why or Why("", "")
    state = SealedState.WAITING if new.why is None else SealedState.HELD
    row = (
        *(new.object, state, new.route, new.uid_digest, new.content_digest, new.size, new.sop_class_uid),
        *(origin.calling, origin.called, origin.address, origin.association),
        *(why.code, why.reason, why.path, new.at, new.at),
    )
    number = conn.execute(_INSERT, row).lastrowid
    assert number is not None
    return number


def withdraw(conn: sqlite3.Connection, number: int) -> int:
    """Take back what `deposit` wrote a moment ago; returns 0: its file is not needed."""
    conn.execute("DELETE FROM sealed WHERE id = ?", (number,))
    return 0


def is_waiting(conn: sqlite3.Connection, route: str, uid_digest: bytes) -> bool:
    """Tell whether an original with a UID still waits that goes on by itself."""
    row = conn.execute(
        "SELECT 1 FROM sealed WHERE route = ? AND uid_digest = ? AND (state <> 'held' OR code = 'held')",
        (route, uid_digest),
    ).fetchone()
    return row is not None


def claim(conn: sqlite3.Connection, now: float) -> SealedRow | None:
    """Begin the oldest original that waits; that it was begun is durable before its first byte is read."""
    found = conn.execute(_NEXT).fetchone()
    if found is None:
        return None
    conn.execute(
        "UPDATE sealed SET state = 'working', starts = starts + 1, changed_at = ? WHERE id = ?",
        (now, found[0]),
    )
    return _row(conn.execute(f"SELECT {_COLUMNS} FROM sealed WHERE id = ?", found).fetchone())  # noqa: S608  # our own names


def hold(conn: sqlite3.Connection, number: int, why: Why, now: float) -> None:
    """Hold an original that was begun."""
    conn.execute(
        "UPDATE sealed SET state = 'held', code = ?, reason = ?, path = ?, starts = 0, changed_at = ?"
        " WHERE id = ? AND state = 'working'",
        (why.code, why.reason, why.path, now, number),
    )


def give_back(conn: sqlite3.Connection, number: int, now: float) -> None:
    """Let an original wait again that was begun: what ended the work had nothing to do with it."""
    conn.execute(
        "UPDATE sealed SET state = 'waiting', starts = max(starts - 1, 0), changed_at = ?"
        " WHERE id = ? AND state = 'working'",
        (now, number),
    )


def try_again(conn: sqlite3.Connection, number: int, now: float) -> None:
    """Let an original wait again that was begun, and count that it did not end."""
    conn.execute(
        "UPDATE sealed SET state = 'waiting', changed_at = ? WHERE id = ? AND state = 'working'",
        (now, number),
    )


def suspects(conn: sqlite3.Connection) -> list[SealedRow]:
    """Return the originals that wait and were being de-identified when a process ended."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM sealed WHERE state = 'waiting' AND starts > 0 ORDER BY id")  # noqa: S608  # our own names
    return [_row(row) for row in rows]


def accuse(conn: sqlite3.Connection, number: int, why: Why, now: float) -> None:
    """Hold an original that waits: it ended a process."""
    conn.execute(
        "UPDATE sealed SET state = 'held', code = ?, reason = ?, path = ?, starts = 0, changed_at = ?"
        " WHERE id = ? AND state = 'waiting'",
        (why.code, why.reason, why.path, now, number),
    )


def forget(conn: sqlite3.Connection, number: int) -> None:
    """Delete the row of an original that goes nowhere."""
    conn.execute("DELETE FROM sealed WHERE id = ?", (number,))


def release(
    conn: sqlite3.Connection, now: float, *, ids: Collection[int] = (), codes: Collection[str] = ()
) -> int:
    """Let held originals wait for their turn again: those with these numbers or codes, or all of them."""
    where, values = _chosen(ids, codes)
    return conn.execute(f"{_RELEASE}{where}", (now, *values)).rowcount


def take_out(conn: sqlite3.Connection, ids: Collection[int], codes: Collection[str]) -> list[SealedRow]:
    """Delete the rows of originals that nobody works on, and return what they were."""
    where, values = _chosen(ids, codes)
    rows = conn.execute(
        f"DELETE FROM sealed WHERE state <> 'working'{where} RETURNING {_COLUMNS}",  # noqa: S608  # built of marks
        values,
    ).fetchall()
    return [_row(row) for row in rows]


def _chosen(ids: Collection[int], codes: Collection[str]) -> tuple[str, list[object]]:
    terms, values = "", list[object]()
    for column, chosen in (("id", ids), ("code", codes)):
        if chosen:
            terms += f" AND {column} IN ({', '.join('?' * len(chosen))})"
            values += chosen
    return terms, values


def recover(conn: sqlite3.Connection, present: dict[str, int], now: float) -> int:
    """Give back what a process that is gone worked on, and hold what has no file or ended it twice.

    Returns how many have no file.
    """
    conn.execute(
        "UPDATE sealed SET state = 'held', code = ?, reason = ?, changed_at = ?"
        " WHERE state = 'working' AND starts >= ?",
        (Cause.POISON, f"the process ended {MAX_STARTS} times while it was de-identified", now, MAX_STARTS),
    )
    conn.execute("UPDATE sealed SET state = 'waiting', changed_at = ? WHERE state = 'working'", (now,))
    lost = unsound(conn, present)
    conn.executemany(
        "UPDATE sealed SET state = 'held', code = ?, reason = ?, changed_at = ? WHERE id = ?",
        [(Cause.MISSING, "its file is gone", now, number) for number in lost],
    )
    return len(lost)


def unsound(conn: sqlite3.Connection, present: dict[str, int]) -> list[int]:
    """Return the originals that have no file, or one of another size."""
    rows = conn.execute("SELECT id, object, size FROM sealed")
    return [number for number, name, size in rows if present.get(name) != size]


def orphans(conn: sqlite3.Connection, present: dict[str, int]) -> list[str]:
    """Return the names of files that no row needs."""
    return sorted(present.keys() - {name for (name,) in conn.execute("SELECT object FROM sealed")})


def listed(conn: sqlite3.Connection, codes: Collection[str] = (), limit: int = -1) -> list[SealedRow]:
    """Return sealed originals, the oldest first."""
    where, values = _chosen((), codes)
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM sealed WHERE true{where} ORDER BY id LIMIT ?",  # noqa: S608  # built of marks
        (*values, limit),
    )
    return [_row(row) for row in rows]


def _row(columns: tuple[Any, ...]) -> SealedRow:
    return SealedRow(columns[0], SealedState(columns[1]), *columns[2:])
