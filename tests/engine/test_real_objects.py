"""Over real objects: numbers, terms and codes come out unchanged, UIDs as a consistent mapping.

A second pass over an output finds nothing more to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.profile.basic_own_rows import own_rows
from deid_node.profile.library import load
from deid_node.standard import confidentiality
from deid_node.standard.dictionary import attribute
from tests.rewriting import CORPUS, part10_of, pseudonyms, real_files, rewrite

PROFILES = ["basic", "research"]
_UNTOUCHED = frozenset("AS CS DS IS US SS UL SL FL FD AT".split())
# Groups of de-identification itself, of directories, and what goes as a whole.
_GROUPS_OF_THEIR_OWN = frozenset((0x0002, 0x0004, 0x0012))
_STAMPED = frozenset(("LongitudinalTemporalInformationModified",))
_PSEUDONYMS = frozenset(("PatientName", "PatientID", "DeidentificationMethod"))
_GUARDED = "a known identifier was removed from a kept attribute"


@cache
def _deidentifier(profile: str) -> Deidentifier:
    return Deidentifier(load(profile), pseudonyms())


def _pair(path: Path, profile: str) -> tuple[Dataset, Dataset, bytes, tuple[str, ...]]:
    """Return an object and what becomes of it; skip what is refused or cannot be read by pydicom."""
    content = path.read_bytes()
    try:
        result = rewrite(_deidentifier(profile), content, part10=part10_of(content))
        before = pydicom.dcmread(BytesIO(content), force=True)
    except ObjectRefused as refusal:
        pytest.skip(f"refused: {refusal.code}")
    except (InvalidDicomError, ValueError, AttributeError, EOFError, NotImplementedError, TypeError):
        pytest.skip("pydicom cannot read it")
    return before, pydicom.dcmread(BytesIO(result.file)), result.file, result.summary.warnings


def _both(
    before: Dataset, after: Dataset, path: str = ""
) -> Iterator[tuple[str, DataElement, DataElement | None]]:
    """Yield the elements of an object that an option or Table E.1-1 does not speak of, with their results."""
    for tag in tuple(before.keys()):
        if (
            tag.group in _GROUPS_OF_THEIR_OWN
            or tag.group & 1
            or not tag.element
            or tag.group >> 8 in (0x50, 0x60)
        ):
            continue
        known = attribute(int(tag))
        if known is None or int(tag) in confidentiality.by_tag() or int(tag) in own_rows():
            continue
        try:
            elem = before[tag]
        except (ValueError, TypeError, NotImplementedError, AttributeError):
            continue
        result = after.get(tag)
        place = f"{path}{elem.keyword}"
        if elem.VR == "SQ" and result is not None:
            for number, (one, other) in enumerate(zip(elem.value, result.value, strict=True)):
                yield from _both(one, other, f"{place}[{number}].")
        elif elem.VR in known.vrs:
            yield place, elem, result


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", list(real_files()))
def test_numbers_terms_and_uids_of_real_objects_survive(path: Path, profile: str) -> None:
    before, after, file, warnings = _pair(path, profile)

    lost = [
        place
        for place, elem, result in _both(before, after)
        if elem.VR in _UNTOUCHED and elem.keyword not in _STAMPED and not _equal(elem, result)
    ]

    assert lost == [] or _GUARDED in warnings
    _check_second_pass(after, file, profile)


def _equal(elem: DataElement, result: DataElement | None) -> bool:
    return elem.is_empty or (result is not None and str(elem.value).strip() == str(result.value).strip())


def _check_second_pass(first: Dataset, file: bytes, profile: str) -> None:
    second = pydicom.dcmread(BytesIO(rewrite(_deidentifier(profile), file).file))

    assert first.keys() == second.keys()
    assert {
        elem.keyword
        for elem in first
        if elem.VR not in ("UI", "DA", "DT", "SQ") and elem.value != second[elem.tag].value
    } <= _PSEUDONYMS


def test_every_uid_of_all_real_objects_has_one_new_uid_and_no_two_share_one() -> None:
    mapping: dict[str, set[str]] = {}
    for parameter in real_files():
        path = parameter.values[0]  # type: ignore[attr-defined]
        content = path.read_bytes()
        try:
            result = rewrite(_deidentifier("basic"), content)
            before, after = (
                pydicom.dcmread(BytesIO(content), force=True),
                pydicom.dcmread(BytesIO(result.file)),
            )
            for old, new in _uids(before, after):
                if old != new:  # names a class, not an object
                    mapping.setdefault(old, set()).add(new)
        except (ObjectRefused, InvalidDicomError, ValueError, AttributeError, EOFError, NotImplementedError):
            continue

    assert len(mapping) > (500 if CORPUS.exists() else 200)
    assert [old for old, new in mapping.items() if len(new) > 1] == []
    assert len({uid for new in mapping.values() for uid in new}) == len(mapping)


def _uids(before: Dataset, after: Dataset) -> Iterator[tuple[str, str]]:
    for tag in tuple(before.keys()):
        if tag.group & 1 or tag not in after or tag.group in _GROUPS_OF_THEIR_OWN:
            continue
        elem, result = before[tag], after[tag]
        if elem.VR == "SQ":
            for one, other in zip(elem.value, result.value, strict=True):
                yield from _uids(one, other)
        elif elem.VR == "UI" and elem.value:
            old = [elem.value] if isinstance(elem.value, str) else list(elem.value)
            new = [result.value] if isinstance(result.value, str) else list(result.value)
            yield from zip(map(str, old), map(str, new), strict=True)
