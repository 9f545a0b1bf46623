"""The identifiers of one object: what its attributes say about persons, numbers and places.

Built from decoded values and their kinds; compiled once per set of facts and shared by the objects of a
series. The first question, "is any of this in the text?", is substring search; only a text that holds a
candidate is looked at word by word.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, permutations
from typing import Final

from deid_node.engine.charset import encode
from deid_node.engine.remembering import remembering
from deid_node.engine.text_dates import Span
from deid_node.engine.text_fold import fold, spellings
from deid_node.engine.text_words import PARTICLES, PLACEHOLDERS, TITLES, word_lists


class Kind(StrEnum):
    """What a fact is about, hence how it is searched for."""

    NAME = "name"  # a name of the patient: every part of it
    PERSON = "person"  # a name of another person
    ID = "id"  # an identifier: with or without separators
    DATE = "date"  # a date of the patient, YYYYMMDD
    CONTACT = "contact"  # a phone number or another address
    PLACE = "place"  # institution, address: the phrase, and words that are not of the language


_TOKEN: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PIECES: Final = re.compile(r"[^\W\d_][^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
_NOT_PLAIN: Final = re.compile(r"[\W_]+")
_BESIDE: Final = re.compile(r"[ ,.^_'’=-]{0,3}")
_UNSEGMENTED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff66-\uff9f]"
)
_LONG_NUMBER: Final = re.compile(r"\d{6,}")
_SHORTEST_NUMBER: Final = 4
_SHORTEST_CONTAINED: Final = 5
_SHORTEST_NEEDLE: Final = 4


_PERSONS: Final = frozenset({Kind.NAME, Kind.PERSON})


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is searched for: folded words, small parts, numbers without signs, unsegmented runs.

    `pairs` are small parts that are a name when they stand beside each other: Li Na.
    `probes` are parts of words: a text without any of them holds none of the words.
    """

    probes: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()


