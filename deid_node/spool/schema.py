"""The tables of the ledger, their version, and how a connection is opened.

One file, `ledger.sqlite`, in WAL mode. `user_version` is the version of the tables: an older ledger
is migrated when the spool opens it, a newer one is refused. No column holds an original value.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deid_node.errors import SpoolError

LEDGER: Final = "ledger.sqlite"
BUSY_S: Final = 5.0
DAMAGED: Final = "Restore it from a backup: `deid-node restore FILE` keeps the objects that came later."
_STEPS_AT_A_TIME: Final = 10_000

_FIRST: Final = """
CREATE TABLE item (
  id INTEGER PRIMARY KEY,
  object TEXT NOT NULL,               -- name of the file, random
  state TEXT NOT NULL,
  route TEXT NOT NULL,
  profile TEXT NOT NULL,              -- digest of the procedure that made it
  uid_digest BLOB,                    -- keyed digest of the original SOP Instance UID
  revision INTEGER NOT NULL,
  predecessor INTEGER,                -- the item of the revision before
  duplicates INTEGER NOT NULL DEFAULT 0,
  sha256 BLOB NOT NULL,
  dataset_at INTEGER NOT NULL,
  size INTEGER NOT NULL,
  sop_class_uid TEXT NOT NULL,
  sop_instance_uid TEXT NOT NULL,
  transfer_syntax_uid TEXT NOT NULL,
  study_uid TEXT NOT NULL,
  series_uid TEXT NOT NULL,
  attributes TEXT NOT NULL,           -- JSON: tag as a decimal number to text
  calling TEXT NOT NULL,
  called TEXT NOT NULL,
  address TEXT NOT NULL,
  association TEXT NOT NULL,
  kept INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  cleaned INTEGER NOT NULL,
  warnings TEXT NOT NULL,
  received_at REAL NOT NULL,
  done_at REAL
) STRICT;
CREATE UNIQUE INDEX item_uid ON item(uid_digest, route, revision) WHERE uid_digest IS NOT NULL;
CREATE INDEX item_settled ON item(state) WHERE state IN ('done', 'missing', 'damaged');

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY,
  item INTEGER NOT NULL REFERENCES item(id) ON DELETE CASCADE,
  destination TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  aborts INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL DEFAULT 0,
  status INTEGER,
  why TEXT NOT NULL DEFAULT '',
  changed_at REAL NOT NULL,
  UNIQUE (item, destination)
) STRICT;
CREATE INDEX delivery_pending ON delivery(destination, id) WHERE state = 'pending';
CREATE INDEX delivery_deferred ON delivery(destination, not_before) WHERE state = 'deferred';
CREATE INDEX delivery_leased ON delivery(destination) WHERE state = 'leased';
CREATE INDEX delivery_stuck ON delivery(destination, id) WHERE state IN ('held', 'refused');

-- Items that need a file. A ready one has a delivery that is not settled: so no index over all items,
-- which every arrival and every purge would have to write.
CREATE VIEW on_disk AS SELECT * FROM item WHERE state <> 'purged' AND id IN (
  SELECT id FROM item WHERE state IN ('done', 'missing', 'damaged')
  UNION SELECT item FROM delivery WHERE state = 'pending'
  UNION SELECT item FROM delivery WHERE state = 'deferred'
  UNION SELECT item FROM delivery WHERE state = 'leased'
  UNION SELECT item FROM delivery WHERE state IN ('held', 'refused'));

CREATE TABLE refusal (
  id INTEGER PRIMARY KEY,
  route TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  path TEXT NOT NULL,
  digest BLOB NOT NULL,
  sop_class_uid TEXT NOT NULL,
  calling TEXT NOT NULL,
  called TEXT NOT NULL,
  address TEXT NOT NULL,
  association TEXT NOT NULL,          -- of the last one
  count INTEGER NOT NULL DEFAULT 1,
  first_at REAL NOT NULL,
  last_at REAL NOT NULL,
  UNIQUE (route, code, reason, path, digest, sop_class_uid, calling, called, address)
) STRICT;
"""

# What is closed is counted here (see `counts`), so that its rows can be deleted and need not be read.
_COUNTS: Final = """
ALTER TABLE item ADD COLUMN epoch TEXT NOT NULL DEFAULT '';   -- of the key it was made with

