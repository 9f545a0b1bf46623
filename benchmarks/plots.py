"""The page of figures for the documentation: `python -m benchmarks.plots RESULTS.json PAGE.md`.

Writes the page, and beside it one SVG for the comparison with peers and one for how the cost grows.
Everything in them comes from the JSON of one run; nothing is measured here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_HEAD = """<!-- Made by `python -m benchmarks.plots`; run the benchmark again instead of editing. -->
# Figures

The node and its peers, measured in turns in one run on one machine by `python -m benchmarks`; how, and
what each contender does, is said in [benchmarks/README.md](../../benchmarks/README.md). Values are medians
with the least and the most of all rounds. Ratios travel from machine to machine; MB/s do not.
"""
_LOGARITHMIC_FROM = 20


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _spread(spread: dict[str, float], digits: int = 2) -> str:
    return f"{spread['median']:.{digits}f} ({spread['least']:.{digits}f} to {spread['most']:.{digits}f})"


def page(results: dict[str, Any], peers: str, growth: str) -> str:
    """Return the page.

    Args:
        results: the JSON of a run.
        peers: name of the picture with the ratios to peers.
        growth: name of the picture with the costs.
    """
    keys = ("line", "what", "aim", "reached", "verdict")
    aims = _table(keys, ([row[key] or "-" for key in keys] for row in results["aims"]))
    compared = [line for line in results["lines"] if line["growth"] is None]
    grown = [line for line in results["lines"] if line["growth"] is not None]
    parts = [_HEAD, "## What was aimed at\n", aims, "## Against peers\n", f"![ratios]({peers})\n"]
    parts += [_compared(line) for line in compared]
    parts += ["## How the cost grows\n", f"![costs]({growth})\n", *(_grown(line) for line in grown)]
    parts += ["## The machine\n", _machine(results)]
    return "\n".join(parts)


def _compared(line: dict[str, Any]) -> str:
    head = ("", "MB/s", "objects/s", "ratio", "CPU-s/GB", "peak MB", "p50 / p95 / p99 ms")
    rows = []
    for trial in line["trials"]:
        per_object = sum(run["bytes"] for run in trial["runs"]) / sum(run["objects"] for run in trial["runs"])
        points = trial["latencies_ms"]
        ratio = line["ratios"].get(trial["name"])
        rows.append(
            (
                trial["name"],
                _spread(trial["mb_s"], 0),
                f"{trial['mb_s']['median'] * 1e6 / per_object:.0f}",
                _spread(ratio) if ratio else "1",
                f"{trial['cpu_s_per_gb']['median']:.2f}",
                f"{max(run['peak_bytes'] for run in trial['runs']) / 1e6:.0f}",
                " / ".join(f"{point:.1f}" for point in points) if points else "-",
            )
        )
    first = line["trials"][0]
    what = f"{first['objects']} objects of `{first['workload']}`, {first['how']}, {len(first['runs'])} rounds"
    skipped = "".join(f"\nNot measured: {text}.\n" for text in line["skipped"])
    return f"### {line['name']}\n\n{line['about']}; {what}.\n\n{_table(head, rows)}{skipped}"


def _grown(line: dict[str, Any]) -> str:
    growth = line["growth"]
    rows = [
        (trial["name"], _spread(cost, 1))
        for trial, cost in zip(line["trials"], growth["cost_us"], strict=True)
    ]
    table = _table(("", f"CPU microseconds per {growth['per']}"), rows)
    verdict = "; ".join(f"rise {row['reached']}, aim {row['aim']}: {row['verdict']}" for row in line["aims"])
    about = f"{line['about']}; {growth['shape']} when it does not rise"
    return f"### {line['name']}\n\n{about}. {verdict}.\n\n{table}"


def _machine(results: dict[str, Any]) -> str:
    facts = {**results["machine"], **results["run"]}
    return _table(("", ""), ((str(name), str(value)) for name, value in facts.items() if value != {}))


def draw_peers(results: dict[str, Any], path: Path) -> None:
    """Draw the ratio to every peer, with its spread, on a logarithmic axis."""
    from matplotlib.figure import Figure

    rows = [
        (f"{line['name']}: {peer}", ratio)
        for line in results["lines"]
        if line["growth"] is None
        for peer, ratio in line["ratios"].items()
    ][::-1]
    figure = Figure(figsize=(9, 0.24 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    for at, (_, ratio) in enumerate(rows):
        colour = "tab:blue" if ratio["median"] >= 1 else "tab:orange"
        axes.plot([ratio["least"], ratio["most"]], [at, at], color=colour, linewidth=1.5)
        axes.plot(ratio["median"], at, "o", color=colour, markersize=5)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axes.set_xlabel("times as fast as the peer: median, least and most")
    axes.grid(axis="x", which="both", alpha=0.3)
    _save(figure, path)


def draw_growth(results: dict[str, Any], path: Path) -> None:
    """Draw the cost of a unit over the size, one small picture for each line, from zero up."""
    from matplotlib.figure import Figure

    lines = [line for line in results["lines"] if line["growth"] is not None]
    columns = 3
    height = max(1, -(-len(lines) // columns))
    figure = Figure(figsize=(3.2 * columns, 2.6 * height), layout="constrained")
    all_axes = figure.subplots(height, columns, squeeze=False).flat
    for axes, line in zip(all_axes, lines, strict=False):
        growth = line["growth"]
        sizes, costs = growth["sizes"], growth["cost_us"]
        low, high = ([cost[key] for cost in costs] for key in ("least", "most"))
        axes.fill_between(sizes, low, high, alpha=0.2)
        axes.plot(sizes, [cost["median"] for cost in costs], "o-", markersize=4)
        if max(sizes) > _LOGARITHMIC_FROM:
            axes.set_xscale("symlog" if min(sizes) == 0 else "log")
        if max(high) > _LOGARITHMIC_FROM * min(low):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_title(line["name"].removeprefix("grow-"), fontsize=9)
        axes.set_ylabel(f"CPU us per {growth['per']}", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in all_axes:
        axes.set_axis_off()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "deid_node"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def main(results_file: Path, page_file: Path) -> None:
    """Write the page and its pictures."""
    results = json.loads(results_file.read_text())
    peers, growth = (page_file.with_name(f"{page_file.stem}-{name}.svg") for name in ("peers", "growth"))
    page_file.parent.mkdir(parents=True, exist_ok=True)
    draw_peers(results, peers)
    draw_growth(results, growth)
    page_file.write_text(page(results, peers.name, growth.name))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: python -m benchmarks.plots RESULTS.json PAGE.md\n\n{__doc__}")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
