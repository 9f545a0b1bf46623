"""[set] with conditions and functions, functions of another attribute, and what they make of real objects."""

from __future__ import annotations

from datetime import date, time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file

from deid_node.engine.deidentified import Deidentified
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import Fault, ProfileError, Rejected
from deid_node.node.part10 import read_part10
from deid_node.profile import library
from tests.rewriting import pseudonyms

HEAD = """
name = "site"
base = "none"

[unlisted]
sop_class = "catch-all"
attribute = "K"

"""
TABLE = '\n[tables.base]\nfile = "base.csv"\nkey = "id"\nvalue = "day"\n'


def run(
    folder: Path, profile: str, *, csv: str = "", file: str = "CT_small.dcm", at: time | None = time(9, 8, 7)
) -> Dataset:
    """Put a file of the pydicom wheel through a profile that keeps what it does not name."""
    (folder / "site.toml").write_text(HEAD + profile, encoding="utf-8")
    if csv:
        (folder / "base.csv").write_text(csv, encoding="utf-8")
    ds = dcmread(str(get_testdata_file(file)))
    ds.StudyDate, ds.PatientID = "20200131", "1CT1"
    content = BytesIO()
    dcmwrite(content, ds)
    part10 = read_part10(BytesIO(content.getvalue()))
    procedure = library.load(folder / "site.toml")
    deidentifier = Deidentifier(procedure, pseudonyms())
    rewriting = deidentifier.begin(
        transfer_syntax_uid=part10.transfer_syntax_uid, today=date(2026, 1, 2), time_of_day=at
    )
    out = bytearray()

    def take(new: Deidentified | None) -> None:
        for buffer in new.buffers if new is not None else ():
            out.extend(buffer)

    take(rewriting.feed(content.getvalue()[part10.offset :]))
    rest, summary = rewriting.finish()
    take(rest)
    return dcmread(BytesIO(summary.heading.meta + bytes(out)))


def test_a_value_for_absent_attributes_leaves_one_that_is_there(tmp_path: Path) -> None:
    text = '[attributes]\nPatientID = "K"\n[set]\nModality = { value = "OT", only_absent = true }\n'
    text += 'BodyPartExamined = { value = "CHEST", only_absent = true }\n'

    ds = run(tmp_path, text)

    assert (ds.Modality, ds.BodyPartExamined) == ("CT", "CHEST")


def test_the_first_value_whose_condition_holds_is_written(tmp_path: Path) -> None:
    text = "[set]\nStudyDescription = [\n"
    text += "    { value = 'MAGNET', when = \"Modality == 'MR'\" },\n"
    text += "    { value = 'TUBE', when = \"Modality == 'CT'\" },\n    { value = 'OTHER' },\n]\n"

    assert run(tmp_path, text).StudyDescription == "TUBE"
    assert run(tmp_path, text, file="MR_small.dcm").StudyDescription == "MAGNET"


def test_where_no_condition_holds_the_row_decides(tmp_path: Path) -> None:
    text = "[attributes]\nStationName = 'X'\n[set]\n"
    text += "StationName = { value = 'S', when = \"Modality == 'MR'\" }\n"

    assert "StationName" not in run(tmp_path, text)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('[{ value = "A" }, { value = "B" }]', "put it last"),
        ('[{ value = "A", only_absent = true }, { value = "B", only_absent = true }]', "put it last"),
        ("[]", "the list is empty"),
        ('{ value = "A", only_absent = "yes" }', "true or false"),
        ('{ do = "hash" }', "need no original one"),
        ('{ do = "date_interval", table = "base", by = "PatientID" }', "need no original one"),
        ('{ value = "A", when = "Modalty == 1" }', "did you mean Modality"),
    ],
)
def test_what_cannot_be_set_is_an_error(tmp_path: Path, value: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        run(tmp_path, f"[set]\nStudyDescription = {value}\n{TABLE}", csv="id,day\n")

    assert says in str(caught.value)


def test_private_attributes_are_set_as_texts(tmp_path: Path) -> None:
    ds = run(tmp_path, '[set]\n"(0013,0010)" = "CTP"\n"(0013,1010)" = "Project"\n')

    assert (ds[0x0013, 0x0010].VR, ds[0x0013, 0x0010].value) == ("LO", "CTP")
    assert (ds[0x0013, 0x1010].VR, ds[0x0013, 0x1010].value) == ("LO", "Project")


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ('{ do = "case", to = "lower", of = "PatientName" }', "compressedsamples^ct1"),
        ('{ do = "cut", to = 3, of = "PatientID" }', "1CT"),
        ('{ do = "cut", to = -2, of = "PatientID" }', "T1"),
        ('{ do = "replace", pattern = "[0-9]", with = "#", of = "PatientID" }', "#CT#"),
        ('{ do = "replace", pattern = "(.)CT", with = "\\\\1-", of = "PatientID" }', "1-1"),
        ('{ do = "part", at = 1, separator = "^", of = "PatientName" }', "CT1"),
        (
            '{ do = "part", at = 9, separator = "^", of = "PatientName", missing = "keep" }',
            "CompressedSamples^CT1",
        ),
        ('{ do = "part", at = 9, separator = "^", of = "PatientName" }', ""),
        ('{ do = "date_set", day = 15, of = "StudyDate" }', "20200115"),
        ('{ do = "date_set", month = 2, of = "StudyDate" }', "20200302"),
        ('{ do = "date_set", year = 1999, month = 1, day = 1, of = "StudyDate" }', "19990101"),
        ('{ do = "date_shift", duration = "P2D", of = "StudyDate" }', "20200202"),
        ('"{now} {now::} {today:-}"', "090807 09:08:07 2026-01-02"),
        ('"{cut:2:PatientID}/{cut:-2:PatientID}"', "1C/T1"),
        ('"{part:^:-1:PatientName}"', "CT1"),
    ],
)
def test_what_is_made_of_another_attribute(tmp_path: Path, row: str, value: str) -> None:
    ds = run(tmp_path, f"[attributes]\nPatientName = 'K'\nPatientID = 'K'\n[set]\nStudyComments = {row}\n")

    assert (ds.StudyComments or "") == value


