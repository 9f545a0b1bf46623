"""Vectors of Radiopaedia's uploader, on whole objects, under a profile of its kind written here."""

from __future__ import annotations

from copy import deepcopy
from io import BytesIO

import pydicom
import pytest
from pydicom.encaps import encapsulate

from deid_node.engine.deidentified import Finding
from deid_node.errors import Rejected, SOPClassNotSupported
from deid_node.profile.procedure import Level
from tests.seeds.objects import (
    FILES,
    corpus,
    deidentified,
    encoded,
    engine,
    item,
    items,
    made,
    rewritten,
)

ROOT = "1.2.826.0.1.3680043.10.341.512"
LIKE = """
base = "none"
dummies = "standard"
[unlisted]
sop_class = "catch-all"
[[reject]]
when = "RecognizableVisualFeatures == 'YES'"
because = "the pixels may show a face"
[[validate]]
when = "BurnedInAnnotation not in ('', 'NO')"
message = "text may be burned into the pixels"
level = "warn"
[attributes]
"vr:UI" = { do = "uid", algorithm = "radiopaedia" }
Modality = "K"
SeriesDescription = "K"
BurnedInAnnotation = "K"
PatientSex = "K"
StudyDate = "Z"
StudyTime = "Z"
PatientID = "Z"
PatientAge = "Z"
PatientWeight = "Z"
AccessionNumber = "Z"
SeriesDate = { value = "19700101" }
SeriesTime = { value = "0000" }
DeviceSerialNumber = { value = "REMOVED" }
Manufacturer = { value = "REMOVED" }
SliceLocation = "K"
PixelData = "K"
ReferencedStudySequence = "K"
[sop_class.CT]
Manufacturer = "Z"
"""


@pytest.mark.parametrize(
    ("uid", "mapped"),
    [
        pytest.param("1.2.3", f"{ROOT}.1366774234.1699086929", id="v1"),
        pytest.param("1.2.840.113619.2.55.3.123456789.1.1", f"{ROOT}.280219140.1428949107", id="v2"),
        pytest.param(
            "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322", f"{ROOT}.268126188.1721635032", id="v3"
        ),
        pytest.param(f"{ROOT}.1.2", f"{ROOT}.1.2", id="v4"),
    ],
)
def test_rp_v1_v2_v3_v4_uids_of_the_tool_in_its_compatibility_mode(uid: str, mapped: str) -> None:
    assert deidentified(LIKE, made(StudyInstanceUID=uid)).StudyInstanceUID == mapped


def test_rp_v5_a_ct_keeps_empties_and_loses_what_the_tool_does() -> None:
    ds = made(
        Modality="CT",
        PatientName="Cannavaro^Eva",
        PatientBirthDate="19631217",
        PatientID="X",
        StudyDate="20200101",
        SeriesDate="20200101",
        SeriesTime="101010",
        DeviceSerialNumber="1234",
        Manufacturer="GE",
        SeriesDescription="Axial",
        StudyDescription="Thorax",
    )
    ds.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "x")

    after = deidentified(LIKE, ds)

    assert "PatientName" not in after
    assert "PatientBirthDate" not in after
    assert after["PatientID"].value in ("", None)
    assert after["StudyDate"].value in ("", None)
    assert (after.SeriesDate, after.SeriesTime) == ("19700101", "0000")
    assert after.DeviceSerialNumber == "REMOVED"
    assert after["Manufacturer"].value in ("", None)
    assert after.SeriesDescription == "Axial"
    assert "StudyDescription" not in after
    assert not [elem for elem in after if elem.tag.is_private]


def test_rp_v6_age_and_weight_are_emptied() -> None:
    after = deidentified(LIKE, made(PatientAge="044Y", PatientWeight="72"))

    assert [after[keyword].VM for keyword in ("PatientAge", "PatientWeight")] == [0, 0]


def test_rp_v7_a_recognizable_face_rejects() -> None:
    with pytest.raises(Rejected, match="face"):
        deidentified(LIKE, made(RecognizableVisualFeatures="YES"))
    deidentified(LIKE, made(RecognizableVisualFeatures="NO"))


