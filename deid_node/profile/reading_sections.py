"""Read the sections of a profile that stand for themselves: lookup tables, checks of the input and output.

`reading` reads the rest and reports what is noted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from deid_node.profile import names
from deid_node.profile.language import TABLE_KEYS
from deid_node.profile.lookup import LookupSource
from deid_node.profile.places import Path, Problems

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
        words = {key: table.get(key) for key in TABLE_KEYS}
        missing = [key for key, word in words.items() if not isinstance(word, str) or not word]
        if missing:
            problems.add(path, f"[tables.{name}] needs {' and '.join(missing)}, as a text in quotes")
        elif words["key"] == words["value"]:
            problems.add(path, f"[tables.{name}] has one column as key and value")
        elif ":" in name or "}" in name:
            problems.add(path, "the name of a table has no ':' and no brace")
        else:
            place = problems.place(*path)
            found[name] = LookupSource(
                name, str(words["file"]), str(words["key"]), str(words["value"]), place
            )
    return MappingProxyType(found)


def check_keys(path: Path, table: Table, known: tuple[str, ...], problems: Problems) -> None:
    """Note keys that are not known."""
    for key in table:
        if key not in known:
            near = names.did_you_mean(key, known) or f"; known are {', '.join(known)}"
            problems.add((*path, key), f"unknown key {key!r}{near}")
