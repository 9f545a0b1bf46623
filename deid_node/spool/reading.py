"""Reading an object back: its content is compared with what was acknowledged before any of it is used."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Final

from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Held, HeldFor

_PIECE: Final = 1 << 20
_kept = threading.local()


def open_checked(entry: Entry) -> int | Held:
    """Open the file of an entry whose content is what it was when it was committed.

    Returns a descriptor that the caller closes, or why the entry is held: a file that is gone, that
    cannot be read, or whose SHA-256 differs is never sent.
    """
    try:
        fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Held(HeldFor.MISSING)
    except OSError:
        return Held(HeldFor.DAMAGED)
    try:
        sound = sha256_of(fd) == entry.sha256
    except OSError:
        sound = False
    if sound:
        return fd
    os.close(fd)
    return Held(HeldFor.DAMAGED)


def is_sound(path: str, sha256: bytes) -> bool:
    """Whether the file has the content with this SHA-256.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return sha256_of(fd) == sha256
    finally:
        os.close(fd)


def sha256_of(fd: int) -> bytes:
    """Return the SHA-256 of a whole open file."""
    buffer: bytearray | None = getattr(_kept, "buffer", None)
    if buffer is None:
        buffer = _kept.buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    digest = hashlib.sha256()
    offset = 0
    while count := os.preadv(fd, [buffer], offset):
        digest.update(view[:count])
        offset += count
    return digest.digest()
