"""CTP's and RSNA's anonymizer scripts as profiles: which of the two it is, what actions become."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import Dataset

from deid_node.errors import ProfileError, Rejected
from tests.profile.imports.importing import imported, run
from tests.profile.imports.scripts import EVERYTHING, PARAMS, RSNA, row_of, script, with_values


def test_a_small_script_becomes_the_profile_a_person_would_write() -> None:
    result = script(
        "00080018 @hashuid(@UIDROOT,this)",
        "00080020 @incrementdate(this,@DATEINC)",
        "00080050 @hash(this,16)",
        "00080080 @remove()",
        "00100010 @empty()",
        "00100040 @keep()",
        "00120062 @always()YES",
        more='<r en="T" t="curves"/><r en="T" t="overlays"/><r en="T" t="privategroups"/>',
    )

    assert (
        result.toml
        == """\
# Imported from anon.script, a script of CTP's DICOM anonymizer.
# As there, what has no row stays as it is. Rows hold at every depth.
# Hashes and UIDs are keyed here, so they differ from those of the tool.
name = "anon"
base = "none"
ties = "first"

[unlisted]
sop_class = "catch-all"
attribute = "K"
private = "X"

[stamps]
dates = "modified"

[attributes]
# kept
PatientSex = "K"

# removed
InstitutionName = "X"

# emptied
PatientName = "Z"

# new UIDs
SOPInstanceUID = "U"

# dates moved
StudyDate = { do = "date_shift", duration = "-P3210D" }

# hashed
AccessionNumber = { do = "hash", alphabet = "decimal", length = 16 }

