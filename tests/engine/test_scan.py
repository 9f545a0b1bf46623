"""The structure of a dataset: where elements lie, what is missing, what is malformed, what is too much."""

from __future__ import annotations

import pytest

from deid_node.engine.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    ODD,
    Encoding,
    vr_in,
)
from deid_node.engine.scan import Budget, Level, Limits, scan
from deid_node.errors import LimitExceeded, Malformed
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, UNDEFINED, Form

_ENCODINGS = {EXPLICIT: EXPLICIT_LITTLE, IMPLICIT: IMPLICIT_LITTLE, BIG: EXPLICIT_BIG}
_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


def scanned(
    form: Form, content: bytes, *, end: int | None = None, limits: Limits | None = None, after: int = -1
) -> Level:
    """Return the level that stands in some bytes."""
    length = len(content) if end is None else end
    return scan(content, 0, length, _ENCODINGS[form], Budget(limits or Limits()), 0, after)


@_PER_FORM
def test_every_element_has_its_place(form: Form) -> None:
    parts = (
        form.element(0x00080005, "CS", b"ISO_IR 100"),
        form.sequence(0x00081140, form.item(), undefined=True),
        form.element(0x00204000, "LT"),
        form.element(0x7FE00010, "OW", bytes(10)),
    )

    level = scanned(form, b"".join(parts))

    assert [(code >> 16, vr_in(code)) for code, *_ in level.elements] == [
        (0x00080005, "CS"), (0x00081140, "SQ"), (0x00204000, "LT"), (0x7FE00010, "OW")
    ]  # fmt: skip
    position = 0
    for part, (_, start, value, end) in zip(parts, level.elements, strict=True):
        assert (start, end) == (position, position + len(part)) and start < value <= end
        position = end
    assert level.position == position and not level.stop and level.missing is None


@_PER_FORM
@pytest.mark.parametrize(("value", "odd"), [(b"1", True), (b"12", False), (b"", False)])
def test_an_odd_length_is_marked(form: Form, value: bytes, odd: bool) -> None:
    before, after = form.element(0x00080005, "CS", b"ab"), form.element(0x00204001, "LT", b"ab")

    level = scanned(form, before + form.element(0x00204000, "LT", value, length=len(value)) + after)

    assert [bool(code & ODD) for code, *_ in level.elements] == [False, odd, False]
    assert [vr_in(code) for code, *_ in level.elements][:2] == ["CS", "LT"]


@_PER_FORM
def test_what_is_missing_is_described(form: Form) -> None:
    first, second = form.element(0x00080005, "CS", b"ab"), form.element(0x00204000, "LT", b"x" * 100)
    whole = first + second
    head = len(second) - 100

    for length in range(len(first), len(whole)):
        level = scanned(form, whole[:length])

        assert len(level.elements) == 1 and level.position == len(first)
        missing = level.missing
        if length == len(first):
            assert missing is None
        elif length < len(first) + head:
            assert missing is not None and missing.code == 0 and missing.start == len(first)
        else:
            assert missing is not None and missing.code >> 16 == 0x00204000
            assert (missing.start, missing.value, missing.end) == (len(first), len(first) + head, len(whole))


@_PER_FORM
def test_a_sequence_of_undefined_length_is_missing_until_its_end(form: Form) -> None:
    inner = form.sequence(
        0x00082112, form.item(form.element(0x00204000, "LT", b"ab"), undefined=True), undefined=True
    )
    whole = form.sequence(0x00081140, form.item(inner, undefined=True), form.item(inner), undefined=True)

    for length in range(1, len(whole)):
        assert scanned(form, whole[:length]).missing is not None

    assert scanned(form, whole).missing is None


@_PER_FORM
def test_a_level_ends_at_a_delimiter(form: Form) -> None:
    element, end = form.element(0x00204000, "LT", b"ab"), form.tag(ITEM_END) + form.long(0)

    level = scanned(form, element + end + element)

    assert level.stop == ITEM_END and level.position == len(element) and len(level.elements) == 1


@_PER_FORM
def test_a_delimiter_that_is_cut_off_is_missing(form: Form) -> None:
    element, end = form.element(0x00204000, "LT", b"ab"), form.tag(ITEM_END) + form.long(0)

    for length in range(1, 8):
        level = scanned(form, element + end + bytes(20), end=len(element) + length)

        assert level.missing is not None and not level.stop


@_PER_FORM
def test_reading_goes_on_behind_what_was_read_before(form: Form) -> None:
    first, second = form.element(0x00080005, "CS", b"ab"), form.element(0x00204000, "LT", b"ab")
    after = scanned(form, first).elements[-1][0] | 0xFFFF

    assert len(scanned(form, second, after=after).elements) == 1
    with pytest.raises(Malformed, match="twice"):
        scanned(form, first, after=after)


