"""Lookup tables: CSV files beside a profile that say what stands for a value (RFC 4180).

Two rows that contradict each other are an error, since nobody can say which is meant; two equal ones
are a note. A row whose new value is empty is a row that nobody filled in yet: it counts as not there.
No message repeats a cell: the table is the crosswalk.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.places import Place

_SHOWN: Final = 5
_JOINT: Final = "\x1f"  # the unit separator of ASCII: no cell and no value holds it


def joined_key(parts: Iterable[str]) -> str:
    """Return the values of several key columns as one key."""
    return _JOINT.join(part.strip() for part in parts)


def parts_of_key(key: str) -> list[str]:
    """Return the values of the key columns of a key."""
    return key.split(_JOINT)


def table_date(text: str) -> date | None:
    """Return the date that a cell holds, YYYY-MM-DD or YYYYMMDD, None when it is none."""
    try:
        return date.fromisoformat(text) if len(text) in (8, 10) else None
    except ValueError:
        return None


def is_days(text: str) -> bool:
    """Tell whether a cell holds whole days, with or without a sign."""
    return (
        text.removeprefix("-").removeprefix("+").isascii() and text.lstrip("+-").isdecimal() and len(text) < 8
    )


@dataclass(frozen=True, slots=True)
class LookupSource:
    """What a profile says about a table: the file beside it, and which columns count."""

    name: str
    file: str
    keys: tuple[str, ...]
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Lookup:
    """A table that was read from the file at `path`: original value to new value; it never prints itself."""

    rows: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()
    path: str = ""


def read_lookup(text: str, file: str, keys: Sequence[str], value: str) -> Lookup:
    """Read a table.

    Args:
        text: the CSV text, the first line being the names of the columns.
        file: how problems call it.
        keys: the columns of the original values; value: that of the new one. Cells lose outer spaces.

    Raises:
        ProfileError: no CSV, a column that is not there, a row of another length, or rows that
            contradict each other; with every finding and its line.
    """
    lines = _lines(text, file)
    header = next(lines, None)
    if header is None:
        raise ProfileError(f"{file}: has no line with the names of the columns")
    *at_keys, at_value = _columns(header[1], file, (*keys, value))
    key = ", ".join(keys)
    rows: dict[str, str] = {}
    first_lines: dict[str, int] = {}
    problems: list[str] = []
    repeated: list[int] = []
    for number, cells in lines:
        if len(cells) != len(header[1]):
            problems.append(f"{file} line {number}: has {len(cells)} cells, and the header {len(header[1])}")
            continue
        old, new = joined_key(cells[at] for at in at_keys), cells[at_value]
        if not all(cells[at] for at in at_keys):
            problems.append(f"{file} line {number}: has no value in the column {key!r}")
        elif not new:
            continue
        elif any(character < " " and character not in "\t\n\f\r" for character in new):
            problems.append(f"{file} line {number}: has a control character in the column {value!r}")
        elif rows.setdefault(old, new) != new:
            problems.append(
                f"{file} line {number}: contradicts line {first_lines[old]}: one {key!r}, two {value!r}"
            )
        elif first_lines.setdefault(old, number) != number:
            repeated.append(number)
    if problems:
        raise ProfileError(*problems)
    notes = (f"{file}: what a line above says stands again in {_listed(repeated)}",) if repeated else ()
    return Lookup(MappingProxyType(rows), notes)


_WHY: Final = {  # what the reader of CSV says, in our words
    "expected after": "something stands behind a closing quote; a quote in a cell is written twice",
    "field limit": f"a cell is longer than {csv.field_size_limit()} characters, or a quote is not closed",
}


def _lines(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of every line that is not empty."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        why = next((ours for theirs, ours in _WHY.items() if theirs in str(error)), "a quote is not closed")
        raise ProfileError(f"{file} line {reader.line_num}: is not CSV: {why}") from None


def _columns(header: list[str], file: str, wanted: Sequence[str]) -> list[int]:
    problems = []
    for column in wanted:
        if header.count(column) != 1:
            what = "several columns" if column in header else "no column"
            near = names.did_you_mean(column, header) if column not in header else ""
            if len(header) == 1 and ";" in header[0]:
                near = "; cells are separated by commas"
            problems.append(f"{file}: has {what} {column!r}{near}")
    if problems:
        raise ProfileError(*problems)
    return [header.index(column) for column in wanted]


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} others" if len(numbers) > _SHOWN else ""
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown}{more}"
