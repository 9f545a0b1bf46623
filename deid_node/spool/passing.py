"""Rows of objects that went straight through to their destination: delivered, and never a file here."""

from __future__ import annotations

import sqlite3

from deid_node.spool import counts, ledger
from deid_node.spool.entry import Commit, CommitKind
from deid_node.spool.ledger import Arrival
from deid_node.spool.outcomes import DeliveryState

_LATEST = """
SELECT id, digest, revision, state FROM item WHERE uid_digest = ? AND route = ?
ORDER BY revision DESC LIMIT 1
"""
_DELIVERED = """
INSERT INTO delivery (item, destination, state, attempts, status, changed_at) VALUES (?, ?, ?, 1, ?, ?)
ON CONFLICT (item, destination) DO NOTHING
"""


def record(conn: sqlite3.Connection, passed: Arrival, status: int, *, warning: bool) -> Commit:
    """Write down an object that its one destination has taken; `passed.object` is empty.

    An object that came before counts as a duplicate. What it left on its way, when its route kept
    objects then, is not touched.
    """
    state = DeliveryState.WARNED if warning else DeliveryState.DELIVERED
    digest = passed.summary.original_uid_digest or None
    latest = conn.execute(_LATEST, (digest, passed.route)).fetchone() if digest else None
    if latest is not None and latest[1] == passed.digest:
        item, _, revision, item_state = latest
        closed = item_state in {"done", "purged"}
        conn.execute("UPDATE item SET duplicates = duplicates + 1 WHERE id = ?", (item,))
        if closed:
            counts.duplicate(conn, item)
            counts.reopen(conn, item)
        for destination in passed.destinations:
            conn.execute(_DELIVERED, (item, destination, state, status, passed.at))
        if closed:
            counts.close(conn, item)
        return Commit(CommitKind.DUPLICATE, item, revision)
    commit = ledger.record(conn, passed).commit
    conn.execute(
        "UPDATE delivery SET state = ?, attempts = 1, status = ?, changed_at = ? WHERE item = ?",
        (state, status, passed.at, commit.item),
    )
    ledger.finish(conn, commit.item, passed.at, keeps=False)
    return commit
