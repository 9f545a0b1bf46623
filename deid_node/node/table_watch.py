"""Notices that the file of a lookup table has changed, and when it can be read.

A file that somebody is writing changes again and again, so one counts only when it has stayed as it is for
some seconds. Nothing is read here but the end of the file: reading the table is the business of a reload.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError

_LOOK_S: Final = 2.0
_QUIET_S: Final = 5.0
_TICK_NS: Final = 100_000_000  # the clock of a file system may lag behind ours by so much

Stamp = tuple[int, int, int] | None
"""Number, time of change in nanoseconds and size of a file; None of one that is not there."""


class TableWatch:
    """Looks after the files of the tables that are in use. Used by one thread."""

    def __init__(
        self,
        *,
        look_s: float = _LOOK_S,
        quiet_s: float = _QUIET_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch nothing yet.

        Args:
            look_s: how often files are looked at.
            quiet_s: how long a changed file has to stay as it is.
            clock: seconds that only grow.
        """
        self._look_s = look_s
        self._quiet_s = quiet_s
        self._clock = clock
        self._next = -look_s
        self._taken: dict[str, Stamp] = {}
        self._seen: dict[str, tuple[Stamp, float]] = {}

    def take(self, files: Iterable[str], began_ns: int) -> None:
        """Take files for read; a reading that began at `began_ns` may have missed what was written since."""
        self._seen.clear()
        self._taken = {}
        for file in files:
            stamp = _stamp(file)
            missed = stamp is not None and stamp[1] >= began_ns - _TICK_NS
            self._taken[file] = None if missed else stamp

    def changed(self) -> list[str]:
        """Return the files that have changed and are quiet now; each change once."""
        now = self._clock()
        if now < self._next:
            return []
        self._next = now + self._look_s
        quiet = []
        for file, taken in self._taken.items():
            stamp = _stamp(file)
            if stamp == taken:
                self._seen.pop(file, None)
                continue
            seen, since = self._seen.get(file, (taken, now))
            if seen != stamp:
                self._seen[file] = stamp, now
            elif now - since >= self._quiet_s:
                quiet.append(file)
        if len(quiet) < len(self._seen):
            return []  # another one is still being written: they may belong together
        for file in quiet:
            self._taken[file] = self._seen.pop(file)[0]
        return quiet


def refuse_unfinished(files: Iterable[str]) -> None:
    """Refuse files whose last line has no end: nobody who could tell that it is whole has asked for them.

    Raises:
        ConfigurationError: with one problem for each such file; its name without the folder.
    """
    problems = [
        f"{Path(file).name}: its last line has no end, so it may be half written. Write the rest, or the end "
        "of the line; a reload (SIGHUP) takes it as it is."
        for file in files
        if not _ends(file)
    ]
    if problems:
        raise ConfigurationError(*problems)


def _stamp(file: str) -> Stamp:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _ends(file: str) -> bool:
    """Tell whether the last line of a file has an end; one that cannot be read is told by the reload."""
    try:
        with open(file, "rb") as stream:
            if not stream.seek(0, os.SEEK_END):
                return True
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) in b"\r\n"
    except OSError:
        return True
