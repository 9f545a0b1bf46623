"""Names a profile may write: attribute keywords, VRs, SOP classes, and the nearest right word.

The facts are those of `deid_node.standard`; here is only how a person may spell them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.standard import dictionary
from deid_node.standard.rows import read_rows
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


@cache
def sop_classes() -> Mapping[str, str]:
    """Return keyword to UID of every SOP class that may be stored."""
    return MappingProxyType({row["keyword"]: row["uid"] for row in read_rows("sop_classes.tsv")})


@cache
def _sop_class_keywords() -> Mapping[str, str]:
    return MappingProxyType({uid: keyword for keyword, uid in sop_classes().items()})


@cache
def _short_sop_classes() -> Mapping[str, str]:
    short: dict[str, str] = {}
    for keyword, uid in sop_classes().items():
        for ending in ("ImageStorage", "Storage"):
            name = keyword.removesuffix(ending)
            if name != keyword and name not in sop_classes():
                short.setdefault(name.lower(), uid)
    return MappingProxyType(short)


def sop_class_uid(name: str) -> str | None:
    """Return the UID for a UID, a keyword (CTImageStorage) or its short form (CT); None if unknown."""
    if is_uid(name):
        return name
    return sop_classes().get(name) or _short_sop_classes().get(name.lower())


def sop_class_name(uid: str) -> str:
    """Return the keyword of a SOP class, or the UID itself."""
    return _sop_class_keywords().get(uid, uid)


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
    return did_you_mean(word, sop_classes())
