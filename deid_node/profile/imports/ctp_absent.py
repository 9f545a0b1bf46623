"""What @always() of CTP scripts writes where an attribute is absent: cases of [set], and gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from deid_node.profile import names
from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_branches import MISSING, Case, because, under
from deid_node.profile.imports.ctp_conditions import condition_of
from deid_node.profile.imports.ctp_functions import Call, Node
from deid_node.profile.imports.ctp_said import NotSaid
from deid_node.profile.imports.draft import as_template

if TYPE_CHECKING:
    from deid_node.profile.imports.ctp_actions import Action

_NOTHING: Final = frozenset({"keep", "process", "remove", "call", "integer"})
_OWN_IS_EMPTY: Final = frozenset(
    {"contents", "value", "truncate", "uppercase", "lowercase", "round", "pathelement"}
)
_OWN_TEXT: Final = {"initials": "X"}
_OTHER_AT: Final = {"hashuid": 1, "hashptid": 1}


def absent_cases(action: Action, nodes: Sequence[Node]) -> list[Case]:
    """Return what is written where the attribute is absent; the first that holds counts.

    What rejects the object has the key "action" and no value.
    """
    if any(isinstance(node, Call) and node.name == "remove" for node in nodes):
        return []
    if len(nodes) == 1 and isinstance(nodes[0], Call):
        return _of_call(action, nodes[0])
    return _of_row(action, nodes)


def _of_call(action: Action, call: Call) -> list[Case]:
    special = {"if": _if, "require": _require, "lookup": _lookup}.get(call.name)
    if special is not None:
        return special(action, call)
    if call.name in _NOTHING:
        return []
    if call.name in ("quarantine", "skip"):
        return [{"action": "R", "because": because(action, call)}]
    if call.name in ("select", "append"):
        return absent_cases(action, ctp_functions.parse((*call.blocks, "")[0]))
    if action.is_own(call.argument(_OTHER_AT.get(call.name, 0))) and call.arguments:
        if call.name == "value" and len(call.arguments) > 1:
            return [{"value": as_template(call.argument(1))}]
        if call.name in _OWN_IS_EMPTY:
            return [{"value": ""}]
        return [{"value": _OWN_TEXT[call.name]}] if call.name in _OWN_TEXT else []
    return _of_row(action, [call])


def _of_row(action: Action, nodes: Sequence[Node]) -> list[Case]:
    """Return what the row writes, where it needs no value of the attribute itself."""
    written = action.written(list(nodes))
    if isinstance(written, str):
        return [{"value": ""}] if written == "Z" and not _moves(nodes) else []
    many = [written] if isinstance(written, Mapping) else list(written)
    return [_case(one) for one in many if "{value}" not in str(one.get("value", ""))]


def _moves(nodes: Sequence[Node]) -> bool:
    return any(isinstance(node, Call) and node.name.endswith("date") for node in nodes)


def _case(written: Mapping[str, object]) -> Case:
    return {
        key: value
        for key, value in written.items()
        if key not in ("scope",) and (key, value) != ("do", "set")
    }


def _require(action: Action, call: Call) -> list[Case]:
    if not call.argument(0):
        return [{"value": ""}]
    of = action.attribute(call.argument(0))
    found: Case = {"value": f"{{{of}}}", "when": f"exists({names.written(action.tag(of) or 0)})"}
    return [found, {"value": as_template(call.argument(1))}]


def _lookup(action: Action, call: Call) -> list[Case]:
    """Return a lookup; of an attribute that is absent nothing can be found."""
    choice = call.argument(2).lower()
    if not action.is_own(call.argument(0)):
        written = action.written([call])
        many = (
            [written]
            if isinstance(written, Mapping)
            else [one for one in written if isinstance(one, Mapping)]
        )
        return [
            {**_case(one), **({"missing": "remove"} if one.get("missing") == "keep" else {})} for one in many
        ]
    if choice not in (*MISSING, "default"):
        own = names.written(action.element.tag or 0)
        return [{"action": "R", "because": f"{own} is absent and cannot be looked up"}]
    if choice == "default":
        return [{"value": as_template(call.argument(3))}]
    return [{"value": ""}] if choice == "empty" else []


def _if(action: Action, call: Call) -> list[Case]:
    texts = (*call.blocks, "", "")
    if action.is_own(call.argument(0)):
        is_blank = call.argument(1).lower() == "isblank"
        return _branch(action, texts[0 if is_blank else 1])
    condition = condition_of(action, call)
    yes, no = (_branch(action, text) for text in texts[:2])
    is_certain = bool(yes) and "when" not in yes[-1]
    otherwise = no if is_certain else [under(case, f"not ({condition})") for case in no]
    return [*(under(case, condition) for case in yes), *otherwise]


def _branch(action: Action, text: str) -> list[Case]:
    try:
        return absent_cases(action, ctp_functions.parse(text))
    except (NotSaid, ValueError) as error:
        action.said.lost.append(f"{text}: {error}; not written where the attribute is absent")
        return []
