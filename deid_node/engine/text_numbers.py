"""Contacts and numbers of records in a text, found by their shape.

The rules prefer a lost number to a leaked one, but leave alone what imaging texts are full of: sizes
(512x512), doses, b-values, versions, ratios.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deid_node.engine.text_dates import Span

_CONTACTS: Final = re.compile(
    r"[\w.+-]{1,64} ?(?:@|\(at\)|\[at\]) ?[\w-]+(?:\.[\w-]+)+|(?:https?|ftp|file)://[^\s\"'<>)]+|\bwww\.[^\s\"'<>)]+"
    r"|(?<![\w.])(?=10\.|[\d.]{0,12}\d{3})\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b|(?<![\w.])[0-2](?:\.\d+){5,}(?!\w)"
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\\\\[\w.-]+\\[^\s]+"
    r"|(?<![^\W_])(?:user(?:name|[ _]?id)?|log[io]n)(?: ?[:=] ?)[\w.@-]+",
    re.IGNORECASE,
)
_PHONES: Final = re.compile(
    "(?:"
    + "|".join(
        (
            r"(?<![\w.])(?:\+|00)[1-9][\d ()./-]{6,24}\d",  # international
            r"(?<![\w.])\(\d{2,5}\)[ ./-]{0,4}\d[\d ./-]{3,20}\d",
            r"(?<![\w.,])0\d{1,5}[ ]?[/-][ ]?\d[\d -]{3,20}\d",  # 0228/2871234
            r"(?<![\w.,])0\d(?:[ .-]\d\d){4}(?!\d)",  # 01 23 45 67 89
            r"(?<![\w.,])0\d{2,5} \d{3,}[\d ]*\d",
            r"(?<![\w.,-])(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}(?![\d-])",  # North America
            r"(?<![\w.,-])\d{2} \d{4,5}-\d{4}(?![\d-])",  # Brazil
            r"(?<![\w.,-])\d{3}-\d{4}(?![\w.-])",
            r"\b(?:phone|telephone|telefon|teléfono|téléphone|telefono|telefoon|tel|fax|mobile|mobil|mob|handy|"
            r"cell|pager|beeper|ext|extension|durchwahl|dw|call)\b"
            r"[ .:#]*(?:no\.?|nr\.?)?[ .:#]*[+(]?\d[\d ()./-]{1,24}\d",
        )
    )
    + r")(?: ?(?:x|ext\.?|app\.?) ?\d{1,6})?",
    re.IGNORECASE,
)
_CUED_NUMBERS: Final = re.compile(
    r"(?<![^\W_])(?:mrn|m\.r\.n\.?|mr ?#|pid|patid|pat(?:ient(?:en)?)?[ ._-]?(?:id|nr|no|number|nummer|#)|"
    r"ssn|ahv(?:[ -]?nr)?|svnr|nhs(?: ?(?:no|number))?|kvnr|bsn|ipp|nhc|nip|matricule|hospital (?:no|number)|"
    r"zip(?: ?code)?|plz|medicare|medicaid|beneficiary|subscriber|policy|insurance|"
    r"medical record(?: (?:number|no))?|unit (?:no|number)|national id|passport(?: no)?|"
    r"versicherten(?:nummer|nr))(?![^\W\d_])[ .:#=_-]*(?:is |ist )?(?=[\w/-]*\d)[^\W_](?:[\w/-]|\.(?=\w))*",
    re.IGNORECASE,
)
_LOOSELY_CUED: Final = re.compile(
    r"(?<![^\W_])(?:acc(?:ession)?|chart|case|record|encounter|episode|visit|order|fin|fall|aktenzeichen|az|"
    r"dossier|id|ident|no|nr|num|number|numéro|nummer|serial|sn|s/n|account|acct|#)"
    r"(?: ?(?:no|nr|number|num|id|nummer|#))?[ .:#=_-]*"
    r"([a-z]{0,6}[-/]?\d[\w/-]*)",
    re.IGNORECASE,
)
_CODES: Final = re.compile(r"(?<![^\W_])[^\W_]*\d{5,}[^\W_]*")
_DASHED: Final = re.compile(r"(?<![\w.,-])[A-Za-z]{0,4}-?\d+(?:[-/]\d+)+(?![\w-])")
_GROUPED: Final = re.compile(
    r"(?<![\w.,-])(?:\d{3}-\d\d-\d{4}-?[A-Z]\d?|\d[A-Z][A-Z\d]\d-[A-Z][A-Z\d]\d-[A-Z]{2}\d\d)(?![\w-])"
)
_PREFIXED: Final = re.compile(
    r"(?<![^\W_])(?:mrn|pid|pat|acc|ssn|patient|pt|case)[-_]?\d{3,}[^\W_]*", re.IGNORECASE
)
UNIT: Final = re.compile(
    r"[ ]?(?:x ?\d|[kmg]?bq|[mcµu]?gy|iu|ie|u|mm|cm|[mµun]?s|sec|[kmg]?hz|[kmµu]?g|m?l|cc|k?counts?|kcts|"
    r"px|pixels?|voxels?|bytes?|[kmg]b|ppm|%)\b",
    re.IGNORECASE,
)
_PHYSICAL_PREFIXES: Final = frozenset("tr te ti ta td fa b bw kv ma mas iso ih v".split())
_CODE_SCHEME: Final = re.compile(
    r"\b(?:snomed(?:[ -]ct)?|sct|srt|loinc|cpt|icd|radlex|umls|dcm|opcs|ops|goä|ebm)[ :#-]*(?:code)?[ :#-]*$",
    re.IGNORECASE,
)
_DIGITS: Final = re.compile(r"\d+")


def contacts(text: str) -> Iterator[Span]:
    """Find e-mail, web and network addresses, UIDs and phone numbers."""
    for match in _CONTACTS.finditer(text):
        yield match.span()
    for match in _PHONES.finditer(text):
        if not _is_round(match[0]):
            yield match.span()


def record_numbers(text: str) -> Iterator[Span]:
    """Find numbers of records: introduced by a word, or long, or grouped."""
    for match in (*_CUED_NUMBERS.finditer(text), *_PREFIXED.finditer(text), *_GROUPED.finditer(text)):
        yield match.span()
    for match in _LOOSELY_CUED.finditer(text):
        if sum(map(str.isdigit, match[1])) >= 4:
            yield match.span(1)
    for match in _CODES.finditer(text):
        if _is_record_number(text, match):
            yield match.span()
    for match in _DASHED.finditer(text):
        groups = _DIGITS.findall(match[0])
        total = sum(map(len, groups))
        if (total >= 9 or (len(groups) > 2 and total >= 7)) and not _is_round(match[0]):
            yield match.span()


def _is_round(text: str) -> bool:
    """Tell whether a text is no more than two or three round numbers: 500-1000 are b-values."""
    groups = _DIGITS.findall(text)
    if len(groups) > 3 or text[0] in "+(" or not text.replace("-", "").replace("/", "").isdigit():
        return False
    return all(group == "0" or (group.endswith("0") and group[0] != "0") for group in groups)


def _is_record_number(text: str, match: re.Match[str]) -> bool:
    token, start, end = match[0], match.start(), match.end()
    longest = max(map(len, _DIGITS.findall(token)))
    if _CODE_SCHEME.search(text, max(start - 24, 0), start):
        return False  # a code of a terminology
    if set(token) == {"0"} or (longest < 8 and token.isdigit() and token.endswith("0000")):
        return False  # a constant, a count
    if start and text[start - 1] in ".," and text[start - 2 : start - 1].isdigit():
        return False  # the fraction of a number
    letters = "".join(filter(str.isalpha, token)).lower()
    if longest == 5:
        return (
            bool(letters)
            and letters not in _PHYSICAL_PREFIXES
            and UNIT.fullmatch(token.lstrip("0123456789")) is None
        )
    if longest <= 8 and (UNIT.match(text, end) or (letters and UNIT.fullmatch(token.lstrip("0123456789")))):
        return letters != "" and not token[0].isdigit()
    return True
