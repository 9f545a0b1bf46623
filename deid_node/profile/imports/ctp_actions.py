"""What the actions of a CTP script become: an action code, a function, a value, rows with conditions.

Hashes are keyed here where CTP's are bare MD5, and have the same form (decimal digits, same length).
What has no counterpart raises `NotSaid`; the caller then removes the attribute and lists the action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deid_node.profile import names
from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_conditions import condition_of
from deid_node.profile.imports.ctp_fields import (
    COUNTED_DIGITS,
    DIGITS_OF_MD5,
    FIELDS,
    LONGEST_MASK,
    NAME_DIGITS,
    NOT_COUNTED,
    digits_field,
    initials_field,
    original,
    truncated,
)
from deid_node.profile.imports.ctp_functions import Call, Node
from deid_node.profile.imports.ctp_said import NotSaid, Said
from deid_node.profile.imports.ctp_script import Element, Script
from deid_node.profile.imports.draft import Written, as_template
from deid_node.profile.imports.fitting import value_row
from deid_node.standard import dictionary

_DATE_VRS: Final = ("DA", "DT")
_CASES: Final = {"uppercase": "upper", "lowercase": "lower"}
_FIXED: Final = {"keep": "K", "process": "K", "empty": "Z", "blank": "Z", "remove": "X"}
_SCOPES: Final = {0x0020000D: "study", 0x0020000E: "series", 0x00080018: "instance"}
_PATIENT: Final = (0x00100020, 0x00100010)
_MISSING: Final = ("keep", "remove", "empty")


@dataclass(slots=True)
class Action:
    """One action of one element while it is read."""

    element: Element
    script: Script
    exact: bool
    said: Said = field(default_factory=lambda: Said("Z"))

    @property
    def vr(self) -> str:
        """The VR of the element, empty when no dictionary knows it."""
        vr = dictionary.vr_of(self.element.tag) if self.element.tag is not None else ""
        return "" if vr == "UN" else vr

    def read(self, text: str) -> Said:
        """Return what the action becomes.

        Raises:
            NotSaid: it has no counterpart.
        """
        try:
            nodes = ctp_functions.parse(text)
        except ValueError as error:
            raise NotSaid(str(error)) from None
        while nodes and isinstance(nodes[0], Call) and nodes[0].name == "always":
            self.said.inserts = True
            nodes = nodes[1:]
        self.said.written = self.written(nodes)
        return self.said

    def plain_text(self) -> str:
        """Return the text of the action without what functions make, for what deid_node stamps itself."""
        try:
            nodes = ctp_functions.parse(self.element.action)
            while nodes and isinstance(nodes[0], Call) and nodes[0].name in ("always", "append"):
                nodes = [*ctp_functions.parse("".join(nodes[0].blocks[:1])), *nodes[1:]]
            parts = [node if isinstance(node, str) else self._parameter(node) for node in nodes]
        except (NotSaid, ValueError):
            return ""
        return "".join(parts).strip(" :;-")

    def _parameter(self, call: Call) -> str:
        return self.param(call.argument(0)) if call.name == "param" else ""

    def written(self, nodes: list[Node]) -> Written:
        """Return the row for the parts of an action."""
        if not nodes or all(isinstance(node, str) and not node.strip() for node in nodes):
            return "Z"
        if any(isinstance(node, Call) and node.name == "remove" for node in nodes):
            return "X"
        if len(nodes) == 1 and isinstance(nodes[0], Call):
            return self._call(nodes[0])
        if self.vr == "UI" and any(isinstance(node, Call) and node.name != "param" for node in nodes):
            self.said.notes.append("a UID is not put together from parts; it becomes a new keyed one")
            return "U"
        return value_row(self._template(nodes), self.vr)

    # --- one call -------------------------------------------------------------------------------

    def _call(self, call: Call) -> Written:
        if call.name in _FIXED:
            return _FIXED[call.name]
        read = _CALLS.get(call.name)
        if read is not None:
            return read(self, call)
        if call.name in FIELDS:
            return value_row(self._template([call]), self.vr)
        raise NotSaid(_WHY_NOT.get(call.name, f"there is no counterpart to @{call.name}"))

    def is_own(self, name: str) -> bool:
        """Tell whether an argument means the element itself."""
        return name.strip() == "this" or self.script.tag_named(name) == self.element.tag is not None

    def number(self, call: Call, at: int, default: int) -> int:
        """Return a whole number that is given as such or as a parameter of the script."""
        text = self.param(call.argument(at)) if call.argument(at) else str(default)
        try:
            return int(text)
        except ValueError:
            raise NotSaid(f"@{call.name} with something that is no number") from None

    def param(self, name: str) -> str:
        """Return the value of @NAME, or the text itself."""
        if not name.startswith(("@", "$")):
            return name
        value = self.script.params.get(name[1:])
        if value is None:
            raise NotSaid(f"the script has no parameter {name[1:]!r}")
        return value

    # --- templates ------------------------------------------------------------------------------

    def _template(self, nodes: list[Node]) -> str:
        return "".join(as_template(node) if isinstance(node, str) else self._field(node) for node in nodes)

    def _field(self, call: Call) -> str:
        field_of = FIELDS.get(call.name)
        if field_of is None:
            raise NotSaid(f"@{call.name} cannot stand beside text")
        return field_of(self, call)

    def tag(self, name: str) -> int | None:
        """Return the tag of the attribute that an argument names, None when there is none."""
        return self.element.tag if name.strip() in ("", "this") else self.script.tag_named(name)

    def attribute(self, name: str) -> str:
        """Return the attribute that an argument names, as templates write it."""
        tag = self.tag(name)
        if tag is None:
            raise NotSaid(f"{name!r} is no attribute{names.nearest_keyword(name)}")
        return names.written(tag).replace(",", "").strip("()")


# --- functions of the element itself ----------------------------------------------------------------


def _require(action: Action, call: Call) -> Written:
    if call.arguments:
        action.said.lost.append("nothing is written where the attribute is absent; write a [set] value")
    return "K"


def _skip(action: Action, call: Call) -> Written:
    action.said.lost.append("objects are never passed on as they came; such objects are rejected")
    return _quarantine(action, call)


def _quarantine(action: Action, call: Call) -> Written:
    because = f"line {action.element.line} of the script: @{call.name}()"
    return {"action": "R", "because": because}


def _hashuid(action: Action, call: Call) -> Written:
    if not action.is_own(call.argument(1)):
        return value_row(f"{{uid:{action.attribute(call.argument(1))}}}", action.vr)
    if action.vr not in ("UI", ""):
        raise NotSaid(f"@hashuid makes UIDs, not values of VR {action.vr}")
    return "U"


def _incrementdate(action: Action, call: Call) -> Written:
    if not action.is_own(call.argument(0)) or action.vr not in _DATE_VRS:
        raise NotSaid("@incrementdate of another attribute or of no date")
    days = action.number(call, 1, 0)
    if not days:
        action.said.notes.append("moved by 0 days: THE DATE STAYS; write a date_shift to move it")
        return "K"
    return {"do": "date_shift", "duration": f"{'-' if days < 0 else ''}P{abs(days)}D"}


def _hashdate(action: Action, call: Call) -> Written:
    if action.vr not in _DATE_VRS:
        raise NotSaid(f"@hashdate takes dates, not VR {action.vr}")
    by = action.tag(call.argument(1)) if call.argument(1) else None
    if by in _SCOPES:
        return {"do": "date_shift", "per": _SCOPES[by]}
    if by not in _PATIENT:
        action.said.notes.append("all dates of a patient move by one shift, whatever is hashed in the tool")
    return {"do": "date_shift"}


def _digits(action: Action, call: Call, of: int, length: int) -> Written:
    if not action.is_own(call.argument(of)):
        return value_row(digits_field(action, call.argument(of), length or 16), action.vr)
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
    return _digits(action, call, 0, min(max(length, 1), DIGITS_OF_MD5))


def _hashptid(action: Action, call: Call) -> Written:
    length = action.number(call, 2, 0)
    return _digits(action, call, 1, min(max(length, 0), DIGITS_OF_MD5))


def _integer(action: Action, call: Call) -> Written:
    action.said.lost.append(NOT_COUNTED)
    length = action.number(call, 2, COUNTED_DIGITS)
    return _digits(action, call, 0, min(max(length, COUNTED_DIGITS), DIGITS_OF_MD5))


def _encrypt(action: Action, call: Call) -> Written:
    if not action.is_own(call.argument(0)):
        raise NotSaid("@encrypt of another attribute")
    action.said.notes.append("encrypted with AES-SIV under the key of the project")
    return {"do": "encrypt", "fit": "remove"}


def _round(action: Action, call: Call) -> Written:
    size = action.number(call, 1, 1)
    if not action.is_own(call.argument(0)) or size < 1:
        raise NotSaid("@round of another attribute, or to less than 1")
    return {"do": "round", "to": size}


def _truncate(action: Action, call: Call) -> Written:
    length = action.number(call, 1, 0)
    if length < 1 or length > LONGEST_MASK:
        raise NotSaid(f"@truncate to something else than the first 1 to {LONGEST_MASK} characters")
    if not action.is_own(call.argument(0)):
        return value_row(truncated(action, call), action.vr)
    return {"do": "mask", "mask": "*" * length}


def _case(action: Action, call: Call) -> Written:
    if not action.is_own(call.argument(0)):
        raise NotSaid(f"@{call.name} of another attribute")
    return {"do": "case", "to": _CASES[call.name]}


def _modifydate(action: Action, call: Call) -> Written:
    parts = tuple(action.param(call.argument(at)).strip() for at in (1, 2, 3))
    keeps = tuple(not part.lstrip("-").isdigit() for part in parts)
    rest = [int(part) for part, kept in zip(parts, keeps, strict=True) if not kept]
    if action.is_own(call.argument(0)) and action.vr in _DATE_VRS and set(rest) == {1}:
        if keeps == (True, False, False):
            return {"do": "date_truncate"}
        if keeps == (True, True, False):
            return {"do": "date_truncate", "to": "month"}
    raise NotSaid("@modifydate is only known as setting the day, or day and month, to 1")


def _contents(action: Action, call: Call) -> Written:
    if len(call.arguments) == 1 and action.is_own(call.argument(0)):
        return "K"
    return value_row(original(action, call), action.vr)


def _value(action: Action, call: Call) -> Written:
    """Return the value of an attribute, or a text where it has none."""
    if len(call.arguments) < 2:
        return _contents(action, call)
    of, otherwise = action.tag(call.argument(0)), value_row(as_template(call.argument(1)), action.vr)
    if of is None:
        raise NotSaid(f"{call.argument(0)!r} is no attribute{names.nearest_keyword(call.argument(0))}")
    own = _contents(action, Call("contents", call.arguments[:1]))
    return [_under(case, f"{names.written(of)} matches '[^ ]'") for case in _cases(own)] + _cases(otherwise)


def _append(action: Action, call: Call) -> Written:
    """Return the value with another one behind it."""
    added = action.written(ctp_functions.parse((*call.blocks, "")[0]))
    text = added.get("value") if isinstance(added, Mapping) else None
    of = action.element.tag
    if not isinstance(text, str) or of is None:
        raise NotSaid("what is appended is no text")
    if action.said.inserts:
        action.said.lost.append("nothing is written where the attribute is absent; write a [set] value")
    behind = {"do": "set", "value": f"{{value}}\\{text}", "fit": "truncate"}
    return [_under(behind, f"{names.written(of)} matches '[^ ]'"), *_cases(added)]


def _initials(action: Action, call: Call) -> Written:
    field = initials_field(action, call)
    return {"do": "initials"} if action.is_own(call.argument(0)) else value_row(field, action.vr)


def _lookup(action: Action, call: Call) -> Written:
    key, kind, choice = call.argument(0), call.argument(1), call.argument(2).lower()
    if "|" in key:
        raise NotSaid("@lookup of several attributes together; a lookup table has one key")
    if not kind:
        raise NotSaid("@lookup without a key type")
    table = table_name(kind)
    action.said.lookups.append(kind)
    written: dict[str, object] = {"do": "lookup", "table": table}
    if not action.is_own(key):
        written["by"] = action.attribute(key)
    if choice in _MISSING:
        written["missing"] = choice
    elif choice == "default":
        written |= {"default": call.argument(3)} if call.argument(3) else {"missing": "empty"}
    elif choice == "ignore":
        return _unless(action, key, call.argument(3), written)
    elif "by" not in written:  # there, items are not looked into; a table knows what is outside of them
        return [{**written, "scope": "root"}, {**written, "missing": "remove", "scope": "nested"}]
    return written


def _unless(action: Action, key: str, pattern: str, written: Mapping[str, object]) -> Written:
    """Return rows that keep what matches a pattern and look up the rest."""
    if "'" in pattern or not pattern:
        raise NotSaid("@lookup that ignores what no condition can say")
    stays = _contents(action, Call("contents", (key,)))
    of = names.written(action.tag(key) or 0)
    return [*(_under(case, f"{of} matches '^(?:{pattern})$'") for case in _cases(stays)), dict(written)]


def table_name(kind: str) -> str:
    """Return the name of the table for a key type."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", kind.strip()).strip("-") or "lookup"


