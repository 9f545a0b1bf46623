"""Vectors of dicom-curate, on whole objects.

Those of its configuration files are tested where these are imported (tests/profile/imports), those of
runs, web servers and object stores with the files (tests/test_files_*.py).
"""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from deid_node.engine.private_list import listing_plans
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ProfileError, Rejected
from deid_node.files.draft import About, Tally
from deid_node.files.store import Bucket
from deid_node.files.upload import StoreTarget, _told
from deid_node.node.part10 import read_part10
from tests.rewriting import pseudonyms
from tests.seeds.objects import (
    KEEP_ALL,
    deidentified,
    encoded,
    engine,
    item,
    items,
    made,
    procedure,
    rewritten,
)

FULL = 'extends = ["basic"]\noptions = ["retain-longitudinal-full"]\n'
SHIFTED = 'extends = ["basic"]\noptions = ["retain-longitudinal-modified"]\n'


def moved(keyword: str, value: str, duration: str) -> str:
    profile = f'{KEEP_ALL}[attributes]\n{keyword} = {{ do = "date_shift", duration = "{duration}" }}\n'
    return str(deidentified(profile, made(**{keyword: value}))[keyword].value)


@pytest.mark.parametrize(
    ("uid", "mapped"),
    [
        ("1.2.3.860.0.1.2.1", "2.25.194192006138162042199053036200183065023040236100018044223"),
        ("1.2.3", "2.25.232083091097019148112004190183129133073192176056014068096"),
        ("1.2.941.12368.1.2.4.09", "2.25.255105095089138143244134129008090048147174238061102242129"),
    ],
)
def test_dc_v1_v2_uids_of_the_tool_in_its_compatibility_mode(uid: str, mapped: str) -> None:
    profile = KEEP_ALL + '[attributes]\nFrameOfReferenceUID = { do = "uid", algorithm = "dicom-curate" }\n'

    assert deidentified(profile, made(FrameOfReferenceUID=uid)).FrameOfReferenceUID == mapped


@pytest.mark.parametrize(
    ("duration", "result"),
    [("P7D", "20230422"), ("-P7D", "20230408"), ("PT24H", "20230416"), ("P2W", "20230429")],
)
def test_dc_v3_dates_move_by_a_duration(duration: str, result: str) -> None:
    assert moved("StudyDate", "20230415", duration) == result


@pytest.mark.parametrize(
    ("value", "duration", "result"),
    [
        pytest.param("20250101123000.000000", "P1Y2M3DT4H5M6S", "20260304163506.000000", id="v4"),
        pytest.param("99990101123456.123456-0500", "-P1DT1.123456S", "99981231123455.000000-0500", id="v5"),
        pytest.param(
            "20230415143022.123456+0200", "PT2H30M15.555555S", "20230415170037.679011+0200", id="v8"
        ),
        pytest.param("20230101120000.100000", "-PT0.9S", "20230101115959.200000", id="v9"),
        pytest.param("202301011230", "PT45M", "202301011315", id="v10"),
    ],
)
def test_dc_v4_v5_v8_v9_v10_moments_move_by_a_duration(value: str, duration: str, result: str) -> None:
    assert moved("AcquisitionDateTime", value, duration) == result


@pytest.mark.parametrize(
    ("value", "duration", "result"),
    [
        pytest.param("123456.123456", "PT1.111111S", "123457.234567", id="v6"),
        pytest.param("12", "PT60M", "13", id="v6-hours"),
        pytest.param("12", "P7M", "12", id="v6-months"),
        pytest.param("0930", "-PT10H", "2330", id="v10"),
    ],
)
def test_dc_v6_v10_times_move_by_a_duration(value: str, duration: str, result: str) -> None:
    assert moved("AcquisitionTime", value, duration) == result


@pytest.mark.parametrize(
    ("value", "duration", "result"), [("20230131", "P1M", "20230303"), ("20240229", "P1Y", "20250301")]
)
def test_dc_v7_a_month_that_is_too_short_overflows(value: str, duration: str, result: str) -> None:
    assert moved("StudyDate", value, duration) == result


