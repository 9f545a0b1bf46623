"""Malformed and odd objects by the hundred, each with what must become of it.

Generated, never stored. A case either names the refusals that are right for it, or the dataset that must
come out when everything is kept; `PASSES` where the pixels or an odd but harmless thing must not be lost.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.data import get_testdata_file

from deid_node.errors import LimitExceeded, Malformed, ObjectRefused, Rejected
from deid_node.node.part10 import read_part10
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, UNDEFINED, Form

DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
ITEM_END, SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
SEQUENCE, TEXT, PIXELS = 0x00081140, 0x00204000, 0x7FE00010

Refusals = tuple[type[ObjectRefused], ...]
BROKEN: Refusals = (Malformed,)
ANY: Refusals = (Malformed, Rejected, LimitExceeded)


@dataclass(frozen=True, slots=True)
class Case:
    """One object.

    `refused` are the kinds of refusal that are right; empty when the object must pass, and then
    `expected` is what comes out under a procedure that keeps everything.
    """

    name: str
    dataset: bytes
    transfer_syntax_uid: str
    refused: Refusals = ()
    expected: bytes | None = None


def passes(name: str, dataset: bytes, form: Form, expected: bytes | None = None) -> Case:
    """Return a case that comes out as it went in, or as `expected`."""
    return Case(
        f"{name}, {form.name}",
        dataset,
        form.transfer_syntax_uid,
        (),
        dataset if expected is None else expected,
    )


def refused(name: str, dataset: bytes, form: Form, refused: Refusals = BROKEN) -> Case:
    """Return a case that is refused."""
    return Case(f"{name}, {form.name}", dataset, form.transfer_syntax_uid, refused)


def delimiter(form: Form, tag: int, length: int = 0) -> bytes:
    """Return a delimiter."""
    return form.tag(tag) + form.long(length)


def text_element(form: Form, value: bytes = b"ab", tag: int = TEXT) -> bytes:
    """Return a text."""
    return form.element(tag, "LT", value)


def pixels_element(form: Form, value: bytes = b"\1\2\3\4", **how: int) -> bytes:
    """Return native Pixel Data."""
    return form.element(PIXELS, "OW", value, **how)


# --- truncated ------------------------------------------------------------------------------------------

_SEEDS = (
    ("CT_small.dcm", EXPLICIT), ("MR_small_implicit.dcm", IMPLICIT), ("ExplVR_BigEnd.dcm", BIG),
    ("rtplan.dcm", IMPLICIT), ("JPEG2000.dcm", EXPLICIT), ("reportsi.dcm", EXPLICIT),
)  # fmt: skip


def seed(name: str) -> tuple[bytes, str]:
    """Return the dataset of a file of the pydicom wheel, and its transfer syntax."""
    content = Path(str(get_testdata_file(name))).read_bytes()
    part10 = read_part10(BytesIO(content))
    return content[part10.offset :], part10.transfer_syntax_uid


def ends_of(dataset: bytes, form: Form) -> list[int]:
    """Return where the top-level elements of a well-formed dataset end."""
    ends, position = [], 0
    while position < len(dataset):
        position = _after(dataset, position, form)
        ends.append(position)
    return ends


def _after(data: bytes, p: int, form: Form) -> int:
    """Return the position after the element, item or delimiter at `p`."""
    group, low = struct.unpack_from(form.order + "HH", data, p)
    long_vr = data[p + 4 : p + 6] in {
        b"OB",
        b"OD",
        b"OF",
        b"OL",
        b"OV",
        b"OW",
        b"SQ",
        b"UC",
        b"UN",
        b"UR",
        b"UT",
    }
    if group == 0xFFFE or not form.explicit:
        (length,), p = struct.unpack_from(form.order + "I", data, p + 4), p + 8
    elif long_vr:
        (length,), p = struct.unpack_from(form.order + "I", data, p + 8), p + 12
    else:
        (length,), p = struct.unpack_from(form.order + "H", data, p + 6), p + 8
    if length != UNDEFINED:
        return p + (0 if low in (0xE00D, 0xE0DD) and group == 0xFFFE else length)
    end = form.tag(ITEM_END if group == 0xFFFE else SEQUENCE_END)
    while data[p : p + 4] != end:
        p = _after(data, p, form)
    return p + 8


def truncated() -> Iterator[Case]:
    """Cut at many places of six files: inside an element never accepted."""
    for name, form in _SEEDS:
        dataset, syntax = seed(name)
        ends = set(ends_of(dataset, form))
        named = next(end for end in sorted(ends) if form.tag(0x00080018) in dataset[: end - 8] or end > 0x400)
        step = max(min(len(dataset), 6000) // 68, 1)
        for length in [*range(1, min(len(dataset), 6000), step), len(dataset) - 1]:
            kinds = () if length in ends and length >= named else (Malformed, Rejected)
            yield Case(
                f"{name} cut at {length}",
                dataset[:length],
                syntax,
                kinds,
                None if kinds else dataset[:length],
            )


# --- lengths --------------------------------------------------------------------------------------------


def lengths() -> Iterator[Case]:
    """Lengths that lie, at the top, in items and of items."""
    words = b"Some words that are no element"
    for form in FORMS:
        for lie in (0, 2, 0xFFFE if form.explicit else 0xFFFFFFFE, len(words) + 2, 5000):
            element = form.element(TEXT, "LT", words, length=lie)
            broken: Refusals = (Malformed, LimitExceeded)
            yield refused(f"a text that claims {lie}", form.dataset(element), form, broken)
            yield refused(
                f"a text before pixels that claims {lie}",
                form.dataset(element, pixels_element(form)),
                form,
                broken,
            )
            for undefined in (False, True):
                sequence = form.sequence(
                    SEQUENCE, form.item(element, undefined=undefined), undefined=undefined
                )
                yield refused(f"a text in an item that claims {lie}", form.dataset(sequence), form, broken)
        yield from _odd_lengths(form)
        yield from _item_lengths(form)
        yield from _long_lengths(form)


def _odd_lengths(form: Form) -> Iterator[Case]:
    odd, even = form.element(TEXT, "LT", b"odd", length=3), text_element(form, b"odd")
    yield passes("a text of odd length", form.dataset(odd), form, form.dataset(even))
    for undefined in (False, True):
        yield passes(
            "a text of odd length in an item",
            form.dataset(form.sequence(SEQUENCE, form.item(odd, undefined=undefined), undefined=undefined)),
            form,
            form.dataset(form.sequence(SEQUENCE, form.item(even))),
        )
    yield passes(
        "pixels of odd length",
        form.dataset(pixels_element(form, b"odd", length=3)),
        form,
        form.dataset(pixels_element(form, b"odd")),
    )


def _item_lengths(form: Form) -> Iterator[Case]:
    content = text_element(form)
    for lie in (1, 4, len(content) - 2, len(content) + 2, 0xFFFE, 0xFFFFFFFE):
        item = form.tag(0xFFFEE000) + form.long(lie) + content
        yield refused(f"an item that claims {lie}", form.dataset(form.sequence(SEQUENCE, item)), form)
        yield refused(
            f"an item that claims {lie} in an open sequence",
            form.dataset(form.sequence(SEQUENCE, item, undefined=True)),
            form,
            (Malformed, LimitExceeded),
        )
    for lie in (1, 7, 8 + len(content) - 1, 8 + len(content) + 2, 0xFFFFFFFE):
        sequence = form.element(SEQUENCE, "SQ", form.item(content), length=lie)
        yield refused(
            f"a sequence that claims {lie}", form.dataset(sequence), form, (Malformed, LimitExceeded)
        )


def _long_lengths(form: Form) -> Iterator[Case]:
    for lie in (UNDEFINED, 0xFFFFFFFE, 0x7FFFFFFE, 6):
        yield refused(f"pixels that claim {lie}", form.dataset(pixels_element(form, length=lie)), form)
    if not form.explicit:
        return
    for vr in ("UT", "OB", "UC", "OW", "UR", "OF", "OD", "OL"):
        for lie in (UNDEFINED, 0xFFFFFFFE):
            element = form.element(TEXT, vr, b"Some words that are no item", length=lie)
            yield refused(f"{vr} that claims {lie}", form.dataset(element), form, (Malformed, LimitExceeded))


# --- nesting --------------------------------------------------------------------------------------------


def nesting() -> Iterator[Case]:
    """Sequences in sequences, down to a hundred thousand."""
    for form in (EXPLICIT, IMPLICIT):
        for depth in (31, 32, 33, 64, 65, 200, 300, 1000, 10_000, 100_000):
            for undefined in (False, True):
                dataset = form.dataset(nested(form, depth, undefined))
                name = f"{depth} sequences {'open' if undefined else 'closed'}"
                if depth <= 32:
                    yield passes(name, dataset, form)
                else:
                    yield refused(name, dataset, form, (LimitExceeded,))


def nested(form: Form, depth: int, undefined: bool) -> bytes:
    head = form.element(SEQUENCE, "SQ", length=0)[:-4]
    if undefined:
        opening = head + form.long(UNDEFINED) + form.tag(0xFFFEE000) + form.long(UNDEFINED)
        return opening * depth + (delimiter(form, ITEM_END) + delimiter(form, SEQUENCE_END)) * depth
    size = len(head) + 4 + 8
    return b"".join(
        head + form.long((depth - level) * size - len(head) - 4)
        + form.tag(0xFFFEE000) + form.long((depth - level - 1) * size)
        for level in range(depth)
    )  # fmt: skip


# --- delimiters -----------------------------------------------------------------------------------------


def delimiters() -> Iterator[Case]:
    """Delimiters that are missing, stray or swapped."""
    for form in FORMS:
        item_end, sequence_end = delimiter(form, ITEM_END), delimiter(form, SEQUENCE_END)
        item = form.tag(0xFFFEE000) + form.long(UNDEFINED)
        start, text, tail = (
            form.element(SEQUENCE, "SQ", length=UNDEFINED),
            text_element(form, tag=0x00081030),
            pixels_element(form),
        )
        wrong = {
            "an open item that ends with its sequence": start + item + text + sequence_end,
            "an open item without end": start + item + text,
            "an open sequence without end": start + form.item(text),
            "delimiters swapped": start + item + text + sequence_end + item_end,
            "two ends of an item": start + item + text + item_end + item_end + sequence_end,
            "an end of an item for a sequence": start + form.item(text) + item_end,
            "two ends of a sequence": start + sequence_end + sequence_end,
            "an end of a sequence on top": sequence_end,
            "an end of an item on top": item_end,
            "an item on top": form.item(text),
            "an end in a closed item": form.sequence(SEQUENCE, form.item(text, item_end)),
            "text for an item": start + text + sequence_end,
            "text between items": start + form.item() + text + form.item() + sequence_end,
            "an item in an item": start + form.item(form.item(text)) + sequence_end,
            "an unknown tag of group FFFE": form.tag(0xFFFEE0AA) + form.long(0),
            "an end that sticks out of its item": form.sequence(SEQUENCE, item + text + item_end[:4]),
        }
        for name, element in wrong.items():
            yield refused(name, form.dataset(element), form)
            yield refused(f"{name} before pixels", form.dataset(element, tail), form)
        for undefined in (False, True):
            right = form.sequence(
                SEQUENCE, form.item(text, undefined=undefined), form.item(), undefined=not undefined
            )
            yield passes("lengths of either kind", form.dataset(right, tail), form)
        left_over = form.sequence(SEQUENCE, form.item(text) + sequence_end)
        yield passes("an end left over in a closed sequence", form.dataset(left_over, tail), form)


# --- order and what stands around -----------------------------------------------------------------------


def orders() -> Iterator[Case]:
    """Elements twice or out of order, group lengths that lie."""
    for form in FORMS:
        first, second = text_element(form, tag=0x00081030), text_element(form)
        for pair, name in (((first, first), "twice"), ((second, first), "out of order")):
            yield refused(f"elements {name}", form.dataset(*pair), form)
            yield refused(f"elements {name} after pixels", form.dataset(pixels_element(form), *pair), form)
            for undefined in (False, True):
                item = form.item(*pair, undefined=undefined)
                yield refused(
                    f"elements {name} in an item", form.dataset(form.sequence(SEQUENCE, item)), form
                )
        yield refused("pixels twice", form.dataset(pixels_element(form), pixels_element(form)), form)
        yield refused("the UIDs at the end", text_element(form) + form.dataset(), form)
        for lie in (0, 1, 100, 0xFFFFFFFF):
            group = form.element(0x00200000, "UL", form.long(lie))
            yield passes(f"a group length of {lie}", form.dataset(group, second), form, form.dataset(second))
            item = form.sequence(SEQUENCE, form.item(group, second))
            yield passes(
                f"a group length of {lie} in an item",
                form.dataset(item),
                form,
                form.dataset(form.sequence(SEQUENCE, form.item(second))),
            )
        late = form.element(0x00200000, "UL", form.long(4))
        yield refused("a group length behind its group", form.dataset(second, late), form)
        vrs = form.element(0x00200000, "LO", b"words ")
        yield passes("words for a group length", form.dataset(vrs, second), form, form.dataset(second))


def surroundings() -> Iterator[Case]:
    """Bytes around the dataset, and groups that do not belong into one."""
    for form in FORMS:
        whole = form.dataset(text_element(form), pixels_element(form))
        for name, tail in (
            ("zeros", bytes(512)), ("one zero", b"\0"), ("words", b"behind the end"),
            ("a file", bytes(128) + b"DICM" + whole), ("the dataset again", whole), ("ones", b"\xff" * 8),
            ("seven bytes", b"\xfc\xff\xfc\xff\0\0\0"),
        ):  # fmt: skip
            yield refused(f"{name} behind the end", whole + tail, form)
        padding = form.element(0xFFFCFFFC, "OB", b"SECRET")
        yield passes("trailing padding", whole + padding, form)
        for tag in (0x00000002, 0x00020010, 0x00041220, 0x00060010):
            element = form.element(tag, "UI", b"1.2.3\0")
            yield passes(f"{tag:08X} before all", form.dataset(element), form, form.dataset())
            yield refused(f"{tag:08X} behind all", form.dataset() + element, form)
            item = form.item(element, text_element(form))
            yield passes(
                f"{tag:08X} in an item",
                form.dataset(form.sequence(SEQUENCE, item)),
                form,
                form.dataset(form.sequence(SEQUENCE, form.item(text_element(form)))),
            )


def deflated(content: bytes) -> bytes:
    """Return a raw deflate stream."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