# --- branches ---------------------------------------------------------------------------------------


def _if(action: Action, call: Call) -> Written:
    yes, no = ((*call.blocks, "", "")[at] for at in (0, 1))
    subject, test = call.argument(0), call.argument(1).lower()
    if action.is_own(subject) and test == "exists":
        if action.said.inserts and no.strip():
            action.said.lost.append("nothing is written where the attribute is absent; write a [set] value")
        return _branch(action, yes)
    when_yes, when_no = _branch(action, yes), _branch(action, no)
    if when_yes == when_no:
        return when_yes
    condition = condition_of(action, call)
    return [*(_under(case, condition) for case in _cases(when_yes)), *_cases(when_no)]


def _cases(written: Written) -> list[dict[str, object]]:
    """Return a row as a list of tables."""
    if isinstance(written, str):
        return [{"action": written}]
    return [dict(written)] if isinstance(written, Mapping) else [dict(one) for one in written]


def _under(case: Mapping[str, object], condition: str) -> dict[str, object]:
    when = f"({condition}) and ({case['when']})" if "when" in case else condition
    return {**case, "when": when}


def _branch(action: Action, text: str) -> Written:
    """Return what a branch becomes; what cannot be said is removed and listed."""
    try:
        return action.written(ctp_functions.parse(text))
    except (NotSaid, ValueError) as error:
        action.said.lost.append(f"{text}: {error}; removed instead")
        return "X"


