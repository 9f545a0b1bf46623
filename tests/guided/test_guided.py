"""Inputs that reach something new break nothing: each target for a share of DEID_NODE_FUZZ_SECONDS.

`python -m tests.guided TARGET --seconds 3600` is the whole test of one target.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing import SECONDS
from tests.guided.targets import TARGETS
from tests.peers import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
EACH_S = max(2, round(SECONDS * 0.15))


@pytest.mark.timeout(120 + EACH_S)
@pytest.mark.parametrize("target", TARGETS)
def test_inputs_that_reach_something_new_break_nothing(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if os.environ.get("CI"):
            pytest.fail("atheris is not installed", pytrace=False)
        pytest.skip("atheris is not installed")
    command = ("-m", "tests.guided", target, "--seconds", str(EACH_S), "--corpus", tmp_path / "corpus")

    ended = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=100 + EACH_S,
        cwd=ROOT,
        env=ENVIRONMENT,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr[-4000:]
    assert not list((tmp_path / "corpus").glob("found-*"))
    executed = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
    assert executed is not None
    assert int(executed[1]) > len(list(TARGETS[target].seeds()))
