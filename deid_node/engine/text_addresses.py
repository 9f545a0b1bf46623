"""Postal addresses in a text, found by the words for a street and by postcodes.

A word that is as often no street (drive, court, CT) counts only with a word that is not of imaging.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deid_node.engine.text_dates import Span
from deid_node.engine.text_fold import fold
from deid_node.engine.text_numbers import UNIT
from deid_node.engine.text_words import word_lists

_STREET_WORDS: Final = r"street|avenue|road|boulevard|blvd|highway|hwy|parkway|pkwy"
_DOUBTFUL_STREET_WORDS: Final = (
    r"lane|drive|court|square|terrace|crescent|st|ave|av|rd|ln|dr|sq|cres|mews|expressway|freeway|turnpike"
)
_RARE_STREET_WORDS: Final = (
    r"way|place|ter|circles?|loop|trail|alley|gardens?|grove|close|row|crossing|plaza|gateway|walks?"
)
_WORDS: Final = r"((?:[^\W\d_][\w'.-]*,? ){1,3}?)"
_COMPOUNDS: Final = (
    r"straße|strasse|str\.|gasse|allee|platz|damm|ufer|chaussee|weg|(?:er|en|s|-)ring|straat|laan|plein|gracht|kade|"
    r"dijk|singel|boulevard|dreef|hof|steeg|gatan|vägen|stigen|torget|gränd|gade|vej|gata|katu"
)


def _numbered(street_words: str) -> re.Pattern[str]:
    """Return the English order: number, one to three words, the word for a street, an apartment."""
    return re.compile(
        rf"\b\d{{1,5}}[a-z]?,? (?:[nsew]\.? )?{_WORDS}(?:{street_words})\b\.?"
        r"(?:,? (?:apt|suite|unit|#)\.? ?\w+)?",
        re.IGNORECASE,
    )


_SURE_STREETS: Final = _numbered(_STREET_WORDS)
_STREETS: Final = (
    _numbered(_DOUBTFUL_STREET_WORDS),
    re.compile(
        r"\b(?:\d{1,4},? ?(?:bis|ter)?,? ?)(?:rue|avenue|boulevard|bd|place|chemin|impasse|allée|quai|cours|"
        r"route|square)((?: (?:de|du|des|la|le|les|l'|d'))*(?: ?[^\W\d_][\w'-]*){1,3})",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|via|viale|piazza|corso|rua|travessa|largo|ulica|ul\.|"
        r"aleja|al\.|plac|os\.|strada)"
        r"((?: (?:de|del|della|di|da|do|dos|la|las|los))*(?: [^\W\d_][\w'-]*){1,3}),? ?"
        r"(?:n[º°.]? ?)?\d{1,4}(?:[/-]\d{1,3})?\b",
        re.IGNORECASE,
    ),
)
_UNKNOWN_STREETS: Final = (
    _numbered(_RARE_STREET_WORDS),
    re.compile(
        rf"\b((?:(?:[^\W\d_]+-)+[^\W\d_]*|[^\W\d_]{{2,}})(?:{_COMPOUNDS}))"
        r" ?\d{1,4}(?:[/-]\d{1,3})? ?[a-z]?\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b((?:[^\W\d_][\w'-]* ){1,2})(?:straße|strasse|allee|platz|weg|damm|ring) \d{1,4}[a-z]?\b",
        re.IGNORECASE,
    ),
)
_POSTCODES: Final = re.compile(
    r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b"
    r"|\b(?:[A-PR-UWYZ][A-HK-Y]|[BEGLMNSW])\d[\dA-Z]? \d[ABD-HJLNP-UW-Z]{2}\b"
    r"|\b(?:P\.? ?O\.? ?Box|Postfach|Casilla|BP) \d+\b"
)
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_TOWNS: Final = re.compile(
    r"(?<![\w.,/-])(?P<land>[A-Z]{1,2}-)?(\d{4,5}|\d\d-\d{3}|\d{5}-\d{3})(?: [A-Z]{2})?,? "
    r"([^\W\d_][^\W\d_]{2,}(?:[ -][^\W\d_]{3,})?)"
)
_POSTCODE_AND_TOWN: Final = re.compile(
    r"[,;. ]{1,3}(?:[A-Z]{1,2}-)?\d{2,5}(?:-\d{3,4})?(?: ?[A-Z]{2}\b)?,? ?"
    r"([A-Z\u00c0-\u00de][^\W\d_]+(?:[ -][^\W\d_]+)?)?"
)


def addresses(text: str) -> Iterator[Span]:
    """Find streets with a number, postcodes and towns after a postcode."""
    for match in _SURE_STREETS.finditer(text):
        yield match.start(), _end_of_address(text, match.end())
    clinical, known = word_lists().clinical.__contains__, word_lists().is_known_word
    for patterns, is_usual in ((_STREETS, clinical), (_UNKNOWN_STREETS, known)):
        for pattern in patterns:
            for match in pattern.finditer(text):
                if not all(is_usual(fold(word)) for word in _LETTERS.findall(match[1])):
                    yield match.start(), _end_of_address(text, match.end())
    for match in _POSTCODES.finditer(text):
        yield match.span()
    for match in _TOWNS.finditer(text):
        if match["land"] in ("D-", "DE-") and len(match[2]) == 5 and match[3][0].isupper():
            yield match.span()  # also where the town is a word of imaging: Heidelberg makes cameras
        elif not UNIT.match(text, match.start(3) - 1) and _is_town(match[2], match[3]):
            yield match.span()


def _end_of_address(text: str, end: int) -> int:
    """Return where an address ends whose street ends at a place: after its postcode and town."""
    match = _POSTCODE_AND_TOWN.match(text, end)
    if match is None:
        return end
    if match[1] and not word_lists().is_known_word(fold(_LETTERS.findall(match[1])[0])):
        return match.end()
    return match.start(1) if match[1] else match.end()


def _is_town(digits: str, words: str) -> bool:
    """Tell whether a capitalized word after a postcode is no word of descriptions."""
    lists = word_lists()
    first = fold(re.split(r"[ -]", words)[0])
    if not words[0].isupper() or first in lists.clinical:
        return False
    if first not in lists.common:
        return True
    return not words[:2].isupper() and (
        first in lists.names or (len(digits) == 5 and not digits.endswith("00"))
    )
