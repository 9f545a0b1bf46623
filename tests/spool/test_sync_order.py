"""The order of system calls for one object: everything is synced before it is acknowledged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import require

ROOT = Path(__file__).resolve().parents[2]
STEPS = re.compile(
    r"(?P<created>openat\(\d+, \"incoming/)|(?P<data>writev\()|(?P<synced>fdatasync\()|(?P<renamed>renameat)"
    r"|(?P<folder>fsync\()|(?P<row>pwrite64\()|(?P<answer>write\(1, \"acknowledged)"
)


@pytest.mark.peer
def test_file_name_and_row_are_synced_in_this_order_before_the_answer(tmp_path: Path) -> None:
    strace = require("strace")
    calls = "openat,writev,fdatasync,fsync,renameat,renameat2,pwrite64,write"
    tracing = (strace, "-f", "-o", tmp_path / "log", "-e", f"trace={calls}")
    traced = subprocess.run(
        [*tracing, sys.executable, "-m", "tests.spool.crashing", str(tmp_path), "store"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    if traced.returncode and b"ptrace" in traced.stderr.lower():
        pytest.skip("tracing is not permitted here")

    steps: list[str] = []
    answered = 0
    for line in (tmp_path / "log").read_text(errors="replace").splitlines():
        found = STEPS.search(line)
        step = found.lastgroup if found else None
        if step is not None and (steps or step == "created") and steps[-1:] != [step]:
            steps.append(step)
        if step == "answer":
            # a ledger commit is `row`s and one fdatasync of the log; a checkpoint may add more of both
            assert steps[:5] == ["created", "data", "synced", "renamed", "folder"], steps
            assert steps[5:8] == ["row", "synced", "answer"], steps
            steps = []
            answered += 1

    assert answered == 5
