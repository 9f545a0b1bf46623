"""A node whose ledger has a long history: millions of objects that were delivered long ago.

The rows are written once by SQL and kept in the cache. Each run adds its own and takes them out again, so
that all runs find the same ledger.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Node, Pace, Running
from deid_node.spool import schema

_AT_A_TIME = 500_000
_PER_STUDY, _PER_SERIES = 500, 100
_PACE = Pace(12, 1.5, 300)
_IN_HASTE = ("journal_mode = OFF", "secure_delete = OFF", "cache_size = -2000000")
_ITEMS = """
WITH RECURSIVE n(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM n WHERE n < :last)
INSERT INTO item (id, object, state, route, profile, uid_digest, revision, digest, dataset_at, size,
  sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_uid, series_uid, attributes, calling, called,
  address, association, kept, changed, removed, cleaned, warnings, received_at, done_at)
SELECT n, hex(randomblob(15)), 'purged', 'default', hex(randomblob(32)), randomblob(32), 0, randomblob(32),
  400, 500000, '1.2.840.10008.5.1.4.1.1.2', '2.25.1' || printf('%037d', n), '1.2.840.10008.1.2.1',
  '2.25.' || (n / :per_study), '2.25.' || (n / :per_series), '{}', 'CT1', 'DEIDNODE', '192.0.2.7', 'a1b2c3',
  9, 9, 9, 9, '[]', 1, 1 FROM n
"""
_DELIVERIES = """
INSERT INTO delivery (item, destination, state, attempts, changed_at)
SELECT id, :destination, 'delivered', 1, 1 FROM item WHERE id BETWEEN :first AND :last
"""
_COUNTS = (
    "INSERT INTO study SELECT study_uid, min(id), count(*), 0, 0, sum(size) FROM item GROUP BY study_uid",
    "INSERT INTO settled SELECT study_uid, :destination, 'delivered', count(*) FROM item GROUP BY study_uid",
)
_NEWER = (
    "DELETE FROM settled WHERE study_uid IN (SELECT study_uid FROM item WHERE id > :rows)",
    "DELETE FROM study WHERE study_uid IN (SELECT study_uid FROM item WHERE id > :rows)",
    "DELETE FROM delivery WHERE item > :rows",
    "DELETE FROM item WHERE id > :rows",
)


def fill(spool: Path, rows: int, destination: str = "out") -> None:
    """Write the rows of so many objects, delivered long ago to one destination, into a new ledger."""
    with contextlib.closing(schema.connect(spool, durable=False)) as conn:
        schema.migrate(conn)
        for pragma in _IN_HASTE:
            conn.execute(f"PRAGMA {pragma}")
        for first in range(1, rows + 1, _AT_A_TIME):
            span = {"first": first, "last": min(rows, first + _AT_A_TIME - 1)}
            conn.execute("BEGIN")
            conn.execute(_ITEMS, {**span, "per_study": _PER_STUDY, "per_series": _PER_SERIES})
            conn.execute(_DELIVERIES, {**span, "destination": destination})
            conn.execute("COMMIT")
        for statement in _COUNTS:
            conn.execute(statement, {"destination": destination})


def _take_out(state: Path, rows: int) -> None:
    """Leave so many objects in the ledger, and an audit stream that has nothing to catch up with."""
    shutil.rmtree(state / "audit", ignore_errors=True)
    with contextlib.closing(schema.connect(state / "spool", durable=False)) as conn:
        conn.execute("BEGIN")
        for statement in _NEWER:
            conn.execute(statement, {"rows": rows})
        conn.execute("COMMIT")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True, slots=True)
class NodeWithHistory(Node):
    """deid_node with so many objects in its ledger; `cache` is where the ledgers are kept."""

    rows: int = 0
    cache: Path = Path()
    pace: Pace = _PACE

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        state = self._state
        try:
            with self.serving(folder, self.store(folder / "out"), folder / "out", state) as running:
                yield running
        finally:
            _take_out(state, self.rows)

    @property
    def _state(self) -> Path:
        return self.cache.absolute() / f"history-{self.rows}"

    def provide(self, scratch: Path) -> None:
        """Make the state with the ledger where it is not there yet."""
        stamp = self._state / "complete.json"
        tables = hashlib.sha256("".join(schema.MIGRATIONS).encode()).hexdigest()
        wanted = {"rows": self.rows, "tables": tables}
        if stamp.exists() and json.loads(stamp.read_text()) == wanted:
            return
        shutil.rmtree(self._state, ignore_errors=True)
        with self.serving(scratch, self.store(scratch / "out"), scratch / "out", self._state):
            pass  # makes the key and the folders
        fill(self._state / "spool", self.rows)
        _take_out(self._state, self.rows)
        stamp.write_text(json.dumps(wanted))
