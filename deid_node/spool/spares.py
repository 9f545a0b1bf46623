"""Files that nothing needs any more, kept to be written again by the objects that come next.

Most of what a file costs on ext4 is its inode: it is not given out again for seconds after its file was
removed, and each is looked at on the way to a free one. A file that is written again keeps inode, blocks
and pages. It lies under a random name in a folder of its own, where nobody takes it for an object, and the
next start removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

SPARE: Final = "spare"
_FILES: Final = 64
_BYTES: Final = 64 << 20
_SHARE: Final = 100  # of the file system, at most one part in so many


@dataclass(frozen=True, slots=True)
class Spare:
    """A file to be written again: its path in the spool and the bytes that it has."""

    path: str
    size: int


class Spares:
    """The spare files of one spool, a bounded number of bounded size. Used by many threads."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        found = os.fstatvfs(root_fd)
        self._most = min(_BYTES, found.f_blocks * found.f_frsize // _SHARE)
        self._bytes = 0
        self._files: deque[Spare] = deque()
        self._lock = threading.Lock()

    def keep(self, path: str, size: int) -> bool:
        """Keep a file of the spool that nothing needs; False when there are enough and it is where it was."""
        with self._lock:
            if len(self._files) >= _FILES or self._bytes + size > self._most:
                return False
            spare = Spare(f"{SPARE}/{secrets.token_hex(8)}", size)
            try:
                os.rename(path, spare.path, src_dir_fd=self._root_fd, dst_dir_fd=self._root_fd)
            except OSError:
                return False
            self._bytes += size
            self._files.append(spare)
            return True

    def take(self) -> Spare | None:
        """Return a file to write, which is nobody else's from now on; None when there is none."""
        if not self._files:
            return None
        with self._lock:
            if not self._files:
                return None
            spare = self._files.popleft()
            self._bytes -= spare.size
            return spare

    def clear(self) -> None:
        """Remove all of them: their room is needed, or the spool is closed."""
        while (spare := self.take()) is not None:
            with contextlib.suppress(OSError):
                os.unlink(spare.path, dir_fd=self._root_fd)


def remove_spares(root_fd: int) -> None:
    """Remove what an earlier process kept. Raises OSError."""
    folder = os.open(SPARE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        for name in os.listdir(folder):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)
