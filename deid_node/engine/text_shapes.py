"""Which finder of shapes runs on a text: cheap questions before expensive ones.

Nearly all texts are descriptions without anything to find; they must cost microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from deid_node.engine.text_addresses import addresses
from deid_node.engine.text_dates import Span, dates, old_ages, times
from deid_node.engine.text_numbers import contacts, record_numbers


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
    "times": Finder(times, re.compile(r"\d(?:[:.]\d\d| ?[uh])")),
    "ages": Finder(old_ages, re.compile(r"9\d|1[01]\d")),
    "contacts": Finder(
        contacts,
        re.compile(r"\d[\d ()./-]{3,}\d|@|www|://|\d\.\d+\.|[\[(]at|\\\\|:[0-9a-f]{2}:|user|log[io]n"),
        frozenset("pho tel tél fax mob han cel pag bee ext dur dw cal".split()),
    ),
    "numbers": Finder(
        record_numbers,
        re.compile(
            r"\d{3}|\d[-/]\d|m\.r\.n|mr ?#|matricule|medical rec|hospital n|passport|versicherten|medic"
        ),
        frozenset("mrn pid pat ssn ahv svn nhs kvn bsn ipp nhc nip zip plz ben sub pol ins".split()),
    ),
    "addresses": Finder(
        addresses,
        re.compile(
            r"\d{4}|\d[a-z]{2}\b|str(?:eet|aße|asse|\.|aat)|avenue|road|boulev|lane|drive|court|place|square|"
            r"terrace|highway|parkway|crescent|chemin|impasse|quai|cours|route|calle|avenida|avda|plaza|paseo|viale|piazza|"
            r"corso|travessa|largo|ulica|postfach|casilla|box|gasse|all[eé]e|platz|damm|ufer|"
            r"chaussee|weg|ring|laan|plein|gracht|kade|dijk|singel|dreef|hof|steeg|pad\b|gat(?:an|a)\b|vägen|"
            r"stigen|torget|gränd|gade|vej|katu|c/|aleja|plac|strada|circle|"
            r"loop|trail|alley|mews|garden|grove|close|crossing|expressway|freeway|turnpike|gateway|walk|village"
        ),
        frozenset("st av ave rd ln dr sq ter cre blv hwy pkw way rue bd via ul rua bp al os row".split()),
    ),
}
"""The finders by option."""
_DIGIT_OR_CONTACT: Final = re.compile(r"\d|@|www|://|\\\\|\[at\]|\(at\)|user|log[io]n")
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
