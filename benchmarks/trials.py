"""The trials over the network: a contender receives objects from a sender, or holds idle associations."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.check import WrongOutput, check, outputs
from benchmarks.contenders import Contender, Keeps, Prepares, Provides, Running, Settles
from benchmarks.line import Objects
from benchmarks.measure import Run, cpu_seconds, forget_peak, peak_bytes, shared_bytes
from benchmarks.processes import ENVIRONMENT, wait_until
from benchmarks.senders import LIMIT_S, Sent, storescu, unparsed
from benchmarks.workloads import Workload

_ROOT = Path(__file__).resolve().parents[1]
_CHECK_MB_S, _CHECK_OBJECT_MS = 600, 0.6
_QUIET_S, _QUIET_SHARE = 0.5, 0.1
_IDLE_WINDOW_S = 10.0
_STEADY_S = 0.05


class _Meter:
    """CPU time of a tree from a moment on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = 0.0

    def start(self) -> None:
        """Count from here: the associations stand, where the sender says so."""
        self._before = cpu_seconds(self._pid)
        forget_peak(self._pid)

    def cpu_s(self) -> float:
        """Return the CPU seconds since then."""
        return cpu_seconds(self._pid) - self._before


@dataclass(frozen=True, slots=True)
class Store:
    """A contender receives a workload by C-STORE.

    Attributes:
        label: name in the tables, that of the contender when empty.
        factory: storescu runs with Nagle's algorithm.
        waits: until the contender does nothing any more, before the clock starts.
    """

    contender: Contender
    workload: Workload
    sender: Literal["unparsed", "storescu"] = "unparsed"
    associations: int = 1
    label: str = ""
    factory: bool = False
    waits: bool = False

    @property
    def name(self) -> str:
        return self.label or self.contender.name

    @property
    def how(self) -> str:
        return f"{self.sender}, {self.associations} association{'s' if self.associations > 1 else ''}"

    def missing(self) -> str | None:
        return self.contender.missing()

    def expected_s(self) -> float:
        pace, count, megabytes = self.contender.pace, self.workload.count, self.workload.megabytes
        per_object = pace.object_ms + self.contender.copies * _CHECK_OBJECT_MS + (45 if self.factory else 0)
        checked = self.contender.copies * megabytes / _CHECK_MB_S
        started = pace.start_s + 1.5 + 0.01 * self.associations
        return started + count * per_object / 1000 + megabytes / pace.mb_s + checked

    def provide(self, scratch: Path) -> None:
        if isinstance(self.contender, Provides):
            self.contender.provide(scratch)

    def run(self, objects: Objects, scratch: Path) -> Run:
        with self.contender.run(scratch) as running:
            unparsed(self.contender, running, objects.files[:1], scratch / "warm-up.json", 1)
            _settled(self.contender, running, 1)
            if self.waits:
                _wait_until_quiet(running.pid)
            if isinstance(self.contender, Prepares):
                self.contender.prepare(running)
            meter = _Meter(running.pid)
            sent = self._send(objects, running, scratch, meter)
            _settled(self.contender, running, len(objects.files))
            done = time.perf_counter() - sent.start
            run = Run(
                sent.elapsed_s,
                max(done, sent.elapsed_s),
                meter.cpu_s(),
                peak_bytes(running.pid),
                len(objects.measured),
                sum(path.stat().st_size for path in objects.measured),
                latencies_ms=sent.latencies_ms,
            )
            _check(self.contender, running, objects, scratch)
        return run

    def _send(self, objects: Objects, running: Running, scratch: Path, meter: _Meter) -> Sent:
        if self.sender == "unparsed":
            index, count = scratch / "index.json", self.associations
            return unparsed(self.contender, running, objects.measured, index, count, meter.start)
        meter.start()
        return storescu(
            self.contender,
            running,
            objects.measured,
            self.associations,
            str(self.workload.transfer_syntax),
            factory=self.factory,
        )


