"""Reading an object back: its content is compared with what was acknowledged before any of it is used."""

from __future__ import annotations

import os
from typing import Final

from deid_node.spool.content import PIECE_BYTES, is_content, read_content
from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Deferred, Held, HeldFor
from deid_node.spool.writer import is_shortage

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Content:
    """The open file of an entry, until the next one is opened.

    `is_checked`: its content is what was committed. `whole` is the file in memory, where it is small:
    the very bytes that were compared.
    """

    __slots__ = ("fd", "is_checked", "whole")

    def __init__(self, fd: int, whole: memoryview | None = None, *, is_checked: bool = True) -> None:
        self.fd = fd
        self.whole = whole
        self.is_checked = is_checked

    def close(self) -> None:
        """Close the file; also twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Reader:
    """Opens entries one after the other, for one thread; what it opened is read through its one buffer."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def open(self, entry: Entry, *, checks: bool = True) -> Content | Held | Deferred:
        """Open the file of an entry whose content is what it was when it was committed.

        Returns the open file, which the caller closes, or why the entry is held: a file that is gone,
        that cannot be read, or whose digest differs is never sent. When only descriptors or memory are
        short, it can be tried again. `checks` may be False where nothing of the file is read.
        """
        try:
            fd = os.open(entry.path, _FLAGS)
        except FileNotFoundError:
            return Held(HeldFor.MISSING)
        except OSError as error:
            if is_shortage(error):
                return Deferred(f"the file cannot be opened: {error.strerror}")
            return Held(HeldFor.DAMAGED)
        if not checks:
            return Content(fd, is_checked=False)
        if not self._buffer:
            self._buffer = bytearray(PIECE_BYTES)
        try:
            size = read_content(fd, entry.digest, self._buffer)
        except OSError:
            size = -1
        if size >= 0:
            whole = memoryview(self._buffer)[:size] if size <= len(self._buffer) else None
            return Content(fd, whole)
        os.close(fd)
        return Held(HeldFor.DAMAGED)


def is_sound(path: str, digest: bytes) -> bool:
    """Whether the file has the content with this digest.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, _FLAGS)
    try:
        return is_content(fd, digest)
    finally:
        os.close(fd)