def test_dc_v8_spaces_around_a_date_do_not_count() -> None:
    assert moved("StudyDate", " 20230415 ", "P7D") == "20230422"


def test_dc_v12_dates_of_devices_stay_with_the_device() -> None:
    profile = """extends = ["basic"]
    options = ["retain-device-identity"]
    [attributes]
    StudyDate = { do = "date_shift", duration = "P30D" }
    """
    nested = items(item(StudyDate="20230415", DateOfLastCalibration="20220301"))
    ds = made(StudyDate="20230415", DateOfLastCalibration="20220301", SourceImageSequence=nested)

    kept = deidentified(f'{profile}SourceImageSequence = "K"\n', ds)
    calibration = 'DateOfLastCalibration = { do = "date_shift", duration = "P30D" }\n'
    moved_too = deidentified(f'{profile}SourceImageSequence = "K"\n{calibration}', ds)

    assert (kept.StudyDate, kept.DateOfLastCalibration) == ("20230515", "20220301")
    inside = kept.SourceImageSequence[0]
    assert (inside.StudyDate, inside.DateOfLastCalibration) == ("20230515", "20220301")
    assert moved_too.DateOfLastCalibration == "20220331"


def test_dc_v13_sequences_that_name_the_patient_go() -> None:
    one = items(item(PatientID="1", RequestedProcedureID="2"))

    after = deidentified("basic", made(OtherPatientIDsSequence=one, RequestAttributesSequence=one))

    assert "OtherPatientIDsSequence" not in after
    assert "RequestAttributesSequence" not in after


def test_dc_v14_listed_characteristics_stay_and_others_do_not() -> None:
    profile = 'extends = ["basic"]\n[attributes]\nPatientAge = "K"\nPatientSex = "K"\nPatientWeight = "K"\n'
    ds = made(
        PatientAge="044Y",
        PatientSex="F",
        PatientWeight="72",
        PatientID="SECRET1",
        PatientComments="x",
        ResponsiblePerson="A^B",
    )

    after = deidentified(profile, ds)

    assert (after.PatientAge, after.PatientSex, after.PatientWeight) == ("044Y", "F", 72)
    assert after.PatientID != "SECRET1"
    assert "PatientComments" not in after
    assert "ResponsiblePerson" not in after


def test_dc_v15_the_device_stays_with_its_dates_and_its_ae_title_does_not() -> None:
    profile = 'extends = ["basic"]\noptions = ["retain-device-identity"]\n'
    ds = made(CalibrationDate="20250101", DeviceLabel="L1", StationName="S1", StationAETitle="AE1")

    after = deidentified(profile, ds)

    assert (after.CalibrationDate, after.DeviceLabel, after.StationName) == ("20250101", "L1", "S1")
    assert after.get("StationAETitle") != "AE1"


def test_dc_v16_a_row_of_a_table_is_written() -> None:
    profile = """extends = ["basic"]
    [attributes]
    PatientID = { do = "lookup", table = "ids" }
    [tables.ids]
    file = "ids.csv"
    key = "old"
    value = "new"
    """

    after = deidentified(profile, made(PatientID="oldV2"), csv="old,new,ignore\noldV1,newV1,\noldV2,newV2,\n")

    assert after.PatientID == "newV2"
    with pytest.raises(Rejected):
        deidentified(profile, made(PatientID="oldV3"), csv="old,new,ignore\noldV1,newV1,\n")


