"""Read the sections of a profile that stand for themselves: lookup tables, checks of the input and output.

`reading` reads the rest and reports what is noted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.conditions import Condition
from deid_node.profile.language import (
    CHECK_KEYS,
    CLEAN_KEYS,
    TABLE_KEYS,
    VALIDATE_KEYS,
    Stage,
    ValidateRow,
)
from deid_node.profile.lookup import LookupSource
from deid_node.profile.places import Path, Problems
from deid_node.profile.procedure import Level, UnknownWords

_OFF: Final = "off"
Table = Mapping[str, Any]


def read_tables(value: object, problems: Problems) -> Mapping[str, LookupSource]:
    """Read [tables.NAME]."""
    found: dict[str, LookupSource] = {}
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        problems.add(("tables",), 'tables is a table of tables: [tables.ids] with file = "ids.csv"')
        return found
    for name, table in value.items():
        path: Path = ("tables", name)
        check_keys(path, table, TABLE_KEYS, problems)
        given = table.get("key")
        keys = tuple(given) if isinstance(given, list) else (given,)
        words = {"file": table.get("file"), "value": table.get("value")}
        missing = [key for key, word in words.items() if not isinstance(word, str) or not word]
        if not keys or not all(isinstance(key, str) and key for key in keys):
            missing.append("key")
        if missing:
            problems.add(path, f"[tables.{name}] needs {' and '.join(missing)}, as a text in quotes")
        elif len({*keys, words["value"]}) <= len(keys):
            problems.add(path, f"[tables.{name}] has one column as key and value, or twice as key")
        elif ":" in name or "}" in name:
            problems.add(path, "the name of a table has no ':' and no brace")
        else:
            place = problems.place(*path)
            found[name] = LookupSource(name, str(words["file"]), keys, str(words["value"]), place)
    return MappingProxyType(found)


def read_validations(value: object, problems: Problems) -> tuple[ValidateRow, ...]:
    """Read [[validate]]."""
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        problems.add(("validate",), "validate is a list of tables: [[validate]]")
        return ()
    found = (_validation(("validate", number), table, problems) for number, table in enumerate(value))
    return tuple(row for row in found if row is not None)


def _validation(path: Path, table: Table, problems: Problems) -> ValidateRow | None:
    check_keys(path, table, VALIDATE_KEYS, problems)
    when, message = table.get("when"), table.get("message")
    level, stage = table.get("level", Level.REJECT), table.get("stage", Stage.ORIGINAL)
    if not isinstance(when, str) or not isinstance(message, str) or not message:
        problems.add(path, '[[validate]] needs when = "..." and message = "..."')
        return None
    for key, word, known in (("level", level, list(Level)), ("stage", stage, list(Stage))):
        if word not in known:
            near = names.did_you_mean(str(word), known)
            problems.add((*path, key), f"{key} {word!r} is not one of {', '.join(known)}{near}")
            return None
    try:
        condition = Condition.parse(when)
    except ProfileError as error:
        problems.add((*path, "when"), *error.problems)
        return None
    return ValidateRow(condition, message, Level(str(level)), Stage(str(stage)))


def read_checks(value: object, problems: Problems) -> Mapping[str, Level | None]:
    """Read [checks]: what is looked for to how serious it is, None for "off"."""
    found: dict[str, Level | None] = {}
    if not isinstance(value, dict):
        problems.add(("checks",), "checks is a table: [checks]")
        return found
    check_keys(("checks",), value, CHECK_KEYS, problems)
    known = [_OFF, *Level]
    for key, level in value.items():
        if level not in known:
            near = names.did_you_mean(str(level), known)
            problems.add(("checks", key), f"{key} {level!r} is not one of {', '.join(known)}{near}")
        elif key in CHECK_KEYS:
            found[key] = None if level == _OFF else Level(str(level))
    return MappingProxyType(found)


def read_clean(value: object, problems: Problems) -> tuple[UnknownWords | None, tuple[str, ...]]:
    """Read [clean]: what becomes of unknown words, and words that are known besides."""
    if not isinstance(value, dict):
        problems.add(("clean",), 'clean is a table: [clean] with unknown = "hold"')
        return None, ()
    check_keys(("clean",), value, CLEAN_KEYS, problems)
    unknown, words = value.get("unknown"), value.get("words", [])
    if unknown is not None and unknown not in list(UnknownWords):
        near = names.did_you_mean(str(unknown), list(UnknownWords))
        problems.add(
            ("clean", "unknown"), f"unknown {unknown!r} is not one of {', '.join(UnknownWords)}{near}"
        )
        unknown = None
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        problems.add(("clean", "words"), 'words is a list of words in quotes: ["mprage", "flair"]')
        words = []
    return None if unknown is None else UnknownWords(str(unknown)), tuple(words)


def check_keys(path: Path, table: Table, known: tuple[str, ...], problems: Problems) -> None:
    """Note keys that are not known."""
    for key in table:
        if key not in known:
            near = names.did_you_mean(key, known) or f"; known are {', '.join(known)}"
            problems.add((*path, key), f"unknown key {key!r}{near}")
