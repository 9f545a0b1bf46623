"""Entries that are handed from one destination to another: to a fallback, back from it, and by a person.

What is handed on is `rerouted` where it was, and has a row of its own where it goes. A row that stands for
another destination says for which (`stands_for`), so that what a fallback has not delivered goes back; what
a person moved stays where it was put.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from deid_node.spool.ledger import finish

_INSERT: Final = """
INSERT INTO delivery (item, destination, state, stands_for, changed_at) VALUES (?, ?, 'pending', ?, ?)
ON CONFLICT (item, destination) DO UPDATE
  SET state = 'pending', why = '', aborts = 0, changed_at = excluded.changed_at
  WHERE state = 'rerouted' AND why = 'back to ' || excluded.stands_for
"""
_LEAVE: Final = "UPDATE delivery SET state = 'rerouted', why = ?, not_before = 0, changed_at = ? WHERE id = ?"
# A person says where it goes: what was given up, handed on or refused there is tried there again.
_AGAIN: Final = """
UPDATE delivery SET state = 'pending', why = 'moved', aborts = 0, not_before = 0, stands_for = '',
  changed_at = ?
WHERE item = ? AND destination = ? AND state IN ('dropped', 'rerouted', 'held', 'refused', 'deferred')
"""
_WAITING: Final = """
SELECT id, item, stands_for FROM delivery d WHERE destination = ? AND state IN ('pending', 'deferred')
  AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.item = d.item AND e.destination = ?
    AND (e.state = 'dropped' OR (e.state = 'rerouted'
      AND e.why <> 'back to ' || iif(d.stands_for = '', d.destination, d.stands_for)))) ORDER BY id LIMIT ?
"""
_LENT: Final = """
SELECT f.id, p.id FROM delivery f JOIN delivery p ON p.item = f.item AND p.destination = f.stands_for
WHERE f.stands_for = ? AND f.stands_for <> '' AND f.state IN ('pending', 'deferred', 'held', 'refused')
  AND p.state = 'rerouted' ORDER BY f.id LIMIT ?
"""


def reroute(
    conn: sqlite3.Connection, destination: str, to: str, why: str, limit: int, now: float, keeps: bool
) -> tuple[int, list[str]]:
    """Hand the oldest waiting entries of a destination to another one.

    Returns how many, and the names of files that nothing needs any more: the other one had them already.

    What came from there, or was dropped there by a person, stays: two destinations that stand in for
    each other must not hand an object round until nobody has it.
    """
    rows = conn.execute(_WAITING, (destination, to, limit)).fetchall()
    names = []
    for entry, item, stands_for in rows:
        conn.execute(_LEAVE, (f"to {to}: {why}", now, entry))
        if not conn.execute(_INSERT, (item, to, stands_for or destination, now)).rowcount:
            names += _closed(conn, item, now, keeps)
    return len(rows), names


def take_back(conn: sqlite3.Connection, destination: str, limit: int, now: float) -> int:
    """Give a destination back what was handed to fallbacks and not delivered by them; returns how many.

    What a fallback is sending now stays there. The row of the fallback stays, as the number of an entry is
    never given again, and the fallback may stand in again.
    """
    rows = conn.execute(_LENT, (destination, limit)).fetchall()
    for lent, own in rows:
        conn.execute(_LEAVE, (f"back to {destination}", now, lent))
        conn.execute(
            "UPDATE delivery SET state = 'pending', why = 'back', changed_at = ? WHERE id = ?", (now, own)
        )
    return len(rows)


def move(conn: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], to: str, now: float) -> list[str]:
    """Hand chosen entries, rows of id and item, to another destination, for good.

    Returns the names of files that nothing needs any more.
    """
    names = []
    for entry, item in rows:
        conn.execute(_LEAVE, (f"to {to}: moved", now, entry))
        if not conn.execute(_INSERT, (item, to, "", now)).rowcount:
            conn.execute(_AGAIN, (now, item, to))
            names += _closed(conn, item, now, keeps=False)
    return names


def _closed(conn: sqlite3.Connection, item: int, now: float, keeps: bool) -> list[str]:
    name = finish(conn, item, now, keeps)
    return [] if name is None else [name]
