"""The trials over a folder of files: `deid-node deidentify` and the tools that people use instead.

Every program runs as one process on the same files. It is run on one small file first, three times; what that
took is its start-up, which is told beside the rest and is not part of it, as it is for receivers.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.check import check, outputs
from benchmarks.contenders import Pace
from benchmarks.line import Objects
from benchmarks.measure import Run, peak_bytes
from benchmarks.processes import ENVIRONMENT
from benchmarks.workloads import Workload

_LOOK_MS = 20
_STARTS = 3  # what is taken off must be known better than what is left
_ROOT = Path(__file__).resolve().parents[1]
# An installed program has its bytecode, and so have these after the first run.
_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that de-identifies a folder.

    Attributes:
        words: its command line with {in}, {out} and {state}.
        module: what has to be installed.
        deidentifies: whether it removes what the Basic Profile removes from these objects.
    """

    name: str
    words: tuple[str, ...]
    module: str
    pace: Pace
    deidentifies: bool = True


_DEIDENTIFY = ("-m", "deid_node", "deidentify", "--workers", "1", "--key-file", "{state}")
NODE = Tool("deid-node deidentify", (*_DEIDENTIFY, "{in}", "{out}"), "deid_node", Pace(1.5, 0.5, 1500))
NODE_WITH_RECORDS = Tool(
    "deid-node deidentify --json", (*_DEIDENTIFY, "--json", "{in}", "{out}"), "deid_node", Pace(1.5, 1.0, 500)
)
"""The same with a record of each object, for which input and result are hashed; no tool below has one."""
TOOLS = (
    Tool(
        "dicognito",
        ("-m", "dicognito", "--quiet", "--assume-burned-in-annotation", "never", "-o", "{out}", "{in}"),
        "dicognito",
        Pace(1.0, 20, 400),
    ),
    Tool(
        "dicom-anonymizer",
        ("-m", "dicomanonymizer.anonymizer", "{in}", "{out}"),
        "dicomanonymizer",
        Pace(1.0, 12, 400),
    ),
    Tool("deid", ("-m", "benchmarks.folder_tools", "deid", "{in}", "{out}"), "deid", Pace(1.5, 40, 400)),
    Tool(
        "grand-challenge-dicom-de-identifier",
        ("-m", "benchmarks.folder_tools", "grand-challenge", "{in}", "{out}"),
        "grand_challenge_dicom_de_identifier",
        Pace(1.0, 12, 400),
    ),
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A program de-identifies the files of a workload into another folder."""

    tool: Tool
    workload: Workload
    python: str = sys.executable

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def how(self) -> str:
        return "files of one folder, one process"

    def missing(self) -> str | None:
        installed = self.python != sys.executable or find_spec(self.tool.module) is not None
        return None if installed else f"{self.tool.module} (pip install '.[bench]')"

    def expected_s(self) -> float:
        pace = self.tool.pace
        work = self.workload.count * (pace.object_ms + 1) / 1000
        return (_STARTS + 1) * pace.start_s + work + self.workload.megabytes / pace.mb_s

    def provide(self, scratch: Path) -> None:
        pass

    def run(self, objects: Objects, scratch: Path) -> Run:
        starts = [self._work(objects.files[:1], scratch / f"first-{number}") for number in range(_STARTS)]
        start_s, start_cpu_s, _ = (median(figures) for figures in zip(*starts, strict=True))
        whole_s, whole_cpu_s, peak = self._work(objects.files, scratch / "all")
        written = outputs(scratch / "all" / "out")
        check(self.name, objects.digests, written, deidentified=self.tool.deidentifies)
        took = max(whole_s - start_s, 1e-3)
        return Run(
            took,
            took,
            max(whole_cpu_s - start_cpu_s, 1e-3),
            peak,
            len(objects.measured),
            sum(path.stat().st_size for path in objects.measured),
            start_s=start_s,
            start_cpu_s=start_cpu_s,
        )

    def _work(self, files: tuple[Path, ...], folder: Path) -> tuple[float, float, int]:
        """Run the program on copies; return seconds, CPU seconds and the peak of memory."""
        places = {name: folder / name for name in ("in", "out")} | {"state": folder.parent / "key"}
        for name in ("in", "out"):
            places[name].mkdir(parents=True)
        for path in files:
            shutil.copy(path, places["in"])
        words = [
            word.format(**{name: str(place) for name, place in places.items()}) for word in self.tool.words
        ]
        start = time.perf_counter()
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [self.python, *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=_ROOT,
                env=_ENVIRONMENT,
            )
            largest = _watched(process.pid)
            elapsed = time.perf_counter() - start
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{self.name}: {(folder / 'said').read_text(errors='replace')[-1500:]}")
        return elapsed, usage.ru_utime + usage.ru_stime, largest


def _watched(pid: int) -> int:
    """Wait for the end of a process and return the memory peak of its tree.

    Not ru_maxrss: that of a process begins with what the one had that started it.
    """
    largest = 0
    watch = select.poll()
    descriptor = os.pidfd_open(pid)
    try:
        watch.register(descriptor, select.POLLIN)
        while not watch.poll(_LOOK_MS):
            largest = max(largest, peak_bytes(pid))
    finally:
        os.close(descriptor)
    return largest
