"""Which files this process wrote a short while ago, and that nobody has written to them since.

A file whose size and time of change are those of a moment after its last byte was written holds what was
written, as far as the page cache goes; reading it back would compare memory with itself.
"""

from __future__ import annotations

import os
from typing import Final

_REMEMBERED: Final = 2048


class Written:
    """Remembers the files that were written last."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def note(self, name: str, fd: int) -> None:
        """Remember an open file that is complete, under the name of its object."""
        self._seen[name] = _state(os.fstat(fd))
        while len(self._seen) > _REMEMBERED:
            try:
                self._seen.pop(next(iter(self._seen)), None)
            except (StopIteration, RuntimeError):  # another thread was here
                return

    def holds(self, path: str) -> bool:
        """Whether the file is remembered and is as it was.."""
        name = os.path.basename(path).removesuffix(".dcm")
        noted = self._seen.get(name)
        try:
            return noted is not None and noted == _state(os.stat(path, follow_symlinks=False))
        except OSError:
            return False


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