class Identifiers:
    """The known identifiers of one object, ready to be searched for."""

    __slots__ = ("_numbers", "_pairs", "_probes", "_runs", "_short", "_values", "_words")

    def __init__(self, facts: tuple[tuple[str, str], ...]) -> None:
        """Compile facts; use `of`, which shares the result among equal facts."""
        sought = [_sought(Kind(kind), value) for kind, value in facts]
        self._values = facts
        self._words = frozenset[str]().union(*(each.words for each in sought))
        self._short = frozenset[str]().union(*(each.short for each in sought))
        self._numbers = tuple(sorted(frozenset[str]().union(*(each.numbers for each in sought))))
        self._runs = tuple(sorted(frozenset[str]().union(*(each.runs for each in sought))))
        self._pairs = frozenset[tuple[str, str]]().union(*(each.pairs for each in sought))
        self._probes = tuple(frozenset[str]().union(*(each.probes for each in sought)))

    def __repr__(self) -> str:
        return f"Identifiers({len(self._values)} facts)"

    @staticmethod
    def of(facts: Iterable[tuple[str, str]]) -> Identifiers:
        """Return the identifiers of an object.

        Args:
            facts: kinds (the values of `Kind`) and decoded values, multi-valued or not, in any order.
        """
        return _compiled(tuple(sorted(set(facts))))

    @property
    def count(self) -> int:
        """How many parts of identifiers a text is searched for."""
        return len(self._words) + len(self._numbers) + len(self._runs)

    def find(self, text: str) -> list[Span]:
        """Return the spans of a text where an identifier stands, in any order, case and separation."""
        spans: list[Span] = []
        folded = fold(text)
        for probe in self._probes:
            if probe in folded:
                spans = self._words_in(text)
                break
        if self._numbers:
            plain = _NOT_PLAIN.sub("", text).lower()
            for number in self._numbers:
                if number in plain:
                    spans += _number_in(text, number)
        for run in self._runs:
            if run in folded:
                spans += _run_in(text, run)
        return spans

    def needles(self, charsets: tuple[str, ...] = ()) -> tuple[bytes, ...]:
        """Return byte strings whose presence in an output shows a leak.

        At least 4 bytes each, in the usual spellings and encodings. Words that descriptions are made
        of are left out: a patient named Head would be found in every head scan.
        """
        return _needles(self._values, charsets)

    def _words_in(self, text: str) -> list[Span]:
        spans: list[Span] = []
        tokens = list(_TOKEN.finditer(text))
        gone = [False] * len(tokens)
        for at, token in enumerate(tokens):
            folded = fold(token[0])
            if folded in self._words or self._is_inside(folded):
                gone[at] = True
                continue
            pieces = [piece.span() for piece in _PIECES.finditer(token[0]) if fold(piece[0]) in self._words]
            pieces += [piece.span() for piece in _LETTERS.finditer(token[0]) if fold(piece[0]) in self._words]
            spans += [(token.start() + start, token.start() + end) for start, end in pieces]
        if self._pairs:
            self._mark_pairs(text, tokens, gone)
        for order in (range(1, len(tokens)), range(len(tokens) - 2, -1, -1)):
            step = order.step
            for at in order:
                beside, token = tokens[at - step], tokens[at]
                between = text[min(beside.end(), token.end()) : max(beside.start(), token.start())]
                if gone[at - step] and not gone[at] and _BESIDE.fullmatch(between):
                    folded = fold(token[0])
                    gone[at] = folded in self._short or (folded in PARTICLES and step < 0)
        return spans + [token.span() for at, token in enumerate(tokens) if gone[at]]

    def _mark_pairs(self, text: str, tokens: list[re.Match[str]], gone: list[bool]) -> None:
        """Mark small parts of a name that stand beside each other, one with a capital."""
        for at, (one, other) in enumerate(pairwise(tokens)):
            capital = one[0][0].isupper() or other[0][0].isupper()
            beside = _BESIDE.fullmatch(text[one.end() : other.start()])
            if capital and beside and (fold(one[0]), fold(other[0])) in self._pairs:
                gone[at] = gone[at + 1] = True

    def _is_inside(self, folded: str) -> bool:
        """Tell whether a long part of a name is inside a word that is not of the language."""
        if len(folded) <= _SHORTEST_CONTAINED or word_lists().is_known_word(folded):
            return False
        return any(len(word) >= _SHORTEST_CONTAINED and word in folded for word in self._words)


def contains_any(data: bytes | memoryview, needles: tuple[bytes, ...]) -> bool:
    """Tell whether one of the byte strings occurs in the data."""
    searched = bytes(data) if isinstance(data, memoryview) else data
    return any(needle in searched for needle in needles)


@remembering(1024, longest=8192)
def _compiled(facts: tuple[tuple[str, str], ...]) -> Identifiers:
    return Identifiers(facts)


@remembering(8192, longest=1024)
def _sought(kind: Kind, value: str) -> _Sought:
    if kind in _PERSONS:
        return _sought_person(value, kind)
    if kind is Kind.PLACE:
        return _sought_place(value)
    numbers: set[str] = set()
    words: set[str] = set()
    for single in value.split("\\"):
        plain = _NOT_PLAIN.sub("", single).lower()
        tokens = _TOKEN.findall(single)
        if len(tokens) > 1 and not any(map(str.isdigit, plain)):  # words in the place of an identifier
            words |= {fold(token) for token in tokens if not word_lists().is_known_word(fold(token))}
            continue
        if plain in PLACEHOLDERS or len(plain) < (3 if _is_mixed(plain) else _SHORTEST_NUMBER):
            continue
        if plain.isalpha() and word_lists().is_known_word(plain):
            continue
        numbers.add(plain)
        if kind is Kind.ID:
            numbers.update(_LONG_NUMBER.findall(single))
        if plain.isdigit() and len(plain.lstrip("0")) > _SHORTEST_NUMBER:
            numbers.add(plain.lstrip("0"))
        if kind is Kind.CONTACT and len(plain) > 7:
            numbers.add(plain[-7:])
        if kind is Kind.DATE and len(plain) == 8:
            year, month, day = plain[:4], plain[4:6], plain[6:]
            numbers |= {day + month + year, month + day + year}
    words = {word for word in words if len(word) > 2 and word not in PARTICLES | PLACEHOLDERS}
    return _Sought(frozenset(words), frozenset(words), numbers=frozenset(numbers))


