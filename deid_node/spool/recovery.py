"""What happens between a crash and the first new object.

Every step may be repeated, so that a second crash in here changes nothing. Unfinished files and
files that no row names are removed; a row whose file is gone or has another size is held; leases of
the process that is gone are void.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from typing import Final

from deid_node.spool import ledger, sealed_rows
from deid_node.spool.envelope import erase_file
from deid_node.spool.failpoint import reach
from deid_node.spool.outcomes import HeldFor

INCOMING: Final = "incoming"
OBJECTS: Final = "objects"
SEALED: Final = "sealed"
SUFFIX: Final = ".dcm"
SEALED_SUFFIX: Final = ".sealed"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found and mended when the spool was opened."""

    unfinished: int = 0
    orphans: int = 0
    missing: int = 0
    interrupted: int = 0


def files(root: str) -> dict[str, int]:
    """Return the size of every object file by its name without suffix."""
    found: dict[str, int] = {}
    with os.scandir(os.path.join(root, OBJECTS)) as folders:
        for folder in folders:
            if folder.is_dir(follow_symlinks=False):
                with os.scandir(folder.path) as objects:
                    for entry in objects:
                        with contextlib.suppress(FileNotFoundError):  # delivered and gone meanwhile
                            size = entry.stat(follow_symlinks=False).st_size
                            found[entry.name.removesuffix(SUFFIX)] = size
    return found


def place(name: str) -> str:
    """Return the path of an object file, relative to the spool."""
    return f"{OBJECTS}/{name[:2]}/{name}{SUFFIX}"


def sealed_files(root: str) -> dict[str, int]:
    """Return the size of every sealed original by its name without suffix."""
    with os.scandir(os.path.join(root, SEALED)) as originals:
        return {
            entry.name.removesuffix(SEALED_SUFFIX): entry.stat(follow_symlinks=False).st_size
            for entry in originals
        }


def sealed_place(name: str) -> str:
    """Return the path of a sealed original, relative to the spool."""
    return f"{SEALED}/{name}{SEALED_SUFFIX}"


def unsound(conn: sqlite3.Connection, present: dict[str, int]) -> list[int]:
    """Return the items that need a file and have none, or one of another size."""
    rows = conn.execute("SELECT id, object, size FROM on_disk WHERE state IN ('ready', 'done')")
    return [item for item, name, size in rows if present.get(name) != size]


def orphans(conn: sqlite3.Connection, present: dict[str, int]) -> list[str]:
    """Return the names of files that no row needs. A damaged file is still named: a person may look."""
    needed = {name for (name,) in conn.execute("SELECT object FROM on_disk")}
    return sorted(present.keys() - needed)


def recover(root: str, root_fd: int, conn: sqlite3.Connection, *, now: float, max_pause_s: float) -> Recovery:
    """Bring files and ledger into agreement; the caller holds the lock of the spool."""
    unfinished = os.listdir(os.path.join(root, INCOMING))
    for name in unfinished:
        _remove(f"{INCOMING}/{name}", root_fd)
    reach("in-recovery")
    present, sealed = files(root), sealed_files(root)
    conn.execute("BEGIN IMMEDIATE")
    interrupted = conn.execute("SELECT count(*) FROM delivery WHERE state = 'leased'").fetchone()[0]
    ledger.void_leases(conn, now)
    ledger.cap_pauses(conn, now + max_pause_s)
    conn.execute("DELETE FROM outage")
    lost = unsound(conn, present)
    ledger.lose(conn, lost, HeldFor.MISSING, now)
    lost_sealed = sealed_rows.recover(conn, sealed, now)
    conn.execute("COMMIT")
    reach("recovery-committed")
    stray = orphans(conn, present)
    for name in stray:
        with contextlib.suppress(FileNotFoundError):  # an operator's order to drop it was not finished
            os.unlink(place(name), dir_fd=root_fd)
    stray_sealed = sealed_rows.orphans(conn, sealed)
    for name in stray_sealed:
        _remove(sealed_place(name), root_fd)
    return Recovery(len(unfinished), len(stray) + len(stray_sealed), len(lost) + lost_sealed, interrupted)


def _remove(path: str, root_fd: int) -> None:
    """Remove a file; an original is erased before."""
    if path.endswith(SEALED_SUFFIX):
        erase_file(path, root_fd, durable=True)
    else:
        os.unlink(path, dir_fd=root_fd)
