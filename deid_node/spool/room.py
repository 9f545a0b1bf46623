"""Whether there is room for another object: high and low water on bytes and inodes.

New objects are refused while there is still room to finish what was begun: settling an entry needs a
few pages of the ledger, also on a full disk.
"""

from __future__ import annotations

import os
import time
from typing import Final

_CHECK_S: Final = 0.5
_MIN_INODES: Final = 1000
_LARGEST_SHARE: Final = 0.05


class Room:
    """The free space of the spool's file system, looked at no more than twice a second."""

    def __init__(self, root_fd: int, reserve_bytes: int) -> None:
        """Keep `reserve_bytes` free, or 5 % of a file system for which that is much."""
        total = os.fstatvfs(root_fd)
        self._fd = root_fd
        self._low = min(reserve_bytes, int(total.f_blocks * total.f_frsize * _LARGEST_SHARE))
        self._next_check = 0.0
        self._is_left = True

    def is_left(self) -> bool:
        """Whether a new object may come; once it may not, it may again at twice the reserve."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + _CHECK_S
            free = os.fstatvfs(self._fd)
            wanted = self._low if self._is_left else 2 * self._low
            enough_bytes = free.f_bavail * free.f_frsize >= wanted
            enough_inodes = not self._low or not free.f_files or free.f_favail >= _MIN_INODES
            self._is_left = enough_bytes and enough_inodes
        return self._is_left