def test_rp_v8_burned_in_text_warns_where_a_profile_says_so_and_rejects_by_default() -> None:
    ds = made(BurnedInAnnotation="YES")

    _, summary = rewritten(engine(LIKE), encoded(ds))

    assert summary.findings == (Finding(Level.WARN, "validation", "text may be burned into the pixels"),)
    with pytest.raises(Rejected):
        deidentified("whitelist", ds)


@pytest.mark.parametrize("profile", [LIKE, "basic", "whitelist"])
def test_rp_v9_nothing_of_the_request_is_left(profile: str) -> None:
    request = items(
        item(
            RequestedProcedureID="TEST^1",
            ScheduledProcedureStepDescription="TEST^",
            StudyInstanceUID="1.3.12.2.1107.5.1.7.1",
        )
    )

    content, _ = rewritten(engine(profile), encoded(made(RequestAttributesSequence=request)))

    assert b"TEST^" not in content
    assert b"1.3.12.2.1107.5.1.7" not in content


@pytest.mark.parametrize("name", ["examples_overlay.dcm", "mg/GH133.dcm", "dx/dx_image.dcm", "ct/GH342.dcm"])
@pytest.mark.parametrize("profile", [LIKE, "basic", "whitelist"], ids=["like", "basic", "whitelist"])
def test_rp_v9_nothing_of_the_request_of_a_real_object_is_left(profile: str, name: str) -> None:
    ds = pydicom.dcmread(FILES / name if "/" not in name else corpus(name))
    for request in ds.RequestAttributesSequence:
        request.ScheduledProcedureStepID = "TEST^1"
        request.ScheduledProcedureStepDescription = "TEST^"
        request.ReferencedStudySequence = items(item(ReferencedSOPInstanceUID="1.3.12.2.1107.5.1.7.1"))

    content, _ = rewritten(engine(profile), encoded(ds))

    assert b"TEST^" in encoded(ds)
    assert b"TEST^" not in content
    assert b"1.3.12.2.1107.5.1.7" not in content
    assert "RequestAttributesSequence" not in pydicom.dcmread(BytesIO(content))


def test_rp_v10_a_second_pass_changes_nothing_but_the_stamps() -> None:
    original = pydicom.dcmread(FILES / "CT_small.dcm")

    once = deidentified(LIKE, original)
    twice = deidentified(LIKE, once)

    stamps = {"DeidentificationMethod"}
    assert {elem.keyword for elem in once if twice.get(elem.tag) != elem} <= stamps
    assert len(once) == len(twice)
    assert twice.PixelData == original.PixelData


@pytest.mark.parametrize(
    ("name", "leftover"),
    [
        ("examples_overlay.dcm", "RequestAttributesSequence"),
        ("ct/GH342.dcm", "RequestAttributesSequence"),
        ("ct/bad_sequence.dcm", "CTDIPhantomTypeCodeSequence"),
    ],
)
def test_rp_v10_of_an_object_with_leftover_sequences_only_these_go(name: str, leftover: str) -> None:
    path = FILES / name if "/" not in name else corpus(name)
    original = pydicom.dcmread(path)
    once = deidentified(LIKE, path)
    assert leftover not in once
    again = deepcopy(once)
    again[leftover] = original[leftover]

    twice = deidentified(LIKE, again)

    assert leftover not in twice
    assert {elem.keyword for elem in once if twice.get(elem.tag) != elem} <= {"DeidentificationMethod"}
    assert set(once.keys()) == set(twice.keys())
    assert twice.PixelData == once.PixelData


@pytest.mark.parametrize(
    ("sop_class", "manufacturer"),
    [("MRSpectroscopyStorage", "REMOVED"), ("1.9.9.9", "REMOVED"), ("CT", "")],
)
def test_rp_v12_the_manufacturer_by_class(sop_class: str, manufacturer: str) -> None:
    after = deidentified(LIKE, made(sop_class, Manufacturer="GE"))

    assert (after["Manufacturer"].value or "") == manufacturer


