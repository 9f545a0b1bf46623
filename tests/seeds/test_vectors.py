"""Every vector of the five tools has a test that is named after it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# DC-V20 counts the whole dictionary under one release of another tool: an oracle, not a target.
VECTORS = [
    *(("gc", number) for number in range(1, 19)),
    *(("dc", number) for number in range(1, 22) if number != 20),
    *(("ms", number) for number in range(1, 22)),
    *(("rp", number) for number in range(1, 15)),
    *(("pf", number) for number in range(1, 20)),
]


@cache
def tested() -> set[tuple[str, int]]:
    """Return the vectors that names of tests say: test_ms_v1_v2_..., test_ms_v13_to_v15_..."""
    found: set[tuple[str, int]] = set()
    for file in TESTS.rglob("test_*.py"):
        for name in re.findall(r"def test_(\w+)", file.read_text(encoding="utf-8")):
            tool = ""
            last = 0
            for word, number in re.findall(r"(?:^|_)(gc|dc|ms|rp|pf|to)?_?v(\d+)(?=_|$)", name):
                tool = word if word not in ("", "to") else tool
                first = last + 1 if word == "to" else int(number)
                found.update((tool, one) for one in range(first, int(number) + 1))
                last = int(number)
    return found


@pytest.mark.parametrize(("tool", "number"), VECTORS)
def test_a_vector_has_a_test(tool: str, number: int) -> None:
    assert (tool, number) in tested()
