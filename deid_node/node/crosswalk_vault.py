"""The file under the crosswalk: SQLite whose columns are sealed and found by keyed index.

What identifies a patient is sealed with AES-256-GCM, and looked up by an HMAC of it; both keys are
derived from the project key, which is not in the file. Without it the file tells how many rows there
are, and of which epochs. Nothing of this is opened while neither crosswalk nor random codes are on.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deid_node.engine.keys import Key
from deid_node.errors import SpoolError
from deid_node.node.epochs import KeyRing

NAME: Final = "crosswalk.sqlite"
_INDEX_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_BUSY_S: Final = 5.0

# `lookup` is the keyed index of the original, `reverse` that of what stands for it.
_FIRST: Final = """
CREATE TABLE code (
  lookup BLOB PRIMARY KEY,
  epoch TEXT NOT NULL,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE link (
  lookup BLOB NOT NULL,
  reverse BLOB NOT NULL,
  epoch TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (lookup, reverse)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_reverse ON link(reverse);
"""
MIGRATIONS: Final = (_FIRST,)
VERSION: Final = len(MIGRATIONS)


class _Keys:
    """What is derived from one project key."""

    def __init__(self, key: Key) -> None:
        self.index = key.derive("crosswalk-index")
        self.cipher = AESGCM(key.derive("crosswalk-seal"))


class Vault:
    """An open crosswalk file. Safe for threads; after a fork it opens the file anew."""

    def __init__(self, path: Path, ring: KeyRing, *, durable: bool = True) -> None:
        """Open the file, made with mode 0600 when it is not there.

        Raises:
            SpoolError: it cannot be opened, a newer program made it, or it is damaged.
        """
        self.path = path
        self.epoch = ring.epoch
        self.lock = threading.RLock()
        self._durable = durable
        self._keys = {epoch: _Keys(key) for epoch, key in ring.items()}
        self._conn: sqlite3.Connection | None = None
        self._pid = 0
        self._seen = -1
        with self.transaction() as conn:
            found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise SpoolError(f"{path} is damaged (SQLite quick_check); restore it from a backup.")

    def __repr__(self) -> str:
        return "Vault(...)"

    def indices(self, kind: str, value: str) -> list[bytes]:
        """Return the index of a value under every key that is here, that of the key in use first."""
        text = f"{kind}\0{value}".encode()
        return [hmac.digest(keys.index, text, "sha256")[:_INDEX_BYTES] for keys in self._keys.values()]

    def index(self, kind: str, value: str) -> bytes:
        """Return the index of a value under the key in use."""
        return self.indices(kind, value)[0]

    def seal(self, row: bytes, content: Mapping[str, Any]) -> bytes:
        """Return the content sealed with the key in use; it opens only in the row it was sealed for."""
        nonce = os.urandom(_NONCE_BYTES)
        text = json.dumps(content, separators=(",", ":")).encode()
        return nonce + self._keys[self.epoch].cipher.encrypt(nonce, text, row)

    def unseal(self, row: bytes, epoch: str, sealed: bytes) -> dict[str, Any]:
        """Return what was sealed in a row.

        Raises:
            SpoolError: the key of its epoch is not here, or the row was changed.
        """
        keys = self._keys.get(epoch)
        if keys is None:
            raise SpoolError(f"The crosswalk has rows of epoch {epoch}, whose key is not here.")
        try:
            text = keys.cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row)
        except InvalidTag:
            raise SpoolError(
                "A row of the crosswalk is not what was sealed; restore it from a backup."
            ) from None
        content: dict[str, Any] = json.loads(text)
        return content

    def has_key(self, epoch: str) -> bool:
        """Tell whether rows of an epoch can be read."""
        return epoch in self._keys

    def has_changed_elsewhere(self) -> bool:
        """Tell whether another process has written since this was asked last, or nobody has asked yet.

        Raises:
            SpoolError: the file cannot be read.
        """
        with self.lock:
            try:
                conn = self._connection()
                version = conn.execute("PRAGMA data_version").fetchone()[0]
            except (sqlite3.Error, OSError) as error:
                raise SpoolError(f"The crosswalk cannot be used ({type(error).__name__}).") from error
            seen, self._seen = self._seen, version
        return bool(seen != version)

    def flush(self) -> None:
        """Let nothing that was deleted lie in the write-ahead log, unless another process reads it now."""
        with self.lock, contextlib.suppress(sqlite3.Error, OSError):
            self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def missing_epochs(self, table: str) -> list[str]:
        """Return the epochs of rows whose key is not here."""
        with self.transaction() as conn:
            rows = conn.execute(f"SELECT DISTINCT epoch FROM {table}").fetchall()  # noqa: S608  # our own names
        return sorted(epoch for (epoch,) in rows if epoch not in self._keys)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Work on the file in one transaction, which is durable at the end of the block.

        Raises:
            SpoolError: the file cannot be read or written; nothing of the block is in it.
        """
        with self.lock:
            conn = None
            try:
                conn = self._connection()
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                raise SpoolError(f"The crosswalk cannot be used ({type(error).__name__}).") from error
            finally:
                if conn is not None and conn.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        conn.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; also twice."""
        with self.lock:
            if self._conn is not None and self._pid == os.getpid():
                self._conn.close()
            self._conn = None

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None or self._pid != os.getpid():  # SQLite must not be used across a fork
            self._seen = -1  # versions of two connections are not comparable
            self._conn, self._pid = _connect(self.path, durable=self._durable), os.getpid()
        return self._conn


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    conn = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    conn.execute("PRAGMA secure_delete = ON")
    conn.execute("PRAGMA temp_store = MEMORY")
    conn.execute("PRAGMA trusted_schema = OFF")
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        conn.close()
        raise SpoolError(
            f"{path} has version {version}, made by a newer deid_node; this one knows {VERSION}."
        )
    for step in range(version, VERSION):
        conn.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")
    return conn
