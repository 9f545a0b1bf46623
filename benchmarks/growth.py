"""How the cost grows: the node alone, with more of one thing. Each line should be flat or linear.

CPU time of the node per object, per MB, per element or per delivery; a busy machine hardly moves it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmarks.aims import no_growth
from benchmarks.contenders import Node
from benchmarks.end_to_end import NodeForward
from benchmarks.history import NodeWithHistory
from benchmarks.line import Growth, Line, Trial
from benchmarks.trials import Store
from benchmarks.workloads import ELEMENTS, SIZES_MB, WORKLOADS, of_size, with_elements

_ASSOCIATIONS = (1, 2, 4, 8, 16, 32, 64)
_DESTINATIONS = (1, 4, 16)
_ROWS = (0, 1_000_000, 5_000_000)
_FILES = (0, 10_000, 100_000)
_PART = 0.43  # three rounds of seven
_LIMIT = 1.5
_LEDGER_LIMIT = 1.2


def _line(
    name: str,
    about: str,
    trials: tuple[Trial, ...],
    sizes: tuple[float, ...],
    per: Literal["object", "MB", "element", "delivery"],
    *,
    limit: float = _LIMIT,
    disk: bool = False,
) -> Line:
    growth = Growth(name.removeprefix("grow-"), sizes, per)
    return Line(name, about, trials, (no_growth(limit),), disk=disk, growth=growth, part=_PART)


def growth_lines(node: Node, scale: float, cache: Path) -> list[Line]:
    """Return the lines about growth."""
    ct, mr = WORKLOADS["ct"].scaled(scale), WORKLOADS["mr"].scaled(scale)

    def headers(*, nested: bool) -> tuple[Trial, ...]:
        return tuple(
            Store(node, with_elements(count, nested=nested).scaled(scale), label=f"{count} elements")
            for count in ELEMENTS
        )

    def forward(count: int) -> Trial:
        contender = NodeForward(copies=count, durable=False, python=node.python)
        return Store(contender, ct.scaled(0.15), label=f"{count} destination{'s' if count > 1 else ''}")

    def history(rows: int) -> Trial:
        contender = NodeWithHistory(python=node.python, rows=rows, cache=cache)
        return Store(contender, mr, label=f"{rows} objects in the ledger", waits=True)

    return [
        _line(
            "grow-associations",
            "more associations at once, the same objects",
            tuple(Store(node, mr, associations=count, label=f"{count} at once") for count in _ASSOCIATIONS),
            _ASSOCIATIONS,
            "object",
        ),
        _line(
            "grow-size",
            "larger objects",
            tuple(Store(node, of_size(size).scaled(scale), label=f"{size:g} MB") for size in SIZES_MB),
            SIZES_MB,
            "MB",
        ),
        _line("grow-nested", "longer headers, nested items", headers(nested=True), ELEMENTS, "element"),
        _line("grow-private", "longer headers, private elements", headers(nested=False), ELEMENTS, "element"),
        _line(
            "grow-destinations",
            "more downstream AEs, each of which gets everything",
            tuple(forward(count) for count in _DESTINATIONS),
            _DESTINATIONS,
            "delivery",
        ),
        _line(
            "grow-ledger",
            "a longer history in the ledger",
            tuple(history(rows) for rows in _ROWS),
            _ROWS,
            "object",
            limit=_LEDGER_LIMIT,
            disk=True,
        ),
        _line(
            "grow-files",
            "more files in one folder of the folder store",
            tuple(
                Store(replace(node, files_before=count), mr, label=f"{count} files before")
                for count in _FILES
            ),
            _FILES,
            "object",
        ),
    ]
