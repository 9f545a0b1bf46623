"""Functions of CTP scripts as fields of templates: what may stand beside text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_lookup import table_name
from deid_node.profile.imports.ctp_said import NotSaid
from deid_node.profile.imports.draft import as_template

if TYPE_CHECKING:
    from deid_node.profile.imports.ctp_actions import Action

DIGITS_OF_MD5: Final = 39
NAME_DIGITS: Final = 4
COUNTED_DIGITS: Final = 6
_LONGEST_CUT: Final = 1024
NOT_COUNTED: Final = "numbers are not counted up; keyed digits instead"
_LONGEST_NUMBER: Final = 9


def original(action: Action, call: Call) -> str:
    """Return the value of an attribute."""
    if len(call.arguments) > 1:
        raise NotSaid(f"@{call.name} with more than the attribute")
    return f"{{{action.attribute(call.argument(0))}}}"


def _param(action: Action, call: Call) -> str:
    return as_template(action.param(call.argument(0)))


def _truncated(action: Action, call: Call) -> str:
    return f"{{cut:{action.number(call, 1, _LONGEST_CUT)}:{action.attribute(call.argument(0))}}}"


def _path_element(action: Action, call: Call) -> str:
    return f"{{part:/:{action.number(call, 1, _LONGEST_CUT)}:{action.attribute(call.argument(0))}}}"


def _case(kind: str) -> Callable[[Action, Call], str]:
    return lambda action, call: f"{{{kind}:{action.attribute(call.argument(0))}}}"


def _lookup(action: Action, call: Call) -> str:
    kind = call.argument(1)
    if not kind or call.argument(2) or "|" in call.argument(0):
        raise NotSaid("@lookup by several attributes, or with a choice, cannot stand beside text")
    action.said.looks_up(kind)
    return f"{{lookup:{table_name(kind)}:{action.attribute(call.argument(0))}}}"


def _interval(action: Action, call: Call) -> str:
    if call.argument(3):
        raise NotSaid("@dateinterval with a date of origin cannot stand beside text")
    action.said.looks_up(call.argument(1), dates=True)
    of, by = action.attribute(call.argument(0)), action.attribute(call.argument(2))
    return f"{{interval:{table_name(call.argument(1))}:{of}:{by}}}"


def _hash_field(of: int, length: int, default: int) -> Callable[[Action, Call], str]:
    def field_of(action: Action, call: Call) -> str:
        digits = min(max(action.number(call, length, default), 1), DIGITS_OF_MD5)
        return digits_field(action, call.argument(of), digits)

    return field_of


def digits_field(action: Action, of: str, length: int) -> str:
    """Return a field of so many digits; a number of VR IS or DS has nine at most."""
    longest = _LONGEST_NUMBER if action.vr in ("IS", "DS") else DIGITS_OF_MD5
    return f"{{digits:{action.attribute(of)}:{min(length, longest)}}}"


def _integer_field(action: Action, call: Call) -> str:
    action.said.lost.append(NOT_COUNTED)
    digits = max(action.number(call, 2, COUNTED_DIGITS), COUNTED_DIGITS)
    return digits_field(action, call.argument(0), min(digits, DIGITS_OF_MD5))


def initials_field(action: Action, call: Call) -> str:
    """Return the initials of an attribute."""
    if call.argument(1):
        raise NotSaid("initials under a Caesar cipher: it hides nothing")
    return f"{{initials:{action.attribute(call.argument(0))}}}"


def _today(action: Action, call: Call) -> str:
    separator = call.argument(0)
    if ":" in separator or "{" in separator or "}" in separator:
        raise NotSaid(f"@date with {separator!r} between its parts")
    if action.vr in ("DA", "DT") and separator:
        raise NotSaid(f"a date with {separator!r} between its parts is none of VR {action.vr}")
    if action.vr == "TM":
        raise NotSaid("a date is no time")
    action.said.notes.append("the day of the de-identification; results differ from day to day")
    return f"{{today:{separator}}}" if separator else "{today}"


def _now(action: Action, call: Call) -> str:
    separator = call.argument(0)
    if "{" in separator or "}" in separator:
        raise NotSaid(f"@time with {separator!r} between its parts")
    if action.vr in ("DA", "DT"):
        raise NotSaid("a time is no date")
    if action.vr == "TM":
        separator = ""  # the only form that the VR has (PS3.5 6.2)
    action.said.notes.append("the time of the de-identification; results differ from run to run")
    return f"{{now:{separator}}}" if separator else "{now}"


def _uid_field(action: Action, call: Call) -> str:
    return f"{{uid:{action.attribute(call.argument(1))}}}"


FIELDS: Final[dict[str, Callable[[Action, Call], str]]] = {
    "param": _param,
    "contents": original,
    "value": original,
    "truncate": _truncated,
    "hash": _hash_field(0, 1, 16),
    "hashname": _hash_field(0, 1, NAME_DIGITS),
    "hashptid": _hash_field(1, 2, 16),
    "hashuid": _uid_field,
    "integer": _integer_field,
    "initials": initials_field,
    "pathelement": _path_element,
    "uppercase": _case("upper"),
    "lowercase": _case("lower"),
    "lookup": _lookup,
    "dateinterval": _interval,
    "date": _today,
    "time": _now,
}
