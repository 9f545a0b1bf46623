"""RSNA's Anonymizer: the syntax of a CTP script, read the other way round.

An empty action keeps, and what is not listed is removed. Bare words stand for its own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_actions import Action
from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_said import NotSaid, Said
from deid_node.profile.imports.draft import Written

_ACCESSION_LENGTH: Final = 16


def read(action: Action, text: str) -> Said:
    """Return what an action becomes.

    Raises:
        NotSaid: it has no counterpart.
    """
    try:
        nodes = ctp_functions.parse(text)
    except ValueError as error:
        raise NotSaid(str(error)) from None
    if not text.strip():
        action.said.written = "K"
        return action.said
    only = nodes[0] if len(nodes) == 1 and isinstance(nodes[0], Call) else None
    if only is not None and only.name in WORDS:
        action.said.written = WORDS[only.name](action, only)
        return action.said
    return action.read(text)


def _pseudonym(action: Action, call: Call) -> Written:
    if action.vr not in ("PN", "LO", "SH", "LT", "ST", "UC", "UT", "CS", "AE"):
        raise NotSaid(f"@ptid is no value of VR {action.vr or 'UN'}")
    return {"value": "{pseudonym}"}


def _uid(action: Action, call: Call) -> Written:
    return "U"


def _accession(action: Action, call: Call) -> Written:
    return {"do": "hash", "length": _ACCESSION_LENGTH}


def _date(action: Action, call: Call) -> Written:
    if action.vr not in ("DA", "DT"):
        raise NotSaid(f"@hashdate takes dates, not VR {action.vr or 'UN'}")
    return {"do": "date_shift"}


def _age(action: Action, call: Call) -> Written:
    size = action.number(call, 1, 1)
    if size < 1:
        raise NotSaid("@round to less than 1")
    return {"do": "round", "to": size}


def _lookup(action: Action, call: Call) -> Written:
    if "dateoffset" in call.argument(1).lower():
        raise NotSaid("dates are not moved by days of a lookup table; write a date_shift")
    return action.written([call])


WORDS: Final[dict[str, Callable[[Action, Call], Written]]] = {
    "uid": _uid,
    "ptid": _pseudonym,
    "acc": _accession,
    "hashdate": _date,
    "round": _age,
    "lookup": _lookup,
}
OWN_WORDS: Final = frozenset({"uid", "ptid", "acc"})
