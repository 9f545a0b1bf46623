"""Forms of words that no list holds: is an unknown word one of medicine or of the language, or a name?

Word lists hold stems; texts hold plurals, compounds, and what Greek and Latin roots make. A word that is
none of these and is written as names are, with a capital, is taken for a name (PS3.15 E.3.5: what cannot be
judged is not left). Whether the price is right is measured on texts (tests/engine/texts*.txt).
"""

from __future__ import annotations

import re
from typing import Final

from deid_node.engine.remembering import remembering
from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import PLACEHOLDERS, word_lists

_SHORTEST_TITLED: Final = 4
_SHORTEST_SHOUTED: Final = 6
_SHORTEST_PART: Final = 4
_LONGEST_FORM: Final = 64  # every place to cut a word is tried; what is longer is no word

# What Greek and Latin make words of medicine of, in the spellings of six languages, and German and
# English endings of things. Endings that names have too (-ski, -ico, -er, -in) are left out.
_ENDS: Final = re.compile(
    r".{2,}(?:it(?:is|id[eo]|e|es)|os(?:is|es|e|en|i)|oma(?:s|ta|tose|tosis)?|ome[sn]?|ektomie|ectom(?:y|ie|ia|ies)|"
    r"[ot]omies?|[ot]omie[n]?|stom(?:y|ie|ia)|plast(?:y|ie|ia|ik|iken)|skopien?|scop(?:y|ie|ia|ies)|"
    r"gra(?:ph|f)(?:y|ie|ia|ien|ies|ic|isch|ique|ico|ica)|gramm?(?:s|e|en|as|a|mes)?|path(?:y|ie|ia|ies|ic|isch)|"
    r"megal(?:y|ie|ia)|[aä]?emi[ae]|ämien?|emie|uri[ae]n?|algi[ae]n?|plegi[ae]|pares(?:is|e|en|ia)|e[ck]tas(?:is|es|ie|ia|en|ien|e)|"
    r"skleros\w*|scleros\w*|lithias\w*|troph(?:y|ie|ia|ic)|plas(?:ia|ie|tic|ien)|genic|zyt(?:e|en|om)|cyt(?:e|es|ic|oma)|[oö]dem(?:a|e)?|"
    r"oedema|thorax|embol(?:ism|us|i|ie|ia|ien)|thromb(?:us|osis|ose|osen|i)|stenos\w*|rh?rh?ag\w{1,4}|"
    r"aryngeal|iform|ically|aceous|ological?|ologi(?:e|a|sch)|olog(?:y|ies)|ometr(?:y|ie|ia|ic)|"
    r"mala[zc](?:ie|ia|ias|ien)|mab|[a-z]nib|ciclib|parib|cillin|azole?|statin|pril|sartan|olol|mycin|micin|platin|taxel|rubicin|"
    r"tracer|tat(?:e|oc)|(?:[st]|c)ion(?:s|en|al|ale|ali|alen|el|elle)?|ci[oó]n(?:es)?|zion[ei]|çao|"
    r"ments?|ness|ated|ened|i[sz]ed|ating|i[sz]ing|escent|[ai]cular|aneous|abl[ey]|ibl[ey]|ically|ious|eous|iti?ous|"
    r"tät(?:en)?|ität|heit(?:en)?|keit(?:en)?|schaft(?:en)?|(?:[^aeiouhlr]|[^o]r|[^aeiou]l|e[lr]|ig|ich)ung(?:en|s)?|schmerz(?:en|es)?|"
    r"fraktur(?:en)?|knochen|gelenk(?:e|s)?|wirbel(?:säule|körper)?|drüsen?|gefä(?:ß|ss)e?|muskel(?:n|s)?|sehnen?|"
    r"blutung(?:en)?|tumor(?:e|en|s)?|zysten?|krankheit(?:en)?|erkrankung(?:en)?|aufnahmen?|bild(?:er|gebung)?|"
    r"untersuchung(?:en)?|mittel|gerät(?:e|es)?|screening|scanner|imaging|mapping)"
)
_BEGINS: Final = re.compile(
    r"(?:adeno|angio|anti|aorto|arterio|arthro|athero|bi|broncho|cardio|kardio|cephalo|cerebro|cervico|cholangio|"
    r"cholecyst|cholezyst|chole|chondro|cranio|kranio|cysto|zysto|dacryo|dermo|duodeno|dys|encephalo|endo|entero|"
    r"epi|esophago|extra|femoro|fibro|gastro|haem[ao]|häm[ao]|hem[ao]|hemi|hepato|hetero|homo|hydro|hyper|hypo|immuno|"
    r"infra|inter|intra|ischio|jejuno|laryngo|leuko|lipo|lumbo|lympho|macro|makro|mammo|mediastino|melano|meningo|meta|micro|"
    r"mikro|multi|muco|myelo|myo|naso|nephro|neuro|non|oculo|odonto|oesophago|omphalo|osteo|oto|pancreato|para|"
    r"peri|phleb|pleuro|pneumo|poly|post|pre|prä|procto|pseudo|pyelo|radio|retro|rhino|sacro|sarco|scinti|semi|sialo|"
    r"skeleto|sono|sphero|spleno|spondylo|stereo|sub|supra|tele|thoraco|thorako|thrombo|thyro|tibio|tomo|trans|"
    r"tri|ultra|uretero|uni|vaso|veno|ventriculo|vesico|video|un|re|de)(?=.{4})"
)
_LATIN_ROOTS: Final = re.compile(
    r"(?:angio|arthro|athero|broncho|cardio|kardio|cephalo|cerebro|cholangi|cholecyst|cholezyst|chondro|"
    r"cranio|encephalo|enzephalo|gastro|hepato|kranio|laryngo|leuko|lympho|mammo|meningo|myelo|nephro|neuro|"
    r"osteo|pancrea|pankrea|pneumo|pseudo|pyelo|retro|scinti|szinti|sono|spondylo|thoraco|thorako|thrombo|"
    r"tomo|tomosc|ventriculo|ventrikulo|hyper|ultra|stereo|endo(?:sc|pr|va|va)|immuno|ortho)"
)
_STEM_ENDS: Final = tuple(
    "ization isation ational ingly ically iques ungen elles ities ation aires ional ally edly ible able ness "
    "ment less like wise aire ique elle euse ings ung ing ers est ies ied ity ive ous ale alen ali als ally "
    "al el es ed en em er ly ic ia ie ar as is us um os on n s d r e a o i y".split()
)
_ENGLISH_ENDS: Final = frozenset("s es ed ing d ly ies ied ings edly ingly er ers e en".split())


