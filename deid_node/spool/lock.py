"""One process has a folder: the lock that dies with its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from deid_node.errors import SpoolError


def lock(folder: Path, what: str = "spool") -> int:
    """Take the lock of a folder; it is given back when the descriptor is closed.

    Raises:
        SpoolError: another process has it.
    """
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise SpoolError(f"Another deid_node has the {what} {folder} open; stop it first.") from error
    return fd
