"""Reads the audit stream to its end and on, and knows after a restart how far it came.

The stream itself is the spool of whoever follows it: it is durable, it has what commands write beside
the node, and nothing is written twice. What waits is bounded: the oldest lines are passed over when
there are too many bytes, and counted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deid_node.node.audit import NAME, aside

_CHUNK_BYTES: Final = 1 << 20
_AGAIN: Final = 0.75  # so much of the bound is left after lines were passed over


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream was read: all files put aside up to `after`, and `offset` bytes of the next."""

    after: str = ""
    offset: int = 0


class Follower:
    """One reader of a stream, with a file of its own for its position. For one thread."""

    def __init__(self, folder: Path, name: str, max_waiting_bytes: int) -> None:
        """Go on where the reader of this name stopped; a new one begins at the end of the stream.

        Raises:
            OSError: the folder cannot be read or written.
        """
        self._folder = folder
        self._file = folder / f"{name}.position"
        self._max_bytes = max_waiting_bytes
        known = read_position(self._file)
        self._at = known or self._end()
        self._read = self._at
        if known is None:
            self._save()

    def read(self) -> list[dict[str, Any]]:
        """Return the next events, of a mebibyte at most; none at the end. Raises OSError."""
        while True:
            path, is_aside, data = self._next()
            if data:
                self._read = Position(self._read.after, self._read.offset + len(data))
                events = [event for line in data.splitlines() if (event := _event(line)) is not None]
                if events:
                    return events
            elif is_aside:  # it does not grow any more; a line that a crash cut is at its end
                self._read = Position(path.name, 0)
            else:
                return []

    def done(self) -> None:
        """Remember durably that what was read needs no more. Raises OSError."""
        if self._read != self._at:
            self._at = self._read
            self._save()

    def again(self) -> None:
        """Go back to what is not done."""
        self._read = self._at

    def pass_over(self) -> int:
        """Pass over the oldest lines when more waits than may; return how many. Raises OSError."""
        self.again()
        too_many = self._waiting_bytes() - self._max_bytes
        if too_many <= 0:
            return 0
        too_many += int(self._max_bytes * (1 - _AGAIN))
        count = 0
        while too_many > 0:
            path, is_aside, data = self._next()
            if data:
                count += data.count(b"\n")
                too_many -= len(data)
                self._read = Position(self._read.after, self._read.offset + len(data))
            elif is_aside:
                self._read = Position(path.name, 0)
            else:
                break
        self.done()
        return count

    def _waiting_bytes(self) -> int:
        files = [path for path in aside(self._folder) if path.name > self._at.after]
        sizes = [path.stat().st_size for path in (*files, self._folder / NAME) if path.exists()]
        return sum(sizes) - self._at.offset

    def _next(self) -> tuple[Path, bool, bytes]:
        """Return the file that is read now, whether it was put aside, and its next lines."""
        while True:
            path, is_aside = self._file_at(self._read)
            data = _read_lines(path, self._read.offset)
            if is_aside or not self._file_at(self._read)[1]:
                return path, is_aside, data
            # it was put aside between the two: what was read may be of the file that took its place

    def _file_at(self, position: Position) -> tuple[Path, bool]:
        """Return the file that is read at a position, and whether it was put aside."""
        for path in aside(self._folder):
            if path.name > position.after:
                return path, True
        return self._folder / NAME, False

    def _end(self) -> Position:
        last = next((path.name for path in reversed(aside(self._folder))), "")
        try:
            return Position(last, (self._folder / NAME).stat().st_size)
        except FileNotFoundError:
            return Position(last)

    def _save(self) -> None:
        made = self._file.with_suffix(".new")
        descriptor = os.open(
            made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"after": self._at.after, "offset": self._at.offset}, stream)
            stream.flush()
            os.fdatasync(stream.fileno())
        os.rename(made, self._file)


def read_position(file: Path) -> Position | None:
    """Return the position of a reader, None when there is none yet. Raises OSError."""
    try:
        found = json.loads(file.read_text("ascii"))
        return Position(str(found["after"]), int(found["offset"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _read_lines(path: Path, offset: int) -> bytes:
    """Return whole lines from an offset on; empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(_CHUNK_BYTES)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found and "at" in found else None
