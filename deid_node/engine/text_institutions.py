"""Names of hospitals, practices and towns in a text, found by the words that such names are made of.

"Massachusetts General Hospital", "Klinikum Großhadern", "CHU de Lyon", "Chicago, IL". The bare words
("hospital bed", "im Krankenhaus") say nothing of anybody and stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deid_node.engine.text_dates import Span
from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import WordLists, word_lists

_KIND: Final = re.compile(
    r"\b(?:hospitals?|clinics?|medical (?:cent(?:er|re)|group|associates)|health ?care|infirmary|university|"
    r"health (?:system|cent(?:er|re)|sciences cent(?:er|re)|network|service)s?|institute|college|hospice|"
    r"radiology (?:associates|group|partners)|imaging (?:cent(?:er|re)|associates|group)|"
    r"cancer cent(?:er|re)|children'?s hospital|krankenhaus|klinik|klinikum|kliniken|spital|"
    r"universitätsklinikum|universitätsspital|krankenanstalt|ziekenhuis|sjukhus|sykehus|sygehus|szpital|polyclinic|poliklinik)\b",
    re.IGNORECASE,
)
_OF_TOWN: Final = re.compile(
    r",? (?:of|at|in|de|für|zu)? ?(?:the )?([^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*)?)", re.IGNORECASE
)
_LONGEST_NAME: Final = 80
_NAME_AFTER: Final = re.compile(
    r"\b(?:universitätsklinikum|universitätsspital|uniklinik(?:um)?|klinikum|klinik|krankenhaus|spital|"
    r"kantonsspital|kreiskrankenhaus|praxis|mvz|h[oô]pital|clinique|polyclinique|institut|centre hospitalier|"
    r"chu|chru|chr|ospedale|policlinico|clinica|clínica|istituto|hospital|hôpitaux|szpital|universit(?:y|ät)|"
    r"ziekenhuis|radiologie)"
    r"((?: (?:of|at|de|del|della|di|da|do|du|des|la|le|les|am|an der|im|für|in|zu|st\.?|san|santa|saint|"
    r"sankt))* [^\W\d_][\w'’.-]*(?:[ -][^\W\d_][\w'’-]*)?)",
    re.IGNORECASE,
)
_TOWN_AND_STATE: Final = re.compile(
    r"\b([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?:,| (?!CT|PA|LA|IN|ME|AL|SC)) ?"
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|"
    r"N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\b(?! ?[a-z])"
)
_AFTER_CUE: Final = re.compile(
    r"\b(?:born in|li(?:ves|ving) in|resid(?:ent of|es in|ing in)|mov(?:ed|ing) (?:from|to)|native of|"
    r"(?:transferred|referred) (?:from|to)|geboren in|wohnhaft in|wohnt in|née? à|nacid[oa] en|nat[oa] a) "
    r"([A-Z\u00c0-\u00de][^\W\d_]+(?: [A-Z\u00c0-\u00de][^\W\d_]+)?)"
)
_WORD: Final = re.compile(r"[^\W\d_][\w'’.-]*")
_SAINTS: Final = frozenset("st saint santa san sankt".split())
_JOINS: Final = _SAINTS | frozenset(
    "of at the and de del della di da do du des la le les am an der im in zu for".split()
)
# They make a name together with another word, none alone.
_USUAL: Final = frozenset(
    "general memorial university regional community county city national royal district central children "
    "childrens children's veterans va methodist baptist presbyterian lutheran catholic day medical teaching "
    "state public private local outside other our this that their previous prior former referring another "
    "nearest new old us uk american german research cancer emergency rehab rehabilitation women heart eye "
    "mercy providence adventist good holy sacred north south east west northern southern eastern western "
    "radiology hospital".split()
)
_TELLING: Final = frozenset(
    "va veterans mercy providence baptist methodist presbyterian lutheran adventist".split()
)
_NO_NAME: Final = frozenset(
    "outside other our this that their previous prior former referring another nearest from to via done "
    "seen by with per in on was is transferred admitted study exam scan ct mri mr xr us comparison compared "
    "course bed stay day discharge visit patient acquired".split()
)


def institutions(text: str) -> Iterator[Span]:
    """Find names of institutions with their word for one, and towns with their state."""
    lists = word_lists()
    for kind in _KIND.finditer(text):
        start = _start_of_name(text, kind.start(), lists)
        if start is not None:
            yield start, _end_of_name(text, kind.end(), lists)
    for match in _NAME_AFTER.finditer(text):
        end = _end_of_name_after(text, match, lists)
        if end is not None:
            yield match.start(), end
    for match in (*_TOWN_AND_STATE.finditer(text), *_AFTER_CUE.finditer(text)):
        first = fold(match[1].split()[0])
        if first not in lists.clinical and first not in lists.common:
            yield (match.start() if match.re is _TOWN_AND_STATE else match.start(1)), match.end()


def _start_of_name(text: str, end: int, lists: WordLists) -> int | None:
    """Return where the name before a word for an institution starts, None when there is none."""
    shouted = text.isupper()
    start, tells, position = None, False, end
    for word in reversed(list(_WORD.finditer(text, max(end - _LONGEST_NAME, 0), end))):
        folded = fold(word[0]).rstrip(".")
        if text[word.end() : position].strip(" _") or folded in _NO_NAME:
            break
        if lists.is_known_word(folded) and folded not in _USUAL | _JOINS:
            break
        if not (word[0][0].isupper() or folded in _JOINS) or (shouted and folded in _JOINS - _SAINTS):
            break
        if folded not in _JOINS or folded in _SAINTS:
            start = word.start()
            tells = tells or folded not in _USUAL | _SAINTS or folded in _TELLING | _SAINTS
        position = word.start()
    return start if tells else None


def _end_of_name(text: str, end: int, lists: WordLists) -> int:
    """Return where the name ends whose word for an institution ends at a place: after "of X" or a town."""
    match = _OF_TOWN.match(text, end)
    if match is None:
        return end
    for word in _WORD.finditer(text, match.start(1), match.end(1)):
        if not word[0][0].isupper() or lists.is_known_word(fold(word[0])):
            break
        end = word.end()
    return end


def _end_of_name_after(text: str, match: re.Match[str], lists: WordLists) -> int | None:
    """Return where a name after its word for an institution ends, None when there is none."""
    end = None
    for word in _WORD.finditer(text, match.start(1), match.end(1)):
        folded = fold(word[0]).rstrip(".")
        if end is None and folded in _JOINS:
            continue
        shouted = word[0].isupper() and folded not in lists.names
        if shouted or not word[0][0].isupper() or not _may_be_name(folded, lists, after=end is not None):
            break
        end = word.end()
    return end


def _may_be_name(folded: str, lists: WordLists, *, after: bool) -> bool:
    if folded in lists.names:
        return not (after and lists.is_known_word(folded))
    return not lists.is_known_word(folded)
