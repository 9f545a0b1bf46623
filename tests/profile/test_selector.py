"""Selectors: parsed once, printed back as written, ordered by how specific they are."""

from __future__ import annotations

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.layers import masks_of, matched
from deid_node.profile.selector import Kind, Selector
from deid_node.standard.dictionary import tag_of

PATIENT_NAME = 0x00100010


@pytest.mark.parametrize(
    "text", ["PatientName", "(0010,0010)", "0010,0010", "00100010", "( 0010,0010)".replace(" ", "")]
)
def test_a_tag_has_several_spellings(text: str) -> None:
    selector = Selector.parse(text)

    assert selector.last.tag == PATIENT_NAME
    assert selector.same_as == Selector.parse("PatientName").same_as
    assert str(selector) == text


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("60xx,3000", 0x60023000, 0x60003001),
        ("(60XX,3000)", 0x601E3000, 0x50003000),
        ("OverlayData", 0x60023000, 0x60003001),
        ("xxx1,xxxx", 0x00211010, 0x00201010),
        ("(0040,xxxx)", 0x0040A730, 0x00411001),
        ("group:0010", 0x00101010, 0x00121010),
    ],
)
def test_a_mask_matches_every_digit_it_leaves_open(text: str, inside: int, outside: int) -> None:
    step = Selector.parse(text).last

    ((mask, value),) = masks_of(step)
    assert step.kind is Kind.MASK
    assert inside & mask == value
    assert outside & mask != value


def test_a_repeating_group_is_even() -> None:
    ((mask, value),) = masks_of(Selector.parse("60xx,3000").last)

    assert 0x60013000 & mask != value


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        (".*Physician", ["ReferringPhysicianName", "PhysiciansOfRecord"], ["PatientName"]),
        (".*hysician", ["ReferringPhysicianName"], ["PatientName"]),
        ("hysician", [], ["ReferringPhysicianName"]),
        ("PatientName$", ["PatientName"], ["PatientNameX", "PatientBirthName"]),
    ],
)
def test_pf_v10_a_regular_expression_is_anchored_at_the_start(
    pattern: str, hits: list[str], misses: list[str]
) -> None:
    found = matched(Selector.parse(f"re:{pattern}").last)

    assert all(tag_of(keyword) in found for keyword in hits)
    assert not any(tag_of(keyword) in found for keyword in misses)


def test_a_regular_expression_reaches_repeating_groups() -> None:
    masks = masks_of(Selector.parse("re:OverlayData").last)

    assert any(0x60023000 & mask == value for mask, value in masks)


def test_a_private_element_has_group_creator_and_low_byte() -> None:
    for text in ("0019[GEMS_ACQU_01]xx23", "0019[GEMS_ACQU_01]23", "(0019,[GEMS_ACQU_01],xx23)"):
        assert Selector.parse(text).last.private == (0x0019, "GEMS_ACQU_01", 0x23)


def test_a_private_creator_may_have_dots_and_spaces() -> None:
    assert Selector.parse("0029[A.B. C 1.0]xx10").last.private == (0x0029, "A.B. C 1.0", 0x10)


def test_a_path_ends_in_any_selector() -> None:
    selector = Selector.parse("RequestAttributesSequence.(0040,0008).vr:PN")

    assert [step.tag for step in selector.path] == [0x00400275, 0x00400008]
    assert selector.last.vr == "PN"


def test_specificity_is_path_then_tag_mask_regex_vr() -> None:
    order = [
        "*",
        "vr:PN",
        "re:Patient.*",
        "xxx0,xxxx",
        "group:0010",
        "0010,001x",
        "PatientName",
        "ReferencedPatientSequence.*",
        "ReferencedPatientSequence.PatientName",
    ]

    ranks = [Selector.parse(text).specificity for text in order]

    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PatintName", "did you mean PatientName?"),
        ("PN", "a VR is written vr:PN"),
        ("DD", "no attribute of the dictionary"),
        ("(0040)", "is no selector"),
        ("vr:pn", "did you mean PN?"),
        ("vr:XX", "'XX' is no VR"),
        ("re:(", "not a regular expression"),
        ("re:C{99999999999}", "not a regular expression"),
        ("group:10", "four hexadecimal digits"),
        ("0018[ACME]xx01", "a private group is odd"),
        ("PatientName.PatientID", "PatientName is no sequence"),
        ("60xx,3000.PatientID", "is no selector"),
        ("RequestAttributesSequnce.PatientID", "did you mean RequestAttributesSequence?"),
        ("RequestAttributesSequence[0].PatientID", "is no selector"),
        ("", "is no selector"),
    ],
)
def test_a_wrong_selector_says_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        Selector.parse(text)

    assert says in str(caught.value)