def is_form(folded: str) -> bool:
    """Tell whether a word of no list is a form or a compound of words that are known.

    Args:
        folded: the word as `fold` gives it, in no list itself.
    """
    return len(folded) < _SHORTEST_TITLED or (len(folded) <= _LONGEST_FORM and _is_form(folded))


@remembering(16_384)
def is_inflected(folded: str) -> bool:
    """Tell whether a word of no list is a known word with an ending, or has an ending that only things have.

    Other compounds count for nothing here: Hinterseer is one.
    """
    return len(folded) <= _LONGEST_FORM and bool(_stem_is_known(folded) or _ENDS.fullmatch(folded))


@remembering(16_384)
def _is_form(folded: str) -> bool:
    if folded in PLACEHOLDERS or _ENDS.fullmatch(folded) or _LATIN_ROOTS.match(folded):
        return True
    if _stem_is_known(folded) or _is_compound(folded) or _is_misspelled(folded):
        return True
    begun = _BEGINS.match(folded)
    rest = folded[begun.end() :] if begun else ""
    return bool(rest) and (word_lists().is_known_word(rest) or _stem_is_known(rest))


def _stem_is_known(folded: str) -> bool:
    """Tell whether a known word is left without an ending; of common words only English endings count."""
    lists = word_lists()
    for end in _STEM_ENDS:
        stem = folded[: -len(end)]
        if not folded.endswith(end) or len(stem) < 3:
            continue
        known = lists.is_known_word if end in _ENGLISH_ENDS else lists.clinical.__contains__
        for candidate in (stem, stem + "e", stem + "y", stem + "us", stem + "a"):
            if len(candidate) > _SHORTEST_PART - 1 and known(candidate) and candidate not in lists.names:
                return True
        if stem[-1] == stem[-2] and lists.is_known_word(stem[:-1]):
            return True
    return False


def _is_compound(folded: str) -> bool:
    """Tell whether a word is made of two words, one of them clinical: Thoraxdrainage, Mammoscreening."""
    clinical, known = word_lists().clinical, word_lists().is_known_word
    for at in range(_SHORTEST_PART, len(folded) - _SHORTEST_PART + 1):
        first, second = folded[:at], folded[at:]
        joined = first.removesuffix("s")
        if first in clinical or joined in clinical or first[:-1] in clinical:
            if known(second) or _stem_is_known(second) or _ENDS.fullmatch(second):
                return True
        elif (second in clinical or second[:-1] in clinical) and (known(first) or known(joined)):
            return True
    return False


def _is_misspelled(folded: str) -> bool:
    """Tell whether a long word differs from a clinical one by one letter left out or doubled."""
    if len(folded) < 6:
        return False
    clinical = word_lists().clinical
    if any(folded[:at] + folded[at + 1 :] in clinical for at in range(2, len(folded))):
        return True
    return any(
        folded[:at] + letter + folded[at:] in clinical
        for at in range(2, len(folded))
        for letter in set(folded)
    )


def looks_like_name(word: str) -> bool:
    """Tell whether an unknown word is written as a name is: with a capital, or in capitals and long."""
    if word.isupper():
        return len(word) >= _SHORTEST_SHOUTED
    return len(word) >= _SHORTEST_TITLED and word[0].isupper() and word[1:].islower()


def is_unknown_name(word: str) -> bool:
    """Tell whether a word of no list is to be taken for a name."""
    return looks_like_name(word) and not is_form(fold(word))
