"""The CSV file of `--private-list`: the private attributes of all results, for review.

The values may be original ones, so the file is its owner's only and never replaces another.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.terminal import complain, leave

if TYPE_CHECKING:
    from deid_node.files.result import FileResult

_HEAD: Final = ("source", "result", "path", "creator", "vr", "bytes", "value")


class PrivateFile:
    """A list that is made before the run, so that a run without one does not begin."""

    def __init__(self, path: Path) -> None:
        """Make the file, or leave."""
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            leave(ExitCode.CANNOT_CREATE, f"{path}: is there already, and is not replaced.")
        except OSError as error:
            leave(ExitCode.CANNOT_CREATE, f"{path}: cannot be written ({error.strerror}).")
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")

    def write(self, results: Iterable[FileResult]) -> None:
        """Write the rows of all results, and say what the file is."""
        count = 0
        with self._stream as stream:
            rows = csv.writer(stream)
            rows.writerow(_HEAD)
            for result in results:
                for one in result.private:
                    where = (result.source, result.target, one.path)
                    rows.writerow(
                        (*where, one.creator, one.vr, one.length if one.length >= 0 else "", one.value)
                    )
                    count += 1
        complain(f"{self._path}: {count} private attributes with their values. It identifies patients.")
