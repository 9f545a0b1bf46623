"""Odd and malformed values: VRs, pixels, character sets, UIDs, encodings; and what must pass all the same."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from deid_node.errors import Rejected
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, SC, UNDEFINED
from tests.malformed import (
    ANY,
    BROKEN,
    DEFLATED,
    ITEM_END,
    JPEG,
    PIXELS,
    SEQUENCE,
    SEQUENCE_END,
    TEXT,
    Case,
    deflated,
    delimiter,
    passes,
    pixels_element,
    refused,
    seed,
    text_element,
)

# --- encapsulated pixels --------------------------------------------------------------------------------


def _fragments(*fragments: bytes, table: bytes = b"", end: bytes | None = None) -> bytes:
    items = b"".join(map(EXPLICIT.item, (table, *fragments)))
    closing = delimiter(EXPLICIT, SEQUENCE_END) if end is None else end
    return EXPLICIT.element(PIXELS, "OB", items + closing, length=UNDEFINED)


def encapsulated() -> Iterator[Case]:
    """Encapsulated Pixel Data: not ours to judge, but to be kept whole or refused."""
    frame = b"\xff\xd8\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(22) + b"\xff\xd9"
    tail = EXPLICIT.element(0x7FE10011, "LO", b"behind")
    right = {
        "no offset table": _fragments(frame),
        "an offset table": _fragments(frame, frame, table=struct.pack("<2I", 0, len(frame) + 8)),
        "an offset table that lies": _fragments(frame, table=struct.pack("<I", 77777)),
        "an offset table of odd length": _fragments(frame, table=b"odd"),
        "frames that nobody counted": _fragments(*[frame] * 7),
        "bytes behind the end of the image": _fragments(frame + b"behind"),
        "an empty fragment": _fragments(b"", frame, b""),
        "a fragment of odd length": _fragments(frame + b"x"),
        "what is no frame after two bytes": _fragments(b"\xff\xd8some words" + bytes(30)),
        "no fragment": EXPLICIT.element(PIXELS, "OB", delimiter(EXPLICIT, SEQUENCE_END), length=UNDEFINED),
    }
    for name, element in right.items():
        for rest in (b"", tail):
            kept = element.replace(frame + b"behind", frame + bytes(6)).replace(frame + b"x", frame + b"\0")
            yield Case(f"{name}{' and a tail' * bool(rest)}", EXPLICIT.dataset(element, rest) if rest else
                       EXPLICIT.dataset(element), JPEG, (), EXPLICIT.dataset(kept) + rest)  # fmt: skip
    whole = EXPLICIT.dataset(_fragments(frame, frame))
    for length in range(len(whole) - 100, len(whole)):
        yield Case(f"encapsulated pixels cut at {length}", whole[:length], JPEG, BROKEN)
    wrong = {
        "no end": _fragments(frame, end=b""),
        "a fragment beyond the end": _fragments(frame, end=EXPLICIT.tag(0xFFFEE000) + EXPLICIT.long(500)),
        "a fragment without length": _fragments(
            frame, end=EXPLICIT.tag(0xFFFEE000) + EXPLICIT.long(UNDEFINED)
        ),
        "an element between fragments": _fragments(
            frame, end=text_element(EXPLICIT) + delimiter(EXPLICIT, SEQUENCE_END)
        ),
        "the end of an item": _fragments(
            frame, end=delimiter(EXPLICIT, ITEM_END) + delimiter(EXPLICIT, SEQUENCE_END)
        ),
        "pixels twice": _fragments(frame) + _fragments(frame),
        "words after the end": _fragments(frame) + b"some words",
        "a segment without its own length": _fragments(b"\xff\xd8\xff\xfe\0\1" + bytes(30)),
        "a frame without a scan": _fragments(b"\xff\xd8\xff\xd9" + bytes(30)),
    }
    for name, element in wrong.items():
        yield Case(name, EXPLICIT.dataset(element), JPEG, BROKEN)
        icon = EXPLICIT.sequence(0x00880200, EXPLICIT.item(element))
        yield Case(f"{name} in an icon", EXPLICIT.dataset(icon), JPEG, BROKEN)


# --- native pixels --------------------------------------------------------------------------------------


def native() -> Iterator[Case]:
    """Native Pixel Data and attributes that do not fit it."""
    for form in FORMS:
        for name, rows, columns, frames, bits, size in (
            ("short", 10, 10, b"1 ", 16, 200),
            ("long", 1, 1, b"1 ", 8, 1),
            ("huge", 65535, 65535, b"1 ", 16, 65535 * 65535 * 2),
            ("many frames", 2, 2, b"1000000 ", 8, 4_000_000),
            ("wide", 2, 2, b"1 ", 64, 32),
            ("nothing", 0, 0, b"0 ", 0, 0),
            ("words for frames", 2, 2, b"many", 8, 0),
        ):
            described = (
                form.element(0x00280008, "IS", frames),
                form.element(0x00280010, "US", form.us(rows)),
                form.element(0x00280011, "US", form.us(columns)),
                form.element(0x00280100, "US", form.us(bits)),
            )
            for pixels in (b"", bytes(8), bytes(4000)):
                title = f"{name} pixels, {len(pixels)} bytes"
                dataset = form.dataset(*described, pixels_element(form, pixels))
                if pixels and len(pixels) < size:
                    yield refused(title, dataset, form)
                    continue
                cut = form.dataset(*described, pixels_element(form, pixels[: size or None]))
                yield passes(title, dataset, form, cut)


# --- UN -------------------------------------------------------------------------------------------------


def unknown_vrs() -> Iterator[Case]:
    """Sequences and names under VR UN, and sequences that are none."""
    for form in (EXPLICIT, BIG):
        inside = IMPLICIT.item(IMPLICIT.element(0x00080100, "SH", b"T-1 "), text_element(IMPLICIT))
        open_inside = IMPLICIT.item(text_element(IMPLICIT), undefined=True)
        end = delimiter(IMPLICIT, SEQUENCE_END)
        for tag in (SEQUENCE, 0x00091001, 0x00089EF0):
            for content in (inside, open_inside, inside + open_inside):
                yield passes(f"UN {tag:08X} closed", form.dataset(form.element(tag, "UN", content)), form)
                yield passes(
                    f"UN {tag:08X} open",
                    form.dataset(form.element(tag, "UN", content + end, length=UNDEFINED)),
                    form,
                )
            explicit = form.item(text_element(form, b"in explicit VR"))
            is_read = tag == SEQUENCE or form is BIG
            for length in (None, UNDEFINED):
                element = form.element(tag, "UN", explicit + (end if length else b""), length=length)
                if length or tag == SEQUENCE:
                    yield refused(f"UN {tag:08X} with explicit items", form.dataset(element), form, ANY)
                elif not is_read:
                    yield passes(f"UN {tag:08X} with explicit items", form.dataset(element), form)
            words = form.element(tag, "UN", b"Some words that are no items", length=UNDEFINED)
            yield refused(f"UN {tag:08X} with words and no length", form.dataset(words), form)
        words = form.element(SEQUENCE, "UN", b"Some words that are no items")
        yield refused("a sequence as UN with words", form.dataset(words), form)
        nested = IMPLICIT.sequence(0x00082112, inside, undefined=True)
        for undefined in (False, True):
            content = IMPLICIT.item(nested, undefined=undefined)
            yield passes(
                "a sequence in a sequence as UN", form.dataset(form.element(SEQUENCE, "UN", content)), form
            )
        for depth in (1, 3, 10):
            hidden = inside
            for _ in range(depth):
                hidden = IMPLICIT.item(IMPLICIT.sequence(0x00082112, hidden))
            for tag in (SEQUENCE, 0x00091001):
                element = form.element(tag, "UN", hidden)
                yield passes(f"UN {tag:08X} that hides {depth} levels", form.dataset(element), form)
            wrong = hidden[:-3]
            yield refused(
                f"UN that hides {depth} levels and is cut",
                form.dataset(form.element(SEQUENCE, "UN", wrong, length=len(wrong))),
                form,
            )
        name = b"Doe^Jane"
        yield passes("a name as UN", form.dataset(form.element(0x00101005, "UN", name)), form)
        yield passes("a name as OB", form.dataset(form.element(0x00101005, "OB", name)), form)
        yield refused(
            "a name as SQ", form.dataset(form.element(0x00101005, "SQ", name, length=len(name))), form
        )


# --- encodings that do not match ------------------------------------------------------------------------


def mismatched() -> Iterator[Case]:
    """A dataset in another encoding than the transfer syntax says."""
    for form in FORMS:
        dataset = form.dataset(text_element(form, b"some words here"), pixels_element(form))
        for other in FORMS:
            if other is not form:
                yield Case(f"{form.name} as {other.name}", dataset, other.transfer_syntax_uid, ANY)
        yield Case(f"{form.name} as deflated", dataset, DEFLATED, BROKEN)
        yield Case(f"{form.name} deflated as plain", deflated(dataset), form.transfer_syntax_uid, ANY)
        if form is EXPLICIT:
            yield Case("deflated", deflated(dataset), DEFLATED, (), dataset)
        yield Case(f"{form.name} with a zlib header", zlib.compress(dataset), DEFLATED, BROKEN)
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "ExplVR_BigEnd.dcm", "rtplan.dcm", "reportsi.dcm"):
        dataset, syntax = seed(name)
        for form in FORMS:
            if form.transfer_syntax_uid != syntax:
                yield Case(f"{name} as {form.name}", dataset, form.transfer_syntax_uid, ANY)
    for name, content in (
        ("words", b"Some words that are no dataset at all, of some length."),
        ("a whole file", bytes(128) + b"DICM" + EXPLICIT.dataset()),
        ("an executable", b"MZ" + bytes(200)),
        ("zeros", bytes(1000)),
        ("ones", b"\xff" * 1000),
        ("a document", b"%PDF-1.4 " * 20),
        ("markup", b"<?xml version='1.0'?><NativeDicomModel/>"),
        ("nothing", b""),
        ("a byte", b"\x08"),
    ):
        for form in FORMS:
            yield Case(f"{name} as {form.name}", content, form.transfer_syntax_uid, ANY)


# --- VRs and tags ---------------------------------------------------------------------------------------


def vrs() -> Iterator[Case]:
    """VRs that are none."""
    for form in (EXPLICIT, BIG):
        for vr in (
            b"??",
            b"\0\0",
            b"lo",
            b"Lo",
            b"XX",
            b"ZZ",
            b"  ",
            b"L\0",
            b"\xff\xff",
            b"OX",
            b"OP",
            b"12",
            b"..",
        ):
            short = form.tag(TEXT) + vr + struct.pack(form.order + "H", 4) + b"text"
            long = form.tag(TEXT) + vr + b"\0\0" + form.long(4) + b"text"
            for element in (short, long):
                yield refused(f"VR {vr!r}", form.dataset(element), form)
                yield refused(
                    f"VR {vr!r} in an item", form.dataset(form.sequence(SEQUENCE, form.item(element))), form
                )


def dictionary() -> Iterator[Case]:
    """Attributes that are retired, unknown or private: kept when everything is kept."""
    for form in FORMS:
        for tag, vr in (
            (0x00080001, "UL"), (0x00080010, "SH"), (0x00084000, "LT"), (0x00183100, "IS"),
            (0x00203401, "CS"),
            (0x00280040, "CS"), (0x40004000, "LT"), (0x00089EF0, "LO"), (0x0010EEEE, "LO"),
            (0x00209FFE, "OB"),
            (0x00090010, "LO"), (0x00091001, "LO"), (0x00090001, "LO"), (0x0009FFFF, "OB"),
            (0x00FF1001, "LO"),
            (0x60FE3000, "OW"), (0x501E0010, "US"), (0x7FDF1000, "OB"), (0x7FE11010, "OB"),
            (0xFFFBFFFB, "OB"),
        ):  # fmt: skip
            element = form.element(tag, vr, b"1 ")
            dataset = form.dataset(element)
            yield passes(f"{tag:08X}", dataset, form)


def character_sets() -> Iterator[Case]:
    """Terms that are none are refused; values that do not follow theirs are kept when all is kept."""
    terms = (
        b"ISO_IR 999", b"utf-7", b"idna", b"undefined", b"zlib", b"rot13", b"ISO 2022 IR 87\\ISO_IR 192",
        b"GB18030\\ISO 2022 IR 6", b"\xff\xfe", b"words", b"ISO_IR 100\\words",
    )  # fmt: skip
    values = (b"plain ", b"\x1b$B", b"\x1b$B;3ED\x1b(B", b"\xff\xfe\xfd\xfc", b"\xe4\xb8")
    for form in FORMS:
        for term in terms:
            for value in values[:: 1 if form is EXPLICIT else 3]:
                padded = term if len(term) % 2 == 0 else term + b" "
                dataset = form.dataset(form.element(0x00080005, "CS", padded), text_element(form, value))
                yield refused(f"{term!r} with {value!r}", dataset, form, (Rejected,))
        for term in (
            b"",
            b"ISO_IR 100",
            b"ISO_IR 192",
            b"GB18030 ",
            b"\\ISO 2022 IR 87",
            b"ISO_IR 6 ",
            b"ISO-IR 100",
        ):
            for value in values:
                dataset = form.dataset(form.element(0x00080005, "CS", term), text_element(form, value))
                yield passes(f"{term!r} with {value!r}", dataset, form)


def uids() -> Iterator[Case]:
    """UIDs that are none: what names the object is refused, references are kept as they are."""
    wrong = (
        b"1.2." + b"3" * 61,
        b"../../x",
        b"1.2\\1.3",
        b"1.2\0.3",
        b"words",
        b"1.2.3\n",
        b"1.2.-3",
        b"1 2 3",
    )
    for form in FORMS:
        for uid in wrong:
            text = uid.decode("latin-1")
            yield refused(f"SOP class {uid!r}", form.dataset(sop_class_uid=text), form, (Rejected,))
            yield refused(f"SOP instance {uid!r}", form.dataset(sop_instance_uid=text), form, (Rejected,))
            study, inside = form.element(0x0020000D, "UI", uid), form.element(0x00081155, "UI", uid)
            yield passes(f"study {uid!r}", form.dataset(study), form)
            yield passes(f"reference {uid!r}", form.dataset(form.sequence(SEQUENCE, form.item(inside))), form)
        for empty in (b"", b"\0\0", b"    "):
            text = empty.decode()
            yield refused("no SOP class", form.dataset(sop_class_uid=text), form, (Rejected,))
            yield refused("no SOP instance", form.dataset(sop_instance_uid=text), form, (Rejected,))
        yield refused("leading zeros", form.dataset(sop_instance_uid="1.2.003.04"), form)


# --- odd but harmless -----------------------------------------------------------------------------------


def odd() -> Iterator[Case]:
    """What real devices write, against the letter of the standard, and must not be refused."""
    for form in FORMS:
        image_type = form.element(0x00080008, "CS", b"ORIGINAL\\PRIMARY")
        yield passes("no pixels", form.dataset(image_type), form)
        yield passes("empty pixels", form.dataset(pixels_element(form, b"")), form)
        yield passes("an empty sequence", form.dataset(form.sequence(SEQUENCE)), form)
        yield passes("an empty open sequence", form.dataset(form.sequence(SEQUENCE, undefined=True)), form)
        yield passes("an empty item", form.dataset(form.sequence(SEQUENCE, form.item())), form)
        yield passes(
            "an empty open item", form.dataset(form.sequence(SEQUENCE, form.item(undefined=True))), form
        )
        yield passes(
            "values that are too long", form.dataset(form.element(0x00081030, "LO", b"x" * 2000)), form
        )
        yield passes("a date that is none", form.dataset(form.element(0x00080020, "DA", b"yesterday ")), form)
        yield passes("a number that is none", form.dataset(form.element(0x00200013, "IS", b"one ")), form)
        yield passes("control characters", form.dataset(text_element(form, b"\1\2\r\n\0\0")), form)
        yield passes("spaces around a UID", form.dataset(form.element(0x0020000D, "UI", b" 1.2.3  ")), form)
        yield passes(
            "a private element without creator", form.dataset(form.element(0x00091001, "LO", b"ab")), form
        )
        yield passes(
            "an icon", form.dataset(form.sequence(0x00880200, form.item(pixels_element(form)))), form
        )
        yield passes("float pixels", form.dataset(form.element(0x7FE00008, "OF", bytes(8))), form)
        yield passes(
            "overlays after the image",
            form.dataset(pixels_element(form), form.element(0x7FE10010, "LO", b"ab")),
            form,
        )
        yield passes("an instance that says nothing", form.dataset(), form)
        yield passes("padding of the class with spaces", form.dataset(sop_class_uid=SC + " "), form)
        yield passes("a large text", form.dataset(text_element(form, b"x" * 60_000)), form)
    for vr in ("UT", "UC", "UN", "OB"):
        yield passes(
            f"a description as {vr}", EXPLICIT.dataset(EXPLICIT.element(0x00081030, vr, b"ab")), EXPLICIT
        )
    reserved = EXPLICIT.tag(TEXT) + b"UT\1\2" + EXPLICIT.long(2) + b"ab"
    yield passes("bytes where zeros are reserved", EXPLICIT.dataset(reserved), EXPLICIT)


FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    *(encapsulated, native, unknown_vrs, mismatched, vrs, dictionary, character_sets, uids, odd),
)
