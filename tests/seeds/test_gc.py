"""Vectors of Grand-Challenge's procedure and de-identifier, on whole objects.

Those of the builder, of conditions and of the schema are tested where these are: tests/profile.
"""

from __future__ import annotations

from typing import Any

import pydicom
import pytest

from deid_node.errors import ObjectRefused, ProfileError, Rejected, SOPClassNotSupported
from deid_node.profile.grand_challenge import read_json
from tests.seeds.objects import (
    FILES,
    corpus,
    counts,
    deidentified,
    encoded,
    engine,
    gc_json,
    item,
    items,
    made,
    rewritten,
)

UIDS = {"(0008,0016)": "K", "(0008,0018)": "U", "(0020,000D)": "U", "(0020,000E)": "U"}
STAMPS = {"(0012,0062)": "K", "(0012,0063)": "K"}
ROOT = "1.2.826.0.1.3680043.10.1666"


def gc(tags: dict[str, str], **top: Any) -> str:
    return gc_json({**UIDS, **tags}, **top)


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("PatientID", "(0010,0020)"),
        ("PatientSex", "(0010,0040)"),
        ("PatientComments", "(0010,4000)"),
        ("AccessionNumber", "(0008,0050)"),
        ("InstitutionAddress", "(0008,0081)"),
        ("StrainDescription", "(0010,0212)"),
        ("TextValue", "(0040,A160)"),
    ],
)
def test_gc_v1_z_empties_texts_and_codes(keyword: str, tag: str) -> None:
    after = deidentified(gc({tag: "Z"}), made(**{keyword: "FOO"}))

    assert after[keyword].value in ("", None)


@pytest.mark.parametrize("action", ["D", "Z"])
def test_gc_v2_a_name_is_the_dummy(action: str) -> None:
    after = deidentified(gc({"(0010,0010)": action}), made(PatientName="Test^Patient"))

    assert after.PatientName == "DUMMY^PATIENT^^^"


@pytest.mark.parametrize(("action", "left"), [("K", 2), ("D", 2), ("Z", 0), ("X", None)])
def test_gc_v3_what_becomes_of_two_items(action: str, left: int | None) -> None:
    two = items(item(CodeValue="A"), item(CodeValue="B"))

    after = deidentified(gc({"(0008,1032)": action}), made(ProcedureCodeSequence=two))

    found = after.get("ProcedureCodeSequence")
    assert (None if found is None else len(found)) == left


@pytest.mark.parametrize(("outer", "inner"), [("D", "K"), ("K", "D")])
def test_gc_v4_v5_a_uid_in_an_item_is_the_dummy(outer: str, inner: str) -> None:
    inside = items(item(ReferencedSOPInstanceUID="1.2.3"))
    procedure = gc({"(0008,1140)": outer, "(0008,1155)": inner})

    after = deidentified(procedure, made(ReferencedImageSequence=inside))

    assert (
        after.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0"
    )


def test_gc_v6_a_class_without_a_table_is_rejected_with_the_justification() -> None:
    with pytest.raises(SOPClassNotSupported, match=r"^J$"):
        deidentified(gc({}, justification="J"), made("MR"))


def test_gc_v7_without_a_default_a_class_without_a_table_is_rejected() -> None:
    import json

    top = json.loads(gc({}))
    del top["default"]

    with pytest.raises(SOPClassNotSupported):
        deidentified(json.dumps(top), made("MR"))


def test_gc_v8_what_has_no_row_is_removed() -> None:
    assert "PatientName" not in deidentified(gc({}), made(PatientName="A^B"))


def test_gc_v9_one_study_stays_one_and_two_series_stay_two() -> None:
    one_engine = engine(gc({}))
    series = ["1.2.3.1", "1.2.3.2"]

    one, two = (deidentified(one_engine, made(SeriesInstanceUID=uid)) for uid in series)

    assert one.StudyInstanceUID == two.StudyInstanceUID != made().StudyInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert not {one.SeriesInstanceUID, two.SeriesInstanceUID} & set(series)


