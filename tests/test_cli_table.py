"""`deid-node table collect`: the first of two passes over the objects."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
PROFILE = """
name = "site"
extends = ["basic"]
[attributes]
PatientID = { do = "lookup", table = "ids" }
AccessionNumber = { do = "lookup", table = "ids", by = "StudyID", missing = "empty" }
[set]
ClinicalTrialSubjectID = "{lookup:ids:PatientName}"
[tables.ids]
file = "ids.csv"
key = "old"
value = "new"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two objects of two patients; one names the other one in an item."""
    root = tmp_path / "in"
    root.mkdir()
    for name, patient in (("a", 'P,"1"'), ("b", "P2")):
        ds = pydicom.dcmread(CT)
        ds.PatientID, ds.PatientName, ds.StudyID = patient, f"Doe^{name}", "S1"
        del ds.OtherPatientIDsSequence
        item = Dataset()
        item.PatientID = "P3"
        ds.ReferencedPatientSequence = Sequence([item])
        ds.save_as(root / name)
    return root


def rows(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_dc28_the_values_of_an_attribute_are_listed_to_be_filled_in(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "ids.csv"

    status = main(["table", "collect", "--attribute", "PatientID", "-o", str(out), str(tree)])

    assert status == ExitCode.OK
    assert rows(out) == [["old", "new"], ['P,"1"', ""], ["P2", ""], ["P3", ""]]
    assert out.stat().st_mode & 0o777 == 0o600


def test_dc28_a_profile_says_what_its_table_must_cover(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(PROFILE.replace("[set]", 'ReferencedPatientSequence = "K"\n[set]'))
    (tmp_path / "ids.csv").write_text("old,new\nP2,S-2\nP9,S-9\n")
    out = tmp_path / "more.csv"

    status = main(
        ["table", "collect", "-p", str(tmp_path / "site.toml"), "--table", "ids", "-o", str(out), str(tree)]
    )

    assert status == ExitCode.OK
    assert dict(rows(out)[1:]) == {
        'P,"1"': "",
        "P2": "S-2",
        "P3": "",
        "P9": "S-9",
        "S1": "",
        "Doe^a": "",
        "Doe^b": "",
    }


def test_dc28_what_stands_in_a_sequence_that_goes_need_not_be_covered(tree: Path, tmp_path: Path) -> None:
    profile = tmp_path / "site.toml"
    profile.write_text(PROFILE)
    (tmp_path / "ids.csv").write_text("old,new\n")
    first = tmp_path / "first.csv"

    main(["table", "collect", "-p", str(profile), "--table", "ids", "-o", str(first), str(tree)])

    asked = [old for old, _ in rows(first)[1:]]
    assert "P2" in asked and "P3" not in asked
    with (tmp_path / "ids.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["old", "new"], *([old, f"N{at}"] for at, old in enumerate(asked))])
    assert main(["deidentify", "-p", str(profile), str(tree), str(tmp_path / "out")]) == ExitCode.OK


def test_dc28_a_table_that_was_filled_in_serves_the_second_pass(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(PROFILE)
    (tmp_path / "ids.csv").write_text("old,new\n")
    first, profile = tmp_path / "first.csv", str(tmp_path / "site.toml")
    main(["table", "collect", "-p", profile, "--table", "ids", "-o", str(first), str(tree)])
    filled = [[old, new or f"N{number}"] for number, (old, new) in enumerate(rows(first)[1:])]
    with (tmp_path / "ids.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["old", "new"], *filled])

    status = main(["deidentify", "-p", profile, "--mirror", str(tree), str(tmp_path / "out")])

    assert status == ExitCode.OK
    done = pydicom.dcmread(tmp_path / "out" / "a.dcm")
    assert done.PatientID == dict(filled)['P,"1"']
    assert done.ClinicalTrialSubjectID == dict(filled)["Doe^a"]


def test_a_file_that_cannot_be_read_does_not_stop_the_pass(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "notes.txt").write_text("Doe^Jane")
    shutil.copy(CT, tree / "c")

    status = main(["table", "collect", "-a", "PatientID", "-o", str(tmp_path / "ids.csv"), str(tree)])

    told = capsys.readouterr()
    assert status == ExitCode.INCOMPLETE
    assert "notes.txt" in told.err
    assert "Doe" not in told.err + told.out
    assert ["1CT1", ""] in rows(tmp_path / "ids.csv")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], ExitCode.USAGE),
        (["-a", "PatientID", "--table", "ids"], ExitCode.USAGE),
        (["--table", "ids"], ExitCode.USAGE),
        (["-a", "vr:PN"], ExitCode.USAGE),
        (["-a", "PatintID"], ExitCode.CONFIGURATION),
        (["-a", "PatientID", "--columns", "x"], ExitCode.USAGE),
        (["-p", "basic", "--table", "ids"], ExitCode.CONFIGURATION),
    ],
)
def test_a_command_line_that_says_nothing_to_collect_is_told(
    tree: Path, tmp_path: Path, words: list[str], status: ExitCode
) -> None:
    assert main(["table", "collect", *words, "-o", str(tmp_path / "x.csv"), str(tree)]) == status


def test_a_table_is_never_replaced(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("mine")

    status = main(["table", "collect", "-a", "PatientID", "-o", str(tmp_path / "ids.csv"), str(tree)])

    assert status == ExitCode.CANNOT_CREATE
    assert (tmp_path / "ids.csv").read_text() == "mine"


def test_dc28_a_table_with_several_keys_has_a_column_for_each(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PROFILE.replace('key = "old"', 'key = ["id", "study"]').replace(
        'table = "ids" }', 'table = "ids", by = ["PatientID", "StudyID"] }', 1
    )
    text = text.replace("AccessionNumber = {", "# ").replace("ClinicalTrialSubjectID", "# ")
    (tmp_path / "site.toml").write_text(text)
    (tmp_path / "ids.csv").write_text("id,study,new\nP2,S1,A\n")
    asked = ["table", "collect", "-p", str(tmp_path / "site.toml"), "--table", "ids", str(tree)]

    without = main([*asked, "-o", str(tmp_path / "none.csv")])
    status = main([*asked, "-o", str(tmp_path / "more.csv"), "--columns", "id,study,new"])

    assert without == ExitCode.USAGE
    assert "3 names" in capsys.readouterr().err
    assert status == ExitCode.OK
    assert rows(tmp_path / "more.csv") == [["id", "study", "new"], ['P,"1"', "S1", ""], ["P2", "S1", "A"]]
