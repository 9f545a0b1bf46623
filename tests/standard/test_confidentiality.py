"""Table E.1-1, compared with another transcription of it."""

from __future__ import annotations

import pytest

from deid_node.standard import confidentiality
from deid_node.standard.method_codes import method_codes
from deid_node.standard.safe_private import safe_private


def test_the_table_has_all_rows() -> None:
    assert len(confidentiality.rows()) == 657
    assert len(confidentiality.by_tag()) == 653
    assert [row.tag for _, _, row in confidentiality.by_mask()] == [
        "(60xx,3000)",
        "(60xx,4000)",
        "(50xx,xxxx)",
    ]


def test_the_basic_column_agrees_with_that_of_dicom_anonymizer() -> None:
    fields = pytest.importorskip("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    lists = {
        "D": fields.D_TAGS,
        "Z": fields.Z_TAGS,
        "X": fields.X_TAGS,
        "U": fields.U_TAGS,
        "Z/D": fields.Z_D_TAGS,
        "X/Z": fields.X_Z_TAGS,
        "X/D": fields.X_D_TAGS,
        "X/Z/D": fields.X_Z_D_TAGS,
        "X/Z/U*": fields.X_Z_U_STAR_TAGS,
    }
    theirs = {_tag(tag): code for code, tags in lists.items() for tag in tags}
    ours = {_tag_of_row(row): row.basic for row in confidentiality.rows()}

    in_common = theirs.keys() & ours.keys()

    assert len(in_common) == 655
    assert {tag: ours[tag] for tag in in_common} == {tag: theirs[tag] for tag in in_common}
    # Newer than their edition, and the row for all private attributes, which they do not list.
    assert sorted(ours.keys() - theirs.keys()) == ["(3004,007F)", "(gggg,eeee) where gggg is odd"]
    assert theirs.keys() - ours.keys() == set()


def _tag(tag: tuple[int, ...]) -> str:
    if len(tag) == 2:
        return f"({tag[0]:04X},{tag[1]:04X})"
    # (group, element, group mask, element mask), for the repeating groups.
    group, element, group_mask, element_mask = tag
    return f"({_masked(group, group_mask)},{_masked(element, element_mask)})"


def _masked(number: int, mask: int) -> str:
    digits = (12, 8, 4, 0)
    return "".join(f"{number >> at & 15:X}" if mask >> at & 15 == 15 else "x" for at in digits)


def _tag_of_row(row: confidentiality.Confidentiality) -> str:
    return row.tag


def test_safe_private_attributes_are_keyed_by_creator_and_element() -> None:
    row = safe_private()[0x0019, "SIEMENS MR HEADER", 0x0C]

    assert (row.vr, row.meaning) == ("IS", "B Value")
    assert len(safe_private()) == 479


def test_the_method_codes_are_those_of_cid_7050() -> None:
    assert len(method_codes()) == 13
    assert method_codes()["113100"].meaning == "Basic Application Confidentiality Profile"