# whole groups, VRs and patterns; of two, the more specific wins
"50xx,xxxx" = "X"
"60xx,xxxx" = "X"
"""
    )
    assert not result.left_out
    assert [warning.split(":")[1] for warning in result.warnings] == [" nothing is said about PatientID"]


# --- which of the two -----------------------------------------------------------------------------


def test_in_rsnas_script_an_empty_action_keeps_and_the_unlisted_goes(tmp_path: Path) -> None:
    values = with_values(
        PatientAge="044Y", InstitutionName="A", AccessionNumber="ACC1", ReferringPhysicianName="R^P"
    )

    result = imported("ctp", RSNA, "default.script")
    ds = run(result, tmp_path, values)

    assert not result.left_out
    assert (ds.StudyTime, ds.Modality) == ("072730", "CT")
    assert ds.PatientName == ds.PatientID != "1CT1"
    assert ds.PatientAge == "040Y"
    assert ds.StudyDate < "20040119"
    assert len(ds.AccessionNumber) == 16
    assert ds.ReferringPhysicianName == ""
    assert "InstitutionName" not in ds
    assert "SeriesDate" not in ds
    assert not any(element.tag.is_private for element in ds)
    assert "PixelData" in ds


def test_in_ctps_script_an_empty_action_empties_and_the_unlisted_stays(tmp_path: Path) -> None:
    ds = run(script("00080030 "), tmp_path)

    assert ds.StudyTime == ""
    assert ds.SeriesDate == "19970430"
    assert any(element.tag.is_private for element in ds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<script><e t="00100010">@empty()</e></script>', "has no mark of either"),
        ('<script><p t="A">1</p><e t="00100010">@ptid</e></script>', "has marks of both"),
    ],
)
def test_a_script_that_could_be_of_either_needs_a_dialect(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        imported("ctp", text)

    assert 'attribute = "K"' in imported("ctp", text, dialect="ctp").toml
    assert 'attribute = "X"' in imported("ctp", text, dialect="rsna").toml


def test_the_removal_of_private_groups_stands_in_scripts_of_both() -> None:
    private = '<r en="T" t="privategroups">Remove private groups</r>'
    rsna = f'<script><e en="T" t="00100020" n="PatientID">@ptid</e>{private}</script>'
    ctp = f'<script><e en="T" t="00100020" n="PatientID">@empty()</e>{private}</script>'

    assert "RSNA's Anonymizer" in imported("ctp", rsna).toml
    assert "CTP's DICOM anonymizer" in imported("ctp", ctp).toml


def test_an_unknown_dialect_is_an_error() -> None:
    with pytest.raises(ProfileError, match="there is no dialect 'x'"):
        imported("ctp", RSNA, dialect="x")


def test_properties_are_the_same_script(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "#set.[0008,0080]InstitutionName=@keep()",
            "param.DATEINC=-10",
            "set.[0010,0010]PatientName=ANON",
            "set.[0008,0020]StudyDate=@incrementdate(this,@DATEINC)",
            "keep.group0018=",
            "remove.unspecifiedelements=",
        ]
    )

    ds = run(imported("ctp", text, "anon.properties"), tmp_path)

    assert ds.PatientName == "ANON"
    assert ds.StudyDate == "20040109"
    assert ds.KVP == 120
    assert "InstitutionName" not in ds


# --- globals --------------------------------------------------------------------------------------


def test_unspecified_elements_go_but_for_what_ctp_always_keeps(tmp_path: Path) -> None:
    result = script("00100020 @keep()", more=f'<k en="T" t="18">Keep</k>{EVERYTHING}')

    ds = run(result, tmp_path)

    assert ds.StudyInstanceUID == "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
    assert ds.KVP == 120
    assert ds.Rows == 128
    assert "PixelData" in ds
    assert "StudyDate" not in ds
    assert not any(element.tag.is_private for element in ds)


def test_what_is_switched_off_does_not_count(tmp_path: Path) -> None:
    text = (
        f'<script>{PARAMS}<e en="F" t="00080090">@remove()</e><r en="F" t="unspecifiedelements"/>'
        '<r en="F" t="privategroups"/><k en="F" t="18"/></script>'
    )

    ds = run(imported("ctp", text), tmp_path, with_values(ReferringPhysicianName="R^P"))

    assert ds.ReferringPhysicianName == "R^P"
    assert any(element.tag.is_private for element in ds)


def test_a_private_element_with_an_action_stays_with_its_creator(tmp_path: Path) -> None:
    result = script("00091001 @keep()", more='<r en="T" t="privategroups"/>')

    ds = run(result, tmp_path)

    assert sorted(str(element.tag) for element in ds if element.tag.is_private) == [
        "(0009,0010)",
        "(0009,1001)",
    ]


# --- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "row"),
    [
        ("00081030 @remove()", '"X"'),
        ("00081030 text@remove()", '"X"'),
        ("00081030 @blank(5)", '"Z"'),
        ("00081030 @ remove ()", '"X"'),
        ("00081030 @uppercase (this)", '{ do = "case", to = "upper" }'),
        ("00081030 ANON", '{ value = "ANON" }'),
        ("00081030 @param(@PROJECT)", '{ value = "A {{b}} & C" }'),
        (
            "00081030 @param(@SITEID)-@contents(PatientID)",
            '{ do = "set", value = "77-{PatientID}", fit = "truncate" }',
        ),
        ("00081030 @value(Modality)/@truncate(PatientID,3)", '{ value = "{Modality}/{cut:3:PatientID}" }'),
        ("00081030 @truncate(this,5)", '{ do = "cut", to = 5 }'),
        ("00081030 @truncate(this,-4)", '{ do = "cut", to = -4 }'),
        ("00081030 @truncate(this,0)", '"Z"'),
        ("00081030 @truncate(PatientID,3)", '{ do = "cut", to = 3, of = "PatientID" }'),
        ("00081030 @uppercase(PatientID)", '{ do = "case", to = "upper", of = "PatientID" }'),
        ("00081030 @time()", '{ value = "{now}" }'),
        ("00081030 at @time(:)", '{ value = "at {now::}" }'),
        ("00080030 @time(:)", '{ value = "{now}" }'),
        ("00081030 @pathelement(this,-1)", '{ do = "part", at = -1, missing = "keep" }'),
        (
            "00081030 P@pathelement(PatientID,1)",
            '{ do = "set", value = "P{part:/:1:PatientID}", fit = "truncate" }',
        ),
        ('00081030 @contents(this,"\\W+")', r'{ do = "replace", pattern = "\\W+", with = "" }'),
        (
            '00081030 @contents(PatientID,"(.)C","$1-")',
            r'{ do = "replace", pattern = "(.)C", with = "\\1-", of = "PatientID", fit = "truncate" }',
        ),
        (
            "00080020 @incrementdate(ContentDate,-3)",
            '{ do = "date_shift", duration = "-P3D", of = "ContentDate" }',
        ),
        ("00080020 @incrementdate(this,Enter your date offset)", '"Z"'),
        ("00080020 @incrementdate(this,@NOWHERE)", '"Z"'),
        ("00080020 @modifydate(this,*,*,15)", '{ do = "date_set", day = 15 }'),
        ("00080020 @modifydate(this,2000,1,1)", '{ do = "date_set", year = 2000, month = 1, day = 1 }'),
        ("00080020 @modifydate(this,*,*,*)", '"K"'),
        ("00081030 @uppercase(this)", '{ do = "case", to = "upper" }'),
        ("00081030 @lowercase(this)", '{ do = "case", to = "lower" }'),
        ("00081030 @encrypt(this,@KEY)", '{ do = "encrypt", fit = "remove" }'),
        ("00101010 @round(this,5)", '{ do = "round", to = 5 }'),
        ("00100030 @modifydate(this,*,1,1)", '{ do = "date_truncate" }'),
        ("00100030 @modifydate(this,*,*,01)", '{ do = "date_truncate", to = "month" }'),
        ("00100020 @hashptid(@SITEID,this,8)", '{ do = "hash", alphabet = "decimal", length = 8 }'),
        ("00100020 @hashptid(@SITEID,PatientID)", '{ do = "hash", alphabet = "decimal" }'),
        ("00100010 @hashname(this,6,2)", '{ do = "hash", alphabet = "decimal", length = 6 }'),
        ("00100010 @hash(PatientID)", '{ value = "{digits:PatientID:16}" }'),
        ("00120040 @hash([0010,0020],8)", '{ value = "{digits:PatientID:8}" }'),
        ("00120040 @hash(root:PatientID,8)", '{ value = "{digits:PatientID:8}" }'),
        ("00080018 @hashuid(@UIDROOT,this)", '"U"'),
        ("00080020 @hashdate(this,PatientID)", '{ do = "date_shift" }'),
        ("00080020 @hashdate(this,StudyInstanceUID)", '{ do = "date_shift", per = "study" }'),
        ("00080020 @hashdate(this,SeriesInstanceUID)", '{ do = "date_shift", per = "series" }'),
        ("00080020 @incrementdate(this,0)", '"K"'),
        ("00080020 @date()", '{ value = "{today}" }'),
        ("00081030 @date(-)", '{ value = "{today:-}" }'),
        ("00081030 on @date(/)", '{ value = "on {today:/}" }'),
        ("00100010 @initials(this)", '{ do = "initials" }'),
        (
            "00081030 @initials(PatientName)",
            '{ do = "set", value = "{initials:PatientName}", fit = "truncate" }',
        ),
        ("00080018 @param(@UIDROOT).@hash(this,4)", '"U"'),
        ("00080020 @incrementdate(this,5)", '{ do = "date_shift", duration = "P5D" }'),
        ("00081030 @if(Modality,equals,CT){@remove()}{@remove()}", '"X"'),
        ("00081030 @select(){@remove()}{@remove()}", '"X"'),
        ("00081115 @process()", '"K"'),
        (r"00081030 a\@b", '{ value = "a@b" }'),
    ],
)
def test_what_actions_become(action: str, row: str) -> None:
    result = script(action)
    keyword = {"00081030": "StudyDescription", "00101010": "PatientAge", "00100030": "PatientBirthDate"}
    keyword |= {"00100020": "PatientID", "00100010": "PatientName", "00120040": "ClinicalTrialSubjectID"}
    keyword |= {"00104000": "PatientComments"}
    keyword |= {
        "00080018": "SOPInstanceUID",
        "00080020": "StudyDate",
        "00080030": "StudyTime",
        "00081115": "ReferencedSeriesSequence",
    }

    assert row_of(result, keyword[action[:8]]) == row
    assert not result.left_out


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("00080020 @time()", "a time is no date"),
        ("00081030 @initials(PatientName,3)", "a Caesar cipher"),
        ("00081030 @lookup(PatientID|Nobody,ptid)", "'Nobody' is no attribute"),
        ("00081030 @lookup(PatientID)", "without a key type"),
        ("00081030 @call(plugin,1)", "a plug-in"),
        ("00081030 @decrypt(this,@KEY)", "not decrypted"),
        ("00081030 @dateinterval(a,b,c)", "'c' is no attribute"),
        ("00081030 @dateinterval(StudyDate,base,PatientID,soon)", "something that is no date"),
        ("00081030 at @dateinterval(StudyDate,base,PatientID,20000101)", "cannot stand beside text"),
        ("00080020 @modifydate(this,*,0,1)", "a part that no date has"),
        ("00081030 @frobnicate(this)", "no counterpart to @frobnicate"),
        ('00081030 a @contents(this,"[0-9]","x")', "more than the attribute"),
        ("00081030 @param(@NOWHERE)", "no parameter 'NOWHERE'"),
        ("00081030 @truncate(this,-4000)", "more than 1024 characters"),
        ("00081030 @hash(this", "a '(' is not closed"),
        ("00081030 @hash(PatientIdent)", "is no attribute"),
        ("00081030 @incrementdate(this,3)", "of no date"),
        ("00080020 @date(-)", "is none of VR DA"),
        ("00081030 @if(PatientAge,greaterthan,old){@keep()}{@empty()}", "no number"),
        ("00081030 @if(Modality,sounds,CT){@keep()}{@empty()}", "no counterpart to 'sounds'"),
        ("00081030 @hashuid(@UIDROOT,this)", "not values of VR LO"),
        ("00080030 @date(-)", "a date is no time"),
    ],
)
def test_what_has_no_counterpart_is_listed_and_removed(tmp_path: Path, action: str, why: str) -> None:
    result = script(action)

    ds = run(result, tmp_path, with_values(StudyDescription="Head"))

    (left,) = result.left_out
    assert left.where == "anon.script line 2"
    assert why in left.why
    keyword = {"00081030": "StudyDescription", "00080020": "StudyDate", "00080030": "StudyTime"}[action[:8]]
    assert keyword not in ds


def test_a_condition_of_the_script_is_a_condition_of_a_row(tmp_path: Path) -> None:
    result = script('00080060 @if(this,equals,"US"){@quarantine()}{@keep()}')

    ds = run(result, tmp_path)

    assert ds.Modality == "CT"
    with pytest.raises(Rejected, match=r"line 2 of the script: @quarantine"):
        run(result, tmp_path, with_values(Modality="us"))
    assert not result.left_out


def test_conditions_in_conditions(tmp_path: Path) -> None:
    action = "@if(Modality,equals,CT){@if(this,isblank){NONE}{@hash(this,4)}}{@remove()}"
    result = script(f"00081030 {action}")

    blank = run(result, tmp_path, with_values(StudyDescription=""))
    filled = run(result, tmp_path, with_values(StudyDescription="Head"))
    other = run(result, tmp_path, with_values(StudyDescription="Head", Modality="MR"))

    assert blank.StudyDescription == "NONE"
    assert re.fullmatch(r"\d{4}", filled.StudyDescription)
    assert "StudyDescription" not in other


def test_a_branch_without_a_counterpart_is_listed_and_removes(tmp_path: Path) -> None:
    result = script("00081030 @if(Modality,equals,CT){@call(a)}{@keep()}")

    ds = run(result, tmp_path, with_values(StudyDescription="Head"))

    assert "StudyDescription" not in ds
    assert "a plug-in of CTP" in result.left_out[0].why


def test_select_tells_the_root_from_items(tmp_path: Path) -> None:
    item = Dataset()
    item.StudyInstanceUID = "1.2.3"

    result = script("0020000d @select(){@keep()}{@hashuid(@UIDROOT,this)}")
    ds = run(result, tmp_path, with_values(ReferencedStudySequence=[item], StudyInstanceUID="1.2.3"))

    assert ds.StudyInstanceUID == "1.2.3"
    assert ds.ReferencedStudySequence[0].StudyInstanceUID.startswith("2.25.")
    assert not result.left_out


@pytest.mark.parametrize(
    ("test", "value", "is_rejected"),
    [
        ("contains,rad", "ABRADC", True),
        ("contains,rad", "ABC", False),
        ('matches,"A.C"', "ABC", True),
        ('matches,"A.C"', "ABCD", False),
        ("isblank", "", True),
        ("isblank", "A", False),
        ("exists", "A", True),
        ("greaterthan,89", "R90", True),
        ("greaterthan,89", "089", False),
        ("greaterthan,89", "0090Y", True),
        ("greaterthan,89", "1000", True),
        ("greaterthan,199", "200", True),
        ("greaterthan,@SITEID", "77", False),
        ("greaterthan,@SITEID", "78", True),
    ],
)
def test_conditions_of_scripts(tmp_path: Path, test: str, value: str, is_rejected: bool) -> None:
    result = script(f"00100020 @if(StationName,{test}){{@quarantine()}}{{@keep()}}")

    if is_rejected:
        with pytest.raises(Rejected):
            run(result, tmp_path, with_values(StationName=value))
    else:
        assert run(result, tmp_path, with_values(StationName=value)).PatientID == "1CT1"


def test_skip_never_passes_an_object_as_it_came(tmp_path: Path) -> None:
    result = script("00100020 @skip()")

    assert "never passed on" in result.left_out[0].why
    with pytest.raises(Rejected):
        run(result, tmp_path)


def test_always_writes_where_the_attribute_is_absent(tmp_path: Path) -> None:
    plain = run(script("00120010 A"), tmp_path)
    always = run(script("00120010 @always()@param(@SITEID)"), tmp_path)

    assert "ClinicalTrialSponsorName" not in plain
    assert always.ClinicalTrialSponsorName == "77"


def test_stamps_are_carried_over(tmp_path: Path) -> None:
    result = script(
        "00120062 @always()YES",
        "00120063 @always()@append(){Site method}",
        "00120064 RESET/113100/113105/999",
        "00280303 @always()REMOVED",
    )

    ds = run(result, tmp_path)

    assert ds.PatientIdentityRemoved == "YES"
    assert ds.DeidentificationMethod == "Site method"
    assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == ["113100", "113105"]
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"
    assert [one.why for one in result.left_out] == ["999 is no code of CID 7050"]


def test_md5_comes_only_when_asked_for(tmp_path: Path) -> None:
    digits = str(int("6609f5d815f5d6ea563b03921765e77c", 16))[:10]

    keyed = run(script("00100020 @hash(this,10)"), tmp_path)
    exact = run(script("00100020 @hash(this,10)", exact=True), tmp_path)

    assert exact.PatientID == digits
    assert keyed.PatientID != digits
    assert re.fullmatch(r"\d{10}", keyed.PatientID)


def test_the_second_of_two_elements_for_a_tag_is_not_used() -> None:
    result = script("00100020 @remove()", "00100020 @keep()")

    assert row_of(result, "PatientID") == '"X"'
    assert "line 2 has the same tag" in result.warnings[0]


def test_rows_hold_at_every_depth(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientName = "Nested^Name"

    ds = run(script("00100010 @empty()"), tmp_path, with_values(ReferencedStudySequence=[item]))

    assert ds.ReferencedStudySequence[0].PatientName == ""


# --- what is no script ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no element of a script"),
        ("hello", "anon.script line 1: not XML, and no property of a script"),
        ("<script>", "anon.script line 1: not XML: no element found"),
        ("<script>\n<e></script>", "anon.script line 2: not XML: mismatched tag"),
        ("<tags/>", "the root element is 'tags'"),
        ('<script>\n<e t="nope"/></script>', "anon.script line 2: 'nope' is no tag"),
        ('<script><r t="curve"/></script>', "did you mean curves?"),
        ('<script><k t="zz"/></script>', "'zz' is no group"),
        ('<script><e en="yes" t="00100010"/></script>', "en 'yes' is neither T nor F"),
    ],
)
def test_a_malformed_script_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        imported("ctp", text, "anon.script")

    assert len(caught.value.problems) == 1
    assert says in caught.value.problems[0]


def test_a_document_type_is_refused() -> None:
    text = '<!DOCTYPE script [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<script><p t="A">&b;</p></script>'

    with pytest.raises(ProfileError, match="a document type or an entity is not accepted"):
        imported("ctp", text)


def test_elements_without_a_meaning_are_listed() -> None:
    result = script("00100020 @keep()", more="<x/>")

    assert [(one.where, one.what) for one in result.left_out] == [("anon.script line 3", "<x>")]
