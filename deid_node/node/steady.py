"""A clock for ages of days that nobody can set: what is deleted by age is not deleted early when clocks jump.

It runs with the boot clock of the system, and goes on where it was when the node starts again: exactly after
a restart of the process, and without the time in between after one of the machine, as nothing tells that time
but the clock that may have jumped. So it may be late, and what is deleted by it is deleted late, never early.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError

_NAME: Final = "clock.json"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class SteadyClock:
    """Seconds since 1970, as of the first start of the node on a state folder, counted from then on."""

    def __init__(self, state: Path) -> None:
        """Go on where the last one was saved, else begin with the time of now.

        Raises:
            OSError: the file cannot be read.
        """
        self._file = state / _NAME
        self._boot = _boot_id()
        self._began_s = _boot_s()
        self._began_at = time.time()
        try:
            saved = json.loads(self._file.read_text("utf-8"))
            self._began_at = float(saved["at"])
            if saved["boot"] == self._boot and self._boot:
                self._began_at += max(0.0, self._began_s - float(saved["boot_s"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # the first start, or half written by a power cut: ages begin anew, and end late

    def now(self) -> float:
        """Return the time."""
        return self._began_at + _boot_s() - self._began_s

    def save(self) -> None:
        """Let the next process go on from here.

        Raises:
            OSError: the file cannot be written.
        """
        new = self._file.with_suffix(".new")
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w"
        ) as file:
            json.dump({"at": self.now(), "boot": self._boot, "boot_s": _boot_s()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._file)


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def open_steady(state: Path) -> SteadyClock:
    """Return the clock of a state folder, and save it: what has no file yet begins to count.

    Raises:
        ConfigurationError: its file cannot be read or written.
    """
    try:
        steady = SteadyClock(state)
        steady.save()
    except OSError as error:
        raise ConfigurationError(f"state: {state / _NAME} cannot be used ({error.strerror}).") from error
    return steady
