"""Dates, times of day and high ages in a text, found by their shape.

All usual orders and separators, month names of seven languages, and East Asian dates. A year alone stays:
it identifies nobody and much is compared to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]

_YEAR: Final = r"(?:1[89]|20|21)\d\d"
_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NUMBER: Final = r"(?:0?[1-9]|1[0-2])"
_MONTH: Final = (
    r"(?:january|januar[iy]?|janvier|janeiro|gennaio|enero|jan|february|februar[iy]?|février|fevrier|fevereiro|"
    r"febrero|febbraio|feb|fév|fev|march|märz|maerz|mars|maart|março|marco|marzo|mär|mrt|april|aprile|avril|abril|"
    r"apr|avr|abr|maggio|mayo|maio|june|juni|juin|junio|junho|giugno|jun|giu|july|juli|juillet|julio|julho|"
    r"luglio|jul|juil|august|augustus|agosto|août|aout|aug|september|septembre|septiembre|setembro|settembre|"
    r"sept|sep|october|oktober|octobre|octubre|outubro|ottobre|oct|okt|ott|november|novembre|noviembre|novembro|"
    r"nov|december|dezember|décembre|decembre|diciembre|dezembro|dicembre|dic|déc)"
)
_AMBIGUOUS_MONTH: Final = r"(?:mar|may|mai|mei|mag|set|out|dec|dez|gen|ene|ago|lug|march|mars)"
_TIME: Final = (
    r"(?:[T ,_@-]{1,2}(?:(?:at|um|à|om|alle|a las) )?"
    r"(?:[01]?\d|2[0-3])[:.hH][0-5]\d(?:[:.][0-5]\d(?:[.,]\d+)?)?(?: ?(?:am|pm|uhr|h|z)\b)?)?"
)

_DATES: Final = re.compile(
    "|".join(
        (
            rf"(?<![\d.]){_YEAR}([-/._ ]){_MONTH_NUMBER}\1{_DAY}(?!\d){_TIME}",
            rf"(?<![\w.,/])(?:{_DAY}([./]){_MONTH_NUMBER}|{_MONTH_NUMBER}([./]){_DAY})(?:\2|\3)"
            rf"(?:{_YEAR}|(?<=\d\d[./]\d[./])\d\d|(?<=[./]\d\d[./])\d\d|(?<=/)'?\d\d)(?![\d/]|\.\d){_TIME}",
            rf"(?<![\w.,/-])(?:(?:{_DAY}-{_MONTH_NUMBER}|{_MONTH_NUMBER}-{_DAY})-{_YEAR}"
            rf"|(?:[0-2]\d|3[01])-(?:[0-2]\d|3[01])-\d\d)(?![\d-]){_TIME}",
            rf"(?<!\d)(?:0[1-9]|[12]\d|3[01])[ _](?:0[1-9]|1[0-2])[ _](?:19|20)\d\d(?!\d){_TIME}",
            r"(?<![\w.])(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.(?!\d)",
            r"(?<![\d/.])(?:0?[1-9]|1[0-2])/(?:19|20)\d\d(?![\d/])",
            r"(?<![\d.])(?:0[1-9]|1[0-2])[.-](?:19|20)\d\d(?!\d)",
            r"(?<![\d-])(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])(?![\d-])",
            rf"(?<!\d){_DAY}(?:st|nd|rd|th|er|\.|º)?[ ./_-]*(?:of |de |di )?{_MONTH}(?![^\W\d_])\.?"
            rf"(?:[ ,./_-]*(?:de |del |of )?(?:{_YEAR}|'?\d\d)(?!\d))?{_TIME}",
            rf"(?<!\d){_DAY}(?:st|nd|rd|th|\.)?[ ./_-]*{_AMBIGUOUS_MONTH}\.?[ ,./_-]*(?:de |del )?"
            rf"{_YEAR}(?!\d){_TIME}",
            rf"(?<!\d){_DAY}(?:[-./]?{_AMBIGUOUS_MONTH}[-./]?)\d\d(?!\d)",
            rf"\b(?:{_MONTH}|{_AMBIGUOUS_MONTH})\.?[ _-]?(?:{_DAY}(?:st|nd|rd|th)?(?!\d)[ ,_-]+)?"
            rf"{_YEAR}(?!\d){_TIME}",
            rf"\b{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?(?!\d)(?:,? ?'\d\d)?",
            rf"\b(?:dob|d\.o\.b\.?|birth ?date|born|geb\.?)[ :.=-]{{0,3}}{_DAY}[-./ ]{_DAY}[-./ ]"
            r"(?:\d\d){1,2}(?!\d)",
            r"\d{2,4}年\d{1,2}月(?:\d{1,2}日)?|\d{4}년 ?\d{1,2}월(?: ?\d{1,2}일)?",
            rf"\b(?:on|dated?|vom|am|seit|bis|du|le|el|since|until|born|dob|geb\.?|né|née|nato|nata)[ :]+"
            rf"(?:{_DAY}[./-]{_MONTH_NUMBER}|{_MONTH_NUMBER}[./-]{_DAY})\.?(?![\d%/.-])",
        )
    ),
    re.IGNORECASE,
)
_TIMES: Final = re.compile(
    r"(?<![\d:.])(?!00)(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?!\d)"
    r"|(?<![\d:./])(?:1[0-2]|0?[1-9]):[0-5]\d ?(?:am|pm)\b"
    r"|(?<![\d:./])(?:[01]\d|2[0-3]):[0-5]\d(?![\d:])"
    r"|(?<![\d:.])(?:[01]?\d|2[0-3])(?:[:.][0-5]\d)? ?uhr\b"
    r"|(?<![\d:.])(?:[01]\d|2[0-3])[0-5]\d ?(?:h|hrs?|hours|uhr)\b",
    re.IGNORECASE,
)
_OLD_AGE: Final = re.compile(
    r"(?<![\d.])(?:9\d|1[01]\d)[ -]?"
    r"(?:y\.?/?o\.?|yrs?|years?|jahre?|jährige[rn]?|ans|años|anos|anni|jaar|y)\b(?:[ -]?old\b)?"
    r"|\b0(?:9\d|1[01]\d)y\b|\b1[01]\dy\b|(?<=\bage )(?:9\d|1[01]\d)\b|(?<=\bage: )(?:9\d|1[01]\d)\b"
    r"|(?<=\baged )(?:9\d|1[01]\d)\b|(?<=\balter )(?:9\d|1[01]\d)\b",
    re.IGNORECASE,
)


def dates(text: str) -> Iterator[Span]:
    """Find dates in all usual forms, with a time beside them; not a year alone."""
    for match in _DATES.finditer(text):
        yield match.span()


def times(text: str) -> Iterator[Span]:
    """Find times of day that stand alone."""
    for match in _TIMES.finditer(text):
        yield match.span()


def old_ages(text: str) -> Iterator[Span]:
    """Find ages of 90 years and more."""
    for match in _OLD_AGE.finditer(text):
        yield match.span()