# --- bombs ----------------------------------------------------------------------------------------------


def bombs() -> Iterator[Case]:
    """Small objects that ask for much."""
    for form in FORMS:
        many = b"".join(
            form.element(number << 16 | low, "LT")
            for number in range(9, 409)
            for low in range(0x1000, 0x1200)
        )
        yield refused("204,800 elements on one level", form.dataset(many), form, (LimitExceeded,))
        items = form.item() * 40_000
        yield passes("40,000 empty items", form.dataset(form.sequence(SEQUENCE, items)), form)
        sequence = form.sequence(SEQUENCE, items, undefined=True)
        yield passes("40,000 empty items, open", form.dataset(sequence), form)
        values = form.element(0x00091001, "UN" if form is IMPLICIT else "UT", b"\\" * 1_000_000)
        yield passes("a million values", form.dataset(values), form)
        open_items = form.item(undefined=True) * 20_000
        yield passes(
            "20,000 open items", form.dataset(form.sequence(0x52009230, open_items, undefined=True)), form
        )
        deep = form.item(form.sequence(SEQUENCE, *[form.item()] * 30))
        yield passes("items in items", form.dataset(form.sequence(SEQUENCE, *[deep] * 200)), form)
        texts = b"".join(form.element(0x00091000 | low, "LT", b"x") for low in range(256))
        yield passes(
            "256 elements in 300 items",
            form.dataset(form.sequence(0x00082112, *[form.item(texts)] * 300)),
            form,
        )
    head = EXPLICIT.dataset(EXPLICIT.element(PIXELS, "OW", length=1 << 30))
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = (
        deflater.compress(head)
        + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(128))
        + deflater.flush()
    )
    yield Case("a deflate bomb", bomb, DEFLATED, (LimitExceeded,))
    yield Case("a deflate bomb in a bomb", deflated(bomb), DEFLATED, (Malformed, Rejected))
    yield Case("a deflate bomb cut", bomb[:-100], DEFLATED, (LimitExceeded, Malformed))


FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    *(truncated, lengths, nesting, delimiters, orders, surroundings, bombs),
)
