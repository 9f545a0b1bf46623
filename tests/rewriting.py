"""Whole files through the engine in memory, and the files to try: pydicom's own and the corpus."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from deid_node.engine.deidentified import Deidentified, Summary
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import Malformed
from deid_node.node.part10 import Part10, read_part10
from tests.wheel import wheel_files

KEY = bytes(range(32))
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
_PIECE_BYTES = 60_000


def pseudonyms() -> Pseudonyms:
    """Return the keyed functions of a project that only tests have."""
    return Pseudonyms(Key(KEY))


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A de-identified file, where its dataset begins, and what the engine says of it."""

    file: bytes
    dataset_start: int
    transfer_syntax_uid: str
    summary: Summary


def rewrite(
    deidentifier: Deidentifier,
    content: bytes,
    *,
    piece_bytes: int = _PIECE_BYTES,
    part10: Part10 | None = None,
) -> Rewritten:
    """Put a file through the engine in pieces.

    Raises:
        ObjectRefused: as the engine does.
    """
    part10 = part10 or read_part10(BytesIO(content))
    rewriting = deidentifier.begin(transfer_syntax_uid=part10.transfer_syntax_uid)
    out = bytearray()

    def take(new: Deidentified | None) -> None:
        for buffer in new.buffers if new is not None else ():
            out.extend(buffer)

    for start in range(part10.offset, len(content), piece_bytes):
        take(rewriting.feed(memoryview(content)[start : start + piece_bytes]))
    rest, summary = rewriting.finish()
    take(rest)
    meta = summary.heading.meta
    return Rewritten(meta + bytes(out), len(meta), part10.transfer_syntax_uid, summary)


def real_files() -> Iterator[object]:
    """Yield the path of every file of the pydicom wheel and of the corpus, as parameters of a test."""
    for path in wheel_files():
        if path.suffix not in {".zip", ".json", ".md", ".txt", ".py"}:
            yield pytest.param(path, id=f"pydicom/{path.name}")
    manifest = CORPUS / "MANIFEST.tsv"
    if manifest.exists():
        with manifest.open(encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text, delimiter="\t"):
                path = CORPUS / row["path"]
                if path.is_file():
                    yield pytest.param(path, id=f"corpus/{row['path']}")


def part10_of(content: bytes) -> Part10:
    """Return where the dataset of a file begins; skip the test for what is no DICOM object."""
    try:
        return read_part10(BytesIO(content))
    except Malformed:
        pytest.skip("not a DICOM object")
