"""Whole files: pieces leave no trace, equal input gives equal output, a second pass adds nothing."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ObjectRefused
from deid_node.node.part10 import NotDicom, read_part10
from deid_node.profile.basic import basic_procedure
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Procedure
from tests.engine.encoded import procedure, run_with_summary
from tests.oracle import differences, tree_of
from tests.rewriting import part10_of, pseudonyms, rewrite
from tests.wheel import wheel_files

_LARGEST = 150_000
_PIECES = (None, 1000, 64, 7, 3, 2, 1)
_TINY = Limits(window_bytes=256)
_STAMPS = (0x00120062, 0x00120063, 0x00120064, 0x00280303)


@cache
def _procedures() -> dict[str, Procedure]:
    modified = frozenset(
        {Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED, Option.RETAIN_SAFE_PRIVATE}
    )
    return {
        "basic": basic_procedure(),
        "options": basic_procedure(modified),
        "keep": procedure(
            {0x00100010: Action.Z, 0x00100020: Action.D}, unlisted=Action.K, identity_removed=True
        ),
    }


def _files(largest: int = _LARGEST, every: int = 2) -> list[object]:
    """Return files of the pydicom wheel, every so many-th of those that are small enough."""
    found = []
    for path in wheel_files("*.dcm"):
        if path.stat().st_size <= largest:
            try:
                with path.open("rb") as stream:
                    read_part10(stream)
            except (NotDicom, ObjectRefused):
                continue
            found.append(pytest.param(path, id=path.name))
    return found[::every]


def _outcome(
    deidentifier: Deidentifier, dataset: bytes, transfer_syntax_uid: str, piece_bytes: int | None
) -> object:
    try:
        output, summary = run_with_summary(
            deidentifier, dataset, piece_bytes=piece_bytes, transfer_syntax_uid=transfer_syntax_uid
        )
    except ObjectRefused as refusal:
        return type(refusal)
    return output, summary


@pytest.mark.parametrize("path", _files(60_000, every=1))
def test_the_pieces_leave_no_trace(path: Path) -> None:
    content = path.read_bytes()
    part10 = part10_of(content)
    dataset = content[part10.offset :]

    for limits in (_TINY, Limits()):
        deidentifier = Deidentifier(_procedures()["keep"], pseudonyms(), limits=limits)
        first, *others = [
            _outcome(deidentifier, dataset, part10.transfer_syntax_uid, piece_bytes)
            for piece_bytes in _PIECES[: 7 if len(dataset) < 8000 else 4]
        ]

        assert all(other == first for other in others)


@pytest.mark.parametrize("path", _files())
@pytest.mark.parametrize("name", ["basic", "options", "keep"])
def test_the_same_input_gives_the_same_output(path: Path, name: str) -> None:
    content = path.read_bytes()
    part10 = part10_of(content)
    dataset = content[part10.offset :]
    shared = Deidentifier(_procedures()[name], pseudonyms())

    first, again = (_outcome(shared, dataset, part10.transfer_syntax_uid, None) for _ in range(2))
    fresh = _outcome(
        Deidentifier(_procedures()[name], pseudonyms()), dataset, part10.transfer_syntax_uid, 1000
    )

    assert first == again == fresh


@pytest.mark.parametrize("path", _files())
def test_a_window_of_any_size_gives_an_equal_dataset(path: Path) -> None:

    content = path.read_bytes()
    trees = []
    for limits in (_TINY, Limits(window_bytes=4000), Limits()):
        try:
            result = rewrite(Deidentifier(_procedures()["keep"], pseudonyms(), limits=limits), content)
        except ObjectRefused as refusal:
            trees.append(type(refusal))
            continue

        trees.append(tree_of(pydicom.dcmread(BytesIO(result.file))))

    if isinstance(trees[0], type):
        assert trees[0] is trees[1] is trees[2]
    else:
        assert not differences(trees[2], trees[0]) and not differences(trees[2], trees[1])


@pytest.mark.parametrize("path", _files())
@pytest.mark.parametrize("name", ["keep", "basic"])
def test_a_second_pass_changes_nothing_but_the_stamps_and_the_uids(path: Path, name: str) -> None:
    content = path.read_bytes()
    deidentifier = Deidentifier(_procedures()[name], pseudonyms())
    try:
        once = rewrite(deidentifier, content)
    except ObjectRefused as refusal:
        pytest.skip(f"refused: {refusal.reason}")

    twice = rewrite(deidentifier, once.file)

    first, second = (tree_of(pydicom.dcmread(BytesIO(one.file))) for one in (once, twice))
    for tree in (first, second):
        for tag in _STAMPS:
            tree.pop(tag, None)
    found = differences(first, second)
    assert not [place for place in found if not place.endswith(("UI other value", "UN other value"))]
    assert name == "basic" or not found
