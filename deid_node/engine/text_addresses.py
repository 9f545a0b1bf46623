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
    r"lane|drive|court|way|place|square|terrace|crescent|st|ave|av|rd|ln|dr|sq|ter|cres|circles?|loop|trail|alley|"
    r"mews|gardens?|grove|close|row|crossing|expressway|freeway|turnpike|plaza|gateway|walks?|village|views?"
)
_STREETS: Final = (
    re.compile(
        r"\b\d{1,5}[a-z]?,? (?:[nsew]\.? )?(?:(?:[^\W\d_][\w'.-]*,? ){1,3}?"
        rf"(?:{_STREET_WORDS})|((?:[^\W\d_][\w'.-]*,? ){{1,3}}?)(?:{_DOUBTFUL_STREET_WORDS}))\b\.?"
        r"(?:,? (?:apt|suite|unit|#)\.? ?\w+)?",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b((?:[^\W\d_]+-)*[^\W\d_]*(?:straße|strasse|str\.|gasse|allee|platz|damm|ufer|chaussee|weg|ring|"
        r"straat|laan|plein|gracht|kade|dijk|singel|boulevard|dreef|hof|steeg|pad|gatan|vägen|stigen|"
        r"torget|gränd|gade|vej|gata|katu))"
        r" ?\d{1,4}(?:[/-]\d{1,3})? ?[a-z]?\b"
        r"|\b(?:[^\W\d_][\w'-]* ){1,2}(?:straße|strasse|allee|platz|weg|damm|ring) \d{1,4}[a-z]?\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:\d{1,4},? ?(?:bis|ter)?,? ?)(?:rue|avenue|boulevard|bd|place|chemin|impasse|allée|quai|cours|"
        r"route|square)((?: (?:de|du|des|la|le|les|l'|d'))*(?: ?[^\W\d_][\w'-]*){1,3})",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|via|viale|piazza|corso|rua|travessa|largo|ulica|ul\.|"
        r"aleja|al\.|plac|os\.|strada)"
        r"((?: (?:de|del|della|di|da|do|dos|la|las|los))*(?: [^\W\d_][\w'-]*){1,3}),? ?"
        r"(?:n[º°.]? ?)?\d{1,4}\b",
        re.IGNORECASE,
    ),
)
_POSTCODES: Final = re.compile(
    r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b"
    r"|\b(?:[A-PR-UWYZ][A-HK-Y]|[BEGLMNSW])\d[\dA-Z]? \d[ABD-HJLNP-UW-Z]{2}\b"
    r"|\b(?:P\.? ?O\.? ?Box|Postfach|Casilla|BP) \d+\b"
)
_TOWNS: Final = re.compile(
    r"(?<![\w.,/-])(?:[A-Z]{1,2}-)?\d{4,5}(?: [A-Z]{2})? ([^\W\d_][^\W\d_]{2,}(?:[ -][^\W\d_]{3,})?)"
)


def addresses(text: str) -> Iterator[Span]:
    """Find streets with a number, postcodes and towns after a postcode."""
    for pattern in _STREETS:
        for match in pattern.finditer(text):
            if match[1] is None or _is_foreign(match[1]):
                yield match.span()
    for match in _POSTCODES.finditer(text):
        yield match.span()
    for match in _TOWNS.finditer(text):
        if not UNIT.match(text, match.start(1) - 1) and _is_town(match[1]):
            yield match.span()


def _is_foreign(words: str) -> bool:
    """Tell whether one of the words is no word of imaging: it may be the name of a street."""
    clinical = word_lists().clinical
    return any(fold(word) not in clinical for word in re.findall(r"[^\W\d_]+", words))


def _is_town(words: str) -> bool:
    """Tell whether a capitalized word after four or five digits is no word of descriptions."""
    lists = word_lists()
    first = fold(re.split(r"[ -]", words)[0])
    if not words[0].isupper() or first in lists.clinical:
        return False
    return first not in lists.common or (first in lists.names and not words[:2].isupper())
