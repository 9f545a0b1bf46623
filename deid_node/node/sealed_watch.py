"""Watches originals under way: one that makes no progress is taken from its worker.

Progress is counted in looks, not in seconds: a process that stood still, or whose clock was moved, blames no
object. A worker that loops in Python is ended by an exception in its thread; one that is stuck elsewhere is
left behind, and ends when it comes back.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Final

from deid_node.spool.sealed_rows import SealedRow

LOOKS: Final = 10
"""Looks without progress after which an original is taken from its worker."""


class Stalled(BaseException):
    """The original was taken from this worker. No `Exception`: nothing between here and there may keep it."""


class Work:
    """One original in the hands of the thread that makes this."""

    def __init__(self, row: SealedRow, *, is_watched: bool) -> None:
        self.row = row
        self.is_taken = False
        self._thread = threading.get_ident()
        self._is_watched = is_watched
        self._steps = self._seen = self._looks = 0
        self._lock = threading.Lock()

    def step(self) -> None:
        """Note progress.

        Raises:
            Stalled: it came too late.
        """
        if self.is_taken:
            raise Stalled
        self._steps += 1

    def decided(self) -> None:
        """Note that the engine is done: what follows waits for the disk, and is not the fault of the object.

        Raises:
            Stalled: it came too late.
        """
        with self._lock:
            if self.is_taken:
                raise Stalled
            self._is_watched = False

    def look(self) -> bool:
        """For who watches: take the original from a worker that made no progress for too long."""
        with self._lock:
            if not self._is_watched or self._steps != self._seen:
                self._seen, self._looks = self._steps, 0
                return False
            self._looks += 1
            self.is_taken = self._looks >= LOOKS
            if self.is_taken:
                self._is_watched = False
                kind = ctypes.py_object(Stalled)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), kind)
            return self.is_taken