def _is_mixed(plain: str) -> bool:
    return any(map(str.isdigit, plain)) and any(map(str.isalpha, plain))


def _sought_person(value: str, kind: Kind) -> _Sought:
    probes: set[str] = set()
    words: set[str] = set()
    short: set[str] = set()
    runs: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for name in value.split("\\"):
        for group in name.split("="):
            components = group.split("^")[:3] if "^" in group else [group]
            parts = [fold(part) for component in components for part in _TOKEN.findall(component)]
            # Beside another part NA is a name; small parts alone are not searched for.
            placed = [part for part in parts if part not in PLACEHOLDERS and part not in TITLES]
            parts = [part for part in parts if part in placed or (placed and part in ("na", "an"))]
            if not parts or (kind is Kind.PERSON and all(map(word_lists().is_known_word, parts))):
                continue
            _add_parts(components, parts, probes, short)
            _add_joined(components, parts, probes, words)
            _add_runs(components, runs)
            small = [part for part in parts[:4] if len(part) > 1 and part in short and part not in probes]
            pairs.update(permutations(small, 2))
    return _Sought(
        frozenset(probes | {one for one, _ in pairs}),
        frozenset(words | probes),
        frozenset(short),
        runs=frozenset(runs),
        pairs=frozenset(pairs),
    )


def _add_parts(components: list[str], parts: list[str], words: set[str], short: set[str]) -> None:
    """Add every part of a name as it may be spelled; small ones count only beside another."""
    lists = word_lists()
    known = lists.is_known_word
    for component in components:
        for token in _TOKEN.findall(component):
            folded = fold(token)
            if folded not in parts:
                continue
            describes = folded in lists.anatomy or (folded in lists.clinical and folded not in lists.names)
            if len(folded) == 1 or folded in PARTICLES or (len(folded) == 2 and known(folded)) or describes:
                short.add(folded)
            else:
                words |= {spelling for spelling in spellings(token) if len(spelling) > 1}
                short.add(folded[0])


def _add_joined(components: list[str], parts: list[str], probes: set[str], words: set[str]) -> None:
    """Add the parts of a name written together, and with initials; each contains a probe."""
    for component in components:
        tokens = _TOKEN.findall(component)
        together = fold("".join(tokens))
        if len(tokens) > 1 and len(together) > 3:
            words.add(together)
            if not any(probe in together for probe in probes):
                probes.add(together)
    for one, other in permutations(parts[:4], 2):
        if len(one) > 1 and len(other) > 1 and len(one) + len(other) > 4:
            words.add(one + other)
        if len(one) > 2:
            words |= {one + other[0], other[0] + one}


def _add_runs(components: list[str], runs: set[str]) -> None:
    """Add parts of names in scripts that do not separate words; a single character is too little."""
    written = [fold(component.replace(" ", "").strip()) for component in components]
    for candidate in (*written, "".join(written)):
        if len(candidate) > 1 and _UNSEGMENTED.search(candidate):
            runs.add(candidate)


def _sought_place(value: str) -> _Sought:
    lists = word_lists()
    words: set[str] = set()
    numbers: set[str] = set()
    runs: set[str] = set()
    for place in value.split("\\"):
        tokens = [fold(token) for token in _TOKEN.findall(place)]
        telling = [token for token in tokens if token not in lists.clinical and token not in PLACEHOLDERS]
        for token in telling:
            if token.isalpha() and len(token) > 2 and token not in PARTICLES:
                if token not in lists.common or token in lists.names:
                    words |= {token}
            elif len(token) >= _SHORTEST_NUMBER and any(map(str.isdigit, token)):
                numbers.add(token)
        phrase = _NOT_PLAIN.sub("", place).lower()
        if telling and len(tokens) > 1 and len(phrase) > _SHORTEST_NUMBER:
            numbers.add(phrase)
        _add_runs([place], runs)
    return _Sought(frozenset(words), frozenset(words), numbers=frozenset(numbers), runs=frozenset(runs))