def _select(action: Action, call: Call) -> Written:
    at_root, nested = (_branch(action, (*call.blocks, "", "")[at]) for at in (0, 1))
    if at_root == nested:
        return at_root
    return [
        *({**case, "scope": "root"} for case in _cases(at_root)),
        *({**case, "scope": "nested"} for case in _cases(nested)),
    ]


_CALLS: Final[dict[str, Callable[[Action, Call], Written]]] = {
    "require": _require,
    "skip": _skip,
    "quarantine": _quarantine,
    "hashuid": _hashuid,
    "incrementdate": _incrementdate,
    "hashdate": _hashdate,
    "hash": _hash,
    "hashname": _hashname,
    "hashptid": _hashptid,
    "integer": _integer,
    "encrypt": _encrypt,
    "round": _round,
    "truncate": _truncate,
    "uppercase": _case,
    "lowercase": _case,
    "modifydate": _modifydate,
    "contents": _contents,
    "value": _value,
    "append": _append,
    "initials": _initials,
    "lookup": _lookup,
    "if": _if,
    "select": _select,
}
_WHY_NOT: Final = {
    "time": "the time of day is not written",
    "call": "a plug-in of CTP; write a function of your own in Python",
    "pathelement": "parts of a path that stands in an attribute are not taken",
    "decrypt": "values are not decrypted into objects; deid-node decrypt shows them to who holds the key",
    "dateinterval": "intervals between dates cannot be written",
    "rebasedate": "dates cannot be counted from an event; date_shift moves them by a fixed duration",
}
CTP_FUNCTIONS: Final = frozenset({*_CALLS, *FIELDS, *_FIXED, *_WHY_NOT, "always", "append"})
