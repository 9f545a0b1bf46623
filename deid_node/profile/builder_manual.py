"""Manual rows for the builder: what people decide where the standard leaves a choice.

TOML, one table a SOP class, one row an attribute; or JSON in the Grand-Challenge schema, from which only
the rows are taken. Every finding of a file is reported at once.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deid_node.errors import ConfigurationError, ProfileError
from deid_node.profile.names import nearest_keyword
from deid_node.profile.procedure import Action
from deid_node.standard.dictionary import parse_mask, tag_of
from deid_node.standard.sop_classes import find_sop_class


@dataclass(frozen=True, slots=True)
class ManualRow:
    """The action for one attribute and why a person chose it."""

    action: Action
    because: str


Manual = Mapping[str, Mapping[int, ManualRow]]
"""SOP class UID to tag to row."""

_ACTIONS: Final = "X K D Z U R"


def read_manual(text: str, name: str) -> Manual:
    """Return the rows of a file.

    Args:
        text: TOML, or JSON when `name` ends in ".json".
        name: the name of the file, for messages.

    Raises:
        ProfileError: with every finding.
    """
    problems: list[str] = []
    try:
        if name.endswith(".json"):
            content = json.loads(text)
            classes = {
                uid: {
                    tag: {"action": row.get("default"), "because": row.get("justification")}
                    for tag, row in table.get("tag", {}).items()
                }
                for uid, table in content.get("sopClass", content).items()
            }
        else:
            classes = tomllib.loads(text)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ProfileError(f"{name} is not a file of manual rows: {error}") from None
    found: dict[str, dict[int, ManualRow]] = {}
    for word, rows in classes.items():
        try:
            uid = find_sop_class(word)
        except ConfigurationError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
            continue
        if not isinstance(rows, dict):
            problems.append(f"{name}, {word}: expected a table of attributes")
            continue
        table = found.setdefault(uid, {})
        for key, value in rows.items():
            _add_row(table, key, value, f"{name}, {word}, {key}", problems)
    if problems:
        raise ProfileError(*problems)
    return found


def _add_row(table: dict[int, ManualRow], key: str, value: Any, place: str, problems: list[str]) -> None:
    tag = _tag(key)
    if tag is None:
        problems.append(f"{place}: no attribute of the standard is called so{nearest_keyword(key)}")
        return
    action = value.get("action") if isinstance(value, dict) else value
    because = value.get("because") if isinstance(value, dict) else ""
    if action not in _ACTIONS.split():
        problems.append(f"{place}: the action is one of {_ACTIONS}")
    elif tag in table:
        problems.append(f"{place}: there is a row for this attribute already")
    elif not isinstance(because, str) or not because.strip():
        problems.append(f'{place}: a manual row says why: {{ action = "{action}", because = "..." }}')
    else:
        table[tag] = ManualRow(Action(action), because)


def _tag(key: str) -> int | None:
    if not key.startswith("("):
        return tag_of(key)
    try:
        return parse_mask(key[1:5] + key[6:10])[1] if len(key) == len("(gggg,eeee)") else None
    except ValueError:
        return None
