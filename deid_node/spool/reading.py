"""Reading an object back: its content is compared with what was acknowledged before any of it is used."""

from __future__ import annotations

import os

from deid_node.spool.content import is_content
from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Deferred, Held, HeldFor
from deid_node.spool.writer import is_shortage


def open_checked(entry: Entry) -> int | Held | Deferred:
    """Open the file of an entry whose content is what it was when it was committed.

    Returns a descriptor that the caller closes, or why the entry is held: a file that is gone, that
    cannot be read, or whose digest differs is never sent. When only descriptors or memory are short,
    it can be tried again.
    """
    try:
        fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Held(HeldFor.MISSING)
    except OSError as error:
        if is_shortage(error):
            return Deferred(f"the file cannot be opened: {error.strerror}")
        return Held(HeldFor.DAMAGED)
    try:
        sound = is_content(fd, entry.digest)
    except OSError:
        sound = False
    if sound:
        return fd
    os.close(fd)
    return Held(HeldFor.DAMAGED)


def is_sound(path: str, digest: bytes) -> bool:
    """Whether the file has the content with this digest.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return is_content(fd, digest)
    finally:
        os.close(fd)
