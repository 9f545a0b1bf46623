"""Text values under Specific Character Set (0008,0005): strict decoding and encoding.

Follows PS3.5 section 6.1.2 and the defined terms of PS3.3 C.12.1.1.2. What cannot be decoded without
guessing is None, never a replacement character: an action that cannot read a value must not pass it.
pydicom supplies the code tables; its decoder is not used because it depends on a process-wide mode and
puts values into warnings.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

from deid_node.engine.remembering import remembering

DEFAULT: Final = ""
CHARSET_VRS: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
"""VRs whose values are coded under Specific Character Set; all others are ASCII (PS3.5 6.1.2.2)."""

STAND_ALONE: Final = frozenset({"ISO_IR 192", "GB18030", "GBK"})
"""Terms without code extensions: no escape sequence is a part of them."""

_SINGLE_BYTE_SETS: Final = (100, 101, 109, 110, 126, 127, 138, 144, 148, 203, 166, 13)
_MULTI_BYTE_SETS: Final = (87, 159, 149, 58)
TERMS: Final = frozenset(
    {DEFAULT, "ISO_IR 6", "ISO 2022 IR 6"}
    | {f"ISO_IR {number}" for number in _SINGLE_BYTE_SETS}
    | {f"ISO 2022 IR {number}" for number in (*_SINGLE_BYTE_SETS, *_MULTI_BYTE_SETS)}
    | STAND_ALONE
)
"""The defined terms of PS3.3 Tables C.12-2 to C.12-5, and the default repertoire."""

_NUMBERS: Final = (6, *_SINGLE_BYTE_SETS)
_SINGLE_PREFIXES: Final = (
    "ISO-IR ", "ISO IR ", "ISO_IR_", "ISO_IR-", "ISO_IR", "ISO-IR-", "ISOIR ", "ISOIR", "IR ",
)  # fmt: skip
_EXTENDED_PREFIXES: Final = (
    "ISO_2022_IR_", "ISO 2022-IR-", "ISO-2022-IR-", "ISO_2022-IR-", "ISO_2022 IR ", "ISO2022 IR ",
    "ISO 2022 ", "ISO-2022 IR ", "ISO 2022 IR", "ISO 2022IR ",
)  # fmt: skip
WRONG_SPELLINGS: Final = {
    **{f"{prefix}{number}": f"ISO_IR {number}" for prefix in _SINGLE_PREFIXES for number in _NUMBERS},
    **{
        f"{prefix}{number}": f"ISO 2022 IR {number}"
        for prefix in _EXTENDED_PREFIXES
        for number in (*_NUMBERS, *_MULTI_BYTE_SETS)
    },
    **{f"{prefix}192": "ISO_IR 192" for prefix in _SINGLE_PREFIXES},
    **dict.fromkeys(("ISO 2022 IR 192", "UTF-8", "UTF8", "UTF_8", "UNICODE"), "ISO_IR 192"),
    **dict.fromkeys(("ISO 8859-1", "ISO-8859-1", "ISO8859-1", "ISO_8859-1"), "ISO_IR 100"),
    **dict.fromkeys(("LATIN1", "LATIN-1", "LATIN_1"), "ISO_IR 100"),
    **dict.fromkeys(("GB 18030", "GB-18030", "GB_18030", "ISO_IR GB18030"), "GB18030"),
    **dict.fromkeys(("ISO 2022 GBK", "ISO 2022-GBK", "ISO_2022_GBK"), "GBK"),
    **dict.fromkeys(("ASCII", "US-ASCII", "NONE", "ISO 646", "ISO646"), DEFAULT),
}
"""Spellings that real devices write, each with the one term it can only mean."""

_ESC: Final = b"\x1b"
_PN_DELIMITERS: Final = frozenset(b"\t\n\f\r\\^=")
_VALUE_DELIMITERS: Final = frozenset(b"\t\n\f\r\\")
_LINE_DELIMITERS: Final = frozenset(b"\t\n\f\r")
_SINGLE_VALUED: Final = frozenset({"ST", "LT", "UT"})
_TWO_BYTE_G0: Final = {b"$B": "iso2022_jp", b"$(D": "iso2022_jp_2"}
_MULTI_BYTE_G1: Final = {b"$)C": "euc_kr", b"$)A": "gb2312"}
_BACK_TO_ASCII: Final = frozenset({b"(B", b"(J"})


@dataclass(frozen=True, slots=True)
class _Repertoire:
    """What one (0008,0005) allows: the codec in force at each start, and the escapes beside it.

    `escapes` maps the bytes after ESC to a codec; `order` is the order of declaration for encoding.
    """

    initial: str
    escapes: dict[bytes, str]
    order: tuple[tuple[bytes, str], ...]


def known_term(term: str) -> str | None:
    """Return the defined term that `term` is or can only mean, None for anything else."""
    stripped = term.rstrip(" \0").lstrip(" ")
    if stripped in TERMS:
        return stripped
    spelled = " ".join(stripped.upper().split())
    if spelled in TERMS:
        return spelled
    return WRONG_SPELLINGS.get(spelled)


def is_misspelled(terms: tuple[str, ...]) -> bool:
    """Tell whether a term is read as another than it says."""
    return any(term.strip(" ") not in TERMS for term in terms if term.strip(" "))


def terms_in(value: bytes) -> tuple[str, ...]:
    """Return the values of (0008,0005) as they are written, without padding; empty when there is none."""
    text = value.decode("latin-1").rstrip(" \0").lstrip(" ")
    return tuple(part.strip(" ") for part in text.split("\\")) if text else ()


def known_terms(charsets: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return all defined terms of a (0008,0005), None when one of them is unknown."""
    terms = tuple(known_term(charset) for charset in charsets)
    known = tuple(term for term in terms if term is not None)
    return known if len(known) == len(terms) else None


