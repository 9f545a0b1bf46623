"""Results as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.line import Line, Result
from benchmarks.measure import Run, Spread
from benchmarks.processes import find
from deid_node import __version__

_PACKAGES = (
    *("pydicom", "pynetdicom", "numpy", "dicognito", "dicom-anonymizer", "deid"),
    "grand-challenge-dicom-de-identifier",
)
_NOT_OF_EACH_RUN = ("latencies_ms",)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: versions, cores, memory, load, whether the host name resolves."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found: dict[str, Any] = {
        "deid_node": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "host_name_resolves": _resolves(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for name in ("storescp", "Orthanc"):
        if (program := find(name)) is not None:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            found[name] = said.strip().splitlines()[0] if said.strip() else "unknown"
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _resolves() -> bool:
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return False
    return True


def table(result: Result) -> str:
    """Return one line of the benchmark as a table."""
    line = result.line
    width = max(len(name) for name in result.runs) + 2
    first = line.trials[0]
    rows = [
        f"\n{line.name}: {line.about}",
        f"  {first.workload.count} objects of {first.workload.name}, {first.how}",
    ]
    rows.append(
        f"  {'':{width}}{'MB/s':>20}{'objects/s':>11}{'CPU-s/GB':>10}{'CPU us/object':>15}{'peak MB':>9}"
        f"{'p50/p95/p99 ms':>24}"
    )
    for name, runs in result.runs.items():
        rate = Spread.of(run.bytes / 1e6 / line.seconds(run) for run in runs)
        objects = Spread.of(run.objects / line.seconds(run) for run in runs).median
        cpu = Spread.of(run.cpu_s / run.bytes * 1e9 for run in runs).median
        each = Spread.of(run.cpu_s / run.objects * 1e6 for run in runs).median
        points = result.latencies_ms(name)
        took = "/".join(f"{point:.1f}" for point in points) if points else "-"
        rows.append(
            f"  {name:{width}}{rate.text(0):>20}{objects:>11.0f}{cpu:>10.2f}{each:>15.0f}"
            f"{max(run.peak_bytes for run in runs) / 1e6:>9.0f}{took:>24}{_idle(runs)}{_start(runs)}"
        )
    rows += [f"  {text}" for text in (*_growth(result), *_ratios(result))]
    rows += [f"  skipped: {text}" for text in result.skipped]
    return "\n".join(rows)


def _idle(runs: list[Run]) -> str:
    if not any(run.added_bytes for run in runs):
        return ""
    share = Spread.of(run.idle_core_share * 100 for run in runs).text(1)
    return f"   idle: {share} % of a core, {Spread.of(run.added_bytes / 1e6 for run in runs).text(0)} MB more"


def _start(runs: list[Run]) -> str:
    if not any(run.start_cpu_s for run in runs):
        return ""
    return f"   start-up: {Spread.of(run.start_cpu_s for run in runs).text()} CPU s"


def _growth(result: Result) -> list[str]:
    growth = result.line.growth
    if growth is None:
        return []
    costs = ", ".join(f"{name}: {cost.text(1)}" for name, cost in result.costs_us().items())
    return [f"CPU us per {growth.per} ({growth.shape} when it does not rise): {costs}"]


def _ratios(result: Result) -> list[str]:
    found = []
    if result.line.growth is None:
        found = [
            f"{result.subject} is {result.ratio(name).text()} times as fast as {name}"
            for name in list(result.runs)[1:]
        ]
    for row in aims(result):
        found.append(f"aim {row['what']} {row['aim']}: {row['reached'] or '-'}, {row['verdict'].upper()}")
    return found


def aims(result: Result) -> list[dict[str, str]]:
    """Return what a line aims at, what it reached, and the verdict."""
    found = []
    for aim in result.line.aims:
        reached = aim.figure(result)
        found.append(
            {
                "line": result.line.name,
                "what": aim.what,
                "aim": aim.text(),
                "reached": "" if reached is None else reached.text() + aim.unit,
                "verdict": aim.verdict(reached),
            }
        )
    return found


def summary(results: list[Result]) -> str:
    """Return the table of aims of all lines that were run."""
    rows = [row for result in results for row in aims(result)]
    if not rows:
        return ""
    head = {"line": "line", "what": "what", "aim": "aim", "reached": "reached", "verdict": "verdict"}
    widths = {key: max(len(row[key]) for row in (head, *rows)) + 2 for key in head}
    texts = ("".join(f"{row[key]:{widths[key]}}" for key in head).rstrip() for row in (head, *rows))
    return "\n" + "\n".join(texts)


def content(results: list[Result], before: dict[str, Any], how: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured, for JSON."""
    return {
        "machine": {**before, "load_after": [round(load, 2) for load in os.getloadavg()]},
        "run": how,
        "aims": [row for result in results for row in aims(result)],
        "lines": [_line(result) for result in results],
    }


def _line(result: Result) -> dict[str, Any]:
    line: Line = result.line
    growth = line.growth
    costs = result.costs_us() if growth is not None else {}
    return {
        "name": line.name,
        "about": line.about,
        "clock": line.clock,
        "disk": line.disk,
        "trials": [
            {
                "name": trial.name,
                "workload": trial.workload.name,
                "objects": trial.workload.count,
                "how": trial.how,
                "latencies_ms": result.latencies_ms(trial.name),
                "mb_s": asdict(Spread.of(r.bytes / 1e6 / line.seconds(r) for r in result.runs[trial.name])),
                "cpu_s_per_gb": asdict(Spread.of(r.cpu_s / r.bytes * 1e9 for r in result.runs[trial.name])),
                "runs": [
                    {key: value for key, value in asdict(run).items() if key not in _NOT_OF_EACH_RUN}
                    for run in result.runs[trial.name]
                ],
            }
            for trial in line.trials
            if trial.name in result.runs
        ],
        "ratios": {}
        if growth is not None
        else {name: asdict(result.ratio(name)) for name in list(result.runs)[1:]},
        "growth": None
        if growth is None
        else {
            "what": growth.what,
            "per": growth.per,
            "shape": growth.shape,
            "sizes": growth.sizes,
            "cost_us": [asdict(cost) for cost in costs.values()],
        },
        "aims": aims(result),
        "skipped": result.skipped,
    }


def write_json(path: Path, results: list[Result], before: dict[str, Any], how: dict[str, Any]) -> None:
    """Write everything that was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(results, before, how), indent=1) + "\n")
