"""Which files this process wrote a short while ago, and that nobody has written to them since.

A file whose size and times of change are those of a moment after its last byte was written holds what was
written, as far as the page cache goes; reading it back would compare memory with itself. The time of the
last change of the inode is among them: a program may set the other one back, as copying tools do. A link
changes it as well, so that a second folder reads what it links.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from deid_node.spool.recovery import place

_REMEMBERED: Final = 2048


class Written:
    """Remembers the files that were written last, by the names of their objects."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._seen: dict[str, tuple[int, int, int, int]] = {}
        self._lent: set[str] = set()

    def note(self, name: str, fd: int) -> None:
        """Remember an open file that is complete."""
        self._seen[name] = _state(os.fstat(fd))
        while len(self._seen) > _REMEMBERED:
            try:
                self.forget(next(iter(self._seen)))
            except (StopIteration, RuntimeError):  # another thread was here
                return

    def lend(self, name: str) -> None:
        """Remember that somebody else may have the file under another name."""
        if name in self._seen:
            self._lent.add(name)

    def holds(self, name: str) -> bool:
        """Whether the file is remembered and is as it was."""
        return self._found(name) is not None

    def own_size(self, name: str) -> int | None:
        """Return the size of a file that is as it was and was never anybody else's, otherwise None."""
        found = None if name in self._lent else self._found(name)
        if found is None or found.st_nlink != 1 or stat.S_IMODE(found.st_mode) != 0o600:
            return None
        return found.st_size

    def forget(self, name: str) -> None:
        """Remember a file no more."""
        self._seen.pop(name, None)
        self._lent.discard(name)

    def _found(self, name: str) -> os.stat_result | None:
        noted = self._seen.get(name)
        if noted is None:
            return None
        try:
            found = os.stat(place(name), dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return None
        return found if _state(found) == noted else None


def _state(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