def decode(value: bytes, charsets: tuple[str, ...], vr: str) -> str | None:
    """Return the text of a value, None when it cannot be decoded strictly.

    Decode a multi-valued value whole and split at backslashes afterwards: in GB18030, GBK and
    ISO-2022-JP the byte of a backslash may be half of a character (PS3.5 6.1.2.5.3). Padding stays.

    Args:
        value: the value field.
        charsets: the values of (0008,0005), empty when absent.
        vr: its delimiters end what an escape sequence began; VRs outside CHARSET_VRS are ASCII.
    """
    if value.isascii() and _ESC not in value:
        return value.decode("ascii") if not charsets or _repertoire(charsets) is not None else None
    if vr not in CHARSET_VRS:
        return None
    repertoire = _repertoire(charsets)
    if repertoire is None:
        return None
    try:
        if _ESC not in value:
            return value.decode(repertoire.initial)
        return _decode_extended(value, repertoire, _delimiters(vr))
    except (UnicodeDecodeError, KeyError):
        return None


def encode(text: str, charsets: tuple[str, ...], vr: str) -> bytes | None:
    """Return the value bytes for a text, without padding; None when the character sets cannot say it.

    Escape sequences are written as PS3.5 6.1.2.5.3 asks: the initial state is back before every
    delimiter of the VR and at the end.
    """
    if text.isascii() and "\x1b" not in text:
        return text.encode("ascii") if not charsets or _repertoire(charsets) is not None else None
    repertoire = _repertoire(charsets)
    if vr not in CHARSET_VRS or repertoire is None or "\x1b" in text:
        return None
    if not repertoire.order or repertoire.initial != "shift_jis":
        try:
            return text.encode(repertoire.initial)
        except UnicodeEncodeError:
            if not repertoire.order:
                return None
    delimiters = _delimiters(vr)
    pieces: list[bytes] = []
    start = 0
    for position, character in enumerate(text + "\0"):
        if ord(character) in delimiters or position == len(text):
            piece = _encode_extended(text[start:position], repertoire)
            if piece is None:
                return None
            pieces.append(piece + (character.encode("ascii") if position < len(text) else b""))
            start = position + 1
    return b"".join(pieces)


@remembering(256, longest=1024)
def _repertoire(charsets: tuple[str, ...]) -> _Repertoire | None:
    terms = known_terms(charsets)
    if terms is None or (len(terms) > 1 and not STAND_ALONE.isdisjoint(terms)):
        return None
    first = terms[0] if terms else DEFAULT
    extensions = [term for term in terms if term.startswith("ISO 2022")]
    if not extensions:
        return _Repertoire(_codec(first), {}, ())
    order = tuple(pair for term in extensions for pair in _ESCAPES.get(term.removeprefix("ISO 2022 "), ()))
    escapes = {b"(B": "ascii", b"(J": "ascii"} | dict(order)
    return _Repertoire(_codec(first), escapes, order)


def _codec(term: str) -> str:
    """Return the Python codec in force where no escape sequence was read."""
    if term in {DEFAULT, "ISO_IR 6", "ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"}:
        return "ascii"
    if term.endswith(" 203"):
        return "iso8859_15"
    return "gb2312" if term.endswith(" 58") else codecs.lookup(python_encoding[term]).name


