"""Configurations of Microsoft's DICOM anonymizer as profiles: rows MS-1 to MS-15, vectors MS-V11 to V18."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from deid_node.engine.dates import hashed_offset, shift_by_days
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ProfileError
from deid_node.profile.imports import Imported
from tests.profile.imports.importing import Edit, imported, procedure_of, rewritten, run
from tests.rewriting import CORPUS, pseudonyms

SERIES_UID = "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322"


def configuration(*rules: Mapping[str, object], **more: object) -> Imported:
    return imported("microsoft", json.dumps({"rules": rules, **more}, indent=1), "rules.json")


def one(tag: str, method: str, **settings: object) -> Imported:
    return configuration({"tag": tag, "method": method, "params": settings})


def with_values(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def test_a_small_configuration_becomes_the_profile_a_person_would_write() -> None:
    text = """{
      // who it is
      "rules": [
        {"tag": "(0010,0010)", "method": "redact"},   /* the name */
        {"tag": "0010,0020", "method": "CryptoHash"},
        {"tag": "00100030", "method": "remove"},
        {"tag": "StudyDescription", "method": "substitute"},
        {"tag": "UI", "method": "refreshUID"},
        {"tag": "(60xx,3000)", "method": "remove"},
        {"tag": "AccessionNumber", "method": "remove"},
      ],
      "defaultSettings": {"cryptoHash": {"cryptoHashKey": "123"}, "Substitute": {"replaceWith": "NONE"}},
    }"""

    result = imported("microsoft", text, "rules.json")

    assert (
        result.toml
        == """\
# Imported from rules.json, a configuration of Microsoft's DICOM anonymizer.
# As there, attributes without a row stay as they are. Rows hold at every depth.
name = "rules"
base = "none"
ties = "first"

[unlisted]
sop_class = "catch-all"
attribute = "K"
private = "K"

[attributes]
# removed
AccessionNumber = "X"
PatientBirthDate = "X"

# emptied
PatientName = "Z"

# hashed
PatientID = { do = "hash", key = "rules-hash" }

# values written
StudyDescription = { value = "NONE" }

