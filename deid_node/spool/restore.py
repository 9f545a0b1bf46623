"""Putting a backup of the ledger in the place of one that is damaged or gone, without losing objects.

A backup does not know what came after it: object files that it does not name were acknowledged all the
same. They are read again and become entries anew. What the backup believes to be here and is not was
delivered meanwhile, or is lost; the next start holds it for a person.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deid_node.engine.deidentified import Summary
from deid_node.errors import SpoolError
from deid_node.spool import ledger, schema, sealed_rows
from deid_node.spool.content import digest_of
from deid_node.spool.entry import Origin
from deid_node.spool.envelope import Envelopes
from deid_node.spool.lock import lock
from deid_node.spool.pieces import SealError
from deid_node.spool.recovery import files, orphans, place, sealed_files, sealed_place
from deid_node.spool.sealed import read_deposited

ROUTE: Final = "restored"
_SUFFIXES: Final = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Found:
    """What an object file says of itself: where its dataset starts, and what the ledger keeps of it."""

    dataset_at: int
    summary: Summary


Read = Callable[[Path], Found | None]
"""Reads an object file; None when it is no complete object."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `aside` is where the former ledger lies, None when there was none.

    `adopted` objects and `sealed` originals were not in the backup.
    """

    items: int
    adopted: int
    sealed: int
    unreadable: int
    aside: Path | None


def restore(
    folder: Path,
    source: Path,
    *,
    read: Read,
    destinations: Sequence[str],
    envelopes: Envelopes | None = None,
) -> Restored:
    """Put a backup in the place of the ledger; the node must not run.

    Args:
        folder: the spool.
        source: a file that `backup` wrote; it is copied.
        read: reads an object file that the backup does not name.
        destinations: where such objects go.
        envelopes: opens sealed originals that the backup does not name; they go where their route says.

    Raises:
        SpoolError: nothing was changed: the node runs, the backup cannot be used, or there are objects
            that it does not name and no destination for them, or originals and no key.
    """
    lock_fd = lock(folder)
    new = folder / f"{schema.LEDGER}.new"
    try:
        new.unlink(missing_ok=True)
        _copy(source, new)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as conn:
            schema.migrate(conn)
            conn.execute("PRAGMA foreign_keys = ON")
            stray = orphans(conn, files(str(folder)))
            if stray and not destinations:
                raise SpoolError(
                    f"{len(stray)} objects came after the backup was made and are not in it. Say with "
                    "--destination where they go; nothing was changed."
                )
            originals = sealed_rows.orphans(conn, sealed_files(str(folder)))
            if originals and envelopes is None:
                raise SpoolError(
                    f"{len(originals)} sealed originals came after the backup was made and are not in it. "
                    "Set sealed.key_file to the key they were sealed with; nothing was changed."
                )
            adopted = _adopt(folder, conn, stray, read, destinations)
            sealed = _adopt_originals(folder, conn, originals, envelopes) if envelopes is not None else 0
            items = conn.execute("SELECT count(*) FROM item").fetchone()[0]
        _sync(new)
        aside = _put_aside(folder)
        os.rename(new, folder / schema.LEDGER)
        _sync(folder)
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"The ledger cannot be restored from {source}: {error}.") from error
    finally:
        new.unlink(missing_ok=True)
        os.close(lock_fd)
    unreadable = len(stray) - adopted + len(originals) - sealed
    return Restored(items, adopted, sealed, unreadable, aside)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise SpoolError(f"{source}: there is no such file.")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as conn,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        if not 0 < schema.version_of(conn) <= schema.VERSION:
            raise SpoolError(
                f"{source}: is no ledger that this program knows (version {schema.version_of(conn)})."
            )
        schema.check_pages(conn)
        conn.backup(copy)


def _adopt(
    folder: Path, conn: sqlite3.Connection, names: list[str], read: Read, destinations: Sequence[str]
) -> int:
    """Make entries of objects that are not in the backup; those that cannot be read are kept in `found`."""
    now = time.time()
    adopted = 0
    conn.execute("BEGIN IMMEDIATE")
    for name in names:
        path = folder / place(name)
        found = read(path)
        if found is None:
            _put_into_found(folder, path)
            continue
        ledger.record(conn, _arrival(name, path, found, destinations, now))
        adopted += 1
    conn.execute("COMMIT")
    return adopted


def _adopt_originals(folder: Path, conn: sqlite3.Connection, names: list[str], envelopes: Envelopes) -> int:
    """Let originals wait again that are not in the backup; those that do not open are kept in `found`."""
    adopted = 0
    conn.execute("BEGIN IMMEDIATE")
    for name in names:
        try:
            deposited = read_deposited(folder, name, envelopes)
        except (SealError, OSError):
            _put_into_found(folder, folder / sealed_place(name))
            continue
        adopted += bool(sealed_rows.deposit(conn, deposited))
    conn.execute("COMMIT")
    return adopted


def _put_into_found(folder: Path, path: Path) -> None:
    (folder / "found").mkdir(mode=0o700, exist_ok=True)
    os.rename(path, folder / "found" / path.name)


def _arrival(name: str, path: Path, found: Found, destinations: Sequence[str], now: float) -> ledger.Arrival:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        digest, size = digest_of(fd), os.fstat(fd).st_size
    finally:
        os.close(fd)
    return ledger.Arrival(
        object=name,
        digest=digest,
        dataset_at=found.dataset_at,
        size=size,
        summary=found.summary,
        route=ROUTE,
        profile="",
        origin=Origin(),
        destinations=tuple(destinations),
        at=now,
    )


def _put_aside(folder: Path) -> Path | None:
    """Rename the former ledger and its log: SQLite would play an old log into a new file."""
    former = folder / schema.LEDGER
    aside = None
    if former.exists():
        aside = folder / f"{schema.LEDGER}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        os.rename(former, aside)
    for suffix in _SUFFIXES:
        log = folder / f"{schema.LEDGER}{suffix}"
        if log.exists():
            os.rename(log, f"{aside or former}{'' if aside else '.former'}{suffix}")
    _sync(folder)
    return aside


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
