"""The own name and ID of the patient in every text attribute of the dictionary, on top and in items."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.engine.checks import deidentified, deidentifier
from tests.engine.identifiers import Plant, dataset_bytes, leaks
from tests.engine.objects import SAMPLES

_NAME, _ID = "Quilvandro^Mirasettia", "ZX99417725"
_SPELLINGS = (
    "Quilvandro Mirasettia",
    "mirasettia_quilvandro",
    "MIRASETTIA, Q.",
    "ID ZX99417725",
    "zx-99417725",
)
_TEXTS = frozenset("LO SH ST LT UT UC".split())
_SEQUENCES = (
    "RequestAttributesSequence SharedFunctionalGroupsSequence ProcedureCodeSequence ReferencedImageSequence "
    "StructureSetROISequence BeamSequence SegmentSequence SpecimenDescriptionSequence ViewCodeSequence"
).split()
_ENCODINGS = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def _everywhere(ds: Dataset) -> Dataset:
    for number, (tag, (vr, _, _, _, keyword)) in enumerate(DicomDictionary.items()):
        group = tag >> 16
        if vr not in _TEXTS or group < 8 or group >= 0x7FE0 or not keyword or tag in ds:
            continue
        value = _SPELLINGS[number % len(_SPELLINGS)]
        ds.add(DataElement(tag, vr, value[:16] if vr == "SH" else value, validation_mode=0))
    return ds


@pytest.mark.parametrize("encoding", _ENCODINGS, ids=lambda uid: uid.name.split()[0])
@pytest.mark.parametrize("kind", ["ct", "sr", "rtstruct", "pdf"])
@pytest.mark.parametrize("profile", ["basic", "research"])
def test_the_patient_is_in_no_text_whatever_the_attribute(profile: str, kind: str, encoding: str) -> None:
    ds = SAMPLES[kind]().ds
    ds.PatientName, ds.PatientID = _NAME, _ID
    for keyword in _SEQUENCES:
        setattr(ds, keyword, Sequence([_everywhere(Dataset())]))
    _everywhere(ds)

    result = deidentified(deidentifier(profile), ds, encoding)

    data = dataset_bytes(result.file, result.transfer_syntax_uid, result.dataset_start)
    assert list(leaks(data, [Plant("anywhere", ("Quilvandro", "Mirasettia", "99417725"))])) == []
