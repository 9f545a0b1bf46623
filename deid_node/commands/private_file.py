"""The CSV file of `--private-list`: the private attributes of all results, for review.

The values may be original ones, so the file is its owner's only and never replaces another.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.commands.terminal import complain, leave_unwritten

if TYPE_CHECKING:
    from deid_node.files.result import FileResult

NOT_LISTED: Final = "not listed: unchanged since an earlier run"
"""The value of the one row, without a path, of an object that `--resume` passed over."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_HEAD: Final = ("source", "result", "path", "creator", "vr", "bytes", "value")


class PrivateFile:
    """A list that is made before the run, so that a run without one does not begin."""

    def __init__(self, path: Path) -> None:
        """Make the file, or leave."""
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            leave_unwritten(path, error)
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")

    def write(self, results: Iterable[FileResult]) -> None:
        """Write the rows of all results, and say what the file is."""
        from deid_node.files.result import Outcome

        count = passed_over = 0
        with self._stream as stream:
            rows = csv.writer(stream)
            rows.writerow(_HEAD)
            for result in results:
                where = (_guarded(str(result.source)), _guarded(str(result.target or "")))
                for one in result.private:
                    length = one.length if one.length >= 0 else ""
                    what = (one.path, _guarded(one.creator), one.vr, length, _guarded(one.value))
                    rows.writerow((*where, *what))
                    count += 1
                if result.outcome is Outcome.UNCHANGED:
                    rows.writerow((*where, "", "", "", "", NOT_LISTED))
                    passed_over += 1
        complain(f"{self._path}: {count} private attributes with their values. It identifies patients.")
        if passed_over:
            complain(f"{self._path}: {passed_over} objects are not listed, since --resume passed over them.")


def _guarded(cell: str) -> str:
    """Keep a spreadsheet from taking a cell for a formula: an object could be made to run one there."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