@_PER_FORM
@pytest.mark.parametrize(
    ("tags", "word"), [((0x00204000, 0x00204000), "twice"), ((0x00204000, 0x00080005), "out of order")]
)
def test_elements_stand_in_ascending_order_and_once(form: Form, tags: tuple[int, int], word: str) -> None:
    for undefined in (False, True):
        second = (
            form.sequence(tags[1], form.item(), undefined=undefined)
            if undefined
            else form.element(tags[1], "LT")
        )
        second = second if form is not IMPLICIT or not undefined else form.element(tags[1], "LT")
        with pytest.raises(Malformed, match=word):
            scanned(form, form.element(tags[0], "LT", b"ab") + second)


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
@pytest.mark.parametrize("vr", [b"??", b"\0\0", b"lo", b"XX", b"ZZ", b"  ", b"L\0", b"\xff\xff"])
def test_a_vr_that_is_none_is_malformed(form: Form, vr: bytes) -> None:
    with pytest.raises(Malformed, match="not a VR"):
        scanned(form, form.tag(0x00204000) + vr + bytes(10))


@_PER_FORM
@pytest.mark.parametrize("tag", [0xFFFE0000, 0xFFFEE001, 0xFFFEFFFF])
def test_group_fffe_has_three_tags(form: Form, tag: int) -> None:
    with pytest.raises(Malformed, match="FFFE"):
        scanned(form, form.tag(tag) + form.long(0))


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
@pytest.mark.parametrize("vr", ["OB", "OW", "UT", "UC", "OV"])
def test_only_sequences_and_pixel_data_have_undefined_length(form: Form, vr: str) -> None:
    end = form.tag(0xFFFEE0DD) + form.long(0)

    with pytest.raises(Malformed, match="undefined length"):
        scanned(form, form.element(0x00204000, vr, end, length=UNDEFINED))
    assert scanned(form, form.element(0x7FE00010, "OB", end, length=UNDEFINED)).missing is None


@_PER_FORM
def test_a_sequence_holds_items_only(form: Form) -> None:
    for wrong in (form.element(0x00204000, "LT", b"ab"), form.tag(ITEM_END) + form.long(0)):
        end = form.tag(0xFFFEE0DD) + form.long(0)
        with pytest.raises(Malformed, match="no item"):
            scanned(form, form.element(0x00081140, "SQ", wrong + end, length=UNDEFINED))


@_PER_FORM
def test_an_item_does_not_end_with_the_delimiter_of_its_sequence(form: Form) -> None:
    end = form.tag(0xFFFEE0DD) + form.long(0)
    item = form.tag(ITEM) + form.long(UNDEFINED)

    with pytest.raises(Malformed, match="without its delimiter"):
        scanned(form, form.element(0x00081140, "SQ", item + end + end, length=UNDEFINED))


@_PER_FORM
@pytest.mark.parametrize("depth", [1, 31, 32, 33, 200, 3000])
def test_sequences_nest_as_deep_as_the_limit(form: Form, depth: int) -> None:
    opening = form.element(0x00081140, "SQ", length=UNDEFINED) + form.tag(ITEM) + form.long(UNDEFINED)
    closing = form.tag(ITEM_END) + form.long(0) + form.tag(0xFFFEE0DD) + form.long(0)
    content = opening * depth + closing * depth

    if depth <= 32:
        assert scanned(form, content).missing is None
    else:
        with pytest.raises(LimitExceeded, match="nested deeper than 32"):
            scanned(form, content)


@_PER_FORM
def test_elements_and_items_are_counted(form: Form) -> None:
    content = b"".join(form.element(0x00204000 + number, "LT") for number in range(11))

    assert len(scanned(form, content, limits=Limits(elements=11)).elements) == 11
    with pytest.raises(LimitExceeded):
        scanned(form, content, limits=Limits(elements=10))


@_PER_FORM
def test_one_level_has_no_more_elements_than_a_level_may(form: Form) -> None:
    content = b"".join(form.element(number << 16 | 0x4000, "LT") for number in range(8, 1008))

    with pytest.raises(LimitExceeded):
        scanned(form, content, limits=Limits(level_elements=999))
    assert len(scanned(form, content, limits=Limits(level_elements=1000)).elements) == 1000


def test_any_bytes_are_read_or_refused() -> None:
    encodings: tuple[Encoding, ...] = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
    for first in range(256):
        for rest in (b"", b"\0" * 11, b"\xff" * 15, b"\0\0UN\0\0\xff\xff\xff\xff", b"\0\x10\0UI\xff\xff"):
            content = bytes([first]) + rest
            for encoding in encodings:
                try:
                    level = scan(content, 0, len(content), encoding, Budget(Limits()), 0)
                except (Malformed, LimitExceeded):
                    continue
                assert level.position == len(content) or level.missing is not None or level.stop
