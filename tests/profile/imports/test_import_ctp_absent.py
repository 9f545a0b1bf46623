"""@always() of CTP scripts where the attribute is absent, lookups by several keys, days from a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from deid_node.errors import Rejected
from tests.profile.imports.importing import run
from tests.profile.imports.scripts import EVERYTHING, script, with_values


def without(*keywords: str, **values: object) -> object:
    def edit(ds: Dataset) -> None:
        with_values(**values)(ds)
        for keyword in keywords:
            if keyword in ds:
                delattr(ds, keyword)

    return edit


@pytest.mark.parametrize(
    ("action", "there", "absent"),
    [
        ("@always()@require()", "Head", ""),
        ("@require()", "Head", None),
        ('@require(Modality,"none")', "Head", None),
        ('@always()@require(Modality,"none")', "Head", "CT"),
        ('@always()@require(ReasonForVisit,"none")', "Head", "none"),
        ("@always()@append(){seen}", ["Head", "seen"], "seen"),
        ("@append(){seen}", ["Head", "seen"], None),
        ("@always()@if(Modality,equals,CT){TUBE}{@remove()}", "TUBE", "TUBE"),
        ("@always()@if(Modality,equals,MR){@keep()}{OTHER}", "OTHER", "OTHER"),
        ("@always()@if(Modality,equals,CT){@keep()}{OTHER}", "Head", None),
        ("@always()@if(this,exists){@keep()}{NEW}", "Head", "NEW"),
        ("@always()@if(this,isblank){NEW}{@keep()}", "Head", "NEW"),
        ('@always()@value(this,"none")', "Head", "none"),
        ('@always()@contents(this,".+","PROJECT")', "PROJECT", ""),
        ('@always()@contents(Modality,"T","R")', "CR", "CR"),
        ("@always()@uppercase(this)", "HEAD", ""),
        ("@always()@lowercase(Modality)", "ct", "ct"),
        ("@always()@select(){ROOT}{@remove()}", "ROOT", "ROOT"),
        ("@always()@remove()", None, None),
        ("@always()@keep()", "Head", None),
        ("@always()@time()", "143059", "143059"),
        ("@always()@hash(this,8)", "8", None),
    ],
)
def test_what_always_writes(tmp_path: Path, action: str, there: object, absent: object) -> None:
    result = script(f"00081030 {action}")

    with_it = run(result, tmp_path, with_values(StudyDescription="Head")).get("StudyDescription")
    without_it = run(result, tmp_path, without("StudyDescription")).get("StudyDescription")  # type: ignore[arg-type]

    assert not result.left_out
    if there == "8":
        assert len(str(with_it)) == 8
    else:
        assert with_it == there
    assert without_it == absent


def test_what_always_quarantines_is_rejected_where_it_is_absent(tmp_path: Path) -> None:
    result = script("00081030 @always()@if(Modality,equals,CT){@quarantine()}{@keep()}")

    with pytest.raises(Rejected, match="line 2 of the script"):
        run(result, tmp_path, without("StudyDescription"))  # type: ignore[arg-type]
    assert run(result, tmp_path, without("StudyDescription", Modality="MR")).Modality == "MR"  # type: ignore[arg-type]


def test_an_absent_value_that_has_to_be_looked_up_is_rejected(tmp_path: Path) -> None:
    result = script("00080050 @always()@lookup(this,acc)", lookup_table="acc/1=A")

    with pytest.raises(Rejected, match="AccessionNumber is absent and cannot be looked up"):
        run(result, tmp_path, without("AccessionNumber"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "value"), [("", "S"), (",keep", "S"), (",empty", "S"), (",default,N", "S")]
)
def test_a_value_is_looked_up_where_the_attribute_is_absent(tmp_path: Path, choice: str, value: str) -> None:
    result = script(f"00120030 @always()@lookup(PatientID,site{choice})", lookup_table="site/1CT1=S")

    assert run(result, tmp_path).ClinicalTrialSiteID == value


@pytest.mark.parametrize(("choice", "value"), [("keep", None), ("empty", ""), ("default,N", "N")])
def test_a_row_that_is_missing_leaves_what_the_script_says(
    tmp_path: Path, choice: str, value: str | None
) -> None:
    result = script(f"00120030 @always()@lookup(PatientID,site,{choice})", lookup_table="site/2=S")

    assert run(result, tmp_path).get("ClinicalTrialSiteID") == value


def test_several_attributes_are_looked_up_together(tmp_path: Path) -> None:
    table = "visit/1CT1|20040119=V1\nvisit/1CT1=no\nvisit/1CT1|20050101=V2"
    result = script("00120050 @always()@lookup(PatientID|StudyDate,visit)", lookup_table=table)

    ds = run(result, tmp_path, with_values(StudyDate="20040119"))

    assert ds.ClinicalTrialTimePointID == "V1"
    assert [one.why for one in result.left_out] == ["1 rows with other keys count as not there"]
    assert result.lookups[0].text.startswith("PatientID,StudyDate,new\n")


def test_one_key_type_has_one_kind_of_keys() -> None:
    result = script(
        "00100020 @lookup(this,a)", "00120040 @lookup(PatientID|StudyDate,a)", lookup_table="a/1=b"
    )

    assert [one.why for one in result.left_out] == ["a lookup table has one kind of keys; removed instead"]


def test_days_are_counted_from_a_date_of_the_lookup_table(tmp_path: Path) -> None:
    result = script(
        "00120050 @always()@dateinterval(StudyDate,base,PatientID)",
        "00120051 @always()Day @dateinterval(StudyDate,base,PatientID)",
        "00080020 @dateinterval(this,base,PatientID,20000101)",
        lookup_table="base/1CT1=1/9/2004\nbase/2=soon",
    )

    ds = run(result, tmp_path, with_values(StudyDate="20040119"))

    assert (ds.ClinicalTrialTimePointID, ds.StudyDate) == ("10", "20000111")
    assert ds.ClinicalTrialTimePointDescription == "Day 10"
    assert result.lookups[0].text == "old,new\n1CT1,2004-01-09\n"
    assert [one.why for one in result.left_out] == ["1 rows with other dates count as not there"]


def test_the_private_block_of_the_tool_is_written(tmp_path: Path) -> None:
    result = script(
        "00130010 @always()CTP",
        "00131010 @always()@param(@PROJECT)",
        "00131013 @param(@SITEID)",
        more=EVERYTHING,
    )

    ds = run(result, tmp_path)

    assert not result.left_out
    assert (ds[0x00130010].value, ds[0x00131010].value) == ("CTP", "A {b} & C")
    assert ds[0x00131010].VR == "LO"
    assert 0x00131013 not in ds


def test_a_placeholder_for_days_empties_dates_as_the_tool_does(tmp_path: Path) -> None:
    params = '<p t="DATEINC">Enter your date offset</p>'
    elements = [f"{tag} @incrementdate(this,@DATEINC)" for tag in ("00080020", "00080022", "00080023")]

    result = script(*elements, params=params)
    ds = run(result, tmp_path)

    assert not result.left_out
    (note,) = (warning for warning in result.warnings if "no number" in warning)
    assert note.startswith("anon.script lines 2, 3, 4: ")
    assert ds.StudyDate == ds.AcquisitionDate == ""


def test_another_private_block_becomes_that_of_the_tool(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.add_new(0x00130010, "LO", "GEMS_GENIE_1")
        ds.add_new(0x00131010, "FD", [578.5, 2314.0])

    result = script("00130010 CTP", "00131010 @param(@PROJECT)")
    ds = run(result, tmp_path, edit)

    assert (ds[0x00130010].value, ds[0x00131010].VR, ds[0x00131010].value) == ("CTP", "LO", "A {b} & C")


@pytest.mark.parametrize(
    ("pattern", "value", "is_rejected"),
    [
        ("(?i).*local.*", "A LOCALIZER", True),
        ("O'Brien", "O'Brien", True),
        (r"a\\b", r"a\b", False),
        (r"[0-9]\.[0-9]", "1.2", True),
        (r"[0-9]\.[0-9]", "1x2", False),
    ],
)
def test_patterns_of_scripts(tmp_path: Path, pattern: str, value: str, is_rejected: bool) -> None:
    result = script(f'00100020 @if(StationName,matches,"{pattern}"){{@quarantine()}}{{@keep()}}')

    assert not result.left_out
    if is_rejected:
        with pytest.raises(Rejected):
            run(result, tmp_path, with_values(StationName=value))
    else:
        assert run(result, tmp_path, with_values(StationName=value)).PatientID == "1CT1"


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("P-@uppercase(StationName)-@lowercase(Modality)", "P-ST1-ct"),
        ("P-@lookup(PatientID,a)", "P-NEW"),
        ('S@if(Modality,equals,CT){1}{2}@if(StationName,contains,"x"){x}{y}', "S1y"),
        ("S@if(Modality,equals,CT){@remove()}{2}", None),
    ],
)
def test_what_stands_beside_text(tmp_path: Path, action: str, value: str | None) -> None:
    result = script(f"00081030 {action}", lookup_table="a/1CT1=NEW")

    ds = run(result, tmp_path, with_values(StudyDescription="Head", StationName="St1"))

    assert not result.left_out
    assert ds.get("StudyDescription") == value


@pytest.mark.parametrize(
    ("action", "says"),
    [("@lookup(this,a)", "such objects are rejected"), ("@lookup(this,a,empty)", "no value has a row")],
)
def test_what_an_empty_table_does_is_said(action: str, says: str) -> None:
    (left,) = script(f"00100020 {action}").left_out

    assert says in left.why


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("00081150 @hashuid(@UIDROOT,this)", "UIDs of the standard"),
        ("0020000D @hashuid(@UIDROOT,this,PatientID)", "not on a third argument"),
        ("00100010 @hashname(this,6,2)", "hashed as it is"),
    ],
)
def test_what_is_different_and_hides_as_much_is_noted(action: str, says: str) -> None:
    result = script(action)

    assert not result.left_out
    assert any(says in warning for warning in result.warnings)