@dataclass(frozen=True, slots=True)
class Idle:
    """A contender holds many associations that send nothing, then receives while they stay open."""

    contender: Contender
    workload: Workload
    associations: int
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.contender.name

    @property
    def how(self) -> str:
        return f"{self.associations} idle associations for {_IDLE_WINDOW_S:g} s"

    def missing(self) -> str | None:
        return self.contender.missing()

    def expected_s(self) -> float:
        return self.contender.pace.start_s + _IDLE_WINDOW_S + 3 + 0.02 * self.associations

    def provide(self, scratch: Path) -> None:
        pass

    def run(self, objects: Objects, scratch: Path) -> Run:
        with self.contender.run(scratch) as running:
            unparsed(self.contender, running, objects.files[:1], scratch / "warm-up.json", 1)
            _settled(self.contender, running, 1)
            memory = shared_bytes(running.pid)
            holder = self._hold(running)
            try:
                _wait_until_quiet(running.pid, share=1.0)
                before = cpu_seconds(running.pid)
                time.sleep(_IDLE_WINDOW_S)
                share = (cpu_seconds(running.pid) - before) / _IDLE_WINDOW_S
                added = shared_bytes(running.pid) - memory
                before = cpu_seconds(running.pid)
                sent = unparsed(self.contender, running, objects.measured, scratch / "index.json", 1)
                _settled(self.contender, running, len(objects.files))
                run = Run(
                    sent.elapsed_s,
                    time.perf_counter() - sent.start,
                    cpu_seconds(running.pid) - before,
                    peak_bytes(running.pid),
                    len(objects.measured),
                    sum(path.stat().st_size for path in objects.measured),
                    latencies_ms=sent.latencies_ms,
                    idle_core_share=share,
                    added_bytes=added,
                )
            finally:
                said, _ = holder.communicate("end\n", timeout=LIMIT_S)
            if said.split() != ["answered", str(self.associations)]:
                raise WrongOutput(f"{self.name}: idle associations are gone: {said}")
            _check(self.contender, running, objects, scratch)
        return run

    def _hold(self, running: Running) -> subprocess.Popen[str]:
        words = ["benchmarks.idle", str(running.port), self.contender.called, str(self.associations)]
        holder = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=ENVIRONMENT,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert holder.stdout is not None
        if (word := holder.stdout.readline()) != "ready\n":
            holder.kill()
            raise RuntimeError(f"{self.name}: {self.associations} associations: {word}")
        return holder


def _settled(contender: Contender, running: Running, objects: int) -> None:
    """Return when so many objects have come out of a contender."""
    if isinstance(contender, Settles):
        contender.settle(running)
    wanted = objects * contender.copies

    def all_there() -> bool:
        if isinstance(contender, Keeps):
            return contender.count(running) >= wanted
        return len(outputs(running.output)) >= wanted

    wait_until(all_there, f"{contender.name} wrote {wanted} objects", LIMIT_S)


def _check(contender: Contender, running: Running, objects: Objects, scratch: Path) -> None:
    folder = running.output
    if isinstance(contender, Keeps):
        folder = scratch / "collected"
        folder.mkdir()
        contender.collect(running, folder)
    else:
        _wait_until_written(folder)
    sent = objects.digests * contender.copies
    check(contender.name, sent, outputs(folder), deidentified=contender.deidentifies)


def _wait_until_written(folder: Path) -> None:
    """Return when no file grows any more: storescp writes under the final name."""

    def steady() -> bool:
        before = [path.stat().st_size for path in outputs(folder)]
        time.sleep(_STEADY_S)
        return before == [path.stat().st_size for path in outputs(folder)]

    wait_until(steady, "all files are written", LIMIT_S)


def _wait_until_quiet(pid: int, share: float = _QUIET_SHARE) -> None:
    """Return when a tree has taken almost no CPU time for a moment, as its start is over."""

    def quiet() -> bool:
        before = cpu_seconds(pid)
        time.sleep(_QUIET_S)
        return cpu_seconds(pid) - before <= share * _QUIET_S

    wait_until(quiet, "the start is over", LIMIT_S)
