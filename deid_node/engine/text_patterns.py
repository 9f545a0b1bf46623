"""What looks like an identifier by its shape: dates, times, numbers of records, contacts, addresses.

Each finder yields spans (start, end) of a text. The rules prefer a lost number to a leaked one, but leave
alone what imaging texts are full of: sizes (512x512), doses, b-values, versions, single years, ratios.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import word_lists

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
            rf"(?<!\d){_DAY}(?:st|nd|rd|th|er|\.|º)?[ ./_-]*(?:of |de |di )?{_MONTH}\b\.?"
            rf"(?:[ ,./_-]*(?:de |del |of )?(?:{_YEAR}|'?\d\d)(?!\d))?{_TIME}",
            rf"(?<!\d){_DAY}(?:st|nd|rd|th|\.)?[ ./_-]*{_AMBIGUOUS_MONTH}\.?[ ,./_-]*(?:de |del )?"
            rf"{_YEAR}(?!\d){_TIME}",
            rf"(?<!\d){_DAY}(?:[-./]?{_AMBIGUOUS_MONTH}[-./]?)\d\d(?!\d)",
            rf"\b(?:{_MONTH}|{_AMBIGUOUS_MONTH})\.?[ _-]?(?:{_DAY}(?:st|nd|rd|th)?(?!\d)[ ,_-]+)?"
            rf"{_YEAR}(?!\d){_TIME}",
            rf"\b{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?(?!\d)",
            r"\d{2,4}年\d{1,2}月(?:\d{1,2}日)?|\d{4}년 ?\d{1,2}월(?: ?\d{1,2}일)?",
            rf"\b(?:on|dated?|vom|am|seit|bis|du|le|el|since|until|born|dob|geb\.?|né|née|nato|nata)[ :]+"
            rf"(?:{_DAY}[./-]{_MONTH_NUMBER}|{_MONTH_NUMBER}[./-]{_DAY})\.?(?![\d%/.-])",
        )
    ),
    re.IGNORECASE,
)
_TIMES: Final = re.compile(
    r"(?<![\d:.])(?!00)(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?!\d)"
    r"|(?<![\d:./])(?:[01]\d|2[0-3]):[0-5]\d(?![\d:])"
    r"|(?<![\d:./])(?:1[0-2]|0?[1-9]):[0-5]\d ?(?:am|pm)\b"
    r"|(?<![\d:.])(?:[01]?\d|2[0-3])(?:[:.][0-5]\d)? ?uhr\b",
    re.IGNORECASE,
)
_OLD_AGE: Final = re.compile(
    r"(?<![\d.])(?:9\d|1[01]\d)[ -]?"
    r"(?:y\.?/?o\.?|yrs?|years?|jahre?|jährige[rn]?|ans|años|anos|anni|jaar|y)\b(?:[ -]?old\b)?",
    re.IGNORECASE,
)
_CONTACTS: Final = re.compile(
    r"[\w.+-]{1,64} ?(?:@|\(at\)|\[at\]) ?[\w-]+(?:\.[\w-]+)+|(?:https?|ftp|file)://[^\s\"'<>)]+|\bwww\.[^\s\"'<>)]+"
    r"|(?<![\w.])(?=10\.|[\d.]{0,12}\d{3})\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b|(?<![\w.])[0-2](?:\.\d+){5,}(?!\w)"
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\\\\[\w.-]+\\[^\s]+",
    re.IGNORECASE,
)
_PHONES: Final = re.compile(
    "|".join(
        (
            r"(?<![\w.])(?:\+|00)[1-9][\d ()./-]{6,24}\d",  # international
            r"(?<![\w.])\(\d{2,5}\)[ ./-]{0,4}\d[\d ./-]{3,20}\d",
            r"(?<![\w.,])0\d{1,5}[ ]?[/-][ ]?\d[\d -]{3,20}\d",  # 0228/2871234
            r"(?<![\w.,])0\d(?:[ .-]\d\d){4}(?!\d)",  # 01 23 45 67 89
            r"(?<![\w.,])0\d{2,5} \d{3,}[\d ]*\d",
            r"(?<![\w.,-])(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}(?![\d-])",  # North America
            r"(?<![\w.,-])\d{3}-\d{4}(?![\w.-])",
            r"\b(?:phone|telephone|telefon|teléfono|téléphone|telefono|telefoon|tel|fax|mobile|mobil|mob|handy|"
            r"cell|pager|beeper|ext|extension|durchwahl|dw|call)\b"
            r"[ .:#]*(?:no\.?|nr\.?)?[ .:#]*[+(]?\d[\d ()./-]{1,24}\d",
        )
    ),
    re.IGNORECASE,
)
_CUED_NUMBERS: Final = re.compile(
    r"(?<![^\W_])(?:mrn|m\.r\.n\.?|mr ?#|pid|patid|pat(?:ient(?:en)?)?[ ._-]?(?:id|nr|no|number|nummer|#)|"
    r"ssn|ahv(?:[ -]?nr)?|svnr|nhs(?: ?(?:no|number))?|kvnr|bsn|ipp|nhc|nip|matricule|hospital (?:no|number)|"
    r"medical record(?: (?:number|no))?|unit (?:no|number)|national id|passport(?: no)?|"
    r"versicherten(?:nummer|nr))(?![^\W\d_])[ .:#=_-]*(?:is |ist )?(?=[\w/-]*\d)[^\W_][\w/-]*",
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
_PREFIXED: Final = re.compile(
    r"(?<![^\W_])(?:mrn|pid|pat|acc|ssn|patient|pt|case)[-_]?\d{3,}[^\W_]*", re.IGNORECASE
)
_UNIT: Final = re.compile(
    r"[ ]?(?:x ?\d|[kmg]?bq|[mcµu]?gy|iu|ie|u|mm|cm|[mµun]?s|sec|[kmg]?hz|[kmµu]?g|m?l|cc|k?counts?|kcts|"
    r"px|pixels?|voxels?|bytes?|[kmg]b|ppm|%)\b",
    re.IGNORECASE,
)
_PHYSICAL_PREFIXES: Final = frozenset("tr te ti ta td fa b bw kv ma mas iso ih v".split())
_DIGITS: Final = re.compile(r"\d+")

_STREET_WORDS: Final = r"street|avenue|road|boulevard|blvd|highway|hwy|parkway|pkwy"
_DOUBTFUL_STREET_WORDS: Final = (
    r"lane|drive|court|way|place|square|terrace|crescent|st|ave|av|rd|ln|dr|sq|ter|cres"
)
_STREETS: Final = (
    re.compile(
        r"\b\d{1,5}[a-z]?,? (?:[nsew]\.? )?(?:(?:[^\W\d_][\w'.-]*,? ){1,3}?"
        rf"(?:{_STREET_WORDS})|((?:[^\W\d_][\w'.-]*,? ){{1,3}}?)(?:{_DOUBTFUL_STREET_WORDS}))\b\.?"
        r"(?:,? (?:apt|suite|unit|#)\.? ?\w+)?",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b([^\W\d_]+(?:straße|strasse|str\.|gasse|allee|platz|damm|ufer|chaussee|weg|ring|straat|laan|plein|"
        r"gracht|kade|dijk|singel|gatan|vägen|gade|vej|gata|katu)) ?\d{1,4} ?[a-z]?\b"
        r"|\b(?:[^\W\d_][\w'-]* ){1,2}(?:straße|strasse|allee|platz|weg|damm|ring) \d{1,4}[a-z]?\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:\d{1,4},? ?(?:bis|ter)?,? ?)(?:rue|avenue|boulevard|bd|place|chemin|impasse|allée|quai|cours|"
        r"route|square)((?: (?:de|du|des|la|le|les|l'|d'))*(?: ?[^\W\d_][\w'-]*){1,3})",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|via|viale|piazza|corso|rua|travessa|largo|ulica|ul\.)"
        r"((?: (?:de|del|della|di|da|do|dos|la|las|los))*(?: [^\W\d_][\w'-]*){1,3}),? ?"
        r"(?:n[º°.]? ?)?\d{1,4}\b",
        re.IGNORECASE,
    ),
)
_STREET_HINT: Final = re.compile(
    rf"\b(?:{_STREET_WORDS}|{_DOUBTFUL_STREET_WORDS}|rue|bd|chemin|impasse|quai|cours|route|calle|c/|avenida|avda|"
    r"plaza|paseo|via|viale|piazza|corso|rua|travessa|largo|ulica|ul)\b|str(?:aße|asse|\.|aat)|gasse|all[eé]e|platz|"
    r"damm|ufer|chaussee|weg|ring|laan|plein|gracht|kade|dijk|singel|gat(?:an|a)|vägen|gade|vej|katu",
    re.IGNORECASE,
)
_POSTCODES: Final = re.compile(
    r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b"
    r"|\b(?:[A-PR-UWYZ][A-HK-Y]|[BEGLMNSW])\d[\dA-Z]? \d[ABD-HJLNP-UW-Z]{2}\b"
    r"|\b(?:P\.? ?O\.? ?Box|Postfach|Casilla|BP) \d+\b"
)
_TOWNS: Final = re.compile(
    r"(?<![\w.,/-])(?:[A-Z]{1,2}-)?\d{4,5}(?: [A-Z]{2})? ([^\W\d_][^\W\d_]{2,}(?:[ -][^\W\d_]{3,})?)"
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


def contacts(text: str) -> Iterator[Span]:
    """Find e-mail, web and network addresses, UIDs and phone numbers."""
    for match in _CONTACTS.finditer(text):
        yield match.span()
    for match in _PHONES.finditer(text):
        if not _is_round(match[0]):
            yield match.span()


def record_numbers(text: str) -> Iterator[Span]:
    """Find numbers of records: introduced by a word, or long, or grouped."""
    for match in (*_CUED_NUMBERS.finditer(text), *_PREFIXED.finditer(text)):
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


def addresses(text: str) -> Iterator[Span]:
    """Find streets with a number, postcodes and towns after a postcode."""
    if _STREET_HINT.search(text):
        for pattern in _STREETS:
            for match in pattern.finditer(text):
                if match[1] is None or _is_foreign(match[1]):
                    yield match.span()
    for match in _POSTCODES.finditer(text):
        yield match.span()
    for match in _TOWNS.finditer(text):
        if not _UNIT.match(text, match.start(1) - 1) and _is_town(match[1]):
            yield match.span()


@dataclass(frozen=True, slots=True)
class Finder:
    """A finder, and what a text must have for it to be worth running.

    `hint` is searched in the text in lower case; `cues` are the first three letters of words.
    """

    find: Callable[[str], Iterator[Span]]
    hint: re.Pattern[str]
    cues: frozenset[str] = frozenset()


FINDERS: Final[dict[str, Finder]] = {
    "dates": Finder(
        dates,
        re.compile(r"\d{4}|\d[./_ -]\d|\d\.|年|년"),
        frozenset(
            "jan feb fév fev mär mar mae maa mrt apr avr abr mai may maj mag mei jun jui giu jul lug aug ago "
            "aoû aou sep set oct okt ott out nov dec dez déc dic ene gen".split()
        ),
    ),
    "times": Finder(times, re.compile(r"\d(?:[:.]\d\d| ?u)")),
    "ages": Finder(old_ages, re.compile(r"9\d|1[01]\d")),
    "contacts": Finder(
        contacts,
        re.compile(r"\d[\d ()./-]{3,}\d|@|www|://|\d\.\d+\.|[\[(]at|\\\\|:[0-9a-f]{2}:"),
        frozenset("pho tel tél fax mob han cel pag bee ext dur dw cal".split()),
    ),
    "numbers": Finder(
        record_numbers,
        re.compile(r"\d{3}|\d[-/]\d|m\.r\.n|mr ?#|matricule|medical rec|hospital n|passport|versicherten"),
        frozenset("mrn pid pat ssn ahv svn nhs kvn bsn ipp nhc nip".split()),
    ),
    "addresses": Finder(
        addresses,
        re.compile(
            r"\d{4}|\d[a-z]{2}\b|str(?:eet|aße|asse|\.|aat)|avenue|road|boulev|lane|drive|court|place|square|terrace|"
            r"highway|parkway|crescent|chemin|impasse|quai|cours|route|calle|avenida|avda|plaza|paseo|viale|piazza|"
            r"corso|travessa|largo|ulica|postfach|casilla|box|gasse|all[eé]e|platz|damm|ufer|chaussee|weg|ring|laan|"
            r"plein|gracht|kade|dijk|singel|gat(?:an|a)\b|vägen|gade|vej|katu|c/"
        ),
        frozenset("st av ave rd ln dr sq ter cre blv hwy pkw way rue bd via ul rua bp".split()),
    ),
}
"""The finders by option."""
_DIGIT_OR_CONTACT: Final = re.compile(r"\d|@|www|://|\\\\|\[at\]|\(at\)")
_CUE: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,3}")


def suspicious_spans(text: str, wanted: Iterable[str]) -> list[Span]:
    """Return what the finders of the wanted options find; texts without a digit cost next to nothing."""
    lowered = text.lower()
    if not _DIGIT_OR_CONTACT.search(lowered):
        return []
    cues = set(_CUE.findall(lowered))
    spans: list[Span] = []
    for option in wanted:
        finder = FINDERS[option]
        if finder.hint.search(lowered) or not finder.cues.isdisjoint(cues):
            spans.extend(finder.find(text))
    return spans


def _is_round(text: str) -> bool:
    """Tell whether all groups of digits are round: 500-1000 are b-values, not a phone number."""
    groups = _DIGITS.findall(text)
    return (
        len(groups) < 4
        and all(group == "0" or group.endswith("0") for group in groups)
        and text[0] not in "+(0"
    )


def _is_record_number(text: str, match: re.Match[str]) -> bool:
    token, start, end = match[0], match.start(), match.end()
    longest = max(map(len, _DIGITS.findall(token)))
    if set(token) == {"0"} or (longest < 8 and token.isdigit() and token.endswith("0000")):
        return False  # a constant, a count
    if start and text[start - 1] in ".," and text[start - 2 : start - 1].isdigit():
        return False  # the fraction of a number
    letters = "".join(filter(str.isalpha, token)).lower()
    if longest == 5:
        return (
            bool(letters)
            and letters not in _PHYSICAL_PREFIXES
            and _UNIT.fullmatch(token.lstrip("0123456789")) is None
        )
    if longest <= 8 and (_UNIT.match(text, end) or (letters and _UNIT.fullmatch(token.lstrip("0123456789")))):
        return letters != "" and not token[0].isdigit()
    return True


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
