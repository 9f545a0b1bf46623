"""Read one row of a profile: a selector and what is done.

A row is an action code, or a table with `action` or `do`, parameters, and `because`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names, protected
from deid_node.profile.conditions import Condition
from deid_node.profile.functions import describe, known_names
from deid_node.profile.language import ROW_KEYS, Row, Scope
from deid_node.profile.places import Place
from deid_node.profile.procedure import Action, Call, SetValue
from deid_node.profile.selector import Kind, Selector

_AROUND: Final = ("do", "because", "when", "scope")
_ALWAYS_WRITE: Final = frozenset({"set", "substitute"})
_SETTING: Final = "write a value, or name the attribute that it is made of with of"
_MEANINGS: Final = "D dummy, Z empty, X remove, K keep, C clean, U new UID, R reject"


def read_rows(text: str, value: object, place: Place) -> list[Row]:
    """Read the rows of one selector: one, or a list of which the first whose `when` holds counts.

    Raises:
        ProfileError: with everything that is wrong with them.
    """
    if not isinstance(value, list):
        return [read_row(text, value, place)]
    rows: list[Row] = []
    problems: list[str] = []
    for one in value:
        try:
            rows.append(read_row(text, one, place))
        except ProfileError as error:
            problems += error.problems
    if not value:
        problems.append(f"row {text!r}: the list is empty")
    for number, row in enumerate(rows):
        if any(row.when is None and _meet(row.scope, later.scope) for later in rows[number + 1 :]):
            problems.append(f"row {text!r}: what follows a row without when is never done; put it last")
    if problems:
        raise ProfileError(*dict.fromkeys(problems))
    return rows


def _meet(one: Scope, other: Scope) -> bool:
    return one == other or Scope.ALL in (one, other)


def read_row(text: str, value: object, place: Place) -> Row:
    """Read one row.

    Raises:
        ProfileError: with everything that is wrong with the row.
    """
    problems: list[str] = []
    selector = because = None
    action, call = Action.X, None
    try:
        selector = Selector.parse(text)
    except ProfileError as error:
        problems += error.problems
    try:
        action, call, because = _read_value(value)
    except ProfileError as error:
        problems += (f"row {text!r}: {problem}" for problem in error.problems)
    if problems or selector is None:
        raise ProfileError(*problems)
    when, scope = _read_where(text, value) if isinstance(value, dict) else (None, Scope.ALL)
    row = Row(selector, action, place, call, because or "", when=when, scope=scope)
    _check(row)
    return row


def _read_where(text: str, value: Mapping[str, object]) -> tuple[Condition | None, Scope]:
    when, scope = value.get("when"), value.get("scope", Scope.ALL)
    problems: list[str] = []
    condition = None
    if when is not None and not isinstance(when, str):
        problems.append(f"row {text!r}: when is a condition in quotes")
    elif when is not None:
        try:
            condition = Condition.parse(when)
        except ProfileError as error:
            problems += (f"row {text!r}: {problem}" for problem in error.problems)
    if scope not in list(Scope):
        near = names.did_you_mean(str(scope), list(Scope))
        problems.append(f"row {text!r}: scope is one of {', '.join(Scope)}{near}")
    if problems:
        raise ProfileError(*problems)
    return condition, Scope(str(scope))


def _read_value(value: object) -> tuple[Action, Call | None, str]:
    if isinstance(value, str):
        return _action(value), None, ""
    if not isinstance(value, dict):
        raise ProfileError(
            'a row is an action code such as "X", or a table { action = "X", because = "..." }'
        )
    because = value.get("because", "")
    if not isinstance(because, str):
        raise ProfileError("because is a text")
    if "do" in value:
        if "action" in value:
            raise ProfileError("either action or do, not both")
        params = {key: given for key, given in value.items() if key not in _AROUND}
        action, call = describe(str(value["do"]), params)
        return action, call, because
    return (*_read_action(value), because)


def _read_action(value: Mapping[str, object]) -> tuple[Action, Call | None]:
    unknown = [key for key in value if key not in ROW_KEYS]
    if unknown:
        near = (names.did_you_mean(key, ROW_KEYS) or "; parameters belong to do" for key in unknown)
        raise ProfileError(*(f"unknown key {key!r}{hint}" for key, hint in zip(unknown, near, strict=True)))
    if "action" not in value and "value" not in value:
        raise ProfileError("needs action, do or value")
    action = _action(value.get("action", "D"))
    if "value" not in value:
        return action, None
    if action is not Action.D:
        raise ProfileError(f"a value is written by action D, not {action}")
    return describe("set", {"value": value["value"]})


def _action(word: object) -> Action:
    if isinstance(word, str) and word in list(Action):
        return Action(word)
    if isinstance(word, str) and "/" in word:
        raise ProfileError(f"{word!r} is a compound code; a row has one action: {_MEANINGS}")
    near = names.did_you_mean(str(word), known_names()) if isinstance(word, str) and len(word) > 1 else ""
    if near:
        near = near.replace("mean ", 'mean do = "').replace("?", '"?')
    if isinstance(word, str) and word.upper() in list(Action):
        near = f"; did you mean {word.upper()}?"
    raise ProfileError(f"{word!r} is no action{near or '; the actions are ' + _MEANINGS}")


def _check(row: Row) -> None:
    """Refuse what a selector can never take.

    Raises:
        ProfileError: with the reason.
    """
    last = row.selector.last
    problem = ""
    if row.selector.path and row.scope is not Scope.ALL:
        problem = "a path says where the attribute is; scope is for selectors without one"
    elif last.tag is not None:
        problem = protected.problem(last.tag, row.action, row.call)
    elif last.kind is Kind.VR:
        problem = protected.cannot_apply(last.vr, row.action, row.call)
    if problem:
        raise ProfileError(f"row {row.selector.text!r}: {problem}")


def read_set_values(tag: int, value: object) -> tuple[SetValue, ...]:
    """Read what [set] says for an attribute: one value, or a list of which the first that holds counts.

    Raises:
        ProfileError: with everything that is wrong with them.
    """
    given = value if isinstance(value, list) else [value]
    found: list[SetValue] = []
    problems = [] if given else ["the list is empty"]
    for one in given:
        try:
            found.append(_read_set_value(tag, one))
        except ProfileError as error:
            problems += error.problems
    later = ((one, other) for number, one in enumerate(found) for other in found[number + 1 :])
    if any(one.is_certain or (one.when is None and other.only_absent) for one, other in later):
        problems.append("what follows a value without when is never written; put it last")
    if problems:
        raise ProfileError(*dict.fromkeys(problems))
    return tuple(found)


def _read_set_value(tag: int, value: object) -> SetValue:
    given = dict(value) if isinstance(value, dict) else {"value": _written(value)}
    when, only_absent = given.pop("when", None), given.pop("only_absent", False)
    if not isinstance(only_absent, bool):
        raise ProfileError("only_absent is true or false")
    if when is not None and not isinstance(when, str):
        raise ProfileError("when is a condition in quotes")
    action, call = describe(str(given.pop("do", "set")), given)
    if call is None or not _needs_no_original(call):
        raise ProfileError(f"[set] writes values that need no original one; {_SETTING}")
    problem = protected.problem(tag, action, call)
    if problem:
        raise ProfileError(problem)
    return SetValue(call, Condition.parse(when) if when is not None else None, only_absent)


def _needs_no_original(call: Call) -> bool:
    """Tell whether a function makes a value where the attribute has none."""
    source = call.params.get("by" if call.name == "lookup" else "of")
    return call.name in _ALWAYS_WRITE or bool(source)


def _written(value: object) -> object:
    """Accept numbers where a value is written: they print as themselves."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
