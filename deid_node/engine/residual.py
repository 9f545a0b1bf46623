"""The residual check: search what is about to be written for the names and IDs of the patient.

A `Search` is made of byte strings: the case of ASCII letters does not matter to it, for other letters it
has a spelling each. What it finds may stand anywhere in the bytes, also inside a word, as the ends of
values are unknown there; whether it is a word of its own in one value is decided afterwards, by the
guarded plan. Nothing of a `Search` may be shown.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable

from deid_node.engine.charset import decode, encode
from deid_node.engine.remembering import remembering
from deid_node.engine.text_fold import fold, spellings
from deid_node.engine.text_words import PLACEHOLDERS, TITLES, word_lists
from deid_node.errors import LimitExceeded

_WORDS = re.compile("[\\\\^= \\0_,;/\u3000]+")
# What switches between character sets: PS3.3 C.12.1.1.2.
_ESCAPES = re.compile(rb"\x1b(?:\$[()]?[@-Z]|[()\-./,][@-Zb])")
_OUTER_ESCAPES = re.compile(rb"^(?:%b)+|(?:%b)+$" % (_ESCAPES.pattern, _ESCAPES.pattern))
_SHORTEST_NAME = 3
_LONGEST_NAME = 64  # characters of a component group of PN: PS3.5 6.2
_SHORTEST_PLAIN = 4  # without the marks of its letters
_SHORTEST_ID = 4
# An ID is met without its letters, and without the signs in it, too.
_DIGITS = re.compile(rb"\d{6,}")
_SIGNS = re.compile(rb"[^0-9A-Z\x80-\xff]")
_SHORTEST_TOGETHER = 6
# Random bytes hold a given letter, large or small, in one of 128 places; once in a thousand may be chance.
_BYTE_OR_LETTER = 128
_SELDOM = 1000
_UTF_8 = ("ISO_IR 192",)
_LATIN_1 = ("ISO_IR 100",)
# From rare to common in headers, of which half are VRs, dates and numbers; what is not here is rarer still.
_COMMON = b"JZXKYQWGVBHPMFNULOCRTAEISD9876543210 -.^"


class Search:
    """Texts to be found in bytes, whatever their case."""

    __slots__ = ("_probes", "inside", "texts")

    def __init__(self, texts: frozenset[bytes], inside: frozenset[bytes] = frozenset()) -> None:
        """Search for texts whose ASCII letters are capitals.

        Args:
            inside: those of the texts that are words wherever they stand, as ideographs are.
        """
        self.texts = texts
        self.inside = inside
        self._probes: tuple[tuple[int, int, bytes], ...] | None = None

    def __repr__(self) -> str:
        return f"Search(<{len(self)}>)"

    def __len__(self) -> int:
        return len(self.texts)

    def __contains__(self, text: bytes) -> bool:
        """Whether a text as a whole is one of those that are searched for."""
        return text in self.texts

    @property
    def shortest(self) -> int:
        """Bytes of the shortest text, 0 when there is none."""
        return min(map(len, self.texts), default=0)

    def __or__(self, other: Search) -> Search:
        return Search(self.texts | other.texts, self.inside | other.inside)

    def finds(self, parts: Iterable[bytes | memoryview], longest: int = sys.maxsize) -> bool:
        """Tell whether one of the texts may stand in bytes, also inside a word.

        Args:
            longest: bytes of a value in the parts; longer texts do not fit.
        """
        probes = self._probes
        if probes is None:
            probes = self._probes = _probes_for(self.texts)
        if not probes:
            return False
        data = b"".join(parts).upper()
        for length, rare, text in probes:
            if length > longest:
                return False
            if rare in data and text in data:  # one byte is found ten times as fast as several
                return True
        return False

    def finds_word(self, value: bytes, *, binary: bool = False) -> bool:
        """Tell whether one of the texts stands in one value, as a word of its own.

        Args:
            binary: what is found by chance in so many bytes is no identifier.
        """
        data = value.upper()
        texts: Iterable[bytes] = self.texts
        if binary:
            texts = (one for one in texts if len(data) * _SELDOM < _BYTE_OR_LETTER ** len(one))
        inside = self.inside
        return any(text in data and (text in inside or _stands_alone(text, data)) for text in texts)


def _probes_for(texts: frozenset[bytes]) -> tuple[tuple[int, int, bytes], ...]:
    """Return length, rarest byte and text of those that have to be looked for, the shortest first."""
    least: list[bytes] = []  # where a text is found, so is any that stands in it
    for text in sorted(texts, key=len):
        if not any(shorter in text for shorter in least):
            least.append(text)
    return tuple((len(text), min(text, key=_COMMON.find), text) for text in least)


@remembering(64, longest=8192)
def search_for(
    names: tuple[bytes, ...], ids: tuple[bytes, ...], charsets: tuple[str, ...], most: int
) -> Search:
    """Return the search for names and IDs as they are coded: for those parts that are worth it.

    Args:
        charsets: the values of (0008,0005), in which the names are coded.
        most: texts that may be searched for.

    Raises:
        LimitExceeded: there are more.
    """
    found: set[bytes] = set()
    inside: set[bytes] = set()
    for value in names:
        _add_words(value, charsets, most, found, inside)
    for value in ids:
        for word in value.upper().strip(b" \0").split(b"\\"):
            if len(word) >= _SHORTEST_ID and any(48 <= byte <= 57 for byte in word):
                found.add(word)
                found.update(_DIGITS.findall(word))
                together = _SIGNS.sub(b"", word)
                if len(together) >= _SHORTEST_TOGETHER:
                    found.add(together)
    _check_number(found, most)
    return Search(frozenset(found), frozenset(inside))


@remembering(64, longest=8192)
def search_for_known(
    acquaintance: tuple[tuple[str, str], ...], charsets: tuple[str, ...], most: int
) -> Search:
    """Return the search for the names of a patient that are known from elsewhere, as `search_for` does."""
    search = Search(frozenset())
    for kind, name in acquaintance:
        if kind == "name":
            coded = encode(name, charsets, "PN")
            own = charsets if coded is not None else _UTF_8
            search |= search_for((coded or name.encode(),), (), own, most)
    return search


def _add_words(
    value: bytes, charsets: tuple[str, ...], most: int, found: set[bytes], inside: set[bytes]
) -> None:
    """Add the words of a name that identify to `found`, in every form in which they may be coded.

    Those of 7 bit character sets with two bytes for a character are added to `inside` as well: there,
    bytes that are letters stand beside a word.
    """
    if value.isascii() and b"\x1b" not in value:
        words = set(_WORDS.split(value.decode()))
        found |= {
            word.encode().upper() for word in words if len(word) >= _SHORTEST_NAME and _identifies(word)
        }
        return
    text = decode(value, charsets, "PN")
    if text is None:  # not of the character set that it says it is of
        as_it_is = {word for word in _WORDS.split(value.decode("latin-1")) if _identifies(word)}
        found |= {word.encode("latin-1").upper() for word in as_it_is if len(word) >= _SHORTEST_NAME}
        text = decode(value, _UTF_8, "PN") or value.decode("latin-1")
    for word in filter(_identifies, set(_WORDS.split(text))):
        codings = _codings(word, charsets)
        found |= codings
        if not word.isascii():
            plain = {form.upper().encode() for form in spellings(word)}
            inside |= {one for one in codings - plain if one.isascii()}
        _check_number(found, most)


def _check_number(found: set[bytes], most: int) -> None:
    if len(found) > most:
        raise LimitExceeded("the patient has more names and IDs than can be searched for")


def _codings(word: str, charsets: tuple[str, ...]) -> set[bytes]:
    """Return how a word may be written: in which case, with which marks, in which character set.

    Items may have character sets of their own; UTF-8 and Latin-1 are those that are met most.
    """
    if len(word) > _LONGEST_NAME:
        return {(encode(word, charsets, "PN") or word.encode()).upper()}
    forms = {form for case in (word, word.upper(), word.lower(), word.title()) for form in _composed(case)}
    plain = {form for form in spellings(word) if len(form) >= _SHORTEST_PLAIN and _is_plain_name(form)}
    found: set[bytes] = set()
    for coded in (encode(form, own, "PN") for form in forms | plain for own in (charsets, _UTF_8, _LATIN_1)):
        if coded is not None:
            # An escape sequence stands before and after a word, or somewhere else in the value.
            found |= {_ESCAPES.sub(b"", coded), _OUTER_ESCAPES.sub(b"", coded)}
    return {one.upper() for one in found if len(one) >= _SHORTEST_NAME}


def _composed(text: str) -> tuple[str, str]:
    """Return a text with marks as a part of letters, and with marks of their own."""
    return unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)


def _is_plain_name(word: str) -> bool:
    """Tell whether a name without the marks of its letters is no word of the language."""
    return word.isascii() and _identifies(word) and not word_lists().is_known_word(word)


def _identifies(word: str) -> bool:
    """Tell whether a part of a name tells a person from others: HEAD, TEST and DR do not."""
    folded = fold(word)
    if folded in PLACEHOLDERS or folded in TITLES:
        return False
    return not word.isascii() or folded not in word_lists().clinical  # Groß is a name, gross is none


def _stands_alone(text: bytes, data: bytes) -> bool:
    """Tell whether a text occurs in data as a word, not inside a longer one."""
    at = data.find(text)
    while at >= 0:
        end = at + len(text)
        before, after = data[at - 1 : at], data[end : end + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = data.find(text, at + 1)
    return False


__all__ = ["Search", "search_for", "search_for_known"]
