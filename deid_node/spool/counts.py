"""Counts of the items that are closed, kept when they close: a ledger of millions is not read to count it.

An item is closed when every delivery of it is settled. What is open is counted from its rows; the
history of closed items may be deleted, and their counts stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deid_node.spool.outcomes import DeliveryState

_STUDY: Final = """
INSERT INTO study (study_uid, first_item, objects, duplicates, revisions, size)
SELECT study_uid, id, :by, :by * duplicates, :by * (revision > 0), :by * size FROM item WHERE id = :item
ON CONFLICT (study_uid) DO UPDATE SET objects = objects + excluded.objects,
  duplicates = duplicates + excluded.duplicates, revisions = revisions + excluded.revisions,
  size = size + excluded.size
"""
_SETTLED: Final = """
INSERT INTO settled (study_uid, destination, state, count)
SELECT i.study_uid, d.destination, d.state, :by FROM delivery d JOIN item i ON i.id = d.item
WHERE d.item = :item
ON CONFLICT (study_uid, destination, state) DO UPDATE SET count = count + excluded.count
"""


def close(conn: sqlite3.Connection, item: int) -> None:
    """Count an item that has just been closed."""
    _count(conn, item, 1)


def reopen(conn: sqlite3.Connection, item: int) -> None:
    """Take back the counts of a closed item that is about to get another delivery."""
    _count(conn, item, -1)


def _count(conn: sqlite3.Connection, item: int, by: int) -> None:
    conn.execute(_STUDY, {"by": by, "item": item})
    conn.execute(_SETTLED, {"by": by, "item": item})


def duplicate(conn: sqlite3.Connection, item: int) -> None:
    """Count a closed item that came again."""
    conn.execute(
        "UPDATE study SET duplicates = duplicates + 1"
        " WHERE study_uid = (SELECT study_uid FROM item WHERE id = ?)",
        (item,),
    )


@dataclass(frozen=True, slots=True)
class StudyCounts:
    """One study: `objects` were received; each has one delivery state for each of its destinations."""

    study_uid: str
    objects: int
    duplicates: int
    revisions: int
    size: int
    destinations: Mapping[str, Mapping[DeliveryState, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """All studies, all destinations, and when the oldest object came that a destination has not settled."""

    studies: tuple[StudyCounts, ...]
    destinations: Mapping[str, Mapping[DeliveryState, int]]
    oldest_unsettled_at: Mapping[str, float]


# One partial index serves each part, so that only open rows are read.
_OPEN: Final = """
WITH open(item) AS (
  SELECT item FROM delivery WHERE state = 'pending'
  UNION SELECT item FROM delivery WHERE state = 'deferred'
  UNION SELECT item FROM delivery WHERE state = 'leased'
  UNION SELECT item FROM delivery WHERE state IN ('uncommitted', 'asked')
  UNION SELECT item FROM delivery WHERE state IN ('held', 'refused'))
"""
_BY_STUDY: Final = f"""
{_OPEN}
SELECT study_uid, sum(objects), sum(duplicates), sum(revisions), sum(size) FROM (
  SELECT * FROM study WHERE objects > 0 UNION ALL
  SELECT i.study_uid, min(i.id), count(*), sum(i.duplicates), sum(i.revision > 0), sum(i.size)
  FROM open JOIN item i ON i.id = open.item GROUP BY i.study_uid)
GROUP BY study_uid ORDER BY min(first_item)
"""  # noqa: S608  # a constant is put in, no input
_BY_DESTINATION: Final = f"""
{_OPEN}
SELECT study_uid, destination, state, sum(count), min(first_at) FROM (
  SELECT study_uid, destination, state, count, NULL AS first_at FROM settled WHERE count > 0 UNION ALL
  SELECT i.study_uid, d.destination, d.state, count(*), min(i.received_at)
  FROM open JOIN item i ON i.id = open.item JOIN delivery d ON d.item = i.id
  GROUP BY i.study_uid, d.destination, d.state)
GROUP BY study_uid, destination, state
"""  # noqa: S608  # a constant is put in, no input


def count(conn: sqlite3.Connection, unsettled: frozenset[DeliveryState]) -> Counts:
    """Return all counts; in one transaction they are of one moment and add up."""
    studies = conn.execute(_BY_STUDY).fetchall()
    by_study: dict[str, dict[str, dict[DeliveryState, int]]] = {}
    totals: dict[str, dict[DeliveryState, int]] = {}
    oldest: dict[str, float] = {}
    for study, destination, word, number, first_at in conn.execute(_BY_DESTINATION):
        state = DeliveryState(word)
        by_study.setdefault(study, {}).setdefault(destination, {})[state] = number
        total = totals.setdefault(destination, {})
        total[state] = total.get(state, 0) + number
        if state in unsettled:
            oldest[destination] = min(first_at, oldest.get(destination, first_at))
    return Counts(tuple(_study(row, by_study) for row in studies), totals, oldest)


def _study(
    row: tuple[Any, ...], by_study: Mapping[str, Mapping[str, Mapping[DeliveryState, int]]]
) -> StudyCounts:
    study, objects, duplicates, revisions, size = row
    return StudyCounts(study, objects, duplicates, revisions, size, by_study.get(study, {}))
