"""What follows the header is rewritten while it arrives; the bytes out never depend on the pieces in.

A tiny window makes small elements long, so that every way an element can go is walked.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deid_node.engine.dummies import dummy
from deid_node.engine.scan import Limits
from deid_node.errors import Excluded, LimitExceeded, Malformed, ObjectRefused, Rejected
from deid_node.profile.conditions import Condition
from deid_node.profile.procedure import Action, Dummies, Gate, Procedure, Rule, Table
from tests.engine.encoded import (
    BIG,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    UNDEFINED,
    Form,
    procedure,
    run,
    run_with_summary,
)

_TINY = Limits(window_bytes=256)
_PIECES = (None, 1, 2, 3, 7, 64, 1000)
_KEEP_ALL = procedure(unlisted=Action.K)
_DEIDENTIFYING = procedure(unlisted=Action.K, identity_removed=True)
_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)

_GROUPS = 0x52009230  # Per-Frame Functional Groups Sequence
_WAVEFORMS = 0x54000100
_WAVEFORM_DATA = 0x54001010
_NAME, _COMMENTS, _PIXELS = 0x00100010, 0x00204000, 0x7FE00010


def streamed(
    deidentifier: Procedure, dataset: bytes, form: Form = EXPLICIT, limits: Limits = _TINY, **how: str
) -> bytes:
    """Return the new dataset, which must be the same however the old one was cut."""
    first, *others = [
        run(deidentifier, dataset, form, piece_bytes=piece_bytes, limits=limits, **how)
        for piece_bytes in _PIECES
    ]
    for other in others:
        assert other == first
    return first


def refused(
    deidentifier: Procedure, dataset: bytes, form: Form = EXPLICIT, limits: Limits = _TINY
) -> ObjectRefused:
    """Return the refusal, which must be of the same kind however the dataset was cut."""
    found = []
    for piece_bytes in _PIECES:
        with pytest.raises(ObjectRefused) as refusal:
            run(deidentifier, dataset, form, piece_bytes=piece_bytes, limits=limits)
        found.append(refusal.value)
    assert len({type(one) for one in found}) == 1
    return found[0]


def _frames(form: Form, count: int, *, items_undefined: bool = False) -> list[bytes]:
    name = form.element(_NAME, "PN", b"Secret^Name")
    return [
        form.item(
            form.element(0x00080100, "SH", b"%08d" % number), name, form.element(_COMMENTS, "LT", b"x" * 20),
            undefined=items_undefined,
        )
        for number in range(count)
    ]  # fmt: skip


def _bare(form: Form, count: int) -> list[bytes]:
    return [
        form.item(form.element(0x00080100, "SH", b"%08d" % number), form.element(_COMMENTS, "LT", b"x" * 20))
        for number in range(count)
    ]


_NO_NAMES = procedure({_NAME: Action.X}, unlisted=Action.K)


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("items_undefined", [False, True])
def test_a_sequence_beyond_the_window_is_rewritten_with_undefined_length(
    form: Form, undefined: bool, items_undefined: bool
) -> None:
    frames = _frames(form, 20, items_undefined=items_undefined)

    output = streamed(_NO_NAMES, form.dataset(form.sequence(_GROUPS, *frames, undefined=undefined)), form)

    assert output == form.dataset(form.sequence(_GROUPS, *_bare(form, 20), undefined=True))


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
def test_an_item_beyond_the_window_is_rewritten_with_undefined_length(form: Form, undefined: bool) -> None:
    name = form.element(_NAME, "PN", b"Secret^Name")
    before = [form.element(0x00090100 + number, "UN", b"%08d" % number) for number in range(40)]
    after = [form.element(0x00490100 + number, "UN", b"%08d" % number) for number in range(40)]
    dataset = form.dataset(form.sequence(_GROUPS, form.item(*before, name, *after, undefined=undefined)))

    output = streamed(_NO_NAMES, dataset, form)

    assert output == form.dataset(
        form.sequence(_GROUPS, form.item(*before, *after, undefined=True), undefined=True)
    )


@_PER_FORM
@pytest.mark.parametrize("pattern", range(8))
def test_sequences_nest_whatever_their_lengths(form: Form, pattern: int) -> None:
    name = form.element(_NAME, "PN", b"Secret^Name")
    filler = form.element(_COMMENTS, "LT", b"x" * 300)

    def nested(with_name: bool, undefined: tuple[bool, ...]) -> bytes:
        content = (name, filler) if with_name else (filler,)
        for is_undefined in undefined:
            sequence = form.sequence(
                0x00289110, form.item(*content, undefined=is_undefined), undefined=is_undefined
            )
            content = (*((name,) if with_name else ()), sequence)
        return form.sequence(_GROUPS, form.item(*content, undefined=undefined[0]), undefined=undefined[-1])

    shape = tuple(bool(pattern >> bit & 1) for bit in range(3))
    output = streamed(_NO_NAMES, form.dataset(nested(True, shape)), form)

    assert output == form.dataset(nested(False, (True, True, True)))


@_PER_FORM
def test_waveform_data_beyond_the_window_passes_through(form: Form) -> None:
    channel = form.element(0x003A0005, "US", form.us(1))
    samples = form.element(_WAVEFORM_DATA, "OW", bytes(range(256)) * 8)

    output = streamed(_KEEP_ALL, form.dataset(form.sequence(_WAVEFORMS, form.item(channel, samples))), form)

    item = form.item(channel, samples, undefined=True)
    assert output == form.dataset(form.sequence(_WAVEFORMS, item, undefined=True))


@_PER_FORM
@pytest.mark.parametrize("length", [0, 1, 2, 255, 256, 257, 1000, 1001])
@pytest.mark.parametrize("vr", ["OB", "OW", "LT", "UN", "UT"])
def test_a_value_of_any_length_is_kept_and_padded(form: Form, length: int, vr: str) -> None:
    value = b"v" * length
    dataset = form.dataset(
        form.element(0x50051001, vr, value, length=length), form.element(_PIXELS, "OW", b"\1\2")
    )

    output = streamed(_KEEP_ALL, dataset, form)

    expected = form.element(0x50051001, "UN" if form is IMPLICIT else vr, value)
    assert output == form.dataset(expected, form.element(_PIXELS, "OW", b"\1\2"))


@_PER_FORM
@pytest.mark.parametrize("length", [10, 1000])
@pytest.mark.parametrize("action", [Action.X, Action.Z, Action.D])
def test_a_value_of_any_length_is_removed_emptied_or_replaced(
    form: Form, length: int, action: Action
) -> None:
    tail = form.element(0x7FE10011, "LO", b"the end")
    dataset = form.dataset(form.element(_PIXELS, "OW", b"v" * length), tail)

    output = streamed(procedure({_PIXELS: action}, unlisted=Action.K), dataset, form)

    new = {
        Action.X: None,
        Action.Z: b"",
        Action.D: dummy("OW", Dummies.STANDARD, little_endian=form is not BIG),
    }
    value = new[action]
    assert output == form.dataset(*(() if value is None else (form.element(_PIXELS, "OW", value),)), tail)


def _encapsulated(*fragments: bytes) -> bytes:
    items = b"".join(map(EXPLICIT.item, (b"", *fragments)))
    return EXPLICIT.element(
        _PIXELS, "OB", items + EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0), length=UNDEFINED
    )


@pytest.mark.parametrize("fragments", [(), (b"a" * 10,), (b"a" * 1000, b"", b"b" * 77, b"c" * 300)])
def test_encapsulated_pixels_pass_through(fragments: tuple[bytes, ...]) -> None:
    dataset = EXPLICIT.dataset(_encapsulated(*fragments), EXPLICIT.element(0x7FE10011, "LO", b"the end"))

    assert streamed(_KEEP_ALL, dataset) == dataset


@pytest.mark.parametrize("fragments", [(b"a" * 10,), (b"a" * 1000, b"b" * 300)])
@pytest.mark.parametrize(
    ("action", "new"),
    [
        (Action.X, b""),
        (Action.Z, EXPLICIT.element(_PIXELS, "OB")),
        (Action.D, EXPLICIT.element(_PIXELS, "OB", b"\0")),
    ],
)
def test_encapsulated_pixels_are_removed_emptied_or_replaced(
    fragments: tuple[bytes, ...], action: Action, new: bytes
) -> None:
    tail = EXPLICIT.element(0x7FE10011, "LO", b"the end")
    dataset = EXPLICIT.dataset(_encapsulated(*fragments), tail)

    assert streamed(procedure({_PIXELS: action}, unlisted=Action.K), dataset) == EXPLICIT.dataset(
        *filter(None, (new,)), tail
    )


_LONG_ELEMENTS: tuple[tuple[int, Callable[[Form], bytes]], ...] = (
    (_PIXELS, lambda form: form.element(_PIXELS, "OW", bytes(1000))),
    (
        _PIXELS,
        lambda form: _encapsulated(bytes(1000)) if form is EXPLICIT else form.element(_PIXELS, "OW", b"\0\0"),
    ),
    (_GROUPS, lambda form: form.sequence(_GROUPS, *_frames(form, 20))),
    (_GROUPS, lambda form: form.sequence(_GROUPS, *_frames(form, 20), undefined=True)),
)


@_PER_FORM
@pytest.mark.parametrize(("tag", "element"), _LONG_ELEMENTS)
def test_an_object_is_rejected_for_an_element_of_any_length(
    form: Form, tag: int, element: Callable[[Form], bytes]
) -> None:
    rejecting = procedure({tag: Rule(Action.R, "not this")}, unlisted=Action.K)

    refusal = refused(rejecting, form.dataset(element(form)), form)

    assert isinstance(refusal, Rejected) and refusal.reason == "not this"


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("action", "stays"), [(Action.X, False), (Action.Z, True)])
def test_a_long_sequence_is_removed_or_emptied(
    form: Form, undefined: bool, action: Action, stays: bool
) -> None:
    pixels = form.element(_PIXELS, "OW", b"\1\2")
    dataset = form.dataset(form.sequence(_GROUPS, *_frames(form, 20), undefined=undefined), pixels)

    output = streamed(procedure({_GROUPS: action}, unlisted=Action.K), dataset, form)

    assert output == form.dataset(*((form.sequence(_GROUPS),) if stays else ()), pixels)


@_PER_FORM
def test_d_on_a_long_sequence_makes_every_leaf_a_dummy(form: Form) -> None:
    output = streamed(
        procedure({_GROUPS: Action.D}), form.dataset(form.sequence(_GROUPS, *_frames(form, 20))), form
    )

    item = form.item(
        form.element(0x00080100, "SH", b"DEIDENTIFIED"),
        form.element(_NAME, "PN", b"Deidentified^"),
        form.element(_COMMENTS, "LT", b"DEIDENTIFIED"),
    )
    assert output == form.dataset(form.sequence(_GROUPS, *[item] * 20, undefined=True))


@_PER_FORM
@pytest.mark.parametrize("count", [1, 20])
def test_a_table_for_the_items_of_a_sequence_holds_in_long_ones(form: Form, count: int) -> None:
    inside = Table(rules={_NAME: Rule(Action.X)}, unlisted=Rule(Action.K))
    outside = procedure({_GROUPS: Rule(Action.K, items=inside)}, unlisted=Action.X)

    output = streamed(outside, form.dataset(form.sequence(_GROUPS, *_frames(form, count))), form)

    assert output == form.dataset(form.sequence(_GROUPS, *_bare(form, count), undefined=count > 1))


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
def test_a_long_known_sequence_coded_as_un_is_read_in_implicit_vr(form: Form) -> None:
    content = b"".join(_frames(IMPLICIT, 20))

    output = streamed(_NO_NAMES, form.dataset(form.element(_GROUPS, "UN", content)), form)

    end = IMPLICIT.tag(0xFFFEE0DD) + IMPLICIT.long(0)
    expected = b"".join(_bare(IMPLICIT, 20)) + end
    assert output == form.dataset(form.element(_GROUPS, "UN", expected, length=UNDEFINED))


@_PER_FORM
@pytest.mark.parametrize("filler", [10, 1000])
def test_private_creators_hold_across_pieces_of_a_level(form: Form, filler: int) -> None:
    keeping = procedure(
        {_GROUPS: Action.K, 0x00204000: Action.K, 0x60001500: Action.K},
        private={(0x5405, "ACME", 0x01): Rule(Action.K)},
    )
    block = (
        form.element(0x54050010, "LO", b"OTHER"),
        form.element(0x54050011, "LO", b"ACME"),
        form.element(0x54051001, "UN", b"secret"),
        form.element(0x54051101, "UN", b"k" * filler),
        form.element(0x54051102, "UN", b"secret"),
    )
    kept = (block[1], block[3])

    for wrap in (False, True):
        content = (
            form.sequence(_GROUPS, form.item(*block), undefined=filler > 256) if wrap else b"".join(block)
        )
        output = streamed(keeping, form.dataset(content), form)

        long = filler > 256
        expected = (
            form.sequence(_GROUPS, form.item(*kept, undefined=long), undefined=long)
            if wrap
            else b"".join(kept)
        )
        assert output == form.dataset(expected)


@_PER_FORM
@pytest.mark.parametrize("filler", [10, 1000])
def test_an_items_own_character_set_holds_to_its_end(form: Form, filler: int) -> None:
    cleaning = procedure({_COMMENTS: Action.C, 0x00080016: Action.K}, unlisted=Action.K)
    own = form.element(0x00080005, "CS", b"ISO_IR 144")
    filling = form.element(0x00080100, "UN" if form is IMPLICIT else "UT", b"f" * filler)
    word = "печень".encode("iso8859_5")
    long = filler > 256
    text = form.element(_COMMENTS, "LT", word)
    for content in ((own, filling, text), (own, filling, form.sequence(0x00289110, form.item(text)))):
        dataset = form.dataset(form.sequence(_GROUPS, form.item(*content, undefined=long), undefined=long))

        assert streamed(cleaning, dataset, form) == dataset


@_PER_FORM
@pytest.mark.parametrize("length", [20, 255, 300])
def test_a_known_identifier_leaves_kept_attributes_after_the_header_too(form: Form, length: int) -> None:
    text = b"of Zabrowska " + b"x" * length
    dataset = form.dataset(
        form.element(_NAME, "PN", b"Zabrowska^Ilse"),
        form.element(0x60001500, "LO", text[: min(len(text), 250)]),
        form.element(_PIXELS, "OW", b"\1\2"),
        form.element(0x7FE10011, "LO", b"Zabrowska"),
    )

    output = streamed(_DEIDENTIFYING, dataset, form)

    assert b"ZABROWSKA" not in output.upper()
    assert form.element(_PIXELS, "OW", b"\1\2") in output


# --- what must not pass ---------------------------------------------------------------------------------


def _swap(form: Form, first: bytes, second: bytes) -> bytes:
    return form.dataset(second, first)


@_PER_FORM
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("undefined", [False, True])
def test_elements_out_of_order_after_the_header_are_malformed(
    form: Form, long: bool, undefined: bool
) -> None:
    frames = form.sequence(_GROUPS, *_frames(form, 20 if long else 1), undefined=undefined)

    refusal = refused(_KEEP_ALL, form.dataset(form.element(_PIXELS, "OW", b"\1\2"), frames), form)

    assert isinstance(refusal, Malformed)


@_PER_FORM
@pytest.mark.parametrize("long", [False, True])
def test_an_item_that_reaches_past_its_sequence_is_malformed(form: Form, long: bool) -> None:
    frame = b"".join(_frames(form, 20 if long else 1))
    element = form.element(_GROUPS, "SQ", frame, length=len(frame) - 2) + form.element(_PIXELS, "OW", b"\1\2")

    assert isinstance(refused(_KEEP_ALL, form.dataset(element), form), Malformed)


@_PER_FORM
def test_an_element_that_reaches_past_its_item_is_malformed(form: Form) -> None:
    inside = form.element(_COMMENTS, "LT", b"x" * 600, length=700)
    element = form.sequence(_GROUPS, form.item(inside)) + form.element(_PIXELS, "OW", bytes(600))

    assert isinstance(refused(_KEEP_ALL, form.dataset(element), form), Malformed)


@pytest.mark.parametrize("depth", [31, 32, 33, 60])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("filler", [10, 1000])
def test_sequences_may_nest_as_deep_as_the_limit(depth: int, undefined: bool, filler: int) -> None:
    content = EXPLICIT.element(_COMMENTS, "LT", b"x" * filler)
    for _ in range(depth - 1):
        content = EXPLICIT.sequence(
            0x00289110, EXPLICIT.item(content, undefined=undefined), undefined=undefined
        )
    dataset = EXPLICIT.dataset(
        EXPLICIT.sequence(_GROUPS, EXPLICIT.item(content, undefined=undefined), undefined=undefined)
    )

    if depth <= 32:
        streamed(_KEEP_ALL, dataset)
    else:
        assert isinstance(refused(_KEEP_ALL, dataset), LimitExceeded)


@_PER_FORM
def test_what_was_done_is_counted_however_the_object_was_cut(form: Form) -> None:
    dataset = form.dataset(
        form.element(_NAME, "PN", b"Secret"),
        form.sequence(_GROUPS, *_frames(form, 20)),
        form.sequence(_WAVEFORMS, *_frames(form, 20)),
        form.element(0x60003000, "OW", bytes(1000)),
        form.element(_PIXELS, "OW", bytes(1000)),
    )
    some = procedure({_NAME: Action.X, 0x60003000: Action.X, _WAVEFORMS: Action.X}, unlisted=Action.K)

    counts = {
        (summary.kept, summary.changed, summary.removed)
        for piece_bytes in _PIECES
        for _, summary in [run_with_summary(some, dataset, form, piece_bytes=piece_bytes, limits=_TINY)]
    }

    # Kept: two UIDs, two elements in each of 20 frames, the pixels. Changed: the sequence. Removed: the
    # name of the patient and that in each frame, the waveforms, the overlay.
    assert counts == {(2 + 40 + 1, 1, 1 + 20 + 2)}


# --- gates after the header -----------------------------------------------------------------------------

_BURNED = Gate(Condition.parse("BurnedInAnnotation not in ('', 'NO')"), "text may be burned in")
_ALIKE = Gate(Condition.parse("Laterality == 'L' and BurnedInAnnotation == 'YES'"), "left and burned")


def _frames_with(form: Form, value: bytes, count: int = 40, undefined: bool = False) -> bytes:
    frames = [
        form.item(form.element(0x00200060, "CS", b"L "), form.element(0x00280301, "CS", b"NO  "))
        for _ in range(count)
    ]
    frames[-2] = form.item(form.element(0x00200060, "CS", b"L "), form.element(0x00280301, "CS", value))
    return form.sequence(_GROUPS, *frames, undefined=undefined)


@_PER_FORM
@pytest.mark.parametrize("gate", [_BURNED, _ALIKE], ids=["one", "two"])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("action", [Action.K, Action.X])
@pytest.mark.parametrize("count", [2, 40])
def test_a_gate_sees_what_follows_the_header(
    form: Form, gate: Gate, undefined: bool, action: Action, count: int
) -> None:
    gated = procedure({_GROUPS: action}, unlisted=Action.K, rejects=(gate,))
    if action is Action.X and count == 2:
        pytest.skip("a short sequence that is removed is not opened")

    refusal = refused(gated, form.dataset(_frames_with(form, b"YES ", count, undefined)), form)

    assert isinstance(refusal, Rejected) and refusal.reason == gate.because
    passing = form.dataset(_frames_with(form, b"NO  ", count, undefined))
    assert streamed(gated, passing, form) == streamed(
        procedure({_GROUPS: action}, unlisted=Action.K), passing, form
    )


@_PER_FORM
def test_a_gate_sees_top_level_attributes_after_the_header(form: Form) -> None:
    gate = Gate(Condition.parse("OverlayType == 'G'"), "graphics")
    dataset = form.dataset(form.element(0x60000040, "CS", b"G "), form.element(_PIXELS, "OW", b"\1\2"))

    assert isinstance(refused(procedure(unlisted=Action.K, excludes=(gate,)), dataset, form), Excluded)
