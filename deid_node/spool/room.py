"""Whether there is room for another object, and what is left when there is none at all.

New objects are refused while there is still room to finish what was begun: settling an entry, after
which its file goes, needs a few pages of the ledger. The ballast is a file that gives them back when
somebody else has filled the disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Final

_CHECK_S: Final = 0.5
_MIN_INODES: Final = 1000
_LARGEST_SHARE: Final = 0.05
_BALLAST: Final = "ballast"
_BALLAST_SHARE: Final = 4


class Room:
    """The free space of the spool's file system, looked at no more than twice a second."""

    def __init__(self, root_fd: int, reserve_bytes: int) -> None:
        """Keep `reserve_bytes` free, or 5 % of a file system for which that is much.

        A quarter of it is taken as ballast. Nothing is kept for a reserve of 0.
        """
        total = os.fstatvfs(root_fd)
        self._fd = root_fd
        self._low = min(reserve_bytes, int(total.f_blocks * total.f_frsize * _LARGEST_SHARE))
        self._next_check = 0.0
        self._is_left = True
        self._has_ballast = False
        self._lock = threading.Lock()

    def is_left(self) -> bool:
        """Whether a new object may come; once it may not, it may again at twice the reserve."""
        now = time.monotonic()
        if now >= self._next_check:
            with self._lock:
                self._next_check = now + _CHECK_S
                self._is_left = not self._low or self._look()
        return self._is_left

    def relieve(self) -> bool:
        """Give the ballast back to the file system; tell whether there was any."""
        with self._lock:
            had, self._has_ballast = self._has_ballast, False
            self._is_left = self._is_left and not had
            with contextlib.suppress(OSError):
                os.unlink(_BALLAST, dir_fd=self._fd)
            return had

    def _look(self) -> bool:
        free = os.fstatvfs(self._fd)
        wanted = self._low if self._is_left else 2 * self._low
        if free.f_bavail * free.f_frsize < wanted or (free.f_files and free.f_favail < _MIN_INODES):
            return False
        self._has_ballast = self._has_ballast or self._take_ballast()
        return self._has_ballast

    def _take_ballast(self) -> bool:
        try:
            fd = os.open(_BALLAST, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, max(self._low // _BALLAST_SHARE, 1))
        except OSError:
            return False
        finally:
            os.close(fd)
        return True
