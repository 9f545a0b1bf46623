"""Bad profiles: everything wrong is said at once, with its line and what would be right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.places import lines_of
from deid_node.profile.reading import read_profile

Problems = Callable[..., tuple[str, ...]]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('nme = "x"', 1, "unknown key 'nme'; did you mean name?"),
        ('name = "x"\noption = []', 2, "did you mean options?"),
        ('name = "with space"', 1, "a name has 1 to 32"),
        ('name = "x"\nversion = ""', 2, "a version has 1 to 16"),
        ('name = "x"\nbase = "PS3.16"', 2, "base 'PS3.16' is not one of PS3.15"),
        ('name = "x"\noptions = ["clean-descriptor"]', 2, "did you mean clean-descriptors?"),
        ('name = "x"\noptions = "clean-descriptors"', 2, "options is a list of texts"),
        ('name = "x"\ndummies = "gc"', 2, "dummies 'gc' is not one of standard, grand-challenge"),
        ('name = "x"\nidentity = "keep"', 2, "did you mean kept?"),
        ('name = "x"\nties = "both"', 2, "is not one of error, first, last"),
        ('name = "x"\n[unlisted]\nsop_clas = "R"', 3, "did you mean sop_class?"),
        ('name = "x"\n[unlisted]\nsop_class = "catchall"', 3, "did you mean catch-all?"),
        ('name = "x"\n[unlisted]\nattribute = "U"', 3, "attribute 'U' is not one of X, K"),
        ('name = "x"\n[unlisted]\nprivate = "C"', 3, "private 'C' is not one of X, K, R"),
        ('name = "x"\n[[reject]]\nbecause = "y"', 2, '[[reject]] needs when = "..."'),
        ('name = "x"\n[[reject]]\n\nwhen = "Modalty == \'CT\'"', 4, "did you mean Modality?"),
        ('name = "x"\n[[reject]]\nwhen = "Modality == \'CT\'"\nstage = "result"', 4, "unknown key 'stage'"),
        (
            'name = "x"\n[[exclude]]\nwhen = "Modality == \'CT\'"\nstage = "end"',
            4,
            "not one of original, result",
        ),
        ('name = "x"\n[attributes]\nPatintName = "X"', 3, "did you mean PatientName?"),
        ('name = "x"\n[attributes]\nPatientName = "Q"', 3, "'Q' is no action"),
        ('name = "x"\n[attributes]\nPatientName = "x"', 3, "did you mean X?"),
        ('name = "x"\n[attributes]\nPatientName = "X/Z"', 3, "compound code"),
        ('name = "x"\n[attributes]\nPatientName = "remove"', 3, 'did you mean do = "remove"?'),
        ('name = "x"\n[attributes]\nPatientName = 1', 3, "a row is an action code"),
        ('name = "x"\n[attributes]\nPatientName = { actoin = "X" }', 3, "did you mean action?"),
        ('name = "x"\n[attributes]\nPatientName = { because = "x" }', 3, "needs action, do or value"),
        ('name = "x"\n[attributes]\nPatientName = { action = "Z", value = "x" }', 3, "written by action D"),
        ('name = "x"\n[attributes]\nPatientName = { action = "X", do = "hash" }', 3, "not both"),
        ('name = "x"\n[attributes]\nPatientName = { do = "hsh" }', 3, "did you mean hash?"),
        ('name = "x"\n[attributes]\nPatientName = { do = "hash", lenth = 3 }', 3, "did you mean length?"),
        ('name = "x"\n[attributes]\nPatientName = { value = "{pseudo}" }', 3, "did you mean pseudonym?"),
        ('name = "x"\n[attributes]\nRows = { do = "hash" }', 3, "needed to read the object"),
        ('name = "x"\n[attributes]\nSliceLocation = { do = "date_shift" }', 3, "cannot be applied to VR DS"),
        ('name = "x"\n[attributes]\n"vr:US" = { do = "hash" }', 3, "cannot be applied to VR US"),
        ('name = "x"\n[attributes]\nPatientName = "U"', 3, "U makes UIDs"),
        ('name = "x"\n[attributes]\nStudyDate = { value = "yesterday" }', 3, "VR DA holds a date"),
        ('name = "x"\n[attributes]\nAccessionNumber = { value = "12345678901234567" }', 3, "at most 16"),
        ('name = "x"\n[attributes]\nStudyInstanceUID = { value = "1.2a" }', 3, "VR UI holds UIDs"),
        ('name = "x"\n[attributes]\nModality = { value = "ct" }', 3, "VR CS holds upper case"),
        ('name = "x"\n[sop_class.CTImagStorage]\nKVP = "K"', 2, "did you mean CTImageStorage?"),
        ('name = "x"\n[sop_class.CTImageStorage]\nKPV = "K"', 3, "did you mean KVP?"),
        ('name = "x"\n[sop_class."CT, CTImageStorage"]\nKVP = "K"', 2, "are the same SOP class"),
        ('name = "x"\n[set]\n"vr:PN" = "x"', 3, "is not one attribute"),
        ('name = "x"\n[set]\nPatientNam = "x"', 3, "did you mean PatientName?"),
        ('name = "x"\n[set]\nSOPClassUID = "1.2.3"', 3, "needed to read the object"),
        ('name = "x"\n[set]\nMediaStorageSOPInstanceUID = "1.2.3"', 3, "always made new"),
        ('name = "x"\n[forced_uids]\nPatientID = "1.2.3"', 3, "no UID that may be forced"),
        ('name = "x"\n[forced_uids]\nStudyInstanceUID = "1.2.x"', 3, "not a UID"),
        ('name = "x"\nsame_value = ["PatintID"]', 2, "did you mean PatientID?"),
        ('name = "x"\n[dates]\nlongest_shift_days = 0', 3, "whole number from 1"),
        ('name = "x"\n[dates]\nshift = 10', 3, "unknown key 'shift'"),
        ('name = "x"\n[stamps]\ndates = "gone"', 3, "not one of REMOVED"),
        ('name = "x"\n[stamps]\nmethod = ""', 3, "a text of 1 to 64"),
        ('name = "x"\ninherit_gates = "no"', 2, "true or false"),
    ],
)
def test_a_wrong_line_is_named_and_what_would_be_right(text: str, line: int, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_profile(text, "site.toml")

    assert any(
        f"site.toml line {line}: " in problem and says in problem for problem in caught.value.problems
    ), caught.value.problems


def test_a_profile_without_a_name_is_wrong() -> None:
    with pytest.raises(ProfileError, match="the profile has no name"):
        read_profile("", "site.toml")


def test_broken_toml_says_where() -> None:
    with pytest.raises(ProfileError, match=r"site.toml: not TOML: .*line 2"):
        read_profile('name = "x"\nversion = \n', "site.toml")


def test_toml_that_is_nested_without_end_is_told() -> None:
    with pytest.raises(ProfileError, match=r"site.toml: not TOML: .*depth"):
        read_profile('name = "x"\nbase = ' + "[" * 5000, "site.toml")


def test_everything_wrong_is_said_at_once_in_the_order_of_lines() -> None:
    text = """name = "x"
