"""dciodvfy finds no error in an output that it did not find in the input, for the shipped profiles."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.profile.library import load, shipped
from tests.peers import require, run
from tests.rewriting import part10_of, pseudonyms, real_files, rewrite

pytestmark = pytest.mark.peer

_PROFILES = [name for name in ("basic", "research") if name in shipped()]
_LARGEST = 3_000_000


@cache
def _deidentifier(profile: str) -> Deidentifier:
    return Deidentifier(load(profile), pseudonyms())


@cache
def _errors(path: Path) -> frozenset[str]:
    """The errors of a file, without values: UIDs and dates differ in wording only."""
    said = run(require("dciodvfy"), path)
    lines = (line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error"))
    return frozenset(re.sub(r"<[^>]*>|'[^']*'|\[[^\]]*\]|(?<= )[0-9.]+", "", line) for line in lines)


@pytest.mark.parametrize("profile", _PROFILES)
@pytest.mark.parametrize("path", list(real_files()))
def test_no_new_error(path: Path, profile: str, tmp_path: Path) -> None:
    require("dciodvfy")
    if any("Object Not found" in line for line in _errors(path)):
        pytest.skip("dciodvfy cannot judge the input")
    content = path.read_bytes()
    if len(content) > _LARGEST:
        pytest.skip("too large for a routine check")
    try:
        result = rewrite(_deidentifier(profile), content, part10=part10_of(content))
    except ObjectRefused as refusal:
        pytest.skip(f"refused: {refusal.code}")
    out = tmp_path / "out.dcm"
    out.write_bytes(result.file)

    assert sorted(_errors(out) - _errors(path)) == []
