"""The crosswalk as CSV, for those who may read and write it: header line, one link a row, UTF-8.

Columns: kind (patient or study), original, pseudonym, days, name, patient, first_seen, epoch. Only the
first three are needed for an import. A file that is written has mode 0600 and replaces nothing.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError
from deid_node.node.crosswalk import Link, LinkKind
from deid_node.standard.values import is_uid

COLUMNS: Final = ("kind", "original", "pseudonym", "days", "name", "patient", "first_seen", "epoch")
_NEEDED: Final = COLUMNS[:3]
_LONGEST: Final = 64
_MOST_PROBLEMS: Final = 20


def write_links(path: Path, links: Iterable[Link]) -> None:
    """Write links to a new file. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for link in links:
            seen = datetime.fromtimestamp(link.at, UTC).isoformat(timespec="seconds")
            days = "" if link.days is None else link.days
            rows.writerow(
                (
                    link.kind.value,
                    link.original,
                    link.pseudonym,
                    days,
                    link.name,
                    link.patient,
                    seen,
                    link.epoch,
                )
            )


def read_links(path: Path) -> list[Link]:
    """Return the links in a file.

    Raises:
        ConfigurationError: with every row that cannot be used, by its line, without its values.
        OSError: the file cannot be read.
    """
    problems: list[str] = []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
        if missing:
            raise ConfigurationError(f"{path}: the first line has no column {', '.join(missing)}.")
        links = list(_links(path, rows, problems))
    if problems:
        raise ConfigurationError(*problems[:_MOST_PROBLEMS])
    return links


def _links(path: Path, rows: csv.DictReader[str], problems: list[str]) -> Iterator[Link]:
    now = time.time()
    for row in rows:
        where = f"{path} line {rows.line_num}"
        kind, original, pseudonym = ((row[name] or "").strip() for name in _NEEDED)
        days = (row.get("days") or "").strip()
        problem = _problem(kind, original, pseudonym, days)
        if problem:
            problems.append(f"{where}: {problem}")
            continue
        yield Link(
            LinkKind(kind),
            original,
            pseudonym,
            now,
            name=(row.get("name") or "").strip(),
            days=int(days) if days else None,
            patient=(row.get("patient") or "").strip(),
        )


def _problem(kind: str, original: str, pseudonym: str, days: str) -> str:
    if kind not in set(LinkKind):
        return f"kind must be {' or '.join(LinkKind)}."
    if not original or not pseudonym:
        return "original and pseudonym must not be empty."
    if len(pseudonym) > _LONGEST or "\\" in pseudonym or not pseudonym.isprintable():
        return f"the pseudonym must have at most {_LONGEST} characters, without a backslash."
    if kind == LinkKind.STUDY and not (is_uid(original) and is_uid(pseudonym)):
        return "original and pseudonym of a study must be UIDs."
    if days and not (days.startswith("-") and days[1:].isdigit() and int(days)):
        return "days must be a whole number below 0, or empty."
    return ""