@pytest.mark.parametrize("action", ["present", "missing", "K", "X"])
def test_gc_v10_a_forced_uid_is_there_whatever_was(action: str) -> None:
    row = f'StudyInstanceUID = "{action}"' if action in "KX" else ""
    profile = f"""extends = ["grand-challenge"]
    [forced_uids]
    StudyInstanceUID = {{ suffix = "1.2.3" }}
    [sop_class.CT]
    {row}
    """
    ds = made()
    if action == "missing":
        del ds.StudyInstanceUID

    assert deidentified(profile, ds).StudyInstanceUID == f"{ROOT}.1.2.3"


@pytest.mark.parametrize(
    ("value", "passes"),
    [("YES", False), ("yes", False), ("YeS", False), ("NO", True), ("no", True), ("", True), (None, True)],
)
def test_gc_v12_burned_in_text_rejects(value: str | None, passes: bool) -> None:
    ds = made() if value is None else made(BurnedInAnnotation=value)

    if passes:
        deidentified("grand-challenge", ds)
    else:
        with pytest.raises(Rejected):
            deidentified("grand-challenge", ds)


def test_gc_v13_a_second_pass_adds_a_second_method() -> None:
    once = deidentified("grand-challenge", made())

    twice = deidentified("grand-challenge", once)

    assert once["DeidentificationMethod"].VM == 1
    assert twice["DeidentificationMethod"].VM == 2


@pytest.mark.parametrize(
    ("name", "before", "after", "counted"),
    [("CT_small.dcm", 258, 60, (37, 21, 200, 2)), ("MR_small.dcm", 73, 54, (34, 18, 21, 2))],
)
def test_gc_v14_v15_as_many_elements_as_measured(
    name: str, before: int, after: int, counted: tuple[int, int, int, int]
) -> None:
    original = pydicom.dcmread(FILES / name)

    done = deidentified("grand-challenge", FILES / name)

    assert (len(original), len(done), counts(original, done)) == (before, after, counted)
    assert not [elem for elem in done if elem.tag.is_private]


@pytest.mark.parametrize(
    ("name", "before", "after", "counted"),
    [
        ("ct-cbct/I341.dcm", 72, 54, (39, 15, 18, 0)),
        ("ct-cbct/privateTag.dcm", 86, 55, (40, 15, 31, 0)),
    ],
)
def test_gc_v16_as_many_elements_as_measured(
    name: str, before: int, after: int, counted: tuple[int, int, int, int]
) -> None:
    original = pydicom.dcmread(corpus(name))

    done = deidentified("grand-challenge", corpus(name))

    assert (len(original), len(done), counts(original, done)) == (before, after, counted)


@pytest.mark.parametrize("name", ["PT", "DX", "SC"])
def test_gc_v17_other_classes_are_rejected(name: str) -> None:
    with pytest.raises(SOPClassNotSupported, match="Unsupported SOP Class"):
        deidentified("grand-challenge", made(name))


@pytest.mark.parametrize(
    "name", ["sc/TestPattern_Palette_16.dcm", "dx/dx_image.dcm", "pt/1.dcm", "pt/GH184.dcm", "mg/GH133.dcm"]
)
def test_gc_v17_real_objects_of_other_classes_are_rejected(name: str) -> None:
    with pytest.raises(SOPClassNotSupported, match="Unsupported SOP Class"):
        deidentified("grand-challenge", corpus(name))


@pytest.mark.parametrize("name", ["SC_rgb_rle.dcm", "rtdose.dcm", "liver_1frame.dcm", "waveform_ecg.dcm"])
def test_gc_v17_objects_of_other_classes_are_rejected(name: str) -> None:
    with pytest.raises(SOPClassNotSupported, match="Unsupported SOP Class"):
        deidentified("grand-challenge", FILES / name)


# --- what the tool does wrong -------------------------------------------------------------------------


