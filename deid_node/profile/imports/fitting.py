"""Rows that write a template: cut to the VR where the value may be too long for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deid_node.profile.imports.draft import Written
from deid_node.profile.template import Field, Template
from deid_node.standard import dictionary

LONGEST: Final = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "PN": 64, "SH": 16,
    "TM": 14, "UI": 64,
}  # fmt: skip
_UNBOUNDED: Final = frozenset({"LT", "ST", "UC", "UR", "UT"})
_NOBODY_KNOWS: Final = 1 << 20
_MD5_DIGITS: Final = 32
_PSEUDONYM: Final = 16
_DIGITS: Final = 78
_DAY: Final = 8
_TIME: Final = 6
_DAYS: Final = 8  # a sign, and all days of the calendar


def value_row(template: str, vr: str) -> Written:
    """Return the row that writes a template into attributes of a VR ("" for several)."""
    if not template:
        return "Z"
    if vr in _UNBOUNDED or longest(template) <= LONGEST.get(vr, 0):
        return {"value": template}
    return {"do": "set", "value": template, "fit": "truncate"}


def set_value(written: Written) -> Written:
    """Return what [set] says for a row that writes a value."""
    if not isinstance(written, Mapping):
        return ""
    if "fit" not in written:
        return str(written["value"])
    return {key: value for key, value in written.items() if key != "do"}


def longest(template: str) -> int:
    """Return how long a value can become; far too long when nobody knows."""
    return sum(map(_length, Template.parse(template).parts))


def _length(part: str | Field) -> int:
    if isinstance(part, str):
        return len(part)
    if part.name == "pseudonym":
        return _PSEUDONYM
    if part.name in ("hash", "md5"):
        return part.length or (_MD5_DIGITS if part.name == "md5" else 2 * _MD5_DIGITS)
    if part.name == "digits":
        return part.length or _DIGITS
    if part.name == "today":
        return _DAY + 2 * len(part.argument)
    if part.name == "now":
        return _TIME + 2 * len(part.argument)
    if part.name == "interval":
        return _DAYS
    if part.name == "cut":
        return abs(part.length)
    if part.name == "mask":
        return len(part.argument)
    if part.name == "original" and part.tag is not None:
        return LONGEST.get(dictionary.vr_of(part.tag), _NOBODY_KNOWS)
    return LONGEST["UI"] if part.name == "uid" else _NOBODY_KNOWS