CREATE TABLE study (
  study_uid TEXT PRIMARY KEY,
  first_item INTEGER NOT NULL,
  objects INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  revisions INTEGER NOT NULL,
  size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE settled (
  study_uid TEXT NOT NULL,
  destination TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (study_uid, destination, state)
) STRICT, WITHOUT ROWID;
INSERT INTO study
  SELECT study_uid, min(id), count(*), sum(duplicates), sum(revision > 0), sum(size)
  FROM item WHERE state IN ('done', 'purged') GROUP BY study_uid;
INSERT INTO settled
  SELECT i.study_uid, d.destination, d.state, count(*) FROM item i JOIN delivery d ON d.item = i.id
  WHERE i.state IN ('done', 'purged') GROUP BY i.study_uid, d.destination, d.state;
"""

# Storage commitment, see `commitments`.
_COMMITMENTS: Final = """
CREATE TABLE commitment (             -- a transaction in which we asked a destination
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  destination TEXT NOT NULL,
  state TEXT NOT NULL,                -- new, asked, answered, void
  asked_at REAL NOT NULL
) STRICT;
CREATE INDEX commitment_open ON commitment(destination, asked_at) WHERE state IN ('new', 'asked');
CREATE TABLE commitment_item (
  commitment INTEGER NOT NULL REFERENCES commitment(id) ON DELETE CASCADE,
  delivery INTEGER NOT NULL REFERENCES delivery(id) ON DELETE CASCADE,
  PRIMARY KEY (commitment, delivery)
) STRICT, WITHOUT ROWID;
CREATE INDEX commitment_item_delivery ON commitment_item(delivery);
CREATE TABLE commitment_request (     -- a transaction in which a peer asked us
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,        -- keyed digest of who asked and the Transaction UID
  sealed BLOB NOT NULL,               -- encrypted: it names originals
  at REAL NOT NULL,
  not_before REAL NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX delivery_uncommitted ON delivery(destination, not_before) WHERE state = 'uncommitted';
CREATE INDEX delivery_asked ON delivery(item) WHERE state IN ('uncommitted', 'asked');
DROP VIEW on_disk;
CREATE VIEW on_disk AS SELECT * FROM item WHERE state <> 'purged' AND id IN (
  SELECT id FROM item WHERE state IN ('done', 'missing', 'damaged')
  UNION SELECT item FROM delivery WHERE state = 'pending'
  UNION SELECT item FROM delivery WHERE state = 'deferred'
  UNION SELECT item FROM delivery WHERE state = 'leased'
  UNION SELECT item FROM delivery WHERE state IN ('uncommitted', 'asked')
  UNION SELECT item FROM delivery WHERE state IN ('held', 'refused'));
"""

# What the lanes know and another process asks for; empty while no node runs.
_OUTAGES: Final = """
CREATE TABLE outage (                 -- destinations that are out of use
  destination TEXT PRIMARY KEY,
  why TEXT NOT NULL,
  since REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

# Originals that wait, encrypted, to be de-identified; see `sealed`.
_SEALED: Final = """
CREATE TABLE sealed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  object TEXT NOT NULL UNIQUE,        -- name of the file, random
  state TEXT NOT NULL,                -- waiting, working, held
  route TEXT NOT NULL,
  uid_digest BLOB NOT NULL,           -- keyed digest of the original SOP Instance UID
  content_digest BLOB NOT NULL,       -- keyed digest of the original dataset
  size INTEGER NOT NULL,              -- of the file
  sop_class_uid TEXT NOT NULL,
  calling TEXT NOT NULL,
  called TEXT NOT NULL,
  address TEXT NOT NULL,
  association TEXT NOT NULL,
  code TEXT NOT NULL DEFAULT '',      -- why it is held
  reason TEXT NOT NULL DEFAULT '',
  path TEXT NOT NULL DEFAULT '',
  starts INTEGER NOT NULL DEFAULT 0,  -- times it was begun and not ended
  duplicates INTEGER NOT NULL DEFAULT 0,
  received_at REAL NOT NULL,
  changed_at REAL NOT NULL,
  UNIQUE (route, uid_digest, content_digest)
) STRICT;
CREATE INDEX sealed_state ON sealed(state, id);
"""

# See `content`: the digest of a file need not be SHA-256 any more.
_DIGESTS: Final = "ALTER TABLE item RENAME COLUMN sha256 TO digest;"

# What was put right in objects that were taken; revisions count, duplicates do not.
_REPAIRS: Final = """
CREATE TABLE repair (
  route TEXT NOT NULL,
  name TEXT NOT NULL,
  objects INTEGER NOT NULL,
  last_at REAL NOT NULL,
  PRIMARY KEY (route, name)
) STRICT, WITHOUT ROWID;
"""

# See `handing`: the destination that an entry is a fallback for.
_STANDS_FOR: Final = """
ALTER TABLE delivery ADD COLUMN stands_for TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_lent ON delivery(stands_for) WHERE stands_for <> '';
"""

# Objects that a restore took in: which original they are of is known when it comes again.
_ADOPTED: Final = "CREATE INDEX item_adopted ON item(sop_instance_uid) WHERE uid_digest IS NULL;"

MIGRATIONS: Final = (
    *(_FIRST, _COUNTS, _COMMITMENTS, _OUTAGES),
    *(_SEALED, _DIGESTS, _REPAIRS, _STANDS_FOR, _ADOPTED),
)
"""MIGRATIONS[n] makes version n + 1 of version n; a published one is never edited."""

VERSION: Final = len(MIGRATIONS)


def connect(folder: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Open the ledger for writing, made with mode 0600 when it is not there.

    The caller sees to it that one thread at a time uses the connection.
    """
    path = folder / LEDGER
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    conn = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    conn.execute("PRAGMA secure_delete = ON")
    conn.execute("PRAGMA temp_store = MEMORY")
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("PRAGMA trusted_schema = OFF")
    conn.execute("PRAGMA cache_size = -16000")
    return conn


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """Open the ledger for reading only, beside whoever writes it.

    Raises:
        SpoolError: there is no ledger in the folder, or one of another version.
    """
    path = folder / LEDGER
    if not path.exists():
        raise SpoolError(f"There is no spool in {folder}: {LEDGER} is missing.")
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    conn.execute("PRAGMA query_only = ON")
    conn.execute("PRAGMA temp_store = MEMORY")
    version = version_of(conn)
    if version != VERSION:
        conn.close()
        raise SpoolError(f"The ledger has version {version}; this program reads version {VERSION}.")
    return conn


def version_of(conn: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 for an empty ledger."""
    found: int = conn.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(conn: sqlite3.Connection) -> None:
    """Bring the tables to this program's version, each step in one transaction.

    Raises:
        SpoolError: the ledger was written by a newer program, or is damaged.
    """
    version = version_of(conn)
    if version > VERSION:
        raise SpoolError(
            f"The ledger has version {version}, made by a newer deid_node; this one knows up to {VERSION}. "
            "Install the newer program again, or restore a backup of the ledger from before the upgrade."
        )
    for step in range(version, VERSION):
        conn.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")


def check_pages(
    conn: sqlite3.Connection, *, limit_s: float = math.inf, ended: Callable[[], bool] = lambda: False
) -> bool:
    """Read every page of the ledger and its order; False when the time or the caller ended that before.

    Raises:
        SpoolError: a page is damaged.
    """
    until = time.monotonic() + limit_s
    conn.set_progress_handler(lambda: int(time.monotonic() > until or ended()), _STEPS_AT_A_TIME)
    try:
        found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    finally:
        conn.set_progress_handler(None, 0)
    if found != "ok":
        raise SpoolError(f"The ledger is damaged (SQLite quick_check). {DAMAGED}")
    return True


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file is not what SQLite wrote."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return isinstance(error, sqlite3.Error) and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
