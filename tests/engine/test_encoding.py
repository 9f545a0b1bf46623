"""The forms of element headers (PS3.5 7.1): codes, padding, and what each transfer syntax uses."""

from __future__ import annotations

import pytest

from deid_node.engine.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    SHORT_VRS,
    Encoding,
    code_of,
    encoding_of,
    vr_in,
)
from deid_node.errors import Malformed
from tests.engine.encoded import BIG, EXPLICIT, IMPLICIT, UNDEFINED, Form

_PAIRS = pytest.mark.parametrize(
    ("encoding", "form"),
    [(EXPLICIT_LITTLE, EXPLICIT), (IMPLICIT_LITTLE, IMPLICIT), (EXPLICIT_BIG, BIG)],
    ids=["explicit", "implicit", "big-endian"],
)
_VRS = pytest.mark.parametrize("vr", sorted(SHORT_VRS | LONG_VRS))


@_PAIRS
@_VRS
@pytest.mark.parametrize("value", [b"", b"1", b"12"])
def test_an_element_is_written_with_its_padding(
    encoding: Encoding, form: Form, vr: str, value: bytes
) -> None:
    assert encoding.element(0x00081030, vr, value) == form.element(0x00081030, vr, value)


@_PAIRS
def test_items_and_sequences_are_written_in_both_forms(encoding: Encoding, form: Form) -> None:
    assert encoding.item(b"content!") == form.item(b"content!")
    assert encoding.item_start() + encoding.item_end == form.item(undefined=True)
    assert encoding.sequence_header(0x00081140, 8) == form.element(0x00081140, "SQ", length=8)
    assert encoding.sequence_header(0x00081140, UNDEFINED) + encoding.sequence_end == form.sequence(
        0x00081140, undefined=True
    )


@_VRS
@pytest.mark.parametrize("tag", [0, 0x00080005, 0x7FE00010, 0xFFFFFFFF])
def test_a_code_holds_tag_and_vr(tag: int, vr: str) -> None:
    code = code_of(tag, vr)

    assert code >> 16 == tag and vr_in(code) == vr


def test_codes_order_like_tags() -> None:
    assert code_of(0x00080018, "UI") < code_of(0x00080020, "DA") < code_of(0x00100010, "AE")


@pytest.mark.parametrize(
    ("transfer_syntax_uid", "encoding"),
    [
        ("1.2.840.10008.1.2", IMPLICIT_LITTLE),
        ("1.2.840.10008.1.2.1", EXPLICIT_LITTLE),
        ("1.2.840.10008.1.2.1.99", EXPLICIT_LITTLE),
        ("1.2.840.10008.1.2.2", EXPLICIT_BIG),
        ("1.2.840.10008.1.2.4.50", EXPLICIT_LITTLE),
        ("1.2.840.10008.1.2.4.203", EXPLICIT_LITTLE),
        ("1.2.840.10008.1.2.5", EXPLICIT_LITTLE),
    ],
)
def test_every_transfer_syntax_has_one_of_three_encodings(
    transfer_syntax_uid: str, encoding: Encoding
) -> None:
    assert encoding_of(transfer_syntax_uid) is encoding


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, EXPLICIT_BIG], ids=["little", "big"])
def test_bytes_of_a_value_that_are_read_as_a_tag_are_not_told(encoding: Encoding) -> None:
    with pytest.raises(Malformed) as caught:
        encoding.shape(b"DOE^JANE")

    assert caught.value.path == ""
    assert "4F44" not in str(caught.value) and "444F" not in str(caught.value)
