"""Lookup tables of CTP, values beside values, and the forms in which scripts are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import Dataset

from deid_node.errors import ProfileError, Rejected
from deid_node.profile import imports
from deid_node.profile.imports import Options
from tests.profile.imports.importing import imported, run
from tests.profile.imports.scripts import RSNA, row_of, script, with_values

# --- lookup tables --------------------------------------------------------------------------------

LOOKUP = """\
! made by hand
ptid/1CT1 = TRIAL-1
ptid/a\\ b: B
site/1CT1 @sites/x
sites/x = Site\\u0020\\
    One
"""


def test_a_lookup_reads_the_tables_of_the_tool(tmp_path: Path) -> None:
    result = script(
        "00100020 @lookup(this,ptid)",
        "00080080 @always()@lookup(PatientID,site)",
        lookup_table=LOOKUP,
    )

    ds = run(result, tmp_path, with_values(OtherPatientIDsSequence=[]))

    assert not result.left_out
    assert {one.name: one.text for one in result.lookups} == {
        "anon-ptid.csv": "old,new\n1CT1,TRIAL-1\na b,B\n",
        "anon-site.csv": "old,new\n1CT1,Site One\n",
    }
    assert (ds.PatientID, ds.InstitutionName) == ("TRIAL-1", "Site One")


def test_a_value_without_a_row_rejects_and_in_an_item_it_goes(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientID = "OTHER"
    result = script("00100020 @lookup(this,ptid)", lookup_table="ptid/1CT1=A")

    ds = run(result, tmp_path, with_values(OtherPatientIDsSequence=[item]))

    assert ds.PatientID == "A"
    assert "PatientID" not in ds.OtherPatientIDsSequence[0]
    with pytest.raises(Rejected, match="has no row for a value"):
        run(result, tmp_path, with_values(PatientID="other"))


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("keep", "1CT1"),
        ("empty", ""),
        ("remove", None),
        ("default,NONE", "NONE"),
        ("default", ""),
        ('ignore,"[0-9]CT[0-9]"', "1CT1"),
    ],
)
def test_what_a_value_without_a_row_becomes(tmp_path: Path, choice: str, value: str | None) -> None:
    result = script(f"00100020 @lookup(this,ptid,{choice})", lookup_table="ptid/2=A")

    ds = run(result, tmp_path, with_values(OtherPatientIDsSequence=[]))

    assert ds.get("PatientID") == value


def test_a_value_that_is_not_to_be_ignored_is_looked_up(tmp_path: Path) -> None:
    result = script('00100020 @lookup(this,ptid,ignore,"[A-Z]+")', lookup_table="ptid/1CT1=A")

    assert run(result, tmp_path, with_values(OtherPatientIDsSequence=[])).PatientID == "A"


def test_without_the_table_of_the_tool_an_empty_one_is_made_and_listed(tmp_path: Path) -> None:
    result = script("00100020 @lookup(this,ptid)")

    (left,) = result.left_out
    assert "fill in anon-ptid.csv" in left.why
    assert result.lookups[0].text == "old,new\n"
    with pytest.raises(Rejected):
        run(result, tmp_path)


def test_rows_without_a_replacement_are_listed_by_their_number() -> None:
    result = script("00100020 @lookup(this,ptid)", lookup_table="ptid/SECRET=\nptid/2=A")

    assert [one.why for one in result.left_out] == ["1 rows without a replacement count as not there"]
    assert "SECRET" not in result.toml
    assert "SECRET" not in repr(result)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("ptid=A", "lookup table line 1: a row is written KEYTYPE/VALUE = REPLACEMENT"),
        ("\nptid/1=@ptid/SECRET", "lookup table line 2: the row points to another one that is not there"),
        ("ptid/1=@ptid/2\nptid/2=@ptid/1", "points to another one"),
    ],
)
def test_a_wrong_lookup_table_is_one_clear_error(table: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        script("00100020 @lookup(this,ptid)", lookup_table=table)

    assert says in str(caught.value)
    assert "SECRET" not in str(caught.value)


# --- what stands beside ----------------------------------------------------------------------------


def test_what_is_appended_stands_behind_the_value(tmp_path: Path) -> None:
    result = script("00081030 @append(){seen by @param(@SITEID)}")

    filled = run(result, tmp_path, with_values(StudyDescription="Head"))
    empty = run(result, tmp_path, with_values(StudyDescription=""))

    assert filled.StudyDescription == ["Head", "seen by 77"]
    assert empty.StudyDescription == "seen by 77"


def test_a_value_has_a_text_where_it_is_empty(tmp_path: Path) -> None:
    result = script('00081030 @value(this,"none")', '00080080 @value(StationName,"nowhere")')

    filled = run(
        result, tmp_path, with_values(StudyDescription="Head", StationName="S1", InstitutionName="A")
    )
    empty = run(result, tmp_path, with_values(StudyDescription="", StationName="", InstitutionName="A"))

    assert (filled.StudyDescription, filled.InstitutionName) == ("Head", "S1")
    assert (empty.StudyDescription, empty.InstitutionName) == ("none", "nowhere")


def test_always_writes_an_empty_value_too(tmp_path: Path) -> None:
    assert run(script("00120010 @always()@empty()"), tmp_path).ClinicalTrialSponsorName == ""


def test_what_is_made_of_the_own_value_is_not_missed_where_there_is_none(tmp_path: Path) -> None:
    result = script("00120040 @always()@hash(this,8)", "00120010 @always()@uppercase(this)")

    ds = run(result, tmp_path)

    assert not result.left_out
    assert "ClinicalTrialSubjectID" not in ds


def test_the_stamp_of_the_tool_loses_its_day(tmp_path: Path) -> None:
    action = "00120063 @append(){CTP: @param(@SITEID): @date():@time()}"

    assert run(script(action), tmp_path).DeidentificationMethod == "CTP: 77"


def test_safe_private_elements_stay(tmp_path: Path) -> None:
    safe = '<k en="T" t="safeprivateelements">Keep</k><r en="T" t="privategroups">Remove</r>'

    ds = run(script("00100020 @keep()", more=safe), tmp_path)

    assert ds[0x00191023].value == 5
    assert 0x00191002 not in ds


def test_a_number_is_counted_in_digits(tmp_path: Path) -> None:
    result = script("00200011 @integer(SeriesInstanceUID,series,3)", "00100020 S-@integer(this,ptid,8)")

    ds = run(result, tmp_path, with_values(OtherPatientIDsSequence=[]))

    assert 0 <= ds.SeriesNumber < 10**6
    assert re.fullmatch(r"S-\d{8}", ds.PatientID)
    assert ["counted up" in one.why for one in result.left_out] == [True, True]


def test_rsnas_tool_does_not_ask_for_the_switch(tmp_path: Path) -> None:
    off = RSNA.replace('en="T" t="00080030"', 'en="F" t="00080030"')

    assert run(imported("ctp", off), tmp_path).StudyTime == "072730"


def test_an_element_without_a_switch_counts_and_is_told() -> None:
    result = imported("ctp", '<script><p t="A">1</p><e t="00100010">@remove()</e></script>')

    assert row_of(result, "PatientName") == '"X"'
    assert any("nothing says whether it is switched on" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("target", "selector"),
    [
        ("0009[GEMS_IDEN_01]01", "0009[GEMS_IDEN_01]xx01"),
        ("9,[GEMS_IDEN_01]01", "0009[GEMS_IDEN_01]xx01"),
        ("60xx3000", "60xx,3000"),
        ("0010,0010", "PatientName"),
    ],
)
def test_forms_of_tags(target: str, selector: str) -> None:
    text = f'<script><p t="A">1</p><e en="T" t="{target}" n="x">@remove()</e></script>'

    assert f"{selector}" in imported("ctp", text).toml


def test_a_private_creator_by_its_name_is_listed() -> None:
    text = '<script><p t="A">1</p><e en="T" t="0013,00[CTP]" n="x">@keep()</e></script>'

    assert "a private creator stays where" in imported("ctp", text).left_out[0].why


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + RSNA,
        RSNA.encode("utf-16"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>' + RSNA.replace("@ptid", "Zoë")).encode("latin-1"),
        RSNA.replace("\n", "\r\n").encode(),
        RSNA.replace("<script>", "<script><!-- a comment -->\n").encode("utf-8-sig"),
    ],
    ids=["mark", "utf-16", "declared", "lines of Windows", "comment"],
)
def test_encodings_of_scripts(content: str | bytes) -> None:
    assert "StudyTime" in imports.read("ctp", content, "default.script", options=Options(dialect="rsna")).toml


@pytest.mark.parametrize("content", [b"\xe9", b'<?xml version="1.0" encoding="nope"?><script/>'])
def test_an_encoding_that_nobody_names_is_an_error(content: bytes) -> None:
    with pytest.raises(ProfileError, match=r"save it as UTF-8|there is no encoding 'nope'"):
        imports.read("ctp", content, "default.script")


def test_properties_in_every_form(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "#Fri Jan 01 00:00:00 CET 2010",
            "! another comment",
            "# remove.privategroups is recommended",
            "param.SITE=A\\:B",
            "set.[0010,0010]PatientName=@param(@SITE)",
            "set.[0009,[GEMS_IDEN_01]01]Name=@keep()",
            "keep.safeprivateelements=",
            "remove.privategroups",
            "set.[0008,0080]InstitutionName",
        ]
    )

    result = imported("ctp", text, "anon.properties")
    ds = run(result, tmp_path)

    assert (ds.PatientName, ds.InstitutionName) == ("A:B", "")
    assert 0x00091001 in ds
    assert 0x00191023 in ds


def test_conditions_inside_of_conditions_without_end_are_listed() -> None:
    result = script(f"00100010 {'@if(this,exists){' * 5000}{'}' * 5000}", "00080080 @remove()")

    assert [one.why for one in result.left_out] == ["more than 64 blocks in one action; removed instead"]
