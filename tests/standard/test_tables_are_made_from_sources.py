"""What the package carries is what the script makes of the sources, byte for byte."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "deid_node" / "standard" / "data"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    pytest.importorskip("highdicom")
    spec = importlib.util.spec_from_file_location("tables", REPOSITORY / "tools" / "make_standard_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.SOURCE.is_dir():
        pytest.skip("the transcription of the standard is not beside the repository")
    return module


def test_every_table_is_reproduced(maker: ModuleType) -> None:
    for name, make in maker.MAKERS.items():
        assert make(maker.SOURCE).encode() == (DATA / name).read_bytes(), name


def test_no_other_table_is_carried(maker: ModuleType) -> None:
    assert {path.name for path in DATA.iterdir()} == set(maker.MAKERS)


def test_every_table_names_its_edition_and_owner() -> None:
    for path in DATA.iterdir():
        first = path.read_text("utf-8").partition("\n")[0]
        assert first.startswith("# DICOM PS3.")
        assert "© NEMA" in first


def test_the_tables_are_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 2_000_000
