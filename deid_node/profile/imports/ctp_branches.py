"""Functions of CTP scripts that choose what is done: conditions, depth, lookups, rejections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from deid_node.profile import names
from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_conditions import condition_of, literal, whole
from deid_node.profile.imports.ctp_functions import Call, Node
from deid_node.profile.imports.ctp_lookup import table_name
from deid_node.profile.imports.ctp_said import NotSaid
from deid_node.profile.imports.draft import Written, as_template
from deid_node.profile.imports.fitting import value_row

if TYPE_CHECKING:
    from deid_node.profile.imports.ctp_actions import Action

Case = dict[str, object]
_MOST_CONDITIONS: Final = 6  # each doubles the rows
MISSING: Final = ("keep", "remove", "empty")


def cases(written: Written) -> list[Case]:
    """Return a row as a list of tables."""
    if isinstance(written, str):
        return [{"action": written}]
    return [dict(written)] if isinstance(written, Mapping) else [dict(one) for one in written]


def under(case: Mapping[str, object], condition: str) -> Case:
    """Return a case that holds under one more condition."""
    return {**case, "when": f"({condition}) and ({case['when']})" if "when" in case else condition}


def _require(action: Action, call: Call) -> Written:
    return "K"


def _skip(action: Action, call: Call) -> Written:
    action.said.lost.append("objects are never passed on as they came; such objects are rejected")
    return _quarantine(action, call)


def _quarantine(action: Action, call: Call) -> Written:
    return {"action": "R", "because": because(action, call)}


def because(action: Action, call: Call) -> str:
    """Return why an object is rejected."""
    return f"line {action.element.line} of the script: @{call.name}()"


def _value(action: Action, call: Call) -> Written:
    """Return the value of an attribute, or a text where it has none."""
    own = action.written([Call("contents", call.arguments[:1])])
    if len(call.arguments) < 2:
        return own
    of, otherwise = action.tag(call.argument(0)), value_row(as_template(call.argument(1)), action.text_vr)
    if of is None:
        raise NotSaid(f"{call.argument(0)!r} is no attribute{names.nearest_keyword(call.argument(0))}")
    return [under(case, f"{names.written(of)} matches '[^ ]'") for case in cases(own)] + cases(otherwise)


def _append(action: Action, call: Call) -> Written:
    """Return the value with another one behind it."""
    added = action.written(ctp_functions.parse((*call.blocks, "")[0]))
    text = added.get("value") if isinstance(added, Mapping) else None
    of = action.element.tag
    if not isinstance(text, str) or of is None:
        raise NotSaid("what is appended is no text")
    behind = {"do": "set", "value": f"{{value}}\\{text}", "fit": "truncate"}
    return [under(behind, f"{names.written(of)} matches '[^ ]'"), *cases(added)]


def _lookup(action: Action, call: Call) -> Written:
    kind, choice = call.argument(1), call.argument(2).lower()
    if not kind:
        raise NotSaid("@lookup without a key type")
    keys = [key.strip() for key in call.argument(0).split("|")]
    by = [action.attribute(key) for key in keys]
    action.said.looks_up(
        kind, tuple(by) if len(by) > 1 else (), rejects=choice not in (*MISSING, "default", "ignore")
    )
    written: Case = {"do": "lookup", "table": table_name(kind)}
    if len(by) > 1:
        written["by"] = by
    elif not action.is_own(keys[0]):
        written["by"] = by[0]
    if choice in MISSING:
        written["missing"] = choice
    elif choice == "default":
        written |= {"default": call.argument(3)} if call.argument(3) else {"missing": "empty"}
    elif choice == "ignore":
        return _unless(action, keys, call.argument(3), written)
    elif "by" not in written:  # there, items are not looked into; a table knows what is outside of them
        return [{**written, "scope": "root"}, {**written, "missing": "remove", "scope": "nested"}]
    return written


def _unless(action: Action, keys: list[str], pattern: str, written: Case) -> Written:
    """Return rows that keep what matches a pattern and look up the rest."""
    if not pattern or len(keys) > 1:
        raise NotSaid("@lookup that ignores what no condition can say")
    stays = action.written([Call("contents", (keys[0],))])
    of = names.written(action.tag(keys[0]) or 0)
    return [*(under(case, f"{of} matches {literal(whole(pattern))}") for case in cases(stays)), dict(written)]


def _if(action: Action, call: Call) -> Written:
    yes, no = ((*call.blocks, "", "")[at] for at in (0, 1))
    if action.is_own(call.argument(0)) and call.argument(1).lower() == "exists":
        return branch(action, yes)
    when_yes, when_no = branch(action, yes), branch(action, no)
    if when_yes == when_no:
        return when_yes
    condition = condition_of(action, call)
    return [*(under(case, condition) for case in cases(when_yes)), *cases(when_no)]


def beside(action: Action, nodes: list[Node], at: int) -> Written:
    """Return what an action becomes in which a condition stands beside text: the whole for either answer."""
    call = nodes[at]
    assert isinstance(call, Call)
    if sum(isinstance(node, Call) and node.name == "if" for node in nodes) > _MOST_CONDITIONS:
        raise NotSaid(f"more than {_MOST_CONDITIONS} conditions beside text")
    either = [ctp_functions.parse((*call.blocks, "", "")[number]) for number in (0, 1)]
    yes, no = (action.written([*nodes[:at], *answer, *nodes[at + 1 :]]) for answer in either)
    condition = condition_of(action, call)
    return [*(under(case, condition) for case in cases(yes)), *cases(no)]


def branch(action: Action, text: str) -> Written:
    """Return what a branch becomes; what cannot be said is removed and listed."""
    try:
        return action.written(ctp_functions.parse(text))
    except (NotSaid, ValueError) as error:
        action.said.lost.append(f"{text}: {error}; removed instead")
        return "X"


def _select(action: Action, call: Call) -> Written:
    at_root, nested = (branch(action, (*call.blocks, "", "")[at]) for at in (0, 1))
    if at_root == nested:
        return at_root
    return [
        *({**case, "scope": "root"} for case in cases(at_root)),
        *({**case, "scope": "nested"} for case in cases(nested)),
    ]


BRANCHES: Final[Mapping[str, Callable[[Action, Call], Written]]] = {
    "require": _require,
    "skip": _skip,
    "quarantine": _quarantine,
    "value": _value,
    "append": _append,
    "lookup": _lookup,
    "if": _if,
    "select": _select,
}
