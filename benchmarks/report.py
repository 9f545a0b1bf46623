"""Results as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Spread
from benchmarks.processes import find
from benchmarks.run import Result


def machine() -> dict[str, object]:
    """Return what the figures depend on: versions, cores, load."""
    found: dict[str, object] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }
    for package in ("deid-node", "pydicom", "pynetdicom"):
        found[package] = version(package)
    for name, option in (("storescp", "--version"), ("Orthanc", "--version")):
        program = find(name)
        if program is not None:
            said = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
            found[name] = said.strip().splitlines()[0] if said.strip() else "unknown"
    return found


def table(result: Result) -> str:
    """Return one line of the benchmark as a table."""
    line = result.line
    how = f"{line.sender}, {line.associations} association{'s' if line.associations > 1 else ''}"
    rows = [f"\n{line.name}: {line.about}", f"  {line.workload.count} objects of {line.workload.name}, {how}"]
    rows.append(f"  {'':24}{'MB/s':>22}{'objects/s':>11}{'CPU-s/GB':>10}{'peak MB':>9}{'p50/p95/p99 ms':>22}")
    for name, runs in result.runs.items():
        rate = Spread.of(run.bytes / 1e6 / line.seconds(run) for run in runs)
        objects = Spread.of(run.objects / line.seconds(run) for run in runs).median
        cpu = Spread.of(run.cpu_s / run.bytes * 1e9 for run in runs).median
        peak = max(run.peak_bytes for run in runs) / 1e6
        points = result.latencies_ms.get(name)
        took = "/".join(f"{point:.1f}" for point in points) if points else "-"
        rows.append(f"  {name:24}{rate.text(0):>22}{objects:>11.0f}{cpu:>10.2f}{peak:>9.0f}{took:>22}")
    rows += [f"  {text}" for text in verdicts(result)]
    rows += [f"  skipped: {text}" for text in result.skipped]
    return "\n".join(rows)


def verdicts(result: Result) -> list[str]:
    """Return each ratio with its aim."""
    line = result.line
    aims = dict(line.aims)
    subject = line.contenders[0].name
    found = []
    for name in list(result.runs)[1:]:
        ratio = result.ratio(name)
        aim = aims.get(name)
        against = "" if aim is None else f", aim >= {aim:g}: {'reached' if ratio.median >= aim else 'MISSED'}"
        found.append(f"{subject} is {ratio.text()} times {name}{against}")
    if line.peak_mb is not None:
        peak = max(run.peak_bytes for run in result.runs[subject]) / 1e6
        word = "reached" if peak <= line.peak_mb else "MISSED"
        found.append(f"{subject} peak memory {peak:.0f} MB, aim <= {line.peak_mb:g} MB: {word}")
    return found


def write_json(path: Path, results: list[Result], before: dict[str, object]) -> None:
    """Write everything that was measured."""
    content = {
        "machine": {**before, "load_after": os.getloadavg()},
        "lines": [
            {
                "name": result.line.name,
                "about": result.line.about,
                "workload": result.line.workload.name,
                "objects": result.line.workload.count,
                "sender": result.line.sender,
                "associations": result.line.associations,
                "runs": {name: [asdict(run) for run in runs] for name, runs in result.runs.items()},
                "latencies_ms": result.latencies_ms,
                "ratios": {name: asdict(result.ratio(name)) for name in list(result.runs)[1:]},
                "verdicts": verdicts(result),
                "skipped": result.skipped,
            }
            for result in results
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