# whole groups, VRs and patterns; of two, the more specific wins
"vr:UI" = "U"
"60xx,3000" = "X"
"""
    )
    assert not result.left_out
    assert not result.warnings


def test_a_key_is_named_and_never_written() -> None:
    result = one("PatientID", "cryptoHash", cryptoHashKey="a very secret key")

    (secret,) = result.secrets
    assert "secret key" not in result.toml
    assert "secret key" not in repr(result)
    assert (secret.name, secret.value) == ("rules-hash", b"a very secret key")
    assert secret.where == "rules.json line 7, cryptoHashKey"


def test_two_keys_have_two_names() -> None:
    result = configuration(
        {"tag": "PatientID", "method": "cryptoHash", "setting": "a"},
        {"tag": "StudyID", "method": "cryptoHash", "setting": "B"},
        {"tag": "AccessionNumber", "method": "cryptoHash", "setting": "A"},
        customSettings={"A": {"cryptoHashKey": "1"}, "b": {"cryptoHashKey": "2"}},
    )

    assert [secret.name for secret in result.secrets] == ["rules-hash", "rules-hash-2"]
    assert result.toml.count('"rules-hash"') == 2


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        (
            "cryptoHash",
            {"cryptoHashKey": "123"},
            "8f16771f9f8851b26f4d460fa17de93e2711c7e51337cb8a608a0f81e1c1b6ae",
        ),
        ("cryptohash", {"cryptoHashKey": "123", "matchInputStringLength": "true"}, "210"),
        ("substitute", {"replaceWith": "{x}"}, "{x}"),
        ("keep", {}, "abc"),
        ("redact", {}, ""),
        ("remove", {}, None),
    ],
)
def test_ms_6_to_13_methods_do_what_they_did(
    tmp_path: Path, method: str, settings: dict[str, object], expected: str | None
) -> None:
    ds = run(one("StudyDescription", method, **settings), tmp_path, with_values(StudyDescription="abc"))

    assert ds.get("StudyDescription") == expected


def test_ms_v4_each_value_is_hashed(tmp_path: Path) -> None:
    result = one("OtherPatientNames", "cryptoHash", cryptoHashKey="123")

    ds = run(result, tmp_path, with_values(OtherPatientNames=["Test", "Test"]))

    digest = hmac.digest(b"123", b"Test", "sha256").hex()
    assert list(map(str, ds.OtherPatientNames)) == [digest, digest]
    assert digest.startswith("d61ffce34b0192c5")


def test_ms_v11_dates_move_by_the_formula_of_the_tool(tmp_path: Path) -> None:
    result = configuration(
        {"tag": "DA", "method": "dateshift"},
        {"tag": "DT", "method": "dateShift"},
        defaultSettings={
            "dateShift": {"dateShiftKey": "123", "dateShiftScope": "SeriesInstance", "dateShiftRange": "50"}
        },
    )

    ds = run(result, tmp_path, with_values(StudyDate="20040119", AcquisitionDateTime="20040119101112"))

    days = hashed_offset(SERIES_UID, "123", 50)
    expected = (shift_by_days(b"20040119", "DA", days) or b"").decode()
    assert days
    assert expected == ds.StudyDate
    assert f"{expected}000000" == ds.AcquisitionDateTime
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize(
    ("keyword", "before", "after"),
    [
        ("StudyDate", "20210320", "20210101"),
        ("AcquisitionDateTime", "20210320202020.20+0800", "20210101000000.000000+0800"),
        ("AcquisitionDateTime", "20210320202020.00654", "20210101000000.000000"),
        ("PatientAge", "090Y", ""),
        ("PatientAge", "100M", "100M"),
        ("StudyTime", "101112", ""),
    ],
)
def test_ms_v13_to_v15_a_part_may_stay(tmp_path: Path, keyword: str, before: str, after: str) -> None:
    settings = {"enablePartialAgesForRedact": True, "enablePartialDatesForRedact": "true"}

    ds = run(one(keyword, "redact", **settings), tmp_path, with_values(**{keyword: before}))

    assert ds.get(keyword, "") == after


def test_ms_v13_old_dates_go_and_others_keep_their_year(tmp_path: Path) -> None:
    result = one("DateOfLastCalibration", "redact", enablePartialDatesForRedact=True)

    dates = with_values(DateOfLastCalibration=["20210320", "19110101", "20200101"])
    ds = run(result, tmp_path, dates)

    assert ds.DateOfLastCalibration == ["20210101", "20200101"]


@pytest.mark.parametrize(
    ("keyword", "value", "settings", "least", "most"),
    [
        ("InstanceNumber", 1234, {"span": "1", "roundTo": 0}, 617, 1851),
        ("SliceLocation", 1234.5, {"span": 1000, "rangeType": "Fixed"}, 734.5, 1734.5),
        ("PixelSpacing", 0.58984375, {"span": 1, "rangeType": "proportional"}, 0.29, 0.89),
        ("SliceLocation", 12.25, {"span": 0}, 12.25, 12.25),
    ],
)
def test_ms_v16_v17_noise_stays_in_its_span(
    tmp_path: Path, keyword: str, value: float, settings: dict[str, object], least: float, most: float
) -> None:
    values = with_values(**{keyword: [value, value] if keyword == "PixelSpacing" else value})

    ds = run(one(keyword, "perturb", **settings), tmp_path, values)

    found = ds[keyword].value
    assert all(least <= float(one) <= most for one in (found if ds[keyword].VM > 1 else [found]))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"tag": "(0040)", "method": "keep"}, "tag '(0040)' is none"),
        ({"tag": "DD", "method": "keep"}, "tag 'DD' is none"),
        ({"tag": "PatientNmae", "method": "keep"}, "did you mean PatientName?"),
        ({"tag": "DA", "method": "dateshfit"}, "there is no method 'dateshfit'; did you mean"),
        ({"tag": "DA"}, "a rule has no method"),
        ({"method": "keep"}, "a rule has no tag"),
        ({"tag": "DA", "method": "keep", "setting": "nowhere"}, "no customSettings 'nowhere'"),
        ({"tag": "DA", "method": "perturb", "params": {"span": -1}}, "span is a number"),
        (
            {"tag": "DA", "method": "perturb", "params": {"roundTo": 29}},
            "roundTo is a whole number from 0 to 28",
        ),
        ({"tag": "DA", "method": "dateShift", "params": {"dateShiftScope": "x"}}, "dateShiftScope is one of"),
        ({"tag": "PN", "method": "encrypt", "params": {"encryptKey": "short"}}, "16, 24 or 32 bytes"),
        (
            {"tag": "PN", "method": "cryptoHash", "params": {"cryptoHashType": "md5"}},
            "cryptoHashType is one of",
        ),
        ("PatientName", "a rule is an object"),
    ],
)
def test_ms_v18_a_wrong_rule_is_an_error_with_its_line(rule: Mapping[str, object], says: str) -> None:
    with pytest.raises(ProfileError, match=r"rules\.json line") as caught:
        configuration(rule)

    assert says in caught.value.problems[0]


def test_all_wrong_rules_are_said_at_once() -> None:
    with pytest.raises(ProfileError) as caught:
        configuration({"tag": "DD", "method": "remov"}, {"tag": "PN"}, {"tag": "PN", "method": "keep"})

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "rules.json line 1: not JSON: expected a value, found the end of the text"),
        ('{"rules": [', "not JSON"),
        ("[]", "rules.json: the top is not an object"),
        ("{}", "rules.json: there is no rules"),
        ('{"rules": {}}', "rules.json line 1: rules is a list of objects"),
        ('{"dicomTagRules": []}', "with --from microsoft-poc"),
        ("[" * 200, "nested too deeply"),
    ],
)
def test_a_malformed_configuration_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        imported("microsoft", text, "rules.json")

    assert len(caught.value.problems) == 1
    assert says in caught.value.problems[0]


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(ProfileError, match="not UTF-8"):
        imported("microsoft", b"\xff{", "rules.json")  # type: ignore[arg-type]


# --- the first rule wins --------------------------------------------------------------------------


def test_ms_4_the_first_of_two_rules_for_an_attribute_wins() -> None:
    result = configuration(
        {"tag": "PatientName", "method": "keep"}, {"tag": "(0010,0010)", "method": "remove"}
    )

    assert 'PatientName = "K"' in result.toml
    assert result.warnings[:1] == (
        "rules.json line 7: remove of (0010,0010) is never reached: keep of PatientName comes first",
    )


def test_ms_4_an_earlier_vr_wins_over_a_later_tag_and_mask(tmp_path: Path) -> None:
    result = configuration(
        {"tag": "DA", "method": "remove"},
        {"tag": "StudyDate", "method": "keep"},
        {"tag": "0008,xxxx", "method": "keep"},
        {"tag": "xxxx,xxxx", "method": "keep"},
    )

    ds = run(result, tmp_path)

    assert "StudyDate" not in ds
    assert "SeriesDate" not in ds
    assert ds.StudyTime


def test_ms_4_an_earlier_mask_wins_over_a_later_narrower_one(tmp_path: Path) -> None:
    result = configuration(
        {"tag": "0008,xxx0", "method": "keep"},
        {"tag": "0008,00xx", "method": "remove"},
        {"tag": "SOPInstanceUID", "method": "refreshUID"},
    )

    ds = run(result, tmp_path)

    assert ds.StudyDate
    assert "SeriesDate" not in ds


def test_ms_5_rules_hold_at_every_depth(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        item = Dataset()
        item.PatientName = "Nested^Name"
        ds.ReferencedStudySequence = [item]

    ds = run(one("PatientName", "substitute", replaceWith="ANON"), tmp_path, edit)

    assert ds.ReferencedStudySequence[0].PatientName == "ANON"


def test_settings_of_one_rule_do_not_leak_into_the_next() -> None:
    result = configuration(
        {"tag": "StudyDescription", "method": "substitute", "params": {"replaceWith": "ANONY"}},
        {"tag": "SeriesDescription", "method": "substitute"},
    )

    assert 'StudyDescription = { value = "ANONY" }' in result.toml
    assert 'SeriesDescription = { value = "ANONYMOUS" }' in result.toml


def test_ms_v12_private_groups_are_removed_but_those_kept(tmp_path: Path) -> None:
    odd = [{"tag": f"xxx{digit},xxxx", "method": "remove"} for digit in "13579BDF"]
    result = configuration({"tag": "0009,xxxx", "method": "keep"}, *odd)

    ds = run(result, tmp_path)

    assert 'private = "X"' in result.toml
    assert {element.tag.group for element in ds if element.tag.is_private} == {0x0009}


# --- what a profile cannot say --------------------------------------------------------------------


def test_c_24_what_an_object_needs_is_kept_and_listed(tmp_path: Path) -> None:
    result = configuration(
        {"tag": "(0008,0016)", "method": "redact"},
        {"tag": "0028,xxxx", "method": "remove"},
        {"tag": "SOPInstanceUID", "method": "remove"},
        {"tag": "(0020,xxxx)", "method": "redact"},
    )

    ds = run(result, tmp_path)

    assert [one.where for one in result.left_out] == [f"rules.json line {line}" for line in (3, 7, 11, 15)]
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert ds.Rows == 128
    assert ds.SOPInstanceUID.startswith("2.25.")
    assert ds.StudyInstanceUID.startswith("2.25.") and len(ds.StudyInstanceUID) > 20


def test_rules_about_the_file_meta_information_need_no_row() -> None:
    result = configuration({"tag": "(0002,0003)", "method": "refreshUID"}, {"tag": "PN", "method": "redact"})

    assert not result.left_out
    assert "made new" in result.warnings[0]


@pytest.mark.parametrize(
    ("tag", "method", "settings"),
    [
        ("StudyTime", "dateShift", {}),
        ("StudyDate", "refreshUID", {}),
        ("Rows", "perturb", {}),
        ("AccessionNumber", "encrypt", {"encryptKey": "k" * 16}),
        ("PatientName", "perturb", {}),
        ("RequestAttributesSequence", "cryptoHash", {}),
        ("StudyDate", "dateShift", {"dateShiftRange": 0, "dateShiftKey": "1"}),
    ],
)
def test_ms_15_a_method_that_a_vr_cannot_take_is_listed_and_the_value_does_not_stay(
    tmp_path: Path, tag: str, method: str, settings: dict[str, object]
) -> None:
    result = one(tag, method, **settings)

    ds = run(result, tmp_path)

    (left,) = result.left_out
    assert left.what == f"{method} of {tag}"
    assert tag == "Rows" or tag not in ds


def test_keys_without_a_meaning_are_listed() -> None:
    result = configuration({"tag": "PN", "method": "redact", "colour": 1}, profile=["X"])

    assert [one.what for one in result.left_out] == ["colour", "profile"]


def test_a_creator_behind_a_tag_makes_a_private_row() -> None:
    result = one("0019,1023:GEMS_ACQU_01", "keep")

    assert '"0019[GEMS_ACQU_01]xx23" = "K"' in result.toml


# --- the first form -------------------------------------------------------------------------------


FIRST_FORM = """{
    "dicomTagRules": [
        {"tag": {"value": "(0010,1010)"}, "method": "perturb", "span": "5", "rangeType": "fixed"}, // age
        {"tag": {"value": "(0010,0020)"}, "method": "cryptohash"},
        {"tag": {"VR": "PN"}, "method": "encrypt"},
        {"tag": {"VR": "DA"}, "method": "dateshift"},
        {"tag": {"VR": "DT"}, "method": "redact"},
        {"tag": {"value": "StudyDescription"}, "method": "redact"}
    ],
    "parameters": {
        "dateShiftKey": "123", "dateShiftScope": "StudyInstance", "dateShiftRange": "50",
        "cryptoHashKey": "123", "encryptKey": "",
        "enablePartialAgesForRedact": true, "enablePartialDatesForRedact": true
    }
}"""


def test_ms_2_the_first_form_is_read(tmp_path: Path) -> None:
    result = imported("microsoft-poc", FIRST_FORM, "first.json")

    ds = run(result, tmp_path, with_values(StudyDescription="a", PatientID="abc"))

    assert not result.left_out
    assert [secret.name for secret in result.secrets] == ["first-hash", "first-date-shift"]
    assert ds.PatientID == hmac.digest(b"123", b"abc", hashlib.sha256).hex()
    assert "StudyDescription" not in ds
    assert '"vr:PN" = { do = "encrypt", fit = "remove" }' in result.toml
    assert 'per = "study"' in result.toml


def test_ms_2_parts_of_postal_codes_are_listed() -> None:
    text = '{"dicomTagRules": [], "parameters": {"enablePartialZipCodesForRedact": true}, "keepList": []}'

    result = imported("microsoft-poc", text)

    assert [one.what for one in result.left_out] == ["keepList", "enablePartialZipCodesForRedact"]


def test_the_later_form_of_the_first_tool_is_read_as_the_released_one() -> None:
    text = '{"rules": [{"VR": "PN", "method": "redact"}, {"tag": "PatientID", "method": "remove"}]}'

    assert imported("microsoft-poc", text).toml == imported("microsoft", text).toml


def test_a_mask_of_everything_that_encrypts_leaves_objects_with_uids(tmp_path: Path) -> None:
    result = one("(xxxx,xxxx)", "encrypt")

    ds = run(result, tmp_path)

    assert ds.SOPInstanceUID.startswith("2.25.")
    assert ds.StudyInstanceUID.startswith("2.25.")
    assert "CompressedSamples" not in str(ds.get("PatientName", ""))
    assert 'SOPInstanceUID = "U"  # encrypt of (xxxx,xxxx) would leave none' in result.toml


def test_the_first_form_under_the_released_kind_says_which_is_right() -> None:
    with pytest.raises(ProfileError, match="import it with --from microsoft-poc"):
        imported("microsoft", '{"dicomTagRules": []}')


def test_what_is_imported_warns_that_it_keeps_the_unlisted(tmp_path: Path) -> None:
    procedure = procedure_of(one("PN", "redact"), tmp_path)

    assert procedure.table_for("1.2.840.10008.5.1.4.1.1.2").unlisted.action == "K"


# --- objects of the tool's own tests --------------------------------------------------------------


def of_the_tool(name: str) -> bytes:
    file = CORPUS / "ct-cbct" / name
    if not file.is_file():
        pytest.skip("the corpus is not there")
    return file.read_bytes()


def put_through(result: Imported, folder: Path, content: bytes) -> Dataset:
    secrets = {secret.name: secret.value for secret in result.secrets}
    return rewritten(Deidentifier(procedure_of(result, folder), pseudonyms(), secrets=secrets), content)


def test_ms_v11_an_object_of_the_tool(tmp_path: Path) -> None:
    emptied = ("StudyDate", "StudyTime", "PatientName", "PatientID", "ContentTime")
    removed = ("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "SourceImageSequence")
    removed = (*removed, "DeviceSerialNumber")
    mapped = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    result = configuration(
        *({"tag": keyword, "method": "redact"} for keyword in emptied),
        *({"tag": keyword, "method": "remove"} for keyword in removed),
        *({"tag": keyword, "method": "refreshUID"} for keyword in mapped),
        {"tag": "DA", "method": "dateshift"},
        {"tag": "DT", "method": "dateshift"},
        defaultSettings={"dateShift": {"dateShiftKey": "123", "dateShiftScope": "SeriesInstance"}},
    )

    ds = put_through(result, tmp_path, of_the_tool("I341.dcm"))

    stamps = {"LongitudinalTemporalInformationModified"}
    assert len(dcmread(BytesIO(of_the_tool("I341.dcm")))) == 72
    assert len([elem for elem in ds if elem.keyword not in stamps]) == 66
    assert not result.left_out
    assert (ds.ContentDate, ds.InstanceCreationDate) == ("19991209", "19991209")
    assert [ds[keyword].value or "" for keyword in emptied] == [""] * len(emptied)
    assert not any(keyword in ds for keyword in removed)
    assert all(ds[keyword].value.startswith("2.25.") for keyword in mapped)


def test_ms_v12_private_groups_of_an_object_of_the_tool(tmp_path: Path) -> None:
    odd = [{"tag": f"xxx{digit},xxxx", "method": "remove"} for digit in "13579BDF"]
    before = dcmread(BytesIO(of_the_tool("privateTag.dcm")))

    ds = put_through(configuration(*odd), tmp_path, of_the_tool("privateTag.dcm"))

    assert any(element.tag.is_private for element in before)
    assert not any(element.tag.is_private for element in ds)


# --- settings that no method has ------------------------------------------------------------------


def test_a_setting_that_no_method_has_is_listed_and_a_former_name_is_understood() -> None:
    text = """{
        "rules": [{"tag": "PatientID", "method": "cryptoHash", "params": {"salt": "x"}}],
        "defaultSettings": {
            "cryptoHashDefaultSetting": {"cryptoHashKey": "123", "cryptoHashFunction": "Sha512"},
            "perturbDefaultSetting": {"span": "1", "distribution": "Uniform"},
            "encryptDefaultSetting": {"encryptFunction": "RSA"},
            "generalize": {"cases": {}}
        }
    }"""

    result = imported("microsoft", text, "rules.json")

    assert [(one.where, one.what) for one in result.left_out] == [
        ("rules.json line 2", "salt"),
        ("rules.json line 6", "encryptFunction"),
        ("rules.json line 7", "cases"),
        ("rules.json line 7", "defaultSettings generalize"),
    ]
    assert 'algorithm = "sha512"' in result.toml


def test_a_group_that_no_dataset_has_is_removed_and_a_row_that_keeps_it_listed() -> None:
    result = configuration(
        {"tag": "0001,xxxx", "method": "keep"},
        {"tag": "FFFF,xxxx", "method": "keep"},
        {"tag": "0007,xxxx", "method": "remove"},
    )

    assert ["PS3.5 7.1" in one.why for one in result.left_out] == [True, True]
    assert "xxxx" not in result.toml.split("# Not as in")[0]


def test_a_processor_of_ones_own_is_listed_and_removes(tmp_path: Path) -> None:
    result = imported(
        "microsoft", '{"rules": [{"tag": "StationName", "method": "mask", "params": {"n": "3"}}]}'
    )

    ds = run(result, tmp_path)

    assert "StationName" not in ds
    assert any("a processor of your own" in one.why for one in result.left_out)
