"""What a line of the benchmark is: trials in turns on the same objects, and what is aimed at.

A trial is one thing that is measured: a receiver with a sender, a program over a folder, associations
that do nothing. The first trial of a line is the node, the others are what it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from benchmarks.measure import Run, Spread, ratios
from benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Objects:
    """A workload that was made: its files, the first for warming up, and the digests of their pixels."""

    files: tuple[Path, ...]
    digests: tuple[str, ...]

    @property
    def measured(self) -> tuple[Path, ...]:
        """The files that are sent while the clock runs."""
        return self.files[1:]


class Trial(Protocol):
    """One thing that is measured."""

    @property
    def name(self) -> str:
        """What the tables call it; unique in its line."""
        ...

    @property
    def workload(self) -> Workload:
        """The objects it gets."""
        ...

    @property
    def how(self) -> str:
        """How it gets them, for the tables."""
        ...

    def missing(self) -> str | None:
        """Return what is not installed, None when it can take part."""
        ...

    def expected_s(self) -> float:
        """Return about how long one run takes, with start, check and end."""
        ...

    def provide(self, scratch: Path) -> None:
        """Make what it keeps between runs beside the objects, where it is not there yet."""
        ...

    def run(self, objects: Objects, scratch: Path) -> Run:
        """Do it once in an empty folder, check what came out, and return what it cost.

        Raises:
            WrongOutput: something was lost, changed or leaked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Growth:
    """The trials of a line are the same thing in growing sizes.

    Attributes:
        what: what grows.
        sizes: of each trial, ascending.
        per: what the CPU time is divided by. What is flat costs the same per object whatever the
            size; what is linear costs the same per MB, per element, per delivery.
    """

    what: str
    sizes: tuple[float, ...]
    per: Literal["object", "MB", "element", "delivery"]

    def cost_us(self, run: Run, size: float) -> float:
        """Return microseconds of CPU time for one unit."""
        divisor = {
            "object": run.objects,
            "MB": run.bytes / 1e6,
            "element": run.objects * size,
            "delivery": run.objects * size,
        }[self.per]
        return run.cpu_s / divisor * 1e6

    @property
    def shape(self) -> str:
        """What it should be."""
        return "flat" if self.per == "object" else "linear"


@dataclass(frozen=True, slots=True)
class Line:
    """What is compared, and what is aimed at.

    `clock`: whether the time ends when all was acknowledged or when all output was there. `disk`:
    needs a real disk, as syncs to memory cost nothing. `part` of the rounds that is run, for lines whose
    figures are steady.
    """

    name: str
    about: str
    trials: tuple[Trial, ...]
    aims: tuple[Aim, ...] = ()
    clock: Literal["acknowledged", "done"] = "acknowledged"
    disk: bool = False
    growth: Growth | None = None
    part: float = 1.0

    def seconds(self, run: Run) -> float:
        """Return the time of a run that this line compares."""
        return run.done_s if self.clock == "done" else run.acknowledged_s

    def rounds(self, asked: int) -> int:
        """Return how many rounds this line has when so many are asked for."""
        return max(1, round(asked * self.part))

    def expected_s(self, asked: int) -> float:
        """Return about how long the line takes."""
        return self.rounds(asked) * sum(t.expected_s() for t in self.trials if t.missing() is None)


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of a line, by trial in order of rounds, and what could not take part."""

    line: Line
    runs: dict[str, list[Run]]
    skipped: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The name of the first trial."""
        return self.line.trials[0].name

    def values(self, name: str, of: Callable[[Run], float]) -> list[float]:
        """Return a figure of every run of a trial."""
        return [of(run) for run in self.runs[name]]

    def ratio(self, peer: str) -> Spread:
        """Return how many times as fast the first trial was as a peer."""
        return ratios(self.values(self.subject, self.line.seconds), self.values(peer, self.line.seconds))

    def costs_us(self) -> dict[str, Spread]:
        """Return the microseconds of CPU time per unit of every size of a growth line."""
        assert self.line.growth is not None
        return {
            name: Spread.of(self.line.growth.cost_us(run, size) for run in self.runs[name])
            for name, size in zip(self.runs, self.line.growth.sizes, strict=True)
        }

    def latencies_ms(self, name: str) -> tuple[float, float, float] | None:
        """Return p50, p95 and p99 from C-STORE-RQ to C-STORE-RSP over all rounds."""
        ordered = sorted(value for run in self.runs[name] for value in run.latencies_ms)
        if not ordered:
            return None
        p50, p95, p99 = (
            ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 0.99)
        )
        return p50, p95, p99


@dataclass(frozen=True, slots=True)
class Aim:
    """One figure of a line and what it should be. `figure` gives None when a peer did not take part."""

    what: str
    limit: float
    figure: Callable[[Result], Spread | None]
    at_least: bool = True
    unit: str = ""

    def text(self) -> str:
        """Return the aim in words."""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"

    def verdict(self, reached: Spread | None) -> Literal["met", "missed", "not measured"]:
        """Say whether the median reaches it."""
        if reached is None:
            return "not measured"
        met = reached.median >= self.limit if self.at_least else reached.median <= self.limit
        return "met" if met else "missed"


def ascending(costs: Sequence[float]) -> float:
    """Return the largest rise from any smaller size to a larger one; 1 or less when nothing grows."""
    return max(cost / min(costs[:at]) for at, cost in enumerate(costs) if at)
