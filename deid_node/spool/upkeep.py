"""Check a spool against its ledger both ways, and copy the ledger while a node writes it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from deid_node.errors import SpoolError
from deid_node.spool import schema, sealed_rows
from deid_node.spool.envelope import Envelopes
from deid_node.spool.pieces import SealError
from deid_node.spool.reading import is_sound
from deid_node.spool.recovery import INCOMING, files, orphans, place, sealed_files, sealed_place, unsound
from deid_node.spool.sealed import read_deposited

_UNDER_WAY_S: Final = 60.0
_PAGES_AT_A_TIME: Final = 256


class Fault(StrEnum):
    """What `check` can find."""

    UNFINISHED = "unfinished"  # a file in `incoming` that nobody writes any more
    ORPHAN = "orphan"  # an object file that no row names
    MISSING = "missing"  # a row whose file is gone or has another size
    DAMAGED = "damaged"  # a file whose content is not what was acknowledged
    PAGES = "pages"  # the ledger's own pages
    SEALED_ORPHAN = "sealed-orphan"  # a sealed original that no row names
    SEALED_MISSING = "sealed-missing"  # a row whose sealed original is gone or has another size
    SEALED_DAMAGED = "sealed-damaged"  # a sealed original that does not open


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: the random name of the object, and its number in the ledger if it has one."""

    fault: Fault
    object: str
    item: int | None = None


def check(folder: Path, *, contents: bool = True, envelopes: Envelopes | None = None) -> list[Finding]:
    """Compare files and ledger, changing nothing; also while a node runs.

    The start of a node mends what this finds, except damaged files, which are found before they are
    sent. Files younger than a minute may be on their way in and are not reported.

    Args:
        folder: the spool.
        contents: also read every file and compare its SHA-256.
        envelopes: opens sealed originals, to see whether they do; their contents are not read without.

    Raises:
        SpoolError: there is no spool, or its ledger cannot be read.
    """
    root = str(folder)
    try:
        with contextlib.closing(schema.connect_to_read(folder)) as conn:
            pages = conn.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            present = files(root)
            found = [] if pages else [Finding(Fault.PAGES, "")]
            found += [
                Finding(Fault.UNFINISHED, name)
                for name in sorted(os.listdir(folder / INCOMING))
                if _is_settled(folder / INCOMING / name)
            ]
            found += [
                Finding(Fault.ORPHAN, name)
                for name in orphans(conn, present)
                if _is_settled(folder / place(name))
            ]
            lost = unsound(conn, present)
            found += [
                Finding(Fault.MISSING, name, item)
                for item in unsound(conn, files(root))
                if item in lost and (name := _name_of(conn, item)) is not None
            ]
            found += _sealed(folder, conn, envelopes if contents else None)
            if contents:
                found += _damaged(folder, conn)
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"The spool {folder} cannot be checked: {error}.") from error
    return found


def holds_objects(folder: Path) -> bool:
    """Tell whether a ledger in the folder has ever taken an object; False when there is none to read."""
    path = folder / schema.LEDGER
    if not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            return conn.execute("SELECT 1 FROM item LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False


def backup(folder: Path, target: Path) -> None:
    """Copy the ledger to a new file of mode 0600, as of one moment, while it may be in use.

    Raises:
        SpoolError: the target is there already or cannot be written, or the ledger cannot be read.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(schema.connect_to_read(folder)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy, pages=_PAGES_AT_A_TIME, sleep=0.01)
            schema.check_pages(copy)
        _sync(target)
        _sync(target.parent)
    except FileExistsError as error:
        raise SpoolError(f"{target} is there already; a backup replaces nothing.") from error
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise SpoolError(f"The ledger cannot be copied to {target}: {error}.") from error


def _sealed(folder: Path, conn: sqlite3.Connection, envelopes: Envelopes | None) -> list[Finding]:
    present = sealed_files(str(folder))
    found = [
        Finding(Fault.SEALED_ORPHAN, name)
        for name in sealed_rows.orphans(conn, present)
        if _is_settled(folder / sealed_place(name))
    ]
    lost = sealed_rows.unsound(conn, present)
    for row in sealed_rows.listed(conn):
        if row.id in lost:
            found.append(Finding(Fault.SEALED_MISSING, row.object, row.id))
        elif envelopes is not None:
            try:
                read_deposited(folder, row.object, envelopes)
            except FileNotFoundError:
                continue  # de-identified meanwhile
            except (SealError, OSError):
                found.append(Finding(Fault.SEALED_DAMAGED, row.object, row.id))
    return found


def _damaged(folder: Path, conn: sqlite3.Connection) -> list[Finding]:
    rows = conn.execute("SELECT id, object, digest FROM on_disk WHERE state <> 'missing'")
    found = []
    for item, name, digest in rows.fetchall():
        try:
            sound = is_sound(str(folder / place(name)), digest)
        except FileNotFoundError:
            continue  # reported as missing, or purged meanwhile
        except OSError:
            sound = False
        if not sound and _name_of(conn, item) == name:
            found.append(Finding(Fault.DAMAGED, name, item))
    return found


def _name_of(conn: sqlite3.Connection, item: int) -> str | None:
    """Return the file name of an item that still needs its file."""
    row = conn.execute("SELECT object FROM item WHERE id = ? AND state <> 'purged'", (item,)).fetchone()
    return None if row is None else str(row[0])


def _is_settled(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _UNDER_WAY_S
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