def test_dc_v17_exceptions_of_two_profiles_add_up_and_the_later_takes_away(tmp_path) -> None:
    from deid_node.profile import library
    from tests.rewriting import pseudonyms

    (tmp_path / "one.toml").write_text(
        'name = "one"\nextends = ["basic"]\n'
        'options = ["clean-descriptors", "retain-patient-characteristics"]\n'
        '[attributes]\nSeriesDescription = "K"\n'
    )
    (tmp_path / "two.toml").write_text(
        'name = "two"\nextends = ["one.toml"]\nwithout_options = ["retain-patient-characteristics"]\n'
        '[attributes]\nStudyDescription = "K"\n'
    )
    ds = made(SeriesDescription="axial", StudyDescription="thorax", PatientAge="044Y")

    one, two = (
        deidentified(Deidentifier(library.load(tmp_path / f"{name}.toml"), pseudonyms()), ds)
        for name in ("one", "two")
    )

    assert (one.SeriesDescription, one.PatientAge) == ("axial", "044Y")
    assert (two.SeriesDescription, two.StudyDescription) == ("axial", "thorax")
    assert not two.get("PatientAge")


def test_dc_v18_private_attributes_stay_at_every_depth_or_nowhere() -> None:
    ds = made(ReferencedPatientSequence=items(item(PatientID="1")))
    for level in (ds, ds.ReferencedPatientSequence[0]):
        block = level.private_block(0x0009, "ACME", create=True)
        block.add_new(0x01, "LO", "value")
    rows = '[attributes]\nReferencedPatientSequence = "K"\n'

    keeps = procedure(f'extends = ["basic"]\n[unlisted]\nprivate = "K"\n{rows}')

    kept = deidentified(Deidentifier(keeps, pseudonyms()), ds)
    rewriting = Deidentifier(keeps, pseudonyms(), plans=listing_plans(keeps)).begin(
        transfer_syntax_uid=ExplicitVRLittleEndian
    )
    rewriting.feed(encoded(ds)[read_part10(BytesIO(encoded(ds))).offset :])
    rewriting.finish()
    removed = deidentified(f'extends = ["basic"]\n{rows}', ds)

    assert 0x00091001 in kept
    assert 0x00091001 in kept.ReferencedPatientSequence[0]
    assert [(one.path, one.vr, one.value) for one in rewriting.private_elements()] == [
        ("ReferencedPatientSequence[0].(0009,0010)", "LO", "ACME"),
        ("ReferencedPatientSequence[0].(0009,1001)", "LO", "value"),
        ("(0009,0010)", "LO", "ACME"),
        ("(0009,1001)", "LO", "value"),
    ]
    assert not [elem for elem in removed if elem.tag.is_private]
    assert 0x00091001 not in removed.ReferencedPatientSequence[0]


def test_dc_v19_what_an_offset_lacks_is_an_error_when_loaded() -> None:
    with pytest.raises(ProfileError, match="ISO 8601 duration"):
        procedure(
            'extends = ["basic"]\n[attributes]\nStudyDate = { do = "date_shift", duration = "" }\n' + "# \n"
            'StudyTime = { do = "date_shift", duration = "30D" }\n'
        )


def test_dc_v21_conditions_on_the_modality_decide() -> None:
    profile = """extends = ["basic"]
    options = ["clean-structured-content"]
    [attributes]
    VerifyingObserverSequence = [{ action = "K", when = "Modality == 'SR'" }, "X"]
    EncapsulatedDocument = [{ action = "K", when = "Modality == 'DOC'" }, "X"]
    """
    observer = items(item(VerifyingObserverName="Weiss^Anna", VerifyingOrganization="St. Mary"))

    report = deidentified(
        profile, made("BasicTextSRStorage", Modality="SR", VerifyingObserverSequence=observer)
    )
    image = deidentified(profile, made(Modality="CT", VerifyingObserverSequence=observer))
    document = deidentified(
        profile, made("EncapsulatedPDFStorage", Modality="DOC", EncapsulatedDocument=b"%PDF-1.4 ")
    )
    pixels = deidentified(profile, made(Modality="CT", EncapsulatedDocument=b"%PDF-1.4 "))

    assert "Weiss" not in str(report.VerifyingObserverSequence[0])
    assert "VerifyingObserverSequence" not in image
    assert document.EncapsulatedDocument.startswith(b"%PDF")
    assert "EncapsulatedDocument" not in pixels


