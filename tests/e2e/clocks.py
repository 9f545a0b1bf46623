"""A node whose wall clock a test sets, by libfaketime; its monotonic clock goes on as it does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.running import RunningNode
from tests.peers import require

# libfaketime 0.9.10 refuses the call by which Python sleeps (clock_nanosleep until a monotonic moment).
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
NOTICED_S = 2.0
"""After this time a process has seen a jump: libfaketime looks at its file every second."""


class WallClock:
    """The clock of a node."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._patches = file.parent / f"{file.name}.patches"
        self._patches.mkdir()
        (self._patches / "sitecustomize.py").write_text(_SLEEP)
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """Jump to so many seconds before or after the real time."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{ahead_s:+d}\n")
        beside.rename(self._file)  # never read half written

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that shall have this clock."""
        said = subprocess.run(
            [require("faketime"), "-m", "now", "printenv", "LD_PRELOAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        return {
            "LD_PRELOAD": said.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(self._patches),
        }


@contextmanager
def running_by(clock: WallClock, node: RunningNode) -> Iterator[RunningNode]:
    """Run a node by a clock while the block runs."""
    node.start(**clock.environment())
    try:
        yield node
    finally:
        node.stop()
