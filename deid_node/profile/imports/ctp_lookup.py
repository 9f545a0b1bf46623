"""Lookup tables of CTP: Java properties KEYTYPE/VALUE = REPLACEMENT, as one CSV file for each key type.

A replacement @KEYTYPE/VALUE points to another row. The table is the crosswalk of the patients: no message
repeats a value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile.imports.ctp_said import LookedUp
from deid_node.profile.lookup import is_days, table_date
from deid_node.profile.places import Place

OLD, NEW = "old", "new"
_MOST_STEPS: Final = 10
_AMERICAN_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_END_OF_KEY: Final = re.compile(r"(?:[^\\=:\s]|\\.)*")
_SEPARATOR: Final = re.compile(r"\s*[=:]?\s*")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def read_lookup_table(text: str, file: str) -> Mapping[str, Mapping[str, str]]:
    """Return, for every key type, original value to replacement.

    Raises:
        ProfileError: a row is none, or points to none; with every line.
    """
    rows: dict[str, tuple[str, int]] = {}
    problems: list[str] = []
    for key, value, line in properties(text):
        if "/" not in key:
            problems.append(f"{Place(file, line)}: a row is written KEYTYPE/VALUE = REPLACEMENT")
        kind, _, old = key.partition("/")
        rows[f"{kind.strip()}/{old.strip()}"] = value.strip(), line
    tables: dict[str, dict[str, str]] = {}
    for key, (value, line) in rows.items():
        for _ in range(_MOST_STEPS):
            if not (value.startswith("@") and "/" in value):
                break
            value, _ = rows.get(value[1:].strip(), ("@/", 0))
        if value.startswith("@") and "/" in value:
            problems.append(f"{Place(file, line)}: the row points to another one that is not there")
        kind, _, old = key.partition("/")
        tables.setdefault(kind, {})[old.replace("\\", "")] = value
    if problems:
        raise ProfileError(*problems)
    return tables


def table_name(kind: str) -> str:
    """Return the name of the table for a key type."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", kind.strip()).strip("-") or "lookup"


def csv_of(rows: Mapping[str, str], looked_up: LookedUp) -> tuple[str, int]:
    """Return a lookup table as the text of a CSV file (RFC 4180), and how many rows do not fit it."""
    keys = looked_up.keys or (OLD,)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*keys, NEW))
    unfit = 0
    for old, new in sorted(rows.items()):
        parts = [part.strip() for part in old.split("|")] if looked_up.keys else [old]
        new = _iso(new) if looked_up.dates and new else new
        new = "" if looked_up.days and not is_days(new) else new
        if len(parts) == len(keys) and (new or not rows[old]):
            writer.writerow((*parts, new))
        else:
            unfit += 1
    return text.getvalue(), unfit


def _iso(text: str) -> str:
    """Return a date month/day/year, or YYYYMMDD, as ISO 8601 says; empty when it is none."""
    day = table_date(text)
    if day is not None:
        return day.isoformat()
    found = _AMERICAN_DATE.fullmatch(text)
    try:
        return date(int(found[3]), int(found[1]), int(found[2])).isoformat() if found is not None else ""
    except ValueError:
        return ""


def properties(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield key, value and line of Java properties: comments, continued lines, escapes."""
    lines = iter(enumerate(text.splitlines(), 1))
    for line, first in lines:
        whole = first.lstrip()
        if not whole or whole[0] in "#!":
            continue
        while _continues(whole):
            whole = whole[:-1] + next(lines, (0, ""))[1].lstrip()
        found = _END_OF_KEY.match(whole)
        end = found.end() if found is not None else 0
        separator = _SEPARATOR.match(whole, end)
        value = whole[separator.end() if separator is not None else end :]
        yield _plain(whole[:end]), _plain(value), line


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _plain(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        word = found[1]
        return chr(int(word[1:], 16)) if len(word) > 1 else _ESCAPES.get(word, word)

    return _ESCAPE.sub(meant, text)
