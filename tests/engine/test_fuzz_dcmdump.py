"""Mutants that the engine accepts: DCMTK's parser sees the same elements before and after.

A parser that reads an object otherwise than the engine would find elements that the engine never decided
about. What is seen before and not after was lost in silence; the procedure keeps everything.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from deid_node.engine.heading import heading_of
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.profile.procedure import Action
from tests.engine.encoded import SC, procedure, run
from tests.fuzzing import SECONDS, datasets, mutant, numbers
from tests.peers import require
from tests.peers import run as run_program
from tests.rewriting import pseudonyms

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180 + SECONDS)]

Place = tuple[int, str, str]
"""Depth, tag in eight hexadecimal digits, VR as dcmdump writes it."""

_KEEPING = Deidentifier(procedure(unlisted=Action.K), pseudonyms())
_FILE = re.compile(r"# dcmdump \(\d+/\d+\): (.*)")
_ELEMENT = re.compile(r"^( *)\(([0-9a-f]{4}),([0-9a-f]{4})\) (\w\w)")
_TOGETHER = 40
# Delimiters, which depend on how lengths are written, and the padding at the end of a dataset.
_NO_ELEMENTS = frozenset(("fffee00d", "fffee0dd", "fffcfffc"))


def _accepted() -> Iterator[tuple[int, str, bytes, bytes, str]]:
    """Yield number, name, mutant, result and transfer syntax of what the engine accepts."""
    for number in numbers(0.1):
        choose = random.Random(5_000_000 + number)
        name, seed, syntax = choose.choice(datasets())
        dataset = mutant(seed, choose)
        try:
            yield number, name, dataset, run(_KEEPING, dataset, transfer_syntax_uid=syntax), syntax
        except ObjectRefused:
            continue


def _trees(files: list[Path]) -> dict[str, list[Place]]:
    """Return what DCMTK sees in each file, by its name."""
    said = run_program(require("dcmdump"), "+F", "-M", "+L", "-q", *files)
    found: dict[str, list[Place]] = {}
    places: list[Place] = []
    for line in said.stdout.splitlines():
        if (file := _FILE.match(line)) is not None:
            places = found[Path(file[1]).name] = []
        elif (element := _ELEMENT.match(line)) is not None:
            places.append((len(element[1]) // 2, element[2] + element[3], element[4]))
    return found


def _decided(places: list[Place]) -> list[tuple[int, str]]:
    """Leave out what is dropped by design, whatever the procedure says."""
    return [
        (depth, tag)
        for depth, tag, vr in places
        if not tag.endswith("0000")  # group lengths
        and tag not in _NO_ELEMENTS
        and not (
            tag[:4] < "0008" or (tag[:4] == "fffe" and not depth)
        )  # command, file meta, directory groups
        and not _is_of_another_kind(tag, vr)
    ]


def _is_of_another_kind(tag: str, vr: str) -> bool:
    """Tell whether an element has another VR than its tag: what its value may be is then not kept always."""
    number = int(tag, 16)
    known = dictionary_VR(number) if dictionary_has_tag(number) else vr
    return vr not in known and vr.isupper()


def test_dcmtk_sees_in_the_result_what_it_saw_in_the_mutant(tmp_path: Path) -> None:
    accepted = _accepted()
    compared = 0
    while batch := list(islice(accepted, _TOGETHER)):
        files = []
        for number, _, before, after, syntax in batch:
            meta = heading_of(SC, "1.2.3", syntax).meta
            for kind, dataset in (("before", before), ("after", after)):
                files.append(tmp_path / f"{number}-{kind}")
                files[-1].write_bytes(meta + dataset)
        trees = _trees(files)
        for number, name, _, _, _ in batch:
            seen, kept = trees[f"{number}-before"], trees[f"{number}-after"]
            assert _decided(seen) == _decided(kept), (number, name)
            compared += bool(kept)
        for file in files:
            file.unlink()

    assert compared
