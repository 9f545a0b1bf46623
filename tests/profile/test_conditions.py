"""Conditions: a closed language over attributes, SOP class and AE titles."""

from __future__ import annotations

import pytest

from deid_node.errors import Fault, ProfileError
from deid_node.profile.conditions import Condition
from deid_node.standard.dictionary import tag_of

CT = "1.2.840.10008.5.1.4.1.1.2"
ORIGIN = {"calling_ae": "CT01", "called_ae": "DEIDNODE", "address": "10.0.4.17", "sop_class": CT}


def holds(text: str, **values: tuple[str, ...]) -> bool:
    known = {tag_of(keyword): found for keyword, found in values.items()}
    return Condition.parse(text).holds(lambda tag: known.get(tag, ()), ORIGIN)


@pytest.mark.parametrize(
    ("values", "rejects"),
    [
        ((), False),
        (("",), False),
        (("NO",), False),
        (("no",), False),
        (("NO ", "NO"), False),
        (("YES",), True),
        (("yes",), True),
        (("YeS",), True),
        (("NO", "YES"), True),
        (("", "MAYBE"), True),
    ],
)
def test_gc_v12_burned_in_is_seen_in_any_value_and_any_case(values: tuple[str, ...], rejects: bool) -> None:
    found = holds("BurnedInAnnotation not in ('', 'NO')", BurnedInAnnotation=values)

    assert found is rejects


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("Modality == 'CT'", {"Modality": ("CT",)}, True),
        ("Modality == 'CT'", {"Modality": ("MR", "CT")}, True),
        ("Modality != 'CT'", {"Modality": ("CT",)}, False),
        ("Modality != 'CT'", {"Modality": ("CT", "MR")}, True),
        ("not (Modality == 'CT')", {"Modality": ("CT", "MR")}, False),
        ("Modality != 'CT'", {}, False),
        ("modality in ('CT', 'MR')", {"Modality": ("MR",)}, True),
        ("Modality in ['CT', 'MR']", {"Modality": ("US",)}, False),
        ("(0008,0060) == 'CT'", {"Modality": ("CT",)}, True),
        ("PatientID == 'a'", {"PatientID": ("A",)}, False),
        ("SeriesNumber > 5", {"SeriesNumber": ("6",)}, True),
        ("SeriesNumber >= 6 and SeriesNumber <= 6", {"SeriesNumber": ("6",)}, True),
        ("SeriesNumber == 5", {"SeriesNumber": ("5.0",)}, True),
        ("SeriesNumber in (1, 2)", {"SeriesNumber": ("2",)}, True),
        ("SeriesNumber in (2020, 2021)", {"SeriesNumber": ("2021",)}, True),
        ("SeriesNumber > 5", {"SeriesNumber": ("",)}, False),
        ("StudyDate < '20200101'", {"StudyDate": ("20191231",)}, True),
        ("Manufacturer matches '^ACME'", {"Manufacturer": ("ACME Corp",)}, True),
        ("Manufacturer matches 'acme'", {"Manufacturer": ("ACME Corp",)}, False),
        ("ImageType matches 'derived'", {"ImageType": ("DERIVED",)}, True),
        ("exists(PixelData)", {"PixelData": ("",)}, True),
        ("exists(PixelData)", {}, False),
        ("not exists(PixelData)", {}, True),
        ("sop_class == CTImageStorage", {}, True),
        ("sop_class in (MR, 'US')", {}, False),
        (f"sop_class == '{CT}'", {}, True),
        ("calling_ae == 'CT01' and address != '10.0.4.18'", {}, True),
        ('called_ae == "DEIDNODE"', {}, True),
        ("Modality == 'A' or Modality == 'B' and Modality == 'C'", {"Modality": ("A",)}, True),
        ("(Modality == 'A' or Modality == 'B') and Modality == 'C'", {"Modality": ("A",)}, False),
        ("PatientID == 'it\\'s'", {"PatientID": ("it's",)}, True),
    ],
)
def test_a_condition_says_what_it_says(text: str, values: dict[str, tuple[str, ...]], result: bool) -> None:
    assert holds(text, **values) is result


def test_a_condition_prints_back_as_written_and_names_the_attributes_it_needs() -> None:
    text = "Modality == 'CT'  and not exists((0028,0301))"

    condition = Condition.parse(text)

    assert str(condition) == text
    assert condition.tags == {0x00080060, 0x00280301}


def test_the_sop_class_is_read_from_the_object_when_the_association_does_not_tell() -> None:
    condition = Condition.parse("sop_class == CT")

    assert condition.tags == {0x00080016}
    assert condition.holds(lambda tag: (CT + "\0",), {})


def test_a_number_that_is_none_faults_the_object_without_its_value() -> None:
    with pytest.raises(Fault) as caught:
        holds("SeriesNumber > 5", SeriesNumber=("SMITH",))

    assert "SMITH" not in str(caught.value)
    assert caught.value.path == "SeriesNumber"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "character 1: the text ends"),
        ("Modalty == 'CT'", "did you mean Modality?"),
        ("Modality = 'CT'", "character 10: '=' is not understood; expected one of =="),
        ("Modality == CT", "a text stands in quotes: 'CT'"),
        ("Modality in ('CT'", "the text ends; expected ','"),
        ("Modality in 'CT'", "expected a list such as ('A', 'B')"),
        ("Modality == 'CT' Rows == 1", "expected 'and', 'or' or the end"),
        ("sop_class == CTImagStorage", "did you mean CTImageStorage?"),
        ("Modality matches '('", "not a regular expression"),
        ("Modality matches 'C{99999999999}'", "not a regular expression"),
        ("(" * 5000, "character 51"),
        ("not " * 5000 + "Rows == 1", "not more than 50 'not' and '('"),
        ("exists(Foo)", "character 8"),
        ("exists Modality", "expected '('"),
        ("(Modality == 'CT'", "expected ')'"),
        ("Modality == 'CT", "character 13"),
        ("__import__('os')", "expected an attribute"),
        ("Modality.__class__ == 'x'", "'.' is not understood"),
        ("callng_ae == 'X'", "did you mean calling_ae?"),
    ],
)
def test_a_wrong_condition_says_where_and_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        Condition.parse(text)

    assert says in str(caught.value)
