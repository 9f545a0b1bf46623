"""Templates of values: parsed when the profile is loaded."""

from __future__ import annotations

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.template import Field, Template


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", ("plain",)),
        ("", ()),
        ("{pseudonym}", (Field("pseudonym"),)),
        ("a{{b}}-{PatientID}", ("a{b}-", Field("original", 0x00100020))),
        ("{(0010,0020)}", (Field("original", 0x00100020),)),
        ("{hash:PatientID:8}x", (Field("hash", 0x00100020, length=8), "x")),
        ("{hash:PatientID}", (Field("hash", 0x00100020),)),
        ("{uid:StudyInstanceUID}", (Field("uid", 0x0020000D),)),
        ("{mask:******01:PatientBirthDate}", (Field("mask", 0x00100030, "******01"),)),
        ("{lookup:ids:PatientID}", (Field("lookup", 0x00100020, "ids"),)),
        ("{keyword}{value}", (Field("keyword"), Field("value"))),
    ],
)
def test_a_template_is_text_and_fields(text: str, parts: tuple[str | Field, ...]) -> None:
    template = Template.parse(text)

    assert template.parts == parts
    assert str(template) == text


def test_a_template_names_the_attributes_it_reads_and_whether_it_copies() -> None:
    assert Template.parse("{hash:PatientID:4}-{pseudonym}").tags == {0x00100020}
    assert not Template.parse("{hash:PatientID:4}").copies_original
    assert Template.parse("{PatientID}").copies_original
    assert Template.parse("{value}").copies_original


def test_a_template_renders_every_field() -> None:
    template = Template.parse("{pseudonym}-{hash:PatientID:4}-out")

    assert template.render(lambda field: field.name.upper()) == "PSEUDONYM-HASH-out"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{pseudonim}", "did you mean pseudonym?"),
        ("{PatintID}", "did you mean PatientID?"),
        ("{hash}", "the field is written {hash:attribute:number?}"),
        ("{hash:PatintID}", "did you mean PatientID?"),
        ("{hash:PatientID:x}", "no number of characters"),
        ("{hash:PatientID:0}", "no number of characters"),
        ("{pseudonym:3}", "the field is written {pseudonym}"),
        ("x{", "a single '{'"),
        ("x}", "a single '}'"),
        ("{a{b}}", "a single"),
    ],
)
def test_a_wrong_template_says_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        Template.parse(text)

    assert says in str(caught.value)
