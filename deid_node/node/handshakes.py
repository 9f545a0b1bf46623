"""Failed TLS handshakes, told in a bounded way: a flood of equal ones must not fill the audit stream.

The first of an address for a reason is told at once; those that follow within the same minute are counted,
and told as one line when it is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

_KINDS: Final = 256
OTHERS: Final = "others"
"""The address of failures from more addresses than are told apart."""


class FailedHandshakes:
    """Counts them. Used by many threads; somebody calls `tell_counted` once a minute and at the end."""

    def __init__(self, tell: Callable[[str, str, int], None]) -> None:
        """Tell of (address, reason, count)."""
        self._tell = tell
        self._counted: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def add(self, address: str, reason: str) -> None:
        """Take note of one."""
        with self._lock:
            kind = (address, reason)
            if kind not in self._counted and len(self._counted) >= _KINDS:
                kind = (OTHERS, reason)
            if kind in self._counted:
                self._counted[kind] += 1
                return
            self._counted[kind] = 0
        self._tell(*kind, 1)

    def tell_counted(self) -> None:
        """Tell what was counted; an address that was quiet since is told at once again."""
        with self._lock:
            counted = self._counted
            self._counted = {kind: 0 for kind, count in counted.items() if count}
        for kind, count in counted.items():
            if count:
                self._tell(*kind, count)
