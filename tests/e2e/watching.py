"""What a running node takes, looked at again and again, and whether it grows."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass, fields
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Sample:
    """What the node took at one moment; bytes on the disk are those of the files, not of their blocks."""

    at_s: float
    memory_mb: float
    descriptors: int
    threads: int
    spool_mb: float
    ledger_mb: float
    objects: int


class Watch:
    """Samples of one process and its spool."""

    def __init__(self, pid: int, spool: Path, began_with: int = 0) -> None:
        """Begin to watch a process, before whose start so many objects were acknowledged."""
        self._process = psutil.Process(pid)
        self._spool = spool
        self.began_with = began_with
        self.samples: list[Sample] = []

    def look(self, at_s: float, objects: int) -> None:
        """Take a sample at a moment on any clock, when so many objects have been acknowledged."""
        ledger = sum(_bytes(path) for path in self._spool.glob("ledger*"))
        kept = sum(_bytes(path) for name in ("objects", "incoming") for path in self._under(name))
        self.samples.append(
            Sample(
                at_s,
                self._process.memory_info().rss / 2**20,
                self._process.num_fds(),
                self._process.num_threads(),
                kept / 2**20,
                ledger / 2**20,
                objects,
            )
        )

    def _under(self, name: str) -> list[Path]:
        return list((self._spool / name).rglob("*"))

    def warm(self, objects: int) -> Watch:
        """Return what was seen after so many objects: caches are full from then on."""
        warm = copy.copy(self)
        warm.samples = [one for one in self.samples if one.objects >= objects]
        return warm

    def per_hour(self, name: str) -> float:
        """Return the slope of a field by least squares, per hour."""
        at, of = [one.at_s for one in self.samples], [getattr(one, name) for one in self.samples]
        return statistics.linear_regression(at, of).slope * 3600

    def ends(self, name: str) -> tuple[float, float]:
        """Return the medians of the first and of the last third."""
        of = [getattr(one, name) for one in self.samples]
        third = max(1, len(of) // 3)
        return statistics.median(of[:third]), statistics.median(of[-third:])

    def ledger_bytes_per_object(self) -> float:
        """Return how much the ledger grew for every object that was acknowledged meanwhile."""
        first, last = self.samples[0], self.samples[-1]
        return (last.ledger_mb - first.ledger_mb) * 2**20 / max(1, last.objects - first.objects)

    @property
    def objects(self) -> int:
        """How many objects were acknowledged meanwhile."""
        return self.samples[-1].objects - self.samples[0].objects if self.samples else 0

    @property
    def took_s(self) -> float:
        """How long was watched."""
        return self.samples[-1].at_s - self.samples[0].at_s if self.samples else 0.0

    def __str__(self) -> str:
        lines = [f"watched for {self.took_s:.0f} s:"]
        for field in fields(Sample)[1:]:
            first, last = self.ends(field.name)
            lines.append(
                f"  {field.name}: {first:.4g} to {last:.4g}, {self.per_hour(field.name):+.4g} per hour"
            )
        tenth = max(1, len(self.samples) // 10)
        memory = (one.memory_mb for one in self.samples[::tenth])
        lines.append(f"  memory_mb, a tenth of the time each: {' '.join(f'{mb:.1f}' for mb in memory)}")
        return "\n".join([*lines, f"  ledger: {self.ledger_bytes_per_object():.0f} bytes an object"])


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # delivered meanwhile
        return 0
