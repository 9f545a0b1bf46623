"""One line of the benchmark: contenders receive the same objects in turns, round after round."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.check import check, outputs, pixel_digest
from benchmarks.contenders import Contender, Running, Settles
from benchmarks.measure import Run, Spread, cpu_seconds, forget_peak, peak_bytes, ratios
from benchmarks.processes import ENVIRONMENT, HOST, find, wait_until
from benchmarks.sender import write_index
from benchmarks.workloads import Workload

_ROOT = Path(__file__).resolve().parents[1]
_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Line:
    """What is compared: the first contender against the others, on one workload.

    `aims` are peers' names and the ratios to reach; `peak_mb` is the memory the first may take.
    `end_to_end`: the clock stops when all output is there, not when all was acknowledged.
    """

    name: str
    about: str
    workload: Workload
    contenders: tuple[Contender, ...]
    sender: str = "sendfile"
    associations: int = 1
    aims: tuple[tuple[str, float], ...] = ()
    peak_mb: float | None = None
    end_to_end: bool = False

    def seconds(self, run: Run) -> float:
        """Return the time of a run that this line compares."""
        return run.done_s if self.end_to_end else run.acknowledged_s


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of a line, by contender in order of rounds, and p50, p95, p99 in milliseconds."""

    line: Line
    runs: dict[str, list[Run]]
    latencies_ms: dict[str, tuple[float, float, float]]
    skipped: tuple[str, ...]

    def ratio(self, peer: str) -> Spread:
        """Return how many times as fast the first contender was as a peer."""
        subject = self.runs[self.line.contenders[0].name]
        return ratios(
            [self.line.seconds(run) for run in subject], [self.line.seconds(run) for run in self.runs[peer]]
        )


def measure(line: Line, files: list[Path], rounds: int, scratch: Path) -> Result:
    """Run a line.

    Args:
        files: the objects of its workload.
        scratch: folder for all output; give one in memory to leave the disk out.

    Raises:
        WrongOutput: a contender lost, changed or leaked something.
    """
    digests = [pixel_digest(path) for path in files]
    present = [contender for contender in line.contenders if contender.missing() is None]
    skipped = tuple(f"{c.name}: no {c.missing()}" for c in line.contenders if c.missing() is not None)
    runs: dict[str, list[Run]] = {contender.name: [] for contender in present}
    latencies: dict[str, list[float]] = {contender.name: [] for contender in present}
    for number in range(rounds):
        first = number % len(present)
        for contender in (*present[first:], *present[:first]):
            with TemporaryDirectory(dir=scratch) as folder:
                run, took = _run(line, contender, files, digests, Path(folder))
            runs[contender.name].append(run)
            latencies[contender.name] += took
    points = {name: _percentiles(values) for name, values in latencies.items() if values}
    return Result(line, runs, points, skipped)


def _run(
    line: Line, contender: Contender, files: list[Path], digests: list[str], folder: Path
) -> tuple[Run, list[float]]:
    warm_up, *measured = files
    size = sum(path.stat().st_size for path in measured)
    with contender.run(folder) as running:
        _sendfile(line, contender, running, [warm_up], folder / "warm-up.json", associations=1)
        if isinstance(contender, Settles):
            contender.settle(running)
        wait_until(lambda: outputs(running.output), f"{contender.name} wrote the first", _LIMIT_S)
        before = cpu_seconds(running.pid)
        forget_peak(running.pid)
        if line.sender == "storescu":
            start, elapsed, latencies = _storescu(line, contender, running, measured)
        else:
            start, elapsed, latencies = _sendfile(
                line, contender, running, measured, folder / "index.json", associations=line.associations
            )
        if isinstance(contender, Settles):
            contender.settle(running)
        wait_until(
            lambda: len(outputs(running.output)) >= len(files), f"{contender.name} wrote all", _LIMIT_S
        )
        done = time.perf_counter() - start
        run = Run(
            contender.name,
            elapsed,
            max(done, elapsed),
            cpu_seconds(running.pid) - before,
            peak_bytes(running.pid),
            len(measured),
            size,
        )
        check(contender.name, digests, outputs(running.output), deidentified=contender.deidentifies)
    return run, latencies


def _storescu(
    line: Line, contender: Contender, running: Running, files: Sequence[Path]
) -> tuple[float, float, list[float]]:
    program = find("storescu")
    if program is None:
        raise RuntimeError("storescu (DCMTK) is not installed")
    command = [program, "-aec", contender.called, "-pdu", "131072", *_proposal(line.workload)]
    shares = [
        [str(path) for path in files[number :: line.associations]] for number in range(line.associations)
    ]
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*command, HOST, str(running.port), *share],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for share in shares
    ]
    said = [sender.communicate(timeout=_LIMIT_S)[1] for sender in senders]
    elapsed = time.perf_counter() - start
    if any(sender.returncode for sender in senders):
        raise RuntimeError(f"storescu to {contender.name}: {b''.join(said)[-1000:].decode('latin-1')}")
    return start, elapsed, []


def _proposal(workload: Workload) -> list[str]:
    options = {
        "1.2.840.10008.1.2": "-xi",
        "1.2.840.10008.1.2.1": "-xe",
        "1.2.840.10008.1.2.4.70": "-xs",
        "1.2.840.10008.1.2.4.90": "-xv",
    }
    return ["-R", options[str(workload.transfer_syntax)]]


def _sendfile(
    line: Line, contender: Contender, running: Running, files: list[Path], index: Path, *, associations: int
) -> tuple[float, float, list[float]]:
    write_index(files, index)
    command = [sys.executable, "-m", "benchmarks.sender", str(running.port), contender.called, str(index)]
    sender = subprocess.Popen(
        [*command, str(associations)],
        env=ENVIRONMENT,
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert sender.stdout is not None
    if sender.stdout.readline() != "ready\n":
        _, said = sender.communicate(timeout=30)
        raise RuntimeError(f"the sender cannot send to {contender.name}: {said[-1000:]}")
    start = time.perf_counter()
    out, said = sender.communicate("go\n", timeout=_LIMIT_S)
    if sender.returncode:
        raise RuntimeError(f"the sender to {contender.name}: {said[-1000:]}")
    told = json.loads(out)
    return start, told["elapsed_s"], told["latencies_ms"]


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 0.99))
    return p50, p95, p99
