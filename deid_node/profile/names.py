"""Names a profile may write: attribute keywords, VRs, SOP classes, and the nearest right word.

The facts are those of `deid_node.standard`; here is only how a person may spell them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from deid_node.errors import ConfigurationError
from deid_node.standard import dictionary
from deid_node.standard.sop_classes import find_sop_class, storage_sop_classes
from deid_node.standard.values import is_uid

VRS: Final = frozenset(
    {
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"),
        *("OB", "OD", "OF", "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST"),
        *("SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
    }
)


def written(tag: int) -> str:
    """Return how a person names a tag: its keyword, else (gggg,eeee)."""
    return dictionary.keyword_of(tag) or dictionary.tag_text(tag)


def sop_class_uid(name: str) -> str | None:
    """Return the UID for a UID, a keyword (CTImageStorage) or a short name (CT); None if unknown.

    A UID need not be one of the standard: private SOP classes have tables too.
    """
    if is_uid(name):
        return name
    try:
        return find_sop_class(name)
    except ConfigurationError:
        return None


def sop_class_keyword(uid: str) -> str:
    """Return the keyword of a SOP class, or the UID itself."""
    known = storage_sop_classes().get(uid)
    return known.keyword if known is not None else uid


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word most like a mistyped one, None if nothing is near."""
    lower = {candidate.lower(): candidate for candidate in words}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return "; did you mean X?" for the nearest word, or nothing."""
    near = nearest(word, words)
    return f"; did you mean {near}?" if near else ""


def nearest_keyword(word: str) -> str:
    """Return "; did you mean X?" for the nearest attribute keyword, or nothing."""
    return did_you_mean(word, dictionary.keywords())


def nearest_sop_class(word: str) -> str:
    """Return "; did you mean X?" for the nearest SOP class keyword, or nothing."""
    return did_you_mean(word, (sop_class.keyword for sop_class in storage_sop_classes().values()))
