"""Where the dataset of a file begins."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info

from deid_node.errors import Malformed
from deid_node.node.part10 import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    NotDicom,
    Part10,
    read_part10,
)

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
PREAMBLE = bytes(128) + b"DICM"


def dataset(*, explicit: bool, little: bool = True) -> bytes:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, implicit_vr=not explicit, little_endian=little)
    return stream.getvalue()


def meta(**attributes: str) -> bytes:
    info = FileMetaDataset()
    for keyword, value in attributes.items():
        setattr(info, keyword, value)
    stream = io.BytesIO()
    write_file_meta_info(stream, info, enforce_standard=False)
    return stream.getvalue()


def read(data: bytes) -> Part10:
    return read_part10(io.BytesIO(data))


def test_a_complete_file_says_everything_itself() -> None:
    heading = meta(
        MediaStorageSOPClassUID="1.2.3", MediaStorageSOPInstanceUID="1.2.4", TransferSyntaxUID=EXPLICIT_LITTLE
    )

    found = read(PREAMBLE + heading + dataset(explicit=True))

    assert found == Part10(132 + len(heading), EXPLICIT_LITTLE, "1.2.3", "1.2.4")


@pytest.mark.parametrize(
    ("explicit", "little", "syntax"),
    [(True, True, EXPLICIT_LITTLE), (False, True, IMPLICIT_LITTLE), (True, False, EXPLICIT_BIG)],
)
def test_a_bare_dataset_is_recognized(explicit: bool, little: bool, syntax: str) -> None:
    found = read(dataset(explicit=explicit, little=little))

    assert (found.offset, found.transfer_syntax_uid) == (0, syntax)
    assert "no file meta information" in found.oddities


def test_a_dataset_that_is_implicit_against_its_meta_is_read_as_it_is() -> None:
    found = read(PREAMBLE + meta(TransferSyntaxUID=EXPLICIT_LITTLE) + dataset(explicit=False))

    assert found.transfer_syntax_uid == IMPLICIT_LITTLE
    assert found.oddities == ("not in the transfer syntax that it names",)


def test_without_a_transfer_syntax_the_dataset_tells() -> None:
    found = read(PREAMBLE + meta(MediaStorageSOPClassUID="1.2.3") + dataset(explicit=False))

    assert found.transfer_syntax_uid == IMPLICIT_LITTLE


def test_a_wrong_group_length_does_not_mislead() -> None:
    heading = meta(TransferSyntaxUID=EXPLICIT_LITTLE)
    wrong = bytes.fromhex("02000000 554c 0400 ff000000") + heading

    assert read(PREAMBLE + wrong + dataset(explicit=True)).offset == 132 + 12 + len(heading)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.4" + bytes(200), b"\x7fELF" + bytes(200), bytes(500)]
)
def test_what_is_no_dicom_file_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotDicom) as caught:
        read(data)

    assert caught.value.code == "not-dicom"


def test_a_dicomdir_holds_no_object() -> None:
    with pytest.raises(NotDicom) as caught, (FILES / "dicomdirtests" / "DICOMDIR").open("rb") as stream:
        read_part10(stream)

    assert caught.value.code == "dicomdir"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PREAMBLE + meta(TransferSyntaxUID=EXPLICIT_LITTLE), "has no dataset"),
        (PREAMBLE + meta(TransferSyntaxUID=EXPLICIT_LITTLE)[:-4], "ends inside its file meta information"),
        (PREAMBLE + b"\x02\x00\x02\x00OB\0\0\xff\xff\xff\x7f", "impossible length"),
        (PREAMBLE + bytes(range(200, 240)), "names no transfer syntax"),
    ],
)
def test_a_damaged_beginning_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read(data)