def test_a_row_may_take_the_value_of_another_attribute(tmp_path: Path) -> None:
    text = "[attributes]\nSeriesDate = { do = 'date_shift', duration = '-P31D', of = 'StudyDate' }\n"

    assert run(tmp_path, text).SeriesDate == "20191231"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{ do = "date_shift", of = "PatientName" }', "cannot be applied to PatientName, which has VR PN"),
        ('{ do = "case", to = "upper", of = "StationName" }', "is no value of VR DA"),
        ('{ do = "hash", of = "PixelData" }', "PixelData, which has VR OW"),
        ('{ do = "replace", pattern = "(" }', "expected a regular expression"),
        (
            '{ do = "date_interval", table = "base", by = "PatientID" }',
            "a number of days is no value of VR DA",
        ),
        ('{ do = "date_interval", table = "base", by = "PatientID", origin = "1.1.2000" }', "YYYY-MM-DD"),
        (
            '{ do = "lookup", table = "base", by = ["PatientID", "StudyDate"] }',
            "has 1 keys, and 2 are looked up",
        ),
        ('{ do = "lookup", table = "base", by = [] }', "one keyword at least"),
    ],
)
def test_what_does_not_fit_is_told_when_the_profile_is_loaded(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        run(tmp_path, f"[attributes]\nSeriesDate = {row}\n{TABLE}", csv="id,day\n")

    assert says in str(caught.value)


def test_the_time_of_day_has_to_be_known(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="time of the de-identification"):
        run(tmp_path, '[set]\nStudyTime = "{now}"\n', at=None)


def test_days_are_counted_from_a_date_of_a_table(tmp_path: Path) -> None:
    text = "[attributes]\nPatientID = 'K'\n"
    text += "StudyDate = { do = 'date_interval', table = 'base', by = 'PatientID', origin = '2000-01-01' }\n"
    text += "[set]\nStudyComments = '{interval:base:StudyDate:PatientID} days'\nStudyID = { do ="
    text += " 'date_interval', table = 'base', by = 'PatientID', of = 'StudyDate' }\n"

    ds = run(tmp_path, text + TABLE, csv="id,day\n1CT1,2020-01-01\n")

    assert (ds.StudyDate, ds.StudyComments, ds.StudyID) == ("20000131", "30 days", "30")


def test_a_patient_without_a_date_in_the_table_is_rejected_without_its_id(tmp_path: Path) -> None:
    text = f"[set]\nStudyComments = '{{interval:base:StudyDate:PatientID}}'\n{TABLE}"

    with pytest.raises(Rejected, match="no row for a value") as caught:
        run(tmp_path, text, csv="id,day\nother,20200101\n")

    assert "1CT1" not in str(caught.value)


def test_a_table_of_dates_with_something_else_is_an_error(tmp_path: Path) -> None:
    text = f"[set]\nStudyComments = '{{interval:base:StudyDate:PatientID}}'\n{TABLE}"

    with pytest.raises(ProfileError, match="1 value that is no date YYYY-MM-DD"):
        run(tmp_path, text, csv="id,day\n1CT1,soon\n")


def test_several_attributes_are_one_key_of_a_table(tmp_path: Path) -> None:
    table = '\n[tables.base]\nfile = "base.csv"\nkey = ["id", "date"]\nvalue = "new"\n'
    text = "[attributes]\nPatientID = { do = 'lookup', table = 'base', by = ['PatientID', 'StudyDate'] }\n"

    ds = run(tmp_path, text + table, csv="id,date,new\n1CT1,20200101,A\n1CT1,20200131,B\n")

    assert ds.PatientID == "B"


def test_dates_move_by_the_days_of_a_table(tmp_path: Path) -> None:
    text = "[attributes]\nStudyDate = { do = 'date_shift', table = 'base' }\n"
    text += "SeriesDate = { do = 'date_shift', table = 'base', by = 'Modality', of = 'StudyDate' }\n"

    ds = run(tmp_path, text + TABLE, csv="id,day\n1CT1,-31\nCT,+1\n")

    assert (ds.StudyDate, ds.SeriesDate) == ("20191231", "20200201")


def test_a_table_of_days_with_something_else_is_an_error(tmp_path: Path) -> None:
    text = f"[attributes]\nStudyDate = {{ do = 'date_shift', table = 'base' }}\n{TABLE}"

    with pytest.raises(ProfileError, match="1 value that is no number of days"):
        run(tmp_path, text, csv="id,day\n1CT1,1.5\n")