def test_gc_q_u_maps_every_value_and_goes_into_sequences() -> None:
    ds = made(
        IrradiationEventUID=["1.2.3", "1.2.4"],
        ReferencedStudySequence=items(item(ReferencedSOPInstanceUID="1.2.3")),
    )
    procedure = gc({"(0008,3010)": "U", "(0008,1110)": "U", "(0008,1155)": "U"})

    after = deidentified(procedure, ds)

    one, two = after.IrradiationEventUID
    assert one != two
    assert after.ReferencedStudySequence[0].ReferencedSOPInstanceUID == one


def test_gc_q_u_on_an_empty_uid_invents_none() -> None:
    after = deidentified(gc({"(0008,0014)": "U"}), made(InstanceCreatorUID=""))

    assert not after.get("InstanceCreatorUID")


def test_gc_q_an_empty_method_is_no_fault() -> None:
    after = deidentified(gc(STAMPS), made(DeidentificationMethod=""))

    assert after["DeidentificationMethod"].VM == 1


@pytest.mark.parametrize("where", ["several", "nested"])
def test_gc_q_burned_in_text_is_seen_in_any_value_and_item(where: str) -> None:
    ds = made()
    if where == "several":
        ds.add_new(0x00280301, "CS", ["NO", "YES"])
    else:
        ds.ReferencedImageSequence = items(item(BurnedInAnnotation="YES"))

    with pytest.raises(Rejected):
        deidentified("grand-challenge", ds)


def test_gc_q_no_file_meta_of_the_original_survives() -> None:
    content = encoded(
        made(),
        SourceApplicationEntityTitle="HOSPITAL",
        PrivateInformationCreatorUID="1.2.3.4",
        PrivateInformation=b"Jane Doe",
    )

    done, _ = rewritten(engine("grand-challenge"), content)

    assert not [text for text in (b"HOSPITAL", b"Jane Doe", b"1.2.840.99999.1") if text in done]


def test_gc_q_an_empty_procedure_is_an_error() -> None:
    with pytest.raises(ProfileError):
        read_json("{}", "empty.json")


def test_gc_q_uids_are_the_same_in_every_process() -> None:
    one = deidentified(engine(gc({})), made())
    two = deidentified(engine(gc({})), made())

    assert one.SOPInstanceUID == two.SOPInstanceUID


def test_gc_q_an_object_without_a_class_is_rejected_cleanly() -> None:
    ds = made()
    del ds.SOPClassUID

    with pytest.raises(ObjectRefused) as caught:
        deidentified("grand-challenge", ds)

    assert caught.value.code == "no-sop-class"


def test_gc_q_masks_are_masks() -> None:
    ds = made()
    ds.add_new(0x60023000, "OW", b"\0\0")

    assert 0x60023000 in deidentified(gc({"(60XX,3000)": "K"}), ds)


def test_gc_12_a_value_that_must_be_the_same_rejects_another_also_in_an_item() -> None:
    profile = 'extends = ["grand-challenge"]\nsame_value = ["PatientID"]\n'
    one_engine = engine(profile)
    deidentified(one_engine, made(PatientID="SAME"))
    other = made(PatientID="SAME", ReferencedPatientSequence=items(item(PatientID="OTHER")))

    with pytest.raises(Rejected) as caught:
        deidentified(one_engine, other)

    assert "OTHER" not in str(caught.value)


def test_gc_12_an_unknown_keyword_is_an_error_when_loaded() -> None:
    with pytest.raises(ProfileError, match="did you mean PatientID"):
        engine('extends = ["grand-challenge"]\nsame_value = ["PatientIDD"]\n')


def test_gc_14_the_stamps_say_the_procedure_and_its_version() -> None:
    after = deidentified(gc(STAMPS), made(PatientIdentityRemoved="NO"))

    assert after.PatientIdentityRemoved == "YES"
    assert "2025.1.0" in after.DeidentificationMethod


def test_gc_16_pixels_are_kept_as_they_are() -> None:
    before = pydicom.dcmread(FILES / "CT_small.dcm")

    assert deidentified("grand-challenge", FILES / "CT_small.dcm").PixelData == before.PixelData
