"""Functions of CTP scripts that make a value of an attribute: hashes, dates, texts.

Hashes are keyed here where CTP's are bare MD5, and have the same form (decimal digits, same length).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from deid_node.profile.imports.ctp_fields import (
    COUNTED_DIGITS,
    DIGITS_OF_MD5,
    NAME_DIGITS,
    NOT_COUNTED,
    digits_field,
    initials_field,
    original,
)
from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_lookup import table_name
from deid_node.profile.imports.ctp_said import NotSaid
from deid_node.profile.imports.draft import Written
from deid_node.profile.imports.fitting import value_row
from deid_node.profile.lookup import table_date
from deid_node.standard import dictionary

if TYPE_CHECKING:
    from deid_node.profile.imports.ctp_actions import Action

_DATE_VRS: Final = ("DA", "DT")
_CASES: Final = {"uppercase": "upper", "lowercase": "lower"}
_SCOPES: Final = {0x0020000D: "study", 0x0020000E: "series", 0x00080018: "instance"}
_PATIENT: Final = (0x00100020, 0x00100010)
_LONGEST_CUT: Final = 1024
_JAVA_GROUP: Final = re.compile(r"\\(.)|\$(\d)", re.DOTALL)


def _source(action: Action, call: Call, at: int = 0) -> dict[str, object]:
    """Return the parameter that names another attribute, none for the own one."""
    return {} if action.is_own(call.argument(at)) else {"of": action.attribute(call.argument(at))}


def _source_vr(action: Action, call: Call, at: int = 0) -> str:
    return action.vr if action.is_own(call.argument(at)) else action.vr_of(call.argument(at))


# --- UIDs and hashes --------------------------------------------------------------------------------


def _hashuid(action: Action, call: Call) -> Written:
    if not action.is_own(call.argument(1)):
        return value_row(f"{{uid:{action.attribute(call.argument(1))}}}", action.text_vr)
    if action.vr not in ("UI", ""):
        raise NotSaid(f"@hashuid makes UIDs, not values of VR {action.vr}")
    if len(call.arguments) > 2:
        action.said.notes.append("the new UID depends on the old one alone, not on a third argument")
    if "SOPClass" in dictionary.keyword_of(action.element.tag or 0):
        action.said.notes.append("UIDs of the standard, as those of SOP classes, stay as they are")
    return "U"


def _digits(action: Action, call: Call, of: int, length: int) -> Written:
    if not action.is_own(call.argument(of)):
        return value_row(digits_field(action, call.argument(of), length or 16), action.text_vr)
    written: dict[str, object] = {"do": "hash"}
    if action.exact and call.name == "hash":
        written["algorithm"] = "md5"
    written["alphabet"] = "decimal"
    if length:
        written["length"] = length
    return written


def _hash(action: Action, call: Call) -> Written:
    length = action.number(call, 1, 0)
    return _digits(action, call, 0, min(max(length, 0), DIGITS_OF_MD5))


def _hashname(action: Action, call: Call) -> Written:
    length = action.number(call, 1, NAME_DIGITS)
    action.said.notes.append(
        "the name is hashed as it is; the tool takes its words without spaces and commas"
    )
    return _digits(action, call, 0, min(max(length, 1), DIGITS_OF_MD5))


def _hashptid(action: Action, call: Call) -> Written:
    length = action.number(call, 2, 0)
    return _digits(action, call, 1, min(max(length, 0), DIGITS_OF_MD5))


def _integer(action: Action, call: Call) -> Written:
    action.said.lost.append(NOT_COUNTED)
    length = action.number(call, 2, COUNTED_DIGITS)
    return _digits(action, call, 0, min(max(length, COUNTED_DIGITS), DIGITS_OF_MD5))


def _encrypt(action: Action, call: Call) -> Written:
    action.said.notes.append("encrypted with AES-SIV under the key of the project")
    return {"do": "encrypt", **_source(action, call), "fit": "remove"}


# --- dates ------------------------------------------------------------------------------------------


def _incrementdate(action: Action, call: Call) -> Written:
    if _source_vr(action, call) not in _DATE_VRS:
        raise NotSaid("@incrementdate of no date")
    text = action.script.params.get(call.argument(1)[1:], "") if call.argument(1)[:1] in ("@", "$") else ""
    days = (text or call.argument(1)).strip()
    if not re.fullmatch(r"[+-]?\d{1,9}", days):
        action.said.notes.append(
            "the days to move by are no number: the tool empties such dates, and so does this"
        )
        return "Z"
    if not int(days):
        action.said.notes.append("moved by 0 days: THE DATE STAYS; write a date_shift to move it")
        return "K" if action.is_own(call.argument(0)) else value_row(original(action, call), action.text_vr)
    duration = f"{'-' if int(days) < 0 else ''}P{abs(int(days))}D"
    return {"do": "date_shift", "duration": duration, **_source(action, call)}


def _hashdate(action: Action, call: Call) -> Written:
    if _source_vr(action, call) not in _DATE_VRS:
        raise NotSaid(f"@hashdate takes dates, not VR {_source_vr(action, call)}")
    by = action.tag(call.argument(1)) if call.argument(1) else None
    if by in _SCOPES:
        return {"do": "date_shift", "per": _SCOPES[by], **_source(action, call)}
    if by not in _PATIENT:
        action.said.notes.append("all dates of a patient move by one shift, whatever is hashed in the tool")
    return {"do": "date_shift", **_source(action, call)}


def _modifydate(action: Action, call: Call) -> Written:
    if _source_vr(action, call) not in _DATE_VRS:
        raise NotSaid("@modifydate of no date")
    texts = {
        part: action.param(call.argument(at)).strip() for at, part in enumerate(("year", "month", "day"), 1)
    }
    parts = {part: int(text) for part, text in texts.items() if text.isdecimal()}
    source = _source(action, call)
    if not parts:
        return "K" if not source else value_row(original(action, call), action.text_vr)
    if any(value < 1 for value in parts.values()):
        raise NotSaid("@modifydate with a part that no date has")
    if action.vr == "DA" and set(parts.values()) == {1} and "year" not in parts and "day" in parts:
        return {"do": "date_truncate", **({} if "month" in parts else {"to": "month"}), **source}
    return {"do": "date_set", **parts, **source}


def _dateinterval(action: Action, call: Call) -> Written:
    kind, key, origin = call.argument(1), call.argument(2), call.argument(3)
    if not kind or not key:
        raise NotSaid("@dateinterval without a key type or without the attribute that is looked up")
    written: dict[str, object] = {
        "do": "date_interval",
        "table": table_name(kind),
        "by": action.attribute(key),
    }
    if origin:
        day = table_date(action.param(origin).strip())
        if day is None:
            raise NotSaid("@dateinterval from something that is no date")
        written["origin"] = day.isoformat()
    action.said.looks_up(kind, dates=True)
    return {**written, **_source(action, call)}


# --- texts ------------------------------------------------------------------------------------------


def _round(action: Action, call: Call) -> Written:
    size = action.number(call, 1, 1)
    if size < 1:
        raise NotSaid("@round to less than 1")
    return {"do": "round", "to": size, **_source(action, call)}


def _truncate(action: Action, call: Call) -> Written:
    length = action.number(call, 1, _LONGEST_CUT)
    if not length:
        return "Z"
    if abs(length) > _LONGEST_CUT:
        raise NotSaid(f"@truncate to more than {_LONGEST_CUT} characters")
    return {"do": "cut", "to": length, **_source(action, call)}


def _case(action: Action, call: Call) -> Written:
    return {"do": "case", "to": _CASES[call.name], **_source(action, call)}


def _pathelement(action: Action, call: Call) -> Written:
    at = action.number(call, 1, _LONGEST_CUT)
    return {"do": "part", "at": at, "missing": "keep", **_source(action, call)}


def _contents(action: Action, call: Call) -> Written:
    if len(call.arguments) > 1:
        written = {"do": "replace", "pattern": call.argument(1), "with": _replacement(call.argument(2))}
        fit = {"fit": "truncate"} if written["with"] else {}
        return {**written, **_source(action, call), **fit}
    if action.is_own(call.argument(0)):
        return "K"
    return value_row(original(action, call), action.text_vr)


def _replacement(text: str) -> str:
    """Return the replacement of a Java regular expression as Python writes it."""

    def meant(found: re.Match[str]) -> str:
        return f"\\{found[2]}" if found[2] else re.sub(r"\\", r"\\\\", found[1])

    return _JAVA_GROUP.sub(meant, text)


def _initials(action: Action, call: Call) -> Written:
    field = initials_field(action, call)
    return {"do": "initials"} if action.is_own(call.argument(0)) else value_row(field, action.text_vr)


VALUES: Final[Mapping[str, Callable[[Action, Call], Written]]] = {
    "hashuid": _hashuid,
    "hash": _hash,
    "hashname": _hashname,
    "hashptid": _hashptid,
    "integer": _integer,
    "encrypt": _encrypt,
    "incrementdate": _incrementdate,
    "hashdate": _hashdate,
    "modifydate": _modifydate,
    "dateinterval": _dateinterval,
    "round": _round,
    "truncate": _truncate,
    "uppercase": _case,
    "lowercase": _case,
    "pathelement": _pathelement,
    "contents": _contents,
    "initials": _initials,
}