def test_rp_v13_an_unknown_class_is_caught_only_where_a_profile_says_so() -> None:
    ds = made("1.9.9.9", PatientName="A^B", PatientSex="F")

    assert deidentified(LIKE, ds).PatientSex == "F"
    assert "PatientName" not in deidentified(LIKE, ds)
    for profile in ("basic", "whitelist", "grand-challenge"):
        with pytest.raises(SOPClassNotSupported):
            deidentified(profile, ds)


def test_rp_v14_compressed_pixels_are_kept_as_they_are() -> None:
    frames = encapsulate([b"\xff\xd8" + bytes(64) + b"\xff\xd9"])
    ds = made("SC", Rows=1, Columns=1, PixelData=frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True

    content, _ = rewritten(engine(LIKE), encoded(ds, TransferSyntaxUID="1.2.840.10008.1.2.4.50"))

    assert frames in content


def test_rp_v14_a_test_pattern_keeps_its_pixels() -> None:
    before = pydicom.dcmread(corpus("sc/TestPattern_Palette_16.dcm"))

    after = deidentified(LIKE, corpus("sc/TestPattern_Palette_16.dcm"))

    assert after.PixelData == before.PixelData
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


# --- what the tool does wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [LIKE, "whitelist", "basic"])
def test_rp_q_no_file_meta_of_the_original_survives(profile: str) -> None:
    content = encoded(
        made(),
        SourceApplicationEntityTitle="HOSPITAL",
        PrivateInformationCreatorUID="1.2.3.4",
        PrivateInformation=b"Jane Doe",
    )

    done, _ = rewritten(engine(profile), content)

    assert not [text for text in (b"HOSPITAL", b"Jane Doe", b"1.2.840.99999.1\0") if text in done]


@pytest.mark.parametrize("profile", ["whitelist", "basic", "research"])
def test_rp_q_attributes_that_must_be_there_stay(profile: str) -> None:
    ds = made(PatientName="Cannavaro^Eva", PatientID="SECRET1", PatientBirthDate="19631217")

    after = deidentified(profile, ds)

    assert all(keyword in after for keyword in ("PatientName", "PatientID", "PatientBirthDate"))


def test_rp_q_an_empty_uid_stays_empty_and_each_value_is_mapped() -> None:
    ds = made(InstanceCreatorUID="")
    ds.add_new(0x00083010, "UI", ["1.2.3", "1.2.4"])

    after = deidentified(LIKE, ds)

    assert not after["InstanceCreatorUID"].value
    assert list(after[0x00083010].value) == [
        f"{ROOT}.1366774234.1699086929",
        deidentified(LIKE, made(StudyInstanceUID="1.2.4")).StudyInstanceUID,
    ]


def test_rp_q_a_kept_number_is_not_cut() -> None:
    after = deidentified(LIKE, made(SliceLocation="-1.234567890e+02"))

    assert str(after["SliceLocation"].value) == "-1.234567890e+02"


@pytest.mark.parametrize(("keyword", "length"), [("AccessionNumber", 17), ("InstitutionAddress", 1025)])
def test_rp_q_texts_that_are_too_long_are_found(keyword: str, length: int) -> None:
    profile = f'{LIKE}[checks]\nvalues = "note"\n'.replace('AccessionNumber = "Z"', f'{keyword} = "K"')

    _, summary = rewritten(engine(profile), encoded(made(**{keyword: "x" * length})))

    assert [(finding.path, finding.code) for finding in summary.findings] == [(keyword, "value")]


def test_rp_q_a_name_in_a_kept_description_leaves() -> None:
    ds = made(PatientName="Cannavaro^Eva", SeriesDescription="Axial Cannavaro")

    content, _ = rewritten(engine(LIKE), encoded(ds))

    assert b"Cannavaro" not in content
    assert b"Axial" in content


def test_rp_q_findings_see_what_is_in_items() -> None:
    profile = f'{LIKE}[checks]\nvalues = "warn"\n'
    ds = made(ReferencedStudySequence=items(item(PatientSex="female")))

    _, summary = rewritten(engine(profile), encoded(ds))

    assert [finding.path for finding in summary.findings] == ["ReferencedStudySequence[0].PatientSex"]
