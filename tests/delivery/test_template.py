"""Path templates: every mistake is named, and no value leads out of the folder or onto a reserved name."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.delivery.names import Limits, alternatives, component, cut, value_text
from deid_node.delivery.template import FILE_FIELDS, PathTemplate
from deid_node.errors import ConfigurationError

USUAL = "{PatientID}/{StudyDate}_{Modality}/{SeriesNumber:03}_{SeriesDescription}/{InstanceNumber:05}.dcm"
PATIENT_ID, STUDY_DATE, MODALITY = 0x00100020, 0x00080020, 0x00080060
SERIES, DESCRIPTION, INSTANCE = 0x00200011, 0x0008103E, 0x00200013


def test_the_usual_template_names_a_file_after_its_attributes() -> None:
    template = PathTemplate.parse(USUAL)

    path = template.render(
        {
            PATIENT_ID: "P1",
            STUDY_DATE: "20240229",
            MODALITY: "CT",
            SERIES: "3",
            DESCRIPTION: "Thorax axial 1.5",
            INSTANCE: " 42 ",
        }
    )

    assert path == ("P1", "20240229_CT", "003_Thorax_axial_1.5", "00042.dcm")
    assert template.fields == {PATIENT_ID, STUDY_DATE, MODALITY, SERIES, DESCRIPTION, INSTANCE}
    assert str(template) == USUAL


def test_what_is_absent_has_a_placeholder() -> None:
    path = PathTemplate.parse(USUAL).render({PATIENT_ID: "", SERIES: "x"})

    assert path == ("unknown", "unknown_unknown", "x_unknown", "unknown.dcm")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("..", "unknown"),
        (".", "unknown"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc", "etc"),
        ("C:\\windows", "C_windows"),
        ("a\\b", "a_b"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("--help", "help"),
        ("con", "_con"),
        ("NUL", "_NUL"),
        ("aux.txt", "_aux.txt"),
        ("COM1", "_COM1"),
        ("lpt9.dcm", "_lpt9.dcm"),
        ("console", "console"),
        ("name.", "name"),
        ("name ", "name"),
        ("a\x00b", "a_b"),
        ("a\nb\r\tc", "a_b_c"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ("a\u2028b", "a_b"),
        ("<>:\"|?*'`$;&", "unknown"),
        ("^^^", "unknown"),
        ("   ", "unknown"),
        ("~", "unknown"),
        ("Müller", "Müller"),
        ("Mu\u0308ller", "Müller"),
        ("山田^太郎", "山田_太郎"),
        ("क्षि", "क्षि"),
        ("\ud800", "unknown"),
        ("a" * 64, "a" * 64),
    ],
)
def test_a_value_becomes_a_safe_name(value: str, name: str) -> None:
    assert PathTemplate.parse("{PatientID}").render({PATIENT_ID: value}) == (name,)


_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def is_safe(name: str, longest: int) -> bool:
    return (
        0 < len(name) <= longest
        and len(name.encode()) <= 255
        and name not in {".", ".."}
        and name[0] not in ".-"
        and name[-1] not in ". "
        and not any(ch in '/\\<>:"|?*' or unicodedata.category(ch)[0] in "CZ" for ch in name)
        and _RESERVED.fullmatch(name) is None
        and unicodedata.is_normalized("NFC", name)
    )


@given(st.text(), st.text(), st.text(max_size=300))
def test_no_value_makes_an_unsafe_path(first: str, second: str, third: str) -> None:
    template = PathTemplate.parse(
        "{PatientID}/{StudyDate}_{Modality}{SeriesNumber:03}/{InstanceNumber:05}.dcm"
    )

    path = template.render(
        {PATIENT_ID: first, STUDY_DATE: second, MODALITY: third, SERIES: first, INSTANCE: third}
    )

    assert len(path) == 3
    assert all(is_safe(name, 68) for name in path)
    assert path[-1].endswith(".dcm")


def test_two_long_names_that_begin_alike_stay_two() -> None:
    template = PathTemplate.parse("{StudyDate}_{SeriesDescription}")
    names = [template.render({STUDY_DATE: "20200101", DESCRIPTION: "x" * 63 + end})[0] for end in "ab"]

    assert names[0] != names[1]
    assert [len(name) for name in names] == [64, 64]


def test_a_long_path_is_cut_to_the_limit() -> None:
    template = PathTemplate.parse(
        "{PatientID}/{PatientID}/{PatientID}/{PatientID}.dcm", limits=Limits(path=120)
    )

    path = template.render({PATIENT_ID: "p" * 64})

    assert len("/".join(path)) <= 120
    assert path[-1].endswith(".dcm")


def test_names_of_long_scripts_fit_the_file_system() -> None:
    (name,) = PathTemplate.parse("{PatientID}.dcm", limits=Limits(component=250)).render(
        {PATIENT_ID: "山" * 250}
    )

    assert len(name.encode()) <= 255 - 20
    assert name.endswith(".dcm")


def test_numbers_get_digits_and_texts_can_be_cut() -> None:
    template = PathTemplate.parse("{SeriesNumber:3}-{InstanceNumber:05}-{SeriesDescription:.4}")

    assert template.render({SERIES: "7", INSTANCE: "-3\\4", DESCRIPTION: "abcdefgh"}) == ("__7--0003-abcd",)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{PatientId}.dcm", r"\{PatientId\} is not the keyword.*did you mean \{PatientID\}\?"),
        ("{}.dcm", "is not the keyword"),
        ("{Nonsense1234}", r"is not the keyword of an attribute\.$"),
        ("{PixelData}", "not text"),
        ("{ReferencedStudySequence}", "not text"),
        ("/{PatientID}", "relative"),
        ("a//b", "relative"),
        ("a/../b", "relative"),
        ("{PatientID", r"'\{PatientID'"),
        ("{PatientID!r}", "conversion"),
        ("{PatientID:>10}", ":05"),
        ("{PatientID:{SeriesNumber}}", ":05"),
        ("{PatientID.__class__}", "is not the keyword"),
        ("{PatientID[0]}", "is not the keyword"),
        ("a b/{PatientID}", "cannot stand"),
        ("{input_stem}", "is not the keyword"),
    ],
)
def test_a_mistake_is_named(source: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        PathTemplate.parse(source)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        PathTemplate.parse("{PatientId}/{Modalitie}/{PixelData}")

    assert len(caught.value.problems) == 3


def test_templates_for_files_know_the_input() -> None:
    template = PathTemplate.parse("{input_path}/{PatientID}/{input_stem}_{index:04}.dcm", extra=FILE_FIELDS)

    path = template.render({PATIENT_ID: "P"}, {"input_path": "a/b c", "input_stem": "IM.1", "index": "12"})
    at_the_top = template.render({PATIENT_ID: "P"}, {"input_path": "", "input_stem": "x", "index": "1"})

    assert path == ("a", "b_c", "P", "IM.1_0012.dcm")
    assert at_the_top == ("P", "x_0001.dcm")
    with pytest.raises(ConfigurationError, match="alone"):
        PathTemplate.parse("x{input_path}/a", extra=FILE_FIELDS)


def test_alternatives_are_told_apart_by_instance_and_by_content() -> None:
    one = alternatives("00001.dcm", "2.25.1", b"\1" * 32)
    other = alternatives("00001.dcm", "2.25.2", b"\1" * 32)
    revision = alternatives("00001.dcm", "2.25.1", b"\2" * 32)

    assert one[0] == other[0] == revision[0] == "00001.dcm"
    assert one[1] != other[1]
    assert one[1] == revision[1]
    assert len({one[2], other[2], revision[2]}) == 3
    assert all(name.endswith(".dcm") for name in one)


@given(st.text(), st.integers(17, 80))
def test_cutting_and_cleaning_are_stable(text: str, longest: int) -> None:
    name = component(value_text(text), "", Limits(component=longest))

    assert component(value_text(name), "", Limits(component=longest)) == name
    assert len(cut(name, longest)) <= longest
