"""RSNA's Anonymizer: the syntax of a CTP script, read the other way round.

An empty action keeps, and what is not listed is removed. Bare words stand for its own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_actions import Action
from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_lookup import table_name
from deid_node.profile.imports.ctp_said import NotSaid, Said
from deid_node.profile.imports.draft import Written
from deid_node.profile.lookup import table_date

_ACCESSION_LENGTH: Final = 16
_PATIENTS: Final = "ptid"
_OFFSETS: Final = "dateoffset"
_BASES: Final = "basedate"
_EPOCH: Final = "19600101"


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
    kind = call.argument(1)
    if kind.lower() == _PATIENTS:  # always by Patient ID, also for the name
        call = replace(call, arguments=("PatientID", *call.arguments[1:]))
    if kind.lower() != _OFFSETS:
        return action.written([call])
    if action.vr not in ("DA", "DT"):
        raise NotSaid(f"dates are moved by {kind}, not VR {action.vr or 'UN'}")
    action.said.looks_up(kind, days=True)
    return {"do": "date_shift", "table": table_name(kind)}


def _rebase(action: Action, call: Call) -> Written:
    if action.vr not in ("DA", "DT"):
        raise NotSaid(f"@rebasedate takes dates, not VR {action.vr or 'UN'}")
    origin = table_date(call.argument(1) or _EPOCH)
    if origin is None:
        raise NotSaid("@rebasedate from something that is no date")
    action.said.looks_up(_BASES, dates=True)
    action.said.notes.append("the offset from the event (0012,0052) is not written")
    return {"do": "date_interval", "table": _BASES, "by": "PatientID", "origin": origin.isoformat()}


def is_own(call: Call) -> bool:
    """Tell whether only RSNA's tool has such a call."""
    if call.name in ("uid", "ptid", "acc"):
        return call.is_bare
    return call.name == "rebasedate" or (call.name == "lookup" and call.argument(1).lower() == _OFFSETS)


WORDS: Final[dict[str, Callable[[Action, Call], Written]]] = {
    "uid": _uid,
    "ptid": _pseudonym,
    "acc": _accession,
    "hashdate": _date,
    "round": _age,
    "lookup": _lookup,
    "rebasedate": _rebase,
}
