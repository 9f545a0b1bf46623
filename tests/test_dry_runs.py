"""Looking writes nothing: dry runs and `explain`, whatever the settings ask to be kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from deid_node import Options, Outcome, deidentify_many
from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
RANDOM = 'pseudonyms = "random"\n[crosswalk]\nenabled = true\n[audit]\nenabled = true\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tree, the account and the state of a node in it: all that a command might write to."""
    (tmp_path / "in" / "s1").mkdir(parents=True)
    shutil.copy(CT, tmp_path / "in" / "s1" / "a.dcm")
    shutil.copy(CT, tmp_path / "in" / "b.dcm")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "account"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def all_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path with its size and time of change."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {str(path): (status.st_size, status.st_mtime_ns) for path, status in found.items()}


@pytest.mark.parametrize("settings", ["", RANDOM], ids=["keyed", "random"])
@pytest.mark.parametrize(
    "words",
    [
        ["in", "out"],
        ["in/b.dcm", "out.dcm"],
        ["in", "in/s1/a.dcm", "out", "--workers", "2"],
        ["in", "out", "--key-file", "new.key"],
        ["in", "out", "--key-file", "keys/new.key"],
        ["in", "out", "--resume", "done.jsonl"],
        ["in", "out", "--template", "{PatientID}/{index}.dcm", "--json"],
        ["in", "s3://nowhere/prefix"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_dry_run_writes_nothing(place: Path, settings: str, words: list[str]) -> None:
    (place / "deid-node.toml").write_text(f'state = "state"\n{settings}')
    before = all_below(place)

    status = main(["deidentify", "--dry-run", *words])

    assert status == ExitCode.OK
    assert all_below(place) == before


@pytest.mark.parametrize("settings", ["", RANDOM], ids=["keyed", "random"])
@pytest.mark.parametrize("words", [[], ["--key-file", "new.key"], ["--values", "--json"]], ids=" ".join)
def test_explaining_writes_nothing(place: Path, settings: str, words: list[str]) -> None:
    (place / "deid-node.toml").write_text(f'state = "state"\n{settings}')
    before = all_below(place)

    status = main(["explain", "in/b.dcm", *words])

    assert status == ExitCode.OK
    assert all_below(place) == before


def test_a_dry_run_after_a_run_changes_nothing_and_tells_what_is_unchanged(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "deid-node.toml").write_text(f'state = "state"\n{RANDOM}')
    words = ["in", "out", "--key-file", "k", "--resume", "done.jsonl", "--json"]
    assert main(["deidentify", *words]) == ExitCode.OK
    shutil.copy(CT, place / "in" / "new.dcm")
    before = all_below(place)
    capsys.readouterr()

    assert main(["deidentify", "--dry-run", *words]) == ExitCode.OK

    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["unchanged"], summary["deidentified"]) == (2, 1)
    assert all_below(place) == before


def test_a_dry_run_without_a_key_says_that_codes_will_be_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["deidentify", "--dry-run", "in", "out", "--key-file", "new.key"])

    told = capsys.readouterr()
    assert "new.key: there is no key yet, and none is made now; codes and UIDs will be others." in told.err
    assert "No result was written." in told.out


def test_a_dry_run_with_the_key_says_what_the_run_will_do(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["in", "out", "-t", "{PatientID}/{SOPInstanceUID}-{index}.dcm", "--key-file", "k", "--json"]
    main(["deidentify", *words, "--workers", "1"])
    done = json.loads(capsys.readouterr().out)["files"]
    shutil.rmtree(place / "out")

    main(["deidentify", "--dry-run", *words, "--workers", "1"])

    assert json.loads(capsys.readouterr().out)["files"] == done


def test_a_dry_run_writes_the_list_that_was_asked_for_and_nothing_else(place: Path) -> None:
    profile = place / "private.toml"
    profile.write_text('name = "private"\nextends = ["basic"]\n[unlisted]\nprivate = "K"\n')
    before = set(all_below(place))

    assert main(["deidentify", "--dry-run", "-p", str(profile), "in", "out", "--private-list", "l.csv"]) == 0

    assert set(all_below(place)) - before == {str(place / "l.csv")}


def test_the_library_runs_dry_without_making_a_key(place: Path) -> None:
    before = all_below(place)

    results = list(deidentify_many("in", "out", options=Options(dry_run=True)))

    assert [result.outcome for result in results] == [Outcome.DEIDENTIFIED] * 2
    assert all_below(place) == before
