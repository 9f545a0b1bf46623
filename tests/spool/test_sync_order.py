"""The order of system calls for one object: everything is synced before it is acknowledged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deid_node.spool import Spool
from tests.peers import require
from tests.spool.objects import put

ROOT = Path(__file__).resolve().parents[2]
STEPS = re.compile(
    r"(?P<created>openat\(\d+, \"incoming/)|(?P<data>writev\()|(?P<synced>fdatasync\()|(?P<renamed>renameat)"
    r"|(?P<folder>fsync\()|(?P<row>pwrite64\()|(?P<answer>write\(1, \"acknowledged)"
)


PLACING = re.compile(
    r"(?P<created>openat\(\d+, \"\.incoming/)|(?P<data>sendfile\()|(?P<synced>f(data)?sync\()"
    r"|(?P<named>linkat\()|(?P<row>pwrite64\()|(?P<gone>unlinkat\(\d+, \"objects/)"
)


def traced(folder: Path, deed: str, calls: str) -> list[str]:
    """Return the system calls of a process that uses a spool."""
    strace = require("strace")
    done = subprocess.run(
        [
            *(strace, "-f", "-o", folder / "log", "-e", f"trace={calls}"),
            *(sys.executable, "-m", "tests.spool.crashing", str(folder), deed),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    if done.returncode and b"ptrace" in done.stderr.lower():
        pytest.skip("tracing is not permitted here")
    assert done.returncode == 0, done.stderr
    return (folder / "log").read_text(errors="replace").splitlines()


def steps_of(lines: list[str], kinds: re.Pattern[str], first: str) -> list[str]:
    """Return the kinds of the calls from the first of a kind on, equal ones in a row once."""
    steps: list[str] = []
    for line in lines:
        found = kinds.search(line)
        step = found.lastgroup if found else None
        if step is not None and (steps or step == first) and steps[-1:] != [step]:
            steps.append(step)
    return steps


@pytest.mark.peer
def test_file_name_and_row_are_synced_in_this_order_before_the_answer(tmp_path: Path) -> None:
    lines = traced(tmp_path, "store", "openat,writev,fdatasync,fsync,renameat,renameat2,pwrite64,write")

    steps = steps_of(lines, STEPS, "created")

    # a ledger commit is `row`s and one fdatasync of the log; a checkpoint may add more of both
    answers = [at for at, step in enumerate(steps) if step == "answer"]
    begins = [0, *(at + 1 for at in answers)]
    assert len(answers) == 5
    for begin in begins[:5]:
        assert steps[begin : begin + 5] == ["created", "data", "synced", "renamed", "folder"], steps
        assert steps[begin + 5 : begin + 8] == ["row", "synced", "answer"], steps


@pytest.mark.peer
def test_a_copy_in_a_folder_is_synced_before_it_has_its_name_and_the_name_before_its_row(
    tmp_path: Path,
) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    for number in range(4):
        put(spool, number)
    spool.close()

    lines = traced(
        tmp_path, "copy", "openat,sendfile,fsync,fdatasync,linkat,unlinkat,pwrite64,rename,renameat"
    )

    # Objects are claimed two at a time, and one sync of their folder serves both.
    steps = steps_of(lines, PLACING, "created")
    file = ["created", "data", "synced", "named"]
    assert steps[:10] == [*file, *file, "synced", "row"], steps
    assert steps.count("named") == 4
    assert "synced" in steps[10 : steps.index("gone")]  # the spool's file goes when its row says so


@pytest.mark.peer
def test_a_link_in_a_folder_is_synced_before_its_row(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    for number in range(4):
        put(spool, number)
    spool.close()

    lines = traced(tmp_path, "link", "openat,sendfile,fsync,fdatasync,linkat,unlinkat,pwrite64")

    steps = steps_of(lines, PLACING, "named")
    assert steps[:4] == ["named", "synced", "row", "synced"], steps
    assert "data" not in steps
