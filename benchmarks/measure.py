"""What a run costs: wall time, CPU seconds and peak memory of a process with all its children.

Read from /proc. CPU counts the children that were waited for; memory is the sum of the peaks (VmHWM),
which is an upper bound of the peak of the sum.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants that live now."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a tree, with the ended children of its members."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / _TICKS


def forget_peak(pid: int) -> None:
    """Let the peaks of memory start from here."""
    for member in tree(pid):
        try:
            Path(f"/proc/{member}/clear_refs").write_text("5")
        except OSError:
            continue


def peak_bytes(pid: int) -> int:
    """Return the sum of the memory peaks of a tree."""
    total = 0
    for member in tree(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def shared_bytes(pid: int) -> int:
    """Return the memory of a tree now, what its members share counted once (PSS)."""
    total = 0
    for member in tree(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run of one trial.

    Attributes:
        acknowledged_s: seconds until the sender had heard Success for all.
        done_s: seconds until all output was there.
        start_s: seconds that the program takes before its first object; not in the others.
        start_cpu_s: CPU seconds of the same, of programs over a folder; not in `cpu_s`.
        latencies_ms: from C-STORE-RQ to C-STORE-RSP, of each object; empty when the sender does not tell.
        idle_core_share: CPU seconds per second while idle associations were open.
        added_bytes: memory that idle associations took.
    """

    acknowledged_s: float
    done_s: float
    cpu_s: float
    peak_bytes: int
    objects: int
    bytes: int
    start_s: float = 0.0
    start_cpu_s: float = 0.0
    latencies_ms: tuple[float, ...] = ()
    idle_core_share: float = 0.0
    added_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """Median with least and most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarize some values."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def text(self, digits: int = 2) -> str:
        """Return `median (least-most)`."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


def ratios(subject: Sequence[float], peer: Sequence[float]) -> Spread:
    """Compare two contenders round by round: how many times as fast the subject was.

    Args:
        subject: seconds of each round.
        peer: seconds of the same rounds.
    """
    return Spread.of(theirs / ours for ours, theirs in zip(subject, peer, strict=True))
