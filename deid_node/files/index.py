"""The index of a run: what was read and what became of it, so that the next run takes only what changed.

One JSON object a line, appended as results come; the last line about an input counts. It names inputs,
which may identify patients: it is readable by its owner only and does not belong among the results.
A line holds only for the profile, key, lookup tables and names it was written under (`stamp`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deid_node.errors import ConfigurationError
from deid_node.files.result import FileResult, Outcome


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one input and its result: sizes, hashes, time of change, place."""

    source: str
    size: int
    changed_ns: int
    source_sha256: str
    target: str
    target_size: int
    target_sha256: str
    stamp: str


class Index:
    """The lines of one index file that hold for a run."""

    def __init__(self, file: Path, stamp: str, *, is_read_only: bool = False) -> None:
        """Read the file, if there is one.

        Args:
            file: of an earlier run, or one that is to be made.
            stamp: of this run.
            is_read_only: nothing is added to it.

        Raises:
            ConfigurationError: it cannot be read.
        """
        self._file = file
        self._stamp = stamp
        self._is_read_only = is_read_only
        self.known: Mapping[str, Known] = dict(self._read())

    def _read(self) -> Iterator[tuple[str, Known]]:
        if self._file.exists() and not self._file.is_file():  # a pipe would be waited for
            raise ConfigurationError(f"{self._file}: the index is no regular file.")
        try:
            lines = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"{self._file}: the index cannot be read.") from None
        for line in lines:
            try:
                known = Known(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                continue  # half of a line, where a run was killed
            if known.stamp == self._stamp:
                yield known.source, known

    @contextmanager
    def writing(self) -> Iterator[Index]:
        """Append to the file while results come.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if self._is_read_only:
            yield self
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._stream = os.fdopen(os.open(self._file, flags, 0o600), "a", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{self._file}: the index cannot be written ({error.strerror})."
            ) from None
        with self._stream:
            self._stream.write("\n")  # ends what a killed run may have begun
            yield self

    def add(self, result: FileResult) -> None:
        """Note a result that need not be made again."""
        if self._is_read_only or result.outcome is not Outcome.DEIDENTIFIED:
            return
        known = Known(
            str(result.source),
            result.source_size,
            result.source_changed_ns,
            result.source_sha256,
            str(result.target),
            result.target_size,
            result.target_sha256,
            self._stamp,
        )
        self._stream.write(json.dumps(asdict(known)) + "\n")
        self._stream.flush()