def _number_in(text: str, number: str) -> list[Span]:
    """Find a number written with any separators; a long one also inside a longer token."""
    places = [at for at, character in enumerate(text) if character.isalnum()]
    plain = "".join(text[at].lower()[:1] for at in places)
    spans: list[Span] = []
    found = plain.find(number)
    while found >= 0:
        start, end = places[found], places[found + len(number) - 1] + 1
        starts = found == 0 or places[found - 1] + 1 < start
        ends = found + len(number) == len(plain) or places[found + len(number)] > end
        one_token = end - start == len(number)
        changes = _changes(text, start) and _changes(text, end)
        if (starts and ends) or (one_token and (changes or len(number) > 5)):
            spans.append(_whole_token(text, start, end))
            found = bisect_left(places, spans[-1][1]) - 1
        found = plain.find(number, found + 1)
    return spans


def _changes(text: str, at: int) -> bool:
    """Tell whether digits and letters meet at a place, or a token begins or ends there."""
    if at in {0, len(text)} or not (text[at - 1].isalnum() and text[at].isalnum()):
        return True
    return text[at - 1].isdigit() != text[at].isdigit()


def _whole_token(text: str, start: int, end: int) -> Span:
    while start and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum():
        end += 1
    return start, end


def _run_in(text: str, run: str) -> list[Span]:
    """Find a run of an unsegmented script; where folding changes lengths, the whole token is taken."""
    spans: list[Span] = []
    for token in re.finditer(r"[^\W_]+(?:[ 　]?[^\W_]+)?", text):
        folded = fold(token[0])
        at = folded.find(run)
        while at >= 0:
            same = len(folded) == len(token[0])
            start = token.start() + at if same else token.start()
            spans.append((start, start + len(run) if same else token.end()))
            at = folded.find(run, at + 1)
    return spans


@remembering(1024, longest=8192)
def _needles(facts: tuple[tuple[str, str], ...], charsets: tuple[str, ...]) -> tuple[bytes, ...]:
    lists = word_lists()
    texts: set[str] = set()
    for kind, value in facts:
        for single in value.split("\\"):
            if kind in _PERSONS:
                parts = [part for group in single.split("=") for part in re.split(r"[\^ ,]+", group)]
                told = [part for part in parts if _is_telling(part) and not lists.is_known_word(fold(part))]
                texts.update(part for part in told if fold(part) not in PLACEHOLDERS | TITLES)
                if told and "^" in single:
                    texts.add(single.strip("^= "))
            elif kind is Kind.PLACE:
                if any(not lists.is_known_word(fold(word)) for word in _LETTERS.findall(single)):
                    texts.add(single.strip())
            elif _is_telling_number(_NOT_PLAIN.sub("", single)):
                texts.add(single.strip())
    coded: set[bytes] = set()
    for text in texts:
        for spelled in {text, text.upper(), text.lower(), text.title()}:
            coded.add(spelled.encode("utf-8"))
            coded.add(spelled.encode("latin-1", "ignore") if not spelled.isascii() else b"")
            coded.add(encode(spelled, charsets, "PN") or b"")
    return tuple(sorted(needle for needle in coded if len(needle) >= _SHORTEST_NEEDLE))


def _is_telling(part: str) -> bool:
    """Tell whether a part of a name is long enough to be searched for; two ideographs are."""
    return len(part) >= (2 if _UNSEGMENTED.search(part) else _SHORTEST_NEEDLE)


def _is_telling_number(plain: str) -> bool:
    """Tell whether an identifier is long enough not to occur by chance."""
    if fold(plain) in PLACEHOLDERS:
        return False
    return len(plain) >= 6 if plain.isdigit() else len(plain) >= _SHORTEST_NEEDLE and not plain.isalpha()
