"""Run a line: its trials take turns on the same objects, round after round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.check import pixel_digest
from benchmarks.line import Line, Objects, Result, Trial
from benchmarks.measure import Run
from benchmarks.workloads import Workload, prepared


def made(workload: Workload, cache: Path) -> Objects:
    """Return the objects of a workload, made where they are not there yet."""
    files = tuple(prepared(workload, cache))
    return Objects(files, tuple(pixel_digest(path) for path in files))


def measure(
    line: Line, cache: Path, rounds: int, scratch: Path, tell: Callable[[str], None] = lambda _: None
) -> Result:
    """Run a line.

    Args:
        cache: folder with the objects, kept between runs.
        rounds: how many are asked for; a line may take a part of them.
        scratch: folder for all output; give one in memory to leave the disk out.
        tell: hears what is being run.

    Raises:
        WrongOutput: a trial lost, changed or leaked something.
    """
    present, skipped = _present(line)
    objects = provide(line, cache, scratch)
    runs: dict[str, list[Run]] = {trial.name: [] for trial in present}
    count = line.rounds(rounds)
    for number in range(count):
        first = number % len(present)
        for trial in (*present[first:], *present[:first]):
            tell(f"{line.name} {number + 1}/{count}: {trial.name}")
            with TemporaryDirectory(dir=scratch) as folder:
                runs[trial.name].append(trial.run(objects[trial.workload], Path(folder)))
    return Result(line, runs, skipped)


def provide(line: Line, cache: Path, scratch: Path) -> dict[Workload, Objects]:
    """Make what a line needs and keeps between runs; return its objects."""
    present, _ = _present(line)
    for trial in present:
        with TemporaryDirectory(dir=scratch) as folder:
            trial.provide(Path(folder))
    return {
        workload: made(workload, cache) for workload in dict.fromkeys(trial.workload for trial in present)
    }


def _present(line: Line) -> tuple[list[Trial], tuple[str, ...]]:
    """Return the trials that can take part, and why others cannot."""
    reasons = {trial.name: trial.missing() for trial in line.trials}
    present = [trial for trial in line.trials if reasons[trial.name] is None]
    return present, tuple(f"{name}: no {reason}" for name, reason in reasons.items() if reason is not None)
