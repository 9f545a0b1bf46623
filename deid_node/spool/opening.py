"""Opening the folder of a spool: its lock, its ledger, and what a crash left in it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Final, NamedTuple

from deid_node.errors import SpoolError
from deid_node.spool import schema
from deid_node.spool.lock import lock
from deid_node.spool.recovery import INCOMING, OBJECTS, SEALED, Recovery, files, recover, sealed_files
from deid_node.spool.room import give_ballast
from deid_node.spool.spares import SPARE, remove_spares
from deid_node.spool.writer import is_shortage

_CHECK_S: Final = 5.0


class Opened(NamedTuple):
    """An open folder; `checked` tells whether all pages of the ledger were read."""

    lock_fd: int
    root_fd: int
    conn: sqlite3.Connection
    checked: bool
    recovery: Recovery


def open_folder(folder: Path, *, durable: bool, max_pause_s: float) -> Opened:
    """Open and mend a folder for `Spool.open`; on a full disk what it needs is taken from the ballast.

    Raises:
        SpoolError: it cannot be opened.
    """
    try:
        return _open(folder, durable=durable, max_pause_s=max_pause_s)
    except SpoolError as error:
        if not _is_short(error.__cause__) or not give_ballast(folder):
            raise
    return _open(folder, durable=durable, max_pause_s=max_pause_s)


def _open(folder: Path, *, durable: bool, max_pause_s: float) -> Opened:
    with contextlib.ExitStack() as undo:
        try:
            for made in (folder, *(folder / name for name in (INCOMING, OBJECTS, SEALED, SPARE))):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = lock(folder)
            undo.callback(os.close, lock_fd)
            root_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, root_fd)
            conn = schema.connect(folder, durable=durable)
            undo.callback(conn.close)
            if not schema.version_of(conn) and (count := _count_files(str(folder))):
                raise SpoolError(
                    f"{count} objects are in the spool {folder}, but the ledger that knows where they go "
                    "is gone. Put it back, or a backup of it with `deid-node restore`."
                )
            schema.migrate(conn)
            remove_spares(root_fd)
            checked = schema.check_pages(conn, limit_s=_CHECK_S)
            recovery = recover(str(folder), root_fd, conn, now=time.time(), max_pause_s=max_pause_s)
            if durable:
                _sync_names(folder)
        except (OSError, sqlite3.Error) as error:
            hint = schema.DAMAGED if schema.is_damage(error) else ""
            raise SpoolError(f"The spool {folder} cannot be opened: {error}. {hint}".strip()) from error
        undo.pop_all()
    return Opened(lock_fd, root_fd, conn, checked, recovery)


def _is_short(cause: BaseException | None) -> bool:
    """Whether more space may help: a full disk is an I/O error for SQLite's index in memory."""
    code = getattr(cause, "sqlite_errorcode", 0)
    return cause is not None and (code == sqlite3.SQLITE_IOERR_SHMSIZE or is_shortage(cause))


def _count_files(root: str) -> int:
    return len(files(root)) + len(sealed_files(root))


def _sync_names(folder: Path) -> None:
    """Make the names of what was made in a folder durable, and its own name."""
    for path in (folder, folder.parent):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
