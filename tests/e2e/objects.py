"""Objects to send: series in every kind of transfer syntax, each object told apart by its pixels."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.engine.objects import ROOT, SAMPLES

NAME, PATIENT_ID = "Quellwasser^Ottilie", "PID-7749-X"

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCAPSULATED = (JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)


def series(
    folder: Path,
    count: int,
    *,
    kind: str = "ct",
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
    pixel_bytes: int = 2048,
    number: int = 1,
) -> list[Path]:
    """Write objects of one series and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{kind}{transfer_syntax_uid}{number}")
    files = []
    for index in range(count):
        ds = SAMPLES[kind]().ds
        ds.PatientName, ds.PatientID = NAME, PATIENT_ID
        ds.SeriesInstanceUID = f"{ROOT}.30.{number}"
        ds.SOPInstanceUID = f"{ROOT}.31.{number}.{index + 1}"
        ds.InstanceNumber = index + 1
        ds.Columns = 16 if pixel_bytes <= 1 << 20 else 4096
        ds.Rows = pixel_bytes // (2 * ds.Columns)
        pixels = rng.randbytes(2 * ds.Rows * ds.Columns)  # nothing behind them: it would not stay
        if transfer_syntax_uid in ENCAPSULATED:
            ds.PixelData = encapsulate([pixels])
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        else:
            ds.add_new(0x7FE00010, "OW", pixels)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
        files.append(folder / f"{number:02d}-{index:04d}.dcm")
        ds.save_as(files[-1], enforce_file_format=True)
    return files


def pixel_digests(files: Iterable[Path]) -> Counter[str]:
    """Return the digests of the Pixel Data of files, as they are encoded, with how often each is there."""
    found: Counter[str] = Counter()
    for path in files:
        raw = pydicom.dcmread(path).get_item(0x7FE00010)
        assert raw is not None
        found[hashlib.sha256(raw.value).hexdigest()] += 1
    return found


def assert_deidentified(files: Iterable[Path]) -> None:
    """Fail when a file holds the planted identity or lacks the stamp."""
    for path in files:
        content = path.read_bytes()
        ds = pydicom.dcmread(path)
        assert ds.PatientIdentityRemoved == "YES"
        for text in (*NAME.split("^"), PATIENT_ID, ROOT):
            assert text.encode() not in content