# --- what the tool does wrong -------------------------------------------------------------------------


def test_dc_q_the_uid_of_a_device_stays_with_the_device() -> None:
    after = deidentified(
        'extends = ["basic"]\noptions = ["retain-device-identity"]\n', made(DeviceUID="1.2.840.99999.77")
    )

    assert after.DeviceUID == "1.2.840.99999.77"


@pytest.mark.parametrize("profile", [FULL, SHIFTED])
def test_dc_q_the_birth_date_is_no_longitudinal_date(profile: str) -> None:
    after = deidentified(
        profile, made(PatientBirthDate="19631217", PatientBirthTime="101010", StudyDate="20200101")
    )

    assert not after.get("PatientBirthDate")
    assert not after.get("PatientBirthTime")
    assert after.StudyDate


def test_dc_q_kept_uids_are_only_told_when_they_are_kept() -> None:
    codes = {one.CodeValue for one in deidentified("basic", made()).DeidentificationMethodCodeSequence}
    kept = deidentified('extends = ["basic"]\noptions = ["retain-uids"]\n', made())

    assert "113110" not in codes
    assert "113110" in {one.CodeValue for one in kept.DeidentificationMethodCodeSequence}


def test_dc_q_each_value_of_a_uid_is_mapped() -> None:
    after = deidentified("basic", made(FrameOfReferenceUID="1.2.3", RelatedFrameOfReferenceUID=["1.2.3"]))
    many = made()
    many.add_new(0x00083010, "UI", ["1.2.3", "1.2.4"])

    one, two = deidentified("basic", many)[0x00083010].value

    assert one == after.FrameOfReferenceUID
    assert one != two


def test_dc_q_each_date_of_an_element_is_moved() -> None:
    ds = made()
    ds.add_new(0x00080012, "DA", ["20230415", "20230416"])
    profile = KEEP_ALL + '[attributes]\nInstanceCreationDate = { do = "date_shift", duration = "P1D" }\n'

    assert list(deidentified(profile, ds).InstanceCreationDate) == ["20230416", "20230417"]


def test_dc_q_a_year_is_not_moved_as_a_time() -> None:
    profile = KEEP_ALL + '[attributes]\nAcquisitionDateTime = { do = "date_shift", duration = "PT1H" }\n'

    after = deidentified(profile, made(AcquisitionDateTime="1980"))

    assert str(after.AcquisitionDateTime)[:4] != "2120"


def test_dc_q_uids_are_keyed_and_have_128_bits() -> None:
    uid = str(deidentified("basic", made()).SOPInstanceUID)

    assert re.fullmatch(r"2\.25\.[1-9]\d*", uid)
    assert int(uid.removeprefix("2.25.")) < 1 << 128


def test_dc_q_a_name_cannot_be_kept_as_a_descriptor() -> None:
    profile = 'extends = ["basic"]\noptions = ["clean-descriptors"]\n'

    ds = made(PatientName="Cannavaro^Eva", StudyDescription="of Cannavaro")
    content, _ = rewritten(engine(profile), encoded(ds))

    assert b"Cannavaro" not in content


def test_dc_q_the_two_hashes_have_two_names_and_no_prefix_is_none() -> None:
    target = StoreTarget(Bucket("box"), "")

    told = _told(About("1.2.3", 5, 0, "ab"))

    assert target.shown(("a", "b.dcm")) == "s3://box/a/b.dcm"
    assert "source-file-hash" in told
    assert "source-file-post-mapped-hash" not in told
    assert Tally().sha256 != told["source-file-hash"]


def test_dc_q_a_condition_sees_what_is_in_items() -> None:
    profile = KEEP_ALL + '[[reject]]\nwhen = "CodeValue == \'T-1\'"\n[attributes]\nPatientID = "Z"\n'

    with pytest.raises(Rejected):
        deidentified(profile, made(AnatomicRegionSequence=items(item(CodeValue="T-1"))))
