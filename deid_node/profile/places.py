"""Where things stand in a profile: lines of keys, and problems that name them.

`tomllib` tells no lines, so the text is scanned once more for table headers and keys. The scan is
tolerant: what it does not find has no line, and the problem still has its file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from deid_node.errors import ProfileError

Path = tuple[str | int, ...]

_BARE: Final = r"[A-Za-z0-9_-]+"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"|\'[^\']*\''
_KEY_PART: Final = re.compile(rf"\s*(?:({_BARE})|({_QUOTED}))\s*")
_MULTILINE: Final = ('"""', "'''")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; line 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


def lines_of(text: str) -> Mapping[Path, int]:
    """Return the line of every table header and key of a TOML text, by its path.

    Tables of an array have their number in the path: ("reject", 0, "when").
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, statement in _statements(text):
        header = re.fullmatch(r"\s*(\[\[?)(.*?)(\]\]?)\s*(?:#.*)?", statement, re.DOTALL)
        if header is not None and "=" not in _without_strings(statement):
            path = _inside(_key(header[2])[0], counts)
            if header[1] == "[[":
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
            lines.setdefault(table, number)
            continue
        key, rest = _key(statement)
        if key and rest.startswith("="):
            for length in range(1, len(key) + 1):
                lines.setdefault((*table, *key[:length]), number)
    return lines


def _inside(key: Path, counts: Mapping[Path, int]) -> Path:
    """Put the number of the newest element behind every array of tables on the way."""
    path: Path = ()
    for part in key[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path])
    return (*path, *key[-1:])


def _key(text: str) -> tuple[Path, str]:
    """Split a dotted key from what follows it."""
    parts: list[str] = []
    rest = text
    while found := _KEY_PART.match(rest):
        parts.append(found[1] or _unquoted(found[2]))
        rest = rest[found.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:]
    return tuple(parts), rest


def _unquoted(text: str) -> str:
    try:
        return str(tomllib.loads(f"x = {text}")["x"])
    except tomllib.TOMLDecodeError:
        return text[1:-1]


def _without_strings(text: str) -> str:
    return re.sub(_QUOTED, "", text)


_BRACKETS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
_SCANNED: Final = re.compile(rf'"""|\'\'\'|{_QUOTED}|#[^\n]*|[\[\]{{}}]|\n')


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every statement; a value over several lines is one statement."""
    start = line = number = 1
    begin = depth = 0
    closing = ""
    for found in _SCANNED.finditer(text):
        piece = found[0]
        line = number
        number += piece.count("\n")
        if closing:
            closing = "" if piece == closing else closing
        elif piece in _MULTILINE:
            closing = piece
        elif piece in _BRACKETS:
            depth += _BRACKETS[piece]
        elif piece == "\n" and depth <= 0:
            yield start, text[begin : found.start()]
            begin, start, depth = found.end(), line + 1, 0
    yield start, text[begin:]


@dataclass(slots=True)
class Problems:
    """Collects everything that is wrong with a profile, to say it all at once."""

    file: str
    lines: Mapping[Path, int] = field(default_factory=dict)
    found: list[tuple[int, str]] = field(default_factory=list)

    def place(self, *path: str | int) -> Place:
        """Return where a key stands, or the nearest thing around it that has a line."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line:
                return Place(self.file, line)
        return Place(self.file)

    def add(self, path: Path, *texts: str) -> None:
        """Note problems with what stands at a path."""
        self.found += [(self.place(*path).line, text) for text in texts]

    def in_order(self) -> tuple[str, ...]:
        """Return all problems in the order of their lines."""
        ordered = sorted(self.found, key=lambda problem: problem[0])
        return tuple(f"{Place(self.file, line)}: {text}" for line, text in ordered)

    def raise_if_any(self) -> None:
        """Raise all problems in the order of their lines.

        Raises:
            ProfileError: something was noted.
        """
        if self.found:
            raise ProfileError(*self.in_order())
