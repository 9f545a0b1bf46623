"""docs/reference/proofs.md names tests that exist, and says something of every point and fault."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROOFS = (ROOT / "docs/reference/proofs.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_as_a_proof_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROOFS)
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file()
        or not re.search(
            rf"^(def|class) {test}\b|^{test} = ", (ROOT / file).read_text(encoding="utf-8"), re.M
        )
    ]

    assert len(named) > 50
    assert missing == []


def is_there(file: Path, test: str) -> bool:
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return re.search(rf"^def {test}\b|^{test} = ", text, re.M) is not None


def test_every_point_and_fault_has_its_proof() -> None:
    points: set[int] = set()
    for first, joint, last in re.findall(r"^\| (\d+)(?:(, | to )(\d+))? \|", PROOFS, re.M):
        points.update(range(int(first), int(last) + 1) if joint else [int(first)])
    faults = {int(number) for number in re.findall(r"^\| D(\d+) \|", PROOFS, re.M)}

    assert points == set(range(1, 29))
    assert faults == set(range(1, 13))