def _escapes_of_sets() -> dict[str, tuple[tuple[bytes, str], ...]]:
    by_codec: dict[str, list[bytes]] = {}
    for sequence, encoding in CODES_TO_ENCODINGS.items():
        by_codec.setdefault(codecs.lookup(encoding).name, []).append(sequence[1:])
    table: dict[str, tuple[tuple[bytes, str], ...]] = {}
    for number in _SINGLE_BYTE_SETS[:9] + _SINGLE_BYTE_SETS[10:]:
        codec = _codec(f"ISO 2022 IR {number}")
        table[f"IR {number}"] = tuple((code, codec) for code in by_codec[codec] if code not in _BACK_TO_ASCII)
    table["IR 203"] = ((b"-b", "iso8859_15"),)
    for number, code in ((87, b"$B"), (159, b"$(D")):
        table[f"IR {number}"] = ((code, _TWO_BYTE_G0[code]),)
    for number, code in ((149, b"$)C"), (58, b"$)A")):
        table[f"IR {number}"] = ((code, _MULTI_BYTE_G1[code]),)
    return table


_ESCAPES: Final = _escapes_of_sets()


def _delimiters(vr: str) -> frozenset[int]:
    if vr == "PN":
        return _PN_DELIMITERS
    return _LINE_DELIMITERS if vr in _SINGLE_VALUED else _VALUE_DELIMITERS


def _decode_extended(value: bytes, repertoire: _Repertoire, delimiters: frozenset[int]) -> str:
    """Follow the escape sequences; KeyError for one that (0008,0005) does not declare."""
    head, *rest = value.split(_ESC)
    pieces = [head.decode(repertoire.initial)]
    upper = repertoire.initial  # the codec for bytes above 7F; ASCII below is a part of every one
    for fragment in rest:
        code = fragment[: 3 if fragment[:2] in {b"$)", b"$("} else 2]
        codec, payload = repertoire.escapes[code], fragment[len(code) :]
        if code in _TWO_BYTE_G0:
            pieces.append((_ESC + fragment).decode(codec))
            continue
        if code not in _BACK_TO_ASCII:
            upper = codec
        end = next((at for at, byte in enumerate(payload) if byte in delimiters), None)
        if end is None or upper == repertoire.initial:
            pieces.append(payload.decode(upper))
        else:
            pieces.append(payload[:end].decode(upper) + payload[end:].decode(repertoire.initial))
            upper = repertoire.initial
    return "".join(pieces)


def _encode_extended(text: str, repertoire: _Repertoire) -> bytes | None:
    """Encode one component: each run of characters in the first declared set that has them."""
    out = bytearray()
    lower, upper = b"", repertoire.initial  # a two-byte set in G0, or ASCII; the codec in G1
    for character in text:
        wanted: bytes = b""
        if not character.isascii() and not _says(upper, character):
            found = _set_for(character, repertoire)
            if found is None:
                return None
            wanted = found[0]
        if lower and wanted != lower:
            out += _ESC + b"(B"
            lower = b""
        if wanted in _TWO_BYTE_G0:
            coded = character.encode(_TWO_BYTE_G0[wanted])[len(wanted) + 1 :][:2]
            out += coded if lower else _ESC + wanted + coded
            lower = wanted
            continue
        if wanted:
            upper = repertoire.escapes[wanted]
            out += _ESC + wanted
        out += character.encode("ascii" if character.isascii() else upper)
    if lower:
        out += _ESC + b"(B"
    if upper != repertoire.initial:
        home = next((code for code, codec in repertoire.order if codec == repertoire.initial), None)
        out += b"" if home is None else _ESC + home
    return bytes(out)


def _set_for(character: str, repertoire: _Repertoire) -> tuple[bytes, str] | None:
    """Return (escape code, codec) of the first declared set that has a character."""
    for code, codec in repertoire.order:
        if _says(codec, character) and (
            code not in _TWO_BYTE_G0 or character.encode(codec).startswith(_ESC + code)
        ):
            return code, codec
    return None


def _says(codec: str, character: str) -> bool:
    """Tell whether a codec of a G1 set has a character; ISO-IR 13 is the single bytes of Shift JIS."""
    try:
        coded = character.encode(codec)
    except UnicodeEncodeError:
        return False
    return codec != "shift_jis" or len(coded) == 1
