"""Action C on text: what identifies goes, the rest stays.

The known identifiers of the object (text_identifiers), what looks like an identifier (text_shapes) and
names of persons (text_names) are found as spans; this module joins them and takes them out. What was
found by shape alone does not depend on the object and is remembered, so that the thousandth image of a
series costs a lookup. PS3.15 E.3.5 (Clean Descriptors Option).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal

from deid_node.engine.text_dates import Span
from deid_node.engine.text_fold import fold
from deid_node.engine.text_identifiers import Identifiers, Kind, contains_any
from deid_node.engine.text_institutions import institutions
from deid_node.engine.text_names import person_names, unknown_words
from deid_node.engine.text_shapes import FINDERS, suspicious_spans
from deid_node.engine.text_words import words_of
from deid_node.profile.procedure import Cleaning

__all__ = ["Cleaner", "CleaningOptions", "Identifiers", "Kind", "contains_any"]

_REMEMBERED_CHARACTERS: Final = 1024
_BLANK_RUN: Final = re.compile(r"[ \t]{2,}")
_WORD: Final = re.compile(r"[^\W_]+")
_EMPTY_BRACKETS: Final = re.compile(r"[(\[{<][ ,;:.&/-]*[)\]}>]")
_SEAM: Final = " \t,;:&^=_-/|.#@，、；："
_OPENING: Final = "([{<"
_CLOSING: Final = ")]}>"


@dataclass(frozen=True, slots=True)
class CleaningOptions:
    """What action C takes out besides the known identifiers of the object.

    `unknown` decides over words that no list knows: they stay, they go as well, or the text is left to a
    person. `words` are folded words that count as known, and as no names.
    """

    dates: bool = True
    times: bool = True
    ages: bool = True
    contacts: bool = True
    numbers: bool = True
    addresses: bool = True
    names: bool = True
    unknown: Literal["keep", "drop", "hold"] = "keep"
    words: frozenset[str] = frozenset()

    @staticmethod
    @cache
    def of(cleaning: Cleaning) -> CleaningOptions:
        """Return what a profile says."""
        words = words_of("\n".join(cleaning.words))
        return CleaningOptions(unknown=cleaning.unknown.value, words=words)


class Cleaner:
    """Cleans the texts of one object."""

    __slots__ = ("_identifiers", "_options")

    def __init__(self, identifiers: Identifiers, options: CleaningOptions | None = None) -> None:
        self._identifiers = identifiers
        self._options = options or CleaningOptions()

    @property
    def sought(self) -> int:
        """How many parts of identifiers every text is searched for."""
        return self._identifiers.count

    def clean(self, text: str) -> tuple[str, int]:
        """Return a decoded value without what identifies, and how many places were taken out.

        A text in which nothing is found is returned as it is. A cleaned text is never longer. Clean
        the values of a multi-valued element one by one.
        """
        known = self._identifiers.find(text)
        if len(text) <= _REMEMBERED_CHARACTERS:
            suspects = _remembered_suspects(text, self._options)
        else:
            suspects = _suspects(text, self._options)
        if not known and not suspects:
            return text, 0
        return _without(text, _joined(text, [*known, *suspects]))

    def is_undecided(self, cleaned: str) -> bool:
        """Tell whether words are left in a cleaned value that a person has to judge."""
        options = self._options
        return options.unknown == "hold" and any(
            not _is_allowed(cleaned[start:end], options.words) for start, end in unknown_words(cleaned)
        )

    def clean_known(self, text: str) -> tuple[str, int]:
        """Return a decoded value without the known identifiers of the object; all else stays."""
        known = self._identifiers.find(text)
        return _without(text, _joined(text, known)) if known else (text, 0)

    def clean_bytes(self, value: bytes) -> tuple[bytes, int]:
        """Clean a value whose character set is undeclared or wrong.

        ASCII is judged as text; bytes beyond ASCII, and escape sequences, cannot be judged: the words
        that hold them go.
        """
        text, count = self.clean(value.decode("latin-1"))
        kept, unreadable = _UNREADABLE.subn("", text)
        if not unreadable:
            return text.encode("latin-1"), count
        return _BLANK_RUN.sub(" ", kept).strip(_SEAM).encode("latin-1"), count + unreadable


_UNREADABLE: Final = re.compile(r"[^\s\\]*\x1b[^\s\\]*|[^\s\\^=,;:/]*[\x80-\xff][^\s\\^=,;:/]*")


@lru_cache(maxsize=8192)
def _remembered_suspects(text: str, options: CleaningOptions) -> tuple[Span, ...]:
    return _suspects(text, options)


def _suspects(text: str, options: CleaningOptions) -> tuple[Span, ...]:
    spans = suspicious_spans(text, (option for option in FINDERS if getattr(options, option)))
    words = []
    if options.names:
        words += [*person_names(text), *institutions(text)]
    if options.unknown == "drop":
        words += unknown_words(text)
    if options.words:
        words = [(start, end) for start, end in words if not _is_allowed(text[start:end], options.words)]
    return tuple(sorted({*spans, *words}))


def _is_allowed(text: str, words: frozenset[str]) -> bool:
    return all(fold(word) in words for word in _WORD.findall(text))


def _joined(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans in order, overlapping ones and those with only signs between them as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and (start <= joined[-1][1] or not text[joined[-1][1] : start].strip(" \t,;:.^_'’-/")):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _without(text: str, spans: list[Span]) -> tuple[str, int]:
    """Take the spans out and mend the seams: no double blanks, no sign that joins nothing."""
    cleaned = text[: spans[0][0]]
    for at, (_, end) in enumerate(spans):
        following = text[end : spans[at + 1][0] if at + 1 < len(spans) else None]
        cleaned = _mended(cleaned, following)
    cleaned = _EMPTY_BRACKETS.sub("", cleaned)
    if not any(map(str.isalnum, cleaned)):
        return "", len(spans)
    return _BLANK_RUN.sub(" ", cleaned).strip(" \t"), len(spans)


def _mended(before: str, after: str) -> str:
    """Join what stands before and after a hole: one blank, or the sign that stood there."""
    left, right = before.rstrip(_SEAM), after.lstrip(_SEAM)
    signs = before[len(left) :] + after[: len(after) - len(right)]
    if not left or left[-1] in "\r\n":
        return left + right
    if not right or right[0] in "\r\n":
        return left + ("." if "." in after[: len(after) - len(right)] and "." in left else "")
    if left[-1] in _OPENING or right[0] in _CLOSING:
        return left + (" " if left[-1] not in _OPENING and " " in before[len(left) :] else "") + right
    if "." in after[: len(after) - len(right)] and " " in signs:
        return left + ". " + right
    return left + (signs[0] if signs and " " not in signs else " ") + right
