"""A configuration that is given to the wrong import is told for what it seems to be."""

from __future__ import annotations

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.imports import KINDS
from deid_node.profile.imports.recognise import recognise
from tests.profile.imports.importing import imported
from tests.profile.imports.scripts import RSNA

CURATE = '{"version": "3.0", "dicomPS315EOptions": {"retainUIDsOption": "Off"}}'
MICROSOFT = '// rules\n{"rules": [{"tag": "PN", "method": "redact"}]}'
FIRST_FORM = '{"dicomTagRules": [{"VR": "PN", "method": "redact"}]}'
PROCEDURE = '{"version": "1", "default": "R", "sopClass": {}}'
TAGS = '{"PatientName": "anon", "re:.*hysician": "#tag", "PatientID": "%PatientID_md5|4_PatientID"}'


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (RSNA, "ctp"),
        ('<?xml version="1.0"?>\n<!-- ours -->\n<script>\n</script>', "ctp"),
        ("set.[00100010]PatientName=@empty()", "ctp"),
        ("#set.[00100010]PatientName=@empty()\nkeep.group18", "ctp"),
        (PROCEDURE, "grand-challenge"),
        (MICROSOFT, "microsoft"),
        (FIRST_FORM, "microsoft-poc"),
        (CURATE, "dicom-curate"),
        ("export const spec = () => ({ version: '3.0', modifyDicomHeader() {} })", "dicom-curate"),
        (TAGS, "pfdicom"),
        ("PatientName,anonymized++PatientID,%PatientID_md5|7_PatientID", "pfdicom"),
    ],
)
def test_every_tool_is_known_by_its_words(text: str, kind: str) -> None:
    seems = recognise(text)

    assert seems is not None
    assert seems.kind == kind
    for other in KINDS:
        if other == kind or (other, kind) == ("microsoft-poc", "microsoft"):
            continue
        with pytest.raises(ProfileError) as caught:
            imported(other, text, "a.cfg")
        (problem,) = caught.value.problems
        assert problem == f"a.cfg: seems to be {seems.what}; import it with --from {kind}, not from {other}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<Configuration><Pipeline/></Configuration>", "a configuration of CTP; import the script"),
        ('{"fhirVersion": "R4", "fhirPathRules": []}', "anonymizer for FHIR"),
        ('Modality.containsIgnoreCase("CT")', "a pixel or filter script of CTP"),
        ("FORMAT dicom\n\n%header\nREMOVE ALL", "a recipe of pydicom's deid"),
        ('name = "a"\n[attributes]\nPatientName = "X"', "a profile of deid_node already"),
    ],
)
def test_what_no_import_reads_is_told_in_one_sentence(text: str, says: str) -> None:
    for kind in KINDS:
        with pytest.raises(ProfileError) as caught:
            imported(kind, text, "a.cfg")
        assert len(caught.value.problems) == 1
        assert says in caught.value.problems[0]


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("ctp", '{\n "a": 1,\n "b": 2\n}', "a.cfg: a script is XML or properties, and this seems to be JSON"),
        ("ctp", "a\nb\nc", "a.cfg line 1: not XML, and no property of a script"),
        ("dicom-curate", "{}", 'a.cfg line 1: a specification says its version: "version": "3.0"'),
        ("dicom-curate", '{"version": "2.0"}', "a.cfg line 1: version is '2.0', and only \"3.0\" is read"),
        ("microsoft", '{"a": 1}', "a.cfg: there is no rules"),
    ],
)
def test_what_nobody_knows_is_one_error(kind: str, text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        imported(kind, text, "a.cfg")

    assert caught.value.problems == (says,)


def test_what_an_earlier_rule_says_of_many_attributes_is_said_once() -> None:
    text = '{"rules": [{"tag": "PN", "method": "redact"}, {"tag": "(0010,xxxx)", "method": "keep"}]}'

    result = imported("microsoft", text)

    assert result.toml.count("comes before what is more specific in the source") == 1
    assert result.toml.count('" = "Z"') + result.toml.count(' = "Z"') >= 3
