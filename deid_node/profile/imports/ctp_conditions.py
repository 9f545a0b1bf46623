"""Conditions of @if in CTP scripts as conditions of rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from deid_node.profile import names
from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_said import NotSaid
from deid_node.standard import dictionary

if TYPE_CHECKING:
    from deid_node.profile.imports.ctp_actions import Action

_FLAGS: Final = re.compile(r"\(\?([imsx]+)\)")
_NUMBERS: Final = ("DS", "IS", "FD", "FL", "SL", "SS", "UL", "US")


def condition_of(action: Action, call: Call) -> str:
    """Return the condition of an @if.

    Raises:
        NotSaid: it has no counterpart.
    """
    tag = action.tag(call.argument(0))
    if tag is None:
        raise NotSaid(f"{call.argument(0)!r} is no attribute{names.nearest_keyword(call.argument(0))}")
    of, test, value = names.written(tag), call.argument(1).lower(), action.param(call.argument(2))
    if test == "exists":
        return f"exists({of})"
    if test == "isblank":
        return f"not exists({of}) or {of} matches '^ *$'"
    if test == "greaterthan":
        return _greater(of, tag, value)
    patterns = {
        "contains": f"(?i){re.escape(value)}",
        "equals": f"(?i)^{re.escape(value)}$",
        "matches": whole(value),
    }
    if test not in patterns:
        raise NotSaid(f"a condition has no counterpart to {test!r}")
    return f"{of} matches {literal(patterns[test])}"


def whole(pattern: str) -> str:
    """Return a Java regular expression that has to match all of a text as Python writes it."""
    flags = _FLAGS.match(pattern)
    if flags is not None:
        pattern = f"(?{flags[1]}:{pattern[flags.end() :]})"
    return f"^(?:{pattern})$"


def literal(pattern: str) -> str:
    """Return a pattern as a text of a condition."""
    return "'" + pattern.replace("\\\\", "\\\\\\\\").replace("'", "\\'") + "'"


def _greater(of: str, tag: int, value: str) -> str:
    """Compare whole numbers as the tool does: by the digits of both."""
    digits = re.sub(r"\D", "", value)
    if not digits:
        raise NotSaid("@if with greaterthan and no number")
    if dictionary.vr_of(tag) in _NUMBERS:
        return f"{of} > {int(digits)}"
    return f"{of} matches '^[^0-9]*0*(?:{'|'.join(_larger(str(int(digits))))})[^0-9]*$'"


def _larger(number: str) -> list[str]:
    """Return patterns of the whole numbers above one, without leading zeros."""
    patterns = [f"[1-9][0-9]{{{len(number)},}}"]
    for at, digit in enumerate(number):
        if digit != "9":
            rest = len(number) - at - 1
            larger = "9" if digit == "8" else f"[{int(digit) + 1}-9]"
            patterns.append(f"{number[:at]}{larger}" + (f"[0-9]{{{rest}}}" if rest else ""))
    return patterns
