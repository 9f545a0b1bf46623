"""How much of all datasets together may be held in memory: what comes before the pixels, per object.

Whoever wants more waits for a while, which stops the reading of its association, and then gets no
more: the object is answered with A700, and what it held is free for the others.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from time import monotonic
from typing import Final

SHARE: Final = 4
"""The default budget is the memory divided by this."""

_WAIT_S: Final = 5.0
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


class MemoryBudget:
    """Bytes that many threads share."""

    def __init__(self, total: int, *, wait_s: float = _WAIT_S) -> None:
        self.total = total
        self._left = total
        self._wait_s = wait_s
        self._changed = threading.Condition()

    @property
    def left(self) -> int:
        """Bytes that nobody holds."""
        with self._changed:
            return self._left

    def share(self) -> Share:
        """Return the share of one object, with nothing in it."""
        return Share(self)

    def take(self, count: int) -> bool:
        """Take bytes, waiting for others to give some back; tell whether there were enough in time."""
        end = monotonic() + self._wait_s
        with self._changed:
            while self._left < count:
                left_s = end - monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        """Give bytes back."""
        with self._changed:
            self._left += count
            self._changed.notify_all()


class Share:
    """What one object holds of a budget. Used by one thread."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = 0

    def hold(self, count: int) -> None:
        """Hold more bytes. Raises MemoryError when there were none in time."""
        fits = self._held + count <= self._budget.total  # else it would wait for itself
        if not fits or not self._budget.take(count):
            raise MemoryError
        self._held += count

    def release(self) -> None:
        """Give everything back; also twice."""
        if self._held:
            held, self._held = self._held, 0
            self._budget.give(held)


def default_budget() -> int:
    """Return a quarter of the memory that this process may use: of the machine or of its control group."""
    of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([of_machine, *_cgroup_limits()]) // SHARE


def _cgroup_limits() -> list[int]:
    """Return the memory limits of the control group (version 2) and those above it."""
    try:
        line = next(line for line in _OWN_CGROUP.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    found = []
    group = _CGROUPS / line[3:].lstrip("/")
    while group.is_relative_to(_CGROUPS):
        try:
            word = (group / "memory.max").read_text().strip()
        except OSError:
            word = "max"
        if word.isdigit():
            found.append(int(word))
        group = group.parent
    return found
