"""A process of ours does not hold what libraries would load for others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

_START = "from deid_node.lean import load_libraries; load_libraries()"
_EVERYTHING = "import deid_node.commands.app, deid_node.node.service, deid_node.settings.load"

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


def _said_by(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


@pytest.mark.parametrize("name", ["numpy", "rich", "pygments"])
def test_a_node_does_not_load(name: str) -> None:
    pytest.importorskip(name)

    said = _said_by(f"{_START}; {_EVERYTHING}; import sys; print({name!r} in sys.modules)")

    assert said == "False"


@pytest.mark.parametrize(
    "name", ["numpy", "rich", "pynetdicom", "structlog", "deid_node.spool", "deid_node.log"]
)
def test_de_identifying_files_does_not_load(name: str, tmp_path: Path) -> None:
    words = ["deidentify", "--workers", "1", "--key-file", str(tmp_path / "key"), str(CT), f"{tmp_path}/out/"]

    said = _said_by(
        f"import sys; from deid_node.cli import main; sys.argv = ['deid-node', *{words!r}]\n"
        f"print(main(), {name!r} in sys.modules)"
    )

    assert said.splitlines()[-1] == "0 False"


@pytest.mark.parametrize("name", ["numpy", "rich"])
def test_what_was_not_loaded_can_be_imported_by_a_plug_in(name: str) -> None:
    pytest.importorskip(name)

    said = _said_by(f"{_START}; import {name}; print({name}.__name__)")

    assert said == name


def test_what_is_loaded_already_stays() -> None:
    pytest.importorskip("rich")

    said = _said_by(f"import rich; {_START}; import sys; print(sys.modules['rich'] is rich)")

    assert said == "True"
