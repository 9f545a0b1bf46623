"""Objects without end, each told by its number, which stands in its UID and in its pixels.

They are one template whose bytes are replaced, so that making one costs next to nothing. A CT object of
about 9 KiB; every seventh is of the same study.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from deid_node.node.part10 import read_part10
from tests.e2e.objects import NAME, PATIENT_ID
from tests.engine.objects import ROOT, SAMPLES

CT = str(SAMPLES["ct"]().ds.SOPClassUID)
STUDIES = 7
_SIDE = 64
_INSTANCE, _STUDY = f"{ROOT}.31.900000000", f"{ROOT}.20.900"
_PIXELS = random.Random(1).randbytes(2 * _SIDE * _SIDE)
_NUMBER_BYTES = 8


def uid(number: int) -> str:
    """Return the SOP Instance UID of an object; numbers are below 100 million."""
    return f"{ROOT}.31.{900_000_000 + number}"


@cache
def _template() -> bytes:
    ds = SAMPLES["ct"]().ds
    ds.PatientName, ds.PatientID = NAME, PATIENT_ID
    ds.SOPInstanceUID, ds.StudyInstanceUID = _INSTANCE, _STUDY
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.SamplesPerPixel = _SIDE, _SIDE, 16, 1
    ds.add_new(0x7FE00010, "OW", _PIXELS)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def file_of(number: int) -> bytes:
    """Return an object as a DICOM file in Explicit VR Little Endian."""
    content = _template().replace(_INSTANCE.encode(), uid(number).encode())
    content = content.replace(_STUDY.encode(), f"{ROOT}.20.{900 + number % STUDIES}".encode())
    return content.replace(_PIXELS, number.to_bytes(_NUMBER_BYTES, "big") + _PIXELS[_NUMBER_BYTES:])


def dataset_of(number: int) -> bytes:
    """Return the dataset of an object, without preamble and file meta information."""
    return file_of(number)[_dataset_offset() :]


@cache
def _dataset_offset() -> int:
    return read_part10(BytesIO(_template())).offset


def number_in(file: Path) -> int:
    """Return the number in the pixels of a de-identified object, all of whose other pixels are the same."""
    pixels = file.read_bytes()[-len(_PIXELS) :]
    assert pixels[_NUMBER_BYTES:] == _PIXELS[_NUMBER_BYTES:], file
    return int.from_bytes(pixels[:_NUMBER_BYTES], "big")


def files_until(enough: threading.Event, folder: Path, first: int) -> Iterator[Path]:
    """Yield files of objects, numbered from `first` on; each is gone when the next one is asked for."""
    number = first
    while not enough.is_set():
        file = folder / f"{number:08d}.dcm"
        file.write_bytes(file_of(number))
        yield file
        file.unlink()
        number += 1
