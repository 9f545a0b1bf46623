"""Tell what a configuration seems to be of, by the words that only one tool has.

It looks at the text alone, so that it also answers for one that is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deid_node.standard import dictionary

_KEY: Final = re.compile(r"[\"']([^\"'\n]{1,80})[\"']\s*:")
_BLANKS_AND_COMMENTS: Final = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_MOST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Seems:
    """What a text seems to be. `kind` is what to import it from, empty when it is no configuration."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class _Mark:
    pattern: re.Pattern[str]
    seems: Seems


def _mark(pattern: str, kind: str, what: str) -> _Mark:
    return _Mark(re.compile(pattern, re.DOTALL | re.MULTILINE), Seems(kind, what))


_XML: Final = (
    _mark(r"<(?:anonymizer-)?script[\s>]", "ctp", "an anonymizer script of CTP or of RSNA's Anonymizer"),
    _mark(r"<(?:Configuration|Pipeline)[\s>]", "", "a configuration of CTP; import the script that its"
    " DicomAnonymizer names, from ctp"),
)  # fmt: skip
_JSON: Final = (
    _mark(r"\"sopClass\"\s*:", "grand-challenge", "a procedure of Grand-Challenge"),
    _mark(r"\"dicomTagRules\"\s*:", "microsoft-poc", "a configuration of Microsoft's first DICOM anonymizer"),
    _mark(
        r"\"fhirPathRules\"\s*:", "", "a configuration of Microsoft's anonymizer for FHIR, which is no DICOM"
    ),
    _mark(
        r"\"rules\"\s*:\s*\[.*?\"method\"\s*:", "microsoft", "a configuration of Microsoft's DICOM anonymizer"
    ),
    _mark(
        r"\"(?:dicomPS315EOptions|hostProps|excludedFiletypes|cleanDescriptorsOption|inputPathPattern)\"\s*:",
        "dicom-curate",
        "a specification of dicom-curate",
    ),
)
_OTHER: Final = (
    _mark(r"\b(?:dicomPS315EOptions|modifyDicomHeader|outputFilePathComponents)\b", "dicom-curate",
          "a specification of dicom-curate"),
    _mark(r"^\s*#?(?:set\.\[|keep\.group|remove\.\w+\s*=|param\.\w+\s*=)", "ctp",
          "an anonymizer script of CTP, as properties"),
    _mark(r"\.(?:containsIgnoreCase|equalsIgnoreCase|startsWithIgnoreCase)\(", "",
          "a pixel or filter script of CTP, which says nothing about attributes to change"),
    _mark(r"^FORMAT\s+dicom\s*$", "", "a recipe of pydicom's deid, from which there is no import"),
    _mark(r"^\[(?:attributes|unlisted|set|sop_class\.[^\]]+)\]\s*$", "",
          "a profile of deid_node already; name it with --profile"),
    _mark(r"\A\s*(?:re:)?\w+\s*,[^\n]*(?:\+\+|\Z)", "pfdicom", "tag information of pfdicom_tagSub"),
)  # fmt: skip
_MARKS: Final[Mapping[str, tuple[_Mark, ...]]] = MappingProxyType({"<": _XML, "{": _JSON, "[": _JSON})


def recognise(text: str) -> Seems | None:
    """Return what a text seems to be, None when it could be anything."""
    begin = _BLANKS_AND_COMMENTS.match(text)
    first = text[begin.end() if begin is not None else 0 :][:1]
    for mark in _MARKS.get(first, _OTHER):
        if mark.pattern.search(text):
            return mark.seems
    if first == "{":
        keys = _KEY.findall(text[:_MOST])
        known = sum(key.startswith("re:") or dictionary.tag_of(key) is not None for key in keys)
        if known and 2 * known >= len(keys):
            return Seems("pfdicom", "a tag structure of pfdicom_tagSub")
    return None
