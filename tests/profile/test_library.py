"""The shipped profiles, and finding, showing and comparing profiles."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from deid_node.errors import ProfileError, SOPClassNotSupported
from deid_node.profile import library
from deid_node.profile.listing import diff, show
from deid_node.profile.procedure import Action, DateChange, Table
from deid_node.profile.protected import PROTECTED
from deid_node.standard import iod
from deid_node.standard.dictionary import keyword_of, tag_of, vr_of
from deid_node.standard.sop_classes import find_sop_class, storage_sop_classes

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("basic", "grand-challenge", "research", "routing", "whitelist")
CT, MR = find_sop_class("CT"), find_sop_class("MR")
_ALL = tuple(storage_sop_classes())


def actions(table: Table, *keywords: str) -> list[str]:
    found = []
    for keyword in keywords:
        tag = tag_of(keyword)
        assert tag is not None
        found.append(str(table.rule_for(tag, vr_of(tag)).action))
    return found


def test_these_profiles_are_shipped() -> None:
    assert library.shipped() == SHIPPED
    assert library.DEFAULT == "basic"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_loads_and_is_called_as_its_file(name: str) -> None:
    assert library.load(name).name == name


@pytest.mark.parametrize(
    ("name", "codes", "dates"),
    [
        ("basic", ("113100",), DateChange.REMOVED),
        ("research", ("113100", "113105", "113107", "113108", "113111"), DateChange.MODIFIED),
        ("whitelist", (), DateChange.REMOVED),
        ("grand-challenge", (), None),
        ("routing", (), None),
    ],
)
def test_the_stamps_are_those_of_what_is_applied(
    name: str, codes: tuple[str, ...], dates: DateChange | None
) -> None:
    procedure = library.load(name)

    assert procedure.codes == codes
    assert procedure.dates is dates


@pytest.mark.parametrize("name", ["basic", "research", "routing"])
def test_there_is_a_table_for_every_storage_sop_class(name: str) -> None:
    procedure = library.load(name)

    assert set(procedure.tables) == set(_ALL)


@pytest.mark.parametrize("name", ["basic", "research", "whitelist"])
@pytest.mark.parametrize("value", ["YES", "yes", "SOME"])
@pytest.mark.parametrize("keyword", ["BurnedInAnnotation", "RecognizableVisualFeatures"])
def test_objects_whose_pixels_may_identify_are_rejected(name: str, value: str, keyword: str) -> None:
    wanted = tag_of(keyword)

    hits = [
        g
        for g in library.load(name).rejects
        if g.when.holds(lambda tag: (value,) if tag == wanted else (), {})
    ]

    assert len(hits) == 1


def test_basic_keeps_patients_apart_and_nothing_else_of_them() -> None:
    table = library.load("basic").table_for(CT)

    assert actions(table, "PatientName", "PatientID", "PatientBirthDate", "PatientSex") == [
        "D",
        "D",
        "Z",
        "Z",
    ]
    assert actions(table, "StudyDate", "SeriesDescription", "AccessionNumber", "KVP") == ["Z", "X", "Z", "K"]
    assert actions(table, "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "PixelData") == [
        "U",
        "U",
        "K",
        "K",
    ]


def test_research_keeps_what_its_options_keep() -> None:
    table = library.load("research").table_for(CT)

    assert actions(table, "PatientSex", "PatientSize", "StudyDate", "SeriesDescription") == [
        "K",
        "K",
        "C",
        "C",
    ]
    assert actions(table, "PatientName", "PatientBirthDate", "InstitutionName") == ["D", "Z", "X"]
    assert table.rule_for(0x0019100C, "IS", "SIEMENS MR HEADER").action is Action.K


def test_routing_keeps_everything_and_says_so_loudly() -> None:
    compiled = library.load_with_notes("routing")

    table = compiled.procedure.table_for("1.9.9.9")
    assert actions(table, "PatientName", "StudyInstanceUID") == ["K", "K"]
    assert table.rule_for(0x00191001, "LO", "ANY").action is Action.K
    assert not compiled.procedure.identity_removed
    assert any("NOT DE-IDENTIFIED" in note for note in compiled.notes)
    assert (
        "NOT DE-IDENTIFIED" in tomllib.loads((ROOT / "profiles" / "routing.toml").read_text())["description"]
    )


def test_whitelist_removes_what_is_not_listed() -> None:
    procedure = library.load("whitelist")
    table = procedure.table_for(CT)

    assert actions(table, "SeriesDescription", "InstitutionName", "RequestAttributesSequence") == [
        "X",
        "X",
        "X",
    ]
    assert actions(table, "KVP", "ImagePositionPatient", "RepetitionTime") == ["K", "K", "X"]
    assert actions(procedure.table_for(MR), "RepetitionTime", "KVP") == ["K", "X"]
    assert table.rule_for(0x00191023, "DS", "GEMS_ACQU_01").action is Action.X
    assert table.rule_for(0x60003000, "OW").action is Action.X
    with pytest.raises(SOPClassNotSupported):
        procedure.table_for(find_sop_class("SR"))


@pytest.mark.parametrize("uid", tuple(library.load("whitelist").tables))
def test_whitelist_leaves_no_mandatory_attribute_out(uid: str) -> None:
    table = library.load("whitelist").table_for(uid)
    key = storage_sop_classes()[uid].iod_key

    missing = [
        keyword_of(tag)
        for tag in iod.top(key).types
        if table.rule_for(tag, vr_of(tag)).action is Action.X
        and {use.type for use in iod.uses(key, tag) if use.usage == "M"} & {"1", "2"}
    ]

    assert not missing


@pytest.mark.parametrize("uid", tuple(library.load("whitelist").tables))
def test_whitelist_keeps_no_text_date_or_name(uid: str) -> None:
    table = library.load("whitelist").table_for(uid)
    # Names of codes, and of the kind of output values, are words of the standard.
    words = {
        "CodeValue",
        "CodeMeaning",
        "CodingSchemeDesignator",
        "CodingSchemeVersion",
        "RescaleType",
        "ModalityLUTType",
    }

    kept = {
        keyword_of(tag)
        for tag, rule in table.rules.items()
        if rule.action is Action.K
        and vr_of(tag) in {"LO", "SH", "ST", "LT", "UT", "UC", "PN", "DA", "DT", "TM", "UR", "AE", "UI", "UN"}
        and tag not in PROTECTED
    }

    assert kept <= words


@pytest.mark.parametrize("name", ["basic", "research", "whitelist"])
def test_every_row_has_a_reason_or_a_place(name: str) -> None:
    for row in show(library.load(name), CT, every=True):
        assert row.because or " line " in row.decided_by
        assert row.decided_by


# --- finding --------------------------------------------------------------------------------------


def test_a_file_is_found_by_its_path_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('name = "site"\nextends = ["basic"]')

    assert library.load("site.toml", tmp_path).name == "site"
    assert library.load(str(tmp_path / "site.toml"), tmp_path).name == "site"
    assert library.load(tmp_path / "site.toml").name == "site"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bsic", "did you mean basic?"),
        ("zzz", "shipped are basic, grand-challenge, research, routing, whitelist"),
        ("none.toml", "there is no profile file 'none.toml'"),
    ],
)
def test_what_is_not_found_says_what_there_is(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        library.load(name, tmp_path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ProfileError, match="not UTF-8 text"):
        library.load(tmp_path / "site.toml")


# --- showing --------------------------------------------------------------------------------------


def test_the_rows_of_a_table_are_shown_with_who_decided(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n'
        '[attributes]\nPatientID = { do = "hash", length = 8, because = "site" }'
    )

    rows = {row.selector: row for row in show(library.load(tmp_path / "site.toml"), CT)}

    assert rows["PatientID"].action == "D"
    assert rows["PatientID"].how == "hash(length=8)"
    assert (rows["PatientID"].because, rows["PatientID"].decided_by) == ("site", "site.toml line 4")
    assert rows["StudyDate"].decided_by.startswith("PS3.15 E.1-1")
    assert rows["*"].action == "X"


def test_two_profiles_are_compared_row_by_row() -> None:
    found = {d.selector: d for d in diff(library.load("basic"), library.load("research"), CT)}

    changed = found["StudyDate"]
    assert changed.before is not None and changed.before.action == "Z"
    assert changed.after is not None and changed.after.action == "C"
    assert "PatientName" not in found
    # In items without a row of their own that of the dataset around them holds.
    assert not [d for d in found.values() if "." in d.selector and "[" not in d.selector and not d.before]
    assert diff(library.load("basic"), library.load("basic"), CT) == []


def test_a_profile_in_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "site.toml")

    with pytest.raises(ProfileError, match=r"site\.toml: is no regular file"):
        library.load(tmp_path / "site.toml")


def test_a_byte_order_mark_before_a_profile_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('name = "site"\nextends = ["basic"]\n', encoding="utf-8-sig")

    assert library.load(tmp_path / "site.toml").name == "site"
