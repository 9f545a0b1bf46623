"""Originals that a node holds, as inputs: their headers, opened in memory and written nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

from deid_node.engine.heading import heading_of
from deid_node.spool.envelope import Envelopes
from deid_node.spool.sealed import read_header
from deid_node.spool.sealed_rows import SealedRow

_HEADER_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class HeldOriginal:
    """One original, known by its number."""

    folder: Path
    row: SealedRow
    envelopes: Envelopes = field(repr=False)

    @property
    def shown(self) -> str:
        """Its number, which says nothing of the patient."""
        return f"original {self.row.id}"

    @property
    def relative(self) -> PurePosixPath:
        """Its number."""
        return PurePosixPath(str(self.row.id))

    @property
    def stamp(self) -> tuple[int, int]:
        """Its size, and when it came."""
        return self.row.size, int(self.row.received_at * 1e9)

    def open(self) -> BytesIO:
        """Return its beginning as a DICOM file. Raises SealError, OSError."""
        said, head = read_header(self.folder, self.row.object, self.envelopes, _HEADER_BYTES)
        meta = heading_of(said.sop_class_uid, said.sop_instance_uid, said.transfer_syntax_uid).meta
        return BytesIO(meta + head)


def held_inputs(spool: Path, rows: Iterable[SealedRow], envelopes: Envelopes) -> list[HeldOriginal]:
    """Return the originals of some rows of a spool, each an `Input` of `files.input`."""
    return [HeldOriginal(spool, row, envelopes) for row in rows]
