"""Names of persons in a text, by list, by title and by what stands beside them.

A word is judged by its class (text_words): clinical words stay, names go, common words and unknown ones go
only beside a name or after a title. Known persons of an object are not this module's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from deid_node.engine.text_dates import Span
from deid_node.engine.text_eastern import eastern_names
from deid_node.engine.text_fold import fold
from deid_node.engine.text_forms import is_form, is_inflected, is_unknown_name
from deid_node.engine.text_words import PARTICLES, WordLists, word_lists, words_of

_WORD: Final = re.compile(r"[^\W\d_]+")
_LONGEST_SHORT: Final = 3
_MOST_AFTER_TITLE: Final = 16  # titles, particles and names; a title further on is looked at by itself
_CAMEL: Final = re.compile(r"[^\W\d_][^\W\d_A-Z]+|[A-Z]+(?![a-z])")
_BESIDE: Final = re.compile(r"\.? ?|, ?|[\^_]{1,4}|['’-]|\. ?,? ?")
_AFTER_TITLE: Final = re.compile(r"\.? {0,2}|['’-]|[\^_]|\.-")
_AFTER_CUE: Final = re.compile(r"\.? {0,2}[:=] {0,2}| {1,2}")
_TITLES: Final = frozenset(
    "dr drs prof professor doctor doktor docteur dottore dott dottssa mrs miss mister frau herr herrn mme "
    "mlle monsieur madame sig signor signora senor senora srta dhr mevr mevrouw meneer schwester pfleger "
    "pani".split()
)
_CAPITALIZED_TITLES: Final = frozenset(
    {"Mr", "Ms", "Sr", "Sra", "Dra", "Hr", "Fr", "Pan", "Don", "Sir", "Lady"}
)
_SUFFIXES: Final = frozenset("md phd jr sr rn do dds facr frcr frcs mbbs rt".split())
_CUES: Final = words_of(
    "phys requester zuweiser überweiser einsender "
    "patient patientin pt name nom nombre nome naam surname vorname nachname operator technologist "
    "technician tech radiologist physician referrer attending resident consultant fellow attn by signed "
    "dictated untersucher arzt ärztin mta mtra mtr mfa médecin medico befunder laborant"
)
_NAME_CUES: Final = frozenset("name nom nombre nome naam surname vorname nachname".split())
_STAFF_CUES: Final = frozenset("tech technologist technician operator radiologist mta mtra mtr mfa".split())
# Single letters that mean a side, a plane or a vertebra.
_TELLING_LETTERS: Final = frozenset("LRTCSAPHFI")
_DISEASE: Final = frozenset(
    "disease syndrome sign lesion fracture palsy tumor tumour procedure cyst cysts classification score "
    "criteria node nodes nodule view projection method technique morbus krankheit syndrom zyste fraktur "
    "tumoren angle canal ligament cells cell chorea sarcoma deformity dystrophy malformation fissure duct "
    "gland triangle ring operation repair suture catheter filter maladie enfermedad malattia ziekte "
    "circle encephalopathy anemia thyroiditis sequard abscess pouch grade grading scale esophagus oesophagus "
    "ösophagus mucosa neuroma neurom line port type stage hernia index test bar rod wire body dissection "
    "dementia deficiency sequence pneumonia infraction".split()
)


# They make an eponym of the word right before them only.
_AFTER_EPONYM: Final = frozenset(
    "lobe angina maneuver manoeuvre position tests lead reconstruction area dilatation contracture spur "
    "bodies lines triad law stages canals gangrene neuralgia phenomenon reflex incision osteotomy "
    "portoenterostomy puncture".split()
)


@dataclass(slots=True)
class _Word:
    start: int
    end: int
    text: str
    folded: str
    known: bool  # a word of descriptions: clinical or common
    clinical: bool
    name: bool  # can be a name at all
    gone: bool = False
    guessed: bool = False  # gone for nothing but that no list knows it

    @property
    def capitalized(self) -> bool:
        return self.text[0].isupper()

    @property
    def title_case(self) -> bool:
        return self.text[0].isupper() and not (len(self.text) > 1 and self.text.isupper())


_COLOURS: Final = frozenset("white brown green black young".split())
_COLOURED: Final = frozenset(
    "matter blood fat tissue adult adults cell cells body light laser noise lung marrow female male "
    "child woman man women men boy girl patient patients pigment dye channel field filter hole holes "
    "hair stool bone on lesion".split()
)


def person_names(text: str, *, by_list: bool = True) -> list[Span]:
    """Return the spans of names of persons, with the titles before them.

    Args:
        text: decoded text in any script.
        by_list: False to look only for titles and introductions.
    """
    lists = word_lists()
    words = _words(text, lists)
    spans: list[Span] = []
    if not text.isascii():
        spans += eastern_names(text, lists)
    for at, word in enumerate(words):
        if word.folded in _TITLES or word.text in _CAPITALIZED_TITLES:
            _take_after_title(text, words, at)
        elif word.folded in _CUES:
            _take_after_cue(text, words, at)
        elif by_list and word.name and not word.known and len(word.text) > 2:
            word.gone = word.gone or not _is_eponym(text, words, at, lists)
        elif by_list and not word.known and not word.name and is_unknown_name(word.text):
            word.guessed = not (word.gone or _stands_in_code(text, word) or _is_new_eponym(words, at))
            word.gone = word.gone or word.guessed
    if any(word.gone for word in words):
        _spread(text, words)
    spans.extend((word.start, word.end) for word in words if word.gone)
    return spans


def unknown_words(text: str) -> list[Span]:
    """Return the spans of words of three letters and more that no list knows, also not without an ending."""
    return [
        (word.start, word.end)
        for word in _words(text, word_lists())
        if not word.known and len(word.text) > 2 and word.folded not in PARTICLES and not _is_inflected(word)
    ]


def _is_inflected(word: _Word) -> bool:
    """Tell whether a word that can be no name is a known one with an ending; short ones may be anything."""
    return not word.name and len(word.text) > _LONGEST_SHORT and is_inflected(word.folded)


def _words(text: str, lists: WordLists) -> list[_Word]:
    clinical, common, names = lists.clinical, lists.common, lists.names
    words: list[_Word] = []
    for match in _WORD.finditer(text):
        word = match[0]
        folded = fold(word)
        start = match.start()
        known = folded in clinical or folded in common
        if not known and folded not in names and not (word.isupper() or word.islower() or word.istitle()):
            for piece in _CAMEL.finditer(word):
                part = fold(piece[0])
                part_known = part in clinical or part in common or len(part) < 4
                words.append(
                    _Word(
                        start + piece.start(),
                        start + piece.end(),
                        piece[0],
                        part,
                        part_known,
                        part in clinical,
                        part in names,
                    )
                )
            continue
        words.append(_Word(start, match.end(), word, folded, known, folded in clinical, folded in names))
    return words


# Two names that are one word of medicine.
_PAIRS: Final = frozenset(
    "ann-arbor arnold-chiari bland-altman bland-white bruce-protocol budd-chiari calve-perthes charcot- "
    "marie child-pugh creutzfeldt-jakob dandy-walker dubin-johnson ehlers-danlos erdheim-chester "
    "greulich-pyle guillain-barre hand-schüller hill-sachs hippel-lindau kellgren-lawrence kimmelstiel- "
    "wilson klippel-feil klippel-trenaunay legg-calve mallory-weiss marie-tooth osgood-schlatter osler- "
    "weber parkinson-white salter-harris sims-view stein-leventhal sturge-weber swan-ganz tanner-stage "
    "wolff-parkinson zollinger-ellison".split()
)
_CLASSIFIED: Final = re.compile(r" (?:type |typ )?(?:[A-D]|I{1,3}|IV|V)(?![\w.])")
_CLASSIFYING: Final = frozenset("weber salter harris garden mason neer pugh child".split())


def _is_eponym(text: str, words: list[_Word], at: int, lists: WordLists) -> bool:
    """Tell whether a name stands for a disease, a sign or a device here."""
    for first, second in zip(words[max(at - 1, 0) : at + 1], words[max(at, 1) : at + 2], strict=False):
        if f"{first.folded}-{second.folded}" in _PAIRS and second.start - first.end == 1:
            return True
    if words[at].folded in _CLASSIFYING and _CLASSIFIED.match(text, words[at].end):
        return True
    if words[at].folded not in lists.eponyms:
        return False
    if words[at].folded in _COLOURS:
        beside = words[at + 1 : at + 2]
        return words[at].text.islower() or any(word.folded in _COLOURED | _COLOURS for word in beside)
    if any(word.folded in _AFTER_EPONYM for word in words[at + 1 : at + 2]):
        return True
    around = words[max(at - 2, 0) : at] + words[at + 1 : at + 4]
    return any(word.folded in _DISEASE for word in around)


def _stands_in_code(text: str, word: _Word) -> bool:
    """Tell whether a word is part of a code: a piece of CamelCase, or with a digit beside it."""
    before, after = text[word.start - 1 : word.start], text[word.end : word.end + 1]
    return before.isalnum() or after.isalnum()


def _is_new_eponym(words: list[_Word], at: int) -> bool:
    """Tell whether a word that no list knows names a disease or a sign: Haglund deformity."""
    return not words[at].text.isupper() and any(word.folded in _DISEASE for word in words[at + 1 : at + 2])


def _take_after_title(text: str, words: list[_Word], at: int) -> None:
    """Mark a title and the name after it; in capitals DR and MR may be modalities."""
    title = words[at]
    taken = 0
    position = at + 1
    while position < min(len(words), at + _MOST_AFTER_TITLE) and taken < 4:
        word, before = words[position], words[position - 1]
        if not _AFTER_TITLE.fullmatch(text, before.end, word.start):
            break
        if word.folded in _TITLES or word.folded in {"med", "habil", "univ", "dent"}:
            position += 1
            continue
        if not _follows_title(title, word, taken):
            break
        taken += word.folded not in PARTICLES
        position += 1
    while words[position - 1].folded in PARTICLES:
        position -= 1
    if taken:
        for word in words[at:position]:
            word.gone = True


def _follows_title(title: _Word, word: _Word, taken: int) -> bool:
    if len(word.text) == 1:
        return word.capitalized
    if word.folded in PARTICLES:
        return not word.clinical or not word.text.isupper()
    if word.clinical:
        return taken == 0 and title.title_case and word.title_case
    if word.known:
        return (taken == 0 and title.title_case and word.title_case) or (word.capitalized and word.name)
    return word.capitalized or not title.capitalized


def _take_after_cue(text: str, words: list[_Word], at: int) -> None:
    """Mark what is introduced as a name: "Operator: Xyz", "reported by Xyz"."""
    position = at + 1
    while position < len(words) and position < at + 4:
        word, before = words[position], words[position - 1]
        gap = _AFTER_CUE if position == at + 1 else _BESIDE
        if not gap.fullmatch(text, before.end, word.start) or len(word.text) < 2:
            break
        colon = not {":", "="}.isdisjoint(text[words[at].end : words[at + 1].start])
        initials = word.text.isupper() and len(word.text) < 4
        initials = initials and (words[at].folded == "by" or (colon and words[at].folded in _STAFF_CUES))
        likely = words[at].folded in _NAME_CUES or word.name or (position > at + 1 and not word.clinical)
        named = colon and word.title_case and likely
        if word.known and not named and not (initials and colon):
            break
        login = words[at].folded in _STAFF_CUES and not (word.known or is_form(word.folded))
        if not (word.title_case or (colon and word.capitalized) or initials or login):
            break
        word.gone = True
        position += 1


def _spread(text: str, words: list[_Word]) -> None:
    """Take along what belongs to a name beside it: other parts, initials, particles, suffixes."""
    for order in (range(len(words)), range(len(words) - 1, -1, -1)):
        step = 1 if order.step > 0 else -1
        for at in order:
            if not words[at].gone or not 0 <= at + step < len(words):
                continue
            beside = at + step
            word = words[beside]
            first, second = (at, beside) if step > 0 else (beside, at)
            gap = text[words[first].end : words[second].start]
            if word.gone or not _BESIDE.fullmatch(gap):
                continue
            word.gone = _belongs(word, words[at], gap, text[word.end : word.end + 1], after=step > 0)
            if step > 0 and word.folded in PARTICLES and beside + 1 < len(words):
                following = words[beside + 1]
                titled = following.title_case and not following.clinical
                shouted = following.text.isupper() and not following.known
                word.gone = word.gone or following.gone or titled or shouted


def _belongs(word: _Word, name: _Word, gap: str, following: str, *, after: bool) -> bool:
    if after and word.folded in _SUFFIXES:
        return not word.clinical or "," in gap
    if len(word.text) == 1:
        if word.capitalized and after and gap in (" ", ", ") and word.text not in _TELLING_LETTERS:
            return True
        return "'" in gap or "’" in gap or "^" in gap or (following == "." and word.capitalized)
    if word.folded in PARTICLES and not after:
        return True
    if word.clinical:
        return word.name and "^" in gap
    if name.guessed and word.known:
        return False
    if word.name:
        return word.capitalized or "^" in gap or name.text.islower()
    if word.known or (name.guessed and is_form(word.folded)):
        return False
    return word.capitalized or "^" in gap
