"""The residual check: search what is about to be written for the names and IDs of the patient.

A `Search` is made of byte strings in upper case. What it finds may stand anywhere in the bytes, also
inside a word, as the ends of values are unknown there; whether it is a word of its own in one value is
decided afterwards, by the guarded plan. Nothing of a `Search` may be shown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from deid_node.engine.charset import encode
from deid_node.engine.remembering import remembering
from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import PLACEHOLDERS, TITLES, word_lists

_WORDS = re.compile(rb"[\\^= \0_,;/]+")
_SHORTEST_NAME = 3
_SHORTEST_ID = 4
# An ID is met without its letters, and without the signs in it, too.
_DIGITS = re.compile(rb"\d{6,}")
_SIGNS = re.compile(rb"[^0-9A-Z\x80-\xff]")
_SHORTEST_TOGETHER = 6
# Random bytes hold a given letter, large or small, in one of 128 places; once in a thousand may be chance.
_BYTE_OR_LETTER = 128
_SELDOM = 1000
# From rare to common in headers, of which half are VRs, dates and numbers; what is not here is rarer still.
_COMMON = b"JZXKYQWGVBHPMFNULOCRTAEISD9876543210 -.^"


class Search:
    """Texts to be found in bytes, whatever their case."""

    __slots__ = ("_probes", "_texts")

    def __init__(self, texts: frozenset[bytes]) -> None:
        """Search for texts in upper case."""
        self._texts = texts
        least: list[bytes] = []  # where one is found, so is any that stands in it
        for text in sorted(texts, key=len):
            if not any(shorter in text for shorter in least):
                least.append(text)
        self._probes = tuple((len(text), min(text, key=_COMMON.find), text) for text in least)

    def __repr__(self) -> str:
        return f"Search(<{len(self)}>)"

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, text: bytes) -> bool:
        """Whether a text as a whole is one of those that are searched for."""
        return text in self._texts

    @property
    def shortest(self) -> int:
        """Bytes of the shortest text, 0 when there is none."""
        return min(map(len, self._texts), default=0)

    def __or__(self, other: Search) -> Search:
        return Search(self._texts | other._texts)

    def finds(self, parts: Iterable[bytes | memoryview], longest: int = sys.maxsize) -> bool:
        """Tell whether one of the texts may stand in bytes, also inside a word.

        Args:
            longest: bytes of a value in the parts; longer texts do not fit.
        """
        if not self._probes:
            return False
        data = b"".join(parts).upper()
        for length, rare, text in self._probes:
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
        texts: Iterable[bytes] = self._texts
        if binary:
            texts = (one for one in texts if len(data) * _SELDOM < _BYTE_OR_LETTER ** len(one))
        return any(text in data and _stands_alone(text, data) for text in texts)


@remembering(64, longest=8192)
def search_for(names: tuple[bytes, ...], ids: tuple[bytes, ...]) -> Search:
    """Return the search for names and IDs as they are coded: for those parts that are worth it."""
    found: set[bytes] = set()
    for value in names:
        found.update(word for word in _WORDS.split(value.upper()) if _identifies(word))
    for value in ids:
        for word in value.upper().strip(b" \0").split(b"\\"):
            if len(word) >= _SHORTEST_ID and any(48 <= byte <= 57 for byte in word):
                found.add(word)
                found.update(_DIGITS.findall(word))
                together = _SIGNS.sub(b"", word)
                if len(together) >= _SHORTEST_TOGETHER:
                    found.add(together)
    return Search(frozenset(found))


@remembering(64, longest=8192)
def search_for_known(acquaintance: tuple[tuple[str, str], ...], charsets: tuple[str, ...]) -> Search:
    """Return the search for the names of a patient that are known from elsewhere."""
    names = [text.upper() for kind, text in acquaintance if kind == "name"]
    coded = (encode(name, charsets, "PN") or name.encode() for name in names)
    return search_for(tuple(name for name in coded if name), ())


def _identifies(word: bytes) -> bool:
    """Tell whether a part of a name tells a person from others: HEAD, TEST and DR do not."""
    folded = fold(word.decode("latin-1"))
    return (
        len(word) >= _SHORTEST_NAME
        and folded not in PLACEHOLDERS
        and folded not in TITLES
        and folded not in word_lists().clinical
    )


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
