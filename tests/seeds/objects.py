"""Whole objects for the vectors of other tools: made, put through the engine, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Deidentifier
from deid_node.node.part10 import read_part10
from deid_node.profile import library
from deid_node.profile.procedure import Procedure
from deid_node.standard.sop_classes import find_sop_class
from tests.rewriting import CORPUS, pseudonyms

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
KEEP_ALL = '[unlisted]\nsop_class = "catch-all"\nattribute = "K"\n'
NONE: Mapping[str, bytes] = MappingProxyType({})


def corpus(name: str) -> Path:
    """Return a file of the corpus; without it the test is skipped."""
    path = CORPUS / name
    if not path.is_file():
        pytest.skip("the corpus is not there")
    return path


def made(sop_class: str = "CT", **values: Any) -> Dataset:
    """Return a small object with these attributes."""
    ds = Dataset()
    ds.SOPClassUID = sop_class if "." in sop_class else find_sop_class(sop_class)
    ds.SOPInstanceUID = "1.2.840.99999.1"
    ds.StudyInstanceUID = "1.2.840.99999.2"
    ds.SeriesInstanceUID = "1.2.840.99999.3"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def item(**values: Any) -> Dataset:
    """Return an item."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def items(*found: Dataset) -> Sequence:
    """Return a sequence."""
    return Sequence(found)


def encoded(ds: Dataset, **meta: Any) -> bytes:
    """Return an object as a file."""
    if not isinstance(ds, FileDataset):
        ds = FileDataset("", ds, preamble=bytes(128))
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "1.2.3")
        ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "1.2.3")
    for keyword, value in meta.items():
        setattr(ds.file_meta, keyword, value)
    with BytesIO() as stream:
        pydicom.dcmwrite(stream, ds, enforce_file_format=False)
        return stream.getvalue()


@lru_cache(maxsize=64)
def procedure(text: str, csv: str = "") -> Procedure:
    """Compile a profile: its TOML text, a procedure JSON, or the name of a shipped one."""
    if "\n" not in text and not text.startswith("{"):
        return library.load(text)
    with TemporaryDirectory() as folder:
        is_json = text.startswith("{")
        file = Path(folder) / f"site.{'json' if is_json else 'toml'}"
        file.write_text(text if is_json or "name =" in text else f'name = "site"\n{text}')
        (Path(folder) / "ids.csv").write_text(csv)
        return library.load(file)


def gc_json(tags: Mapping[str, str], **top: Any) -> str:
    """Return a procedure in the Grand-Challenge schema for CT: tag to action."""
    return json.dumps(
        {
            "version": "2025.1.0",
            "default": "R",
            "dicomStandardVersion": "2025c",
            "justification": "Unsupported SOP Class",
            "sopClass": {
                find_sop_class("CT"): {
                    "default": "X",
                    "justification": "Unsupported data element",
                    "tag": {
                        tag: {"default": action, "justification": "because"} for tag, action in tags.items()
                    },
                }
            },
            **top,
        }
    )


def engine(profile: str, *, secrets: Mapping[str, bytes] = NONE, csv: str = "") -> Deidentifier:
    """Return an engine for a profile."""
    return Deidentifier(procedure(profile, csv), pseudonyms(), secrets=secrets)


def rewritten(deidentifier: Deidentifier, content: bytes) -> tuple[bytes, Summary]:
    """Put a file through an engine.

    Raises:
        ObjectRefused: as the engine does.
    """
    part10 = read_part10(BytesIO(content))
    rewriting = deidentifier.begin(transfer_syntax_uid=part10.transfer_syntax_uid, today=date(2025, 6, 1))
    first = rewriting.feed(content[part10.offset :])
    last, summary = rewriting.finish()
    parts = [*(first.buffers if first is not None else ()), *last.buffers]
    return summary.heading.meta + b"".join(bytes(part) for part in parts), summary


def deidentified(
    profile: str | Deidentifier, ds: Dataset | Path, *, secrets: Mapping[str, bytes] = NONE, csv: str = ""
) -> FileDataset:
    """De-identify an object, and read the result.

    Raises:
        ObjectRefused: as the engine does.
    """
    content = ds.read_bytes() if isinstance(ds, Path) else encoded(ds)
    deidentifier = profile if isinstance(profile, Deidentifier) else engine(profile, secrets=secrets, csv=csv)
    return pydicom.dcmread(BytesIO(rewritten(deidentifier, content)[0]))


def counts(before: Dataset, after: Dataset) -> tuple[int, int, int, int]:
    """Return how many top-level elements are the same, changed, removed, added."""
    same = sum(elem.tag in after and after[elem.tag] == elem for elem in before)
    removed = sum(elem.tag not in after for elem in before)
    added = sum(elem.tag not in before for elem in after)
    return same, len(before) - same - removed, removed, added