options = ["foo"]
[attributes]
PatintName = "X"
PatientID = "Q"
"re:(" = "X"
Rows = "X"
PatientSex = { do = "hash", lenght = 4, fit = "maybe" }
[sop_class.CTImagStorage]
KVP = "K"
"""

    with pytest.raises(ProfileError) as caught:
        read_profile(text, "site.toml")

    lines = [int(problem.split("line ")[1].split(":")[0]) for problem in caught.value.problems]
    assert lines == [2, 4, 5, 6, 7, 8, 8, 9]


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ("SOPClassUID", "always kept"),
        ("(0028,0010)", "always kept"),
        ("BitsAllocated", "always kept"),
        ("PhotometricInterpretation", "always kept"),
        ("SpecificCharacterSet", "always kept"),
        ("TransferSyntaxUID", "always made new"),
    ],
)
@pytest.mark.parametrize("action", ["X", "Z", "D", "U", "C"])
def test_c24_what_is_needed_to_read_an_object_cannot_be_changed(
    problems_of: Problems, selector: str, says: str, action: str
) -> None:
    (problem,) = problems_of(f'extends = ["basic"]\n[attributes]\n"{selector}" = "{action}"')

    assert problem.startswith("site.toml line 4: ")
    assert says in problem


@pytest.mark.parametrize("selector", ["group:0028", "(0028,xxxx)", "vr:US", "re:Bits.*", "(0008,001x)"])
def test_a_wide_row_that_would_take_it_is_an_error_too(problems_of: Problems, selector: str) -> None:
    (problem,) = problems_of(f'extends = ["basic"]\n[attributes]\n"{selector}" = "X"')

    assert "needed to read the object" in problem


def test_lines_are_found_behind_comments_multiline_values_and_quoted_keys() -> None:
    text = '''name = "x"
options = [
  "a",  # ] no end
]
description = """
foo = 1
[bar]
"""
[attributes]  # rows
"re:.*[A=]" = "X"
'60xx,3000' = "K"
[[reject]]
when = "a"
[[reject]]
when = "b"
[sop_class."1.2.3"]
KVP = "K"
'''

    lines = lines_of(text)

    assert lines[("description",)] == 5
    assert lines[("attributes", "re:.*[A=]")] == 10
    assert lines[("attributes", "60xx,3000")] == 11
    assert lines[("reject", 1, "when")] == 15
    assert lines[("sop_class", "1.2.3", "KVP")] == 17
    assert ("foo",) not in lines
