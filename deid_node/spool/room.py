"""Whether there is room for another object, and what is left when there is none at all.

New objects are refused while there is still room to finish what was begun: from the high water mark of
the spool's file system on, in bytes or in inodes, until both are below the low one again. The ballast is
a file whose space settling an entry takes, a few pages of the ledger after which its file goes, when
somebody else has filled the disk.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHECK_S: Final = 0.5
_BALLAST: Final = "ballast"
_BALLAST_SHARE: Final = 0.01
_LOOK_AGAIN_S: Final = 0.1
_AGAIN: Final = 1.125  # times as much has to be free before it is enough again


@dataclass(frozen=True, slots=True)
class Water:
    """How full the file system of the spool may become, and what is done then.

    Attributes:
        high: share of its bytes, or of its inodes, from which on no new object is taken.
        low: share of both below which objects are taken again.
        enough_bytes: free bytes with which the share of bytes does not matter: a seventh of a large disk
            is much.
        ballast_bytes: kept to finish with, at most 1 % of the file system.
        waits_s: so long new objects wait for room, which stops the reading of their associations;
            after that they are refused at once.
        turns_away_s: after so long without room no new association is accepted.
    """

    high: float = 0.85
    low: float = 0.75
    enough_bytes: int = 8 << 30
    ballast_bytes: int = 64 << 20
    waits_s: float = 5.0
    turns_away_s: float = 30.0


class Room:
    """The free space of the spool's file system, looked at twice a second and before a refusal."""

    def __init__(self, root_fd: int, water: Water | None) -> None:
        """Look after the file system of a folder; None lets it be filled to the brim."""
        self._fd = root_fd
        self._water = water
        self._next_check = 0.0
        self._short_since: float | None = None
        self._has_ballast = False
        self._lock = threading.Lock()

    def is_left(self) -> bool:
        """Whether a new object may come."""
        return not self.short_for_s()

    def short_for_s(self, *, at_once: bool = False) -> float:
        """Return for how long there has been no room, 0 while there is; `at_once` looks in any case."""
        now = time.monotonic()
        if (at_once or now >= self._next_check) and self._water is not None:
            with self._lock:
                self._next_check = now + _CHECK_S
                if self._look(self._water):
                    self._short_since = None
                elif self._short_since is None:
                    self._short_since = now
        since = self._short_since
        return 0.0 if since is None else max(now - since, 1e-9)

    def wait(self) -> bool:
        """Wait for room as long as `Water.waits_s` allows; tell whether there is some."""
        while short_s := self.short_for_s():
            if self._water is None or short_s >= self._water.waits_s:
                return not self.short_for_s(at_once=True)  # nobody is refused for what was so a moment ago
            time.sleep(_LOOK_AGAIN_S)
        return True

    @property
    def turns_away(self) -> bool:
        """Whether there has been no room for so long that nobody should come with new objects."""
        return self._water is not None and self.short_for_s() >= self._water.turns_away_s

    def relieve(self) -> bool:
        """Give the ballast back to the file system; tell whether there was any."""
        with self._lock:
            self._has_ballast = False
            try:
                os.unlink(_BALLAST, dir_fd=self._fd)  # also that of a process before this one
            except OSError:
                return False
            if self._short_since is None:
                self._short_since = time.monotonic()
            return True

    def _look(self, water: Water) -> bool:
        found = os.fstatvfs(self._fd)
        short = self._short_since is not None
        enough = int(water.enough_bytes * _AGAIN) if short else water.enough_bytes
        if _level(found, enough) >= (water.low if short else water.high):
            return False
        if not self._has_ballast:
            total = found.f_blocks * found.f_frsize
            self._has_ballast = self._take_ballast(min(water.ballast_bytes, int(total * _BALLAST_SHARE)))
        return self._has_ballast

    def _take_ballast(self, size: int) -> bool:
        try:
            fd = os.open(_BALLAST, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, max(size, 1))
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def give_ballast(folder: Path) -> bool:
    """Give the ballast of a spool that is not open yet back; tell whether there was any."""
    try:
        (folder / _BALLAST).unlink()
    except OSError:
        return False
    return True


def level(folder: Path, enough_bytes: int) -> float:
    """Return how full the file system of a folder is, by bytes or by inodes, whichever is more.

    Args:
        folder: any folder of it.
        enough_bytes: free bytes with which its bytes do not count.

    Raises:
        OSError: there is no such folder.
    """
    return _level(os.statvfs(folder), enough_bytes)


def _level(found: os.statvfs_result, enough_bytes: int) -> float:
    # Blocks that only root may use are neither used nor free: df counts in the same way.
    blocks = _share(found.f_blocks - found.f_bfree, found.f_bavail)
    if found.f_bavail * found.f_frsize >= enough_bytes:
        blocks = 0.0
    return max(blocks, _share(found.f_files - found.f_ffree, found.f_favail))


def _share(used: int, free: int) -> float:
    """Return the share that is used; a file system that does not count its inodes has all of them free."""
    return used / (used + free) if used + free > 0 else 0.0
