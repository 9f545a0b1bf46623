"""The commands, as a person or a script runs them."""

from __future__ import annotations

import io
import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
MR = FILES / "MR_small.dcm"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder as one finds it: objects in folders, a DICOMDIR, a text, a truncated file."""
    root = tmp_path / "in"
    (root / "DOE_JANE").mkdir(parents=True)
    (root / "DOE_JANE" / "IM0001").write_bytes(CT.read_bytes())
    (root / "mr.dcm").write_bytes(MR.read_bytes())
    (root / "cut.dcm").write_bytes(CT.read_bytes()[:-1000])
    (root / "notes.txt").write_text("hello")
    (root / "DICOMDIR").write_bytes((FILES / "dicomdirtests" / "DICOMDIR").read_bytes())
    return root


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- version, usage -----------------------------------------------------------------------------------


def test_version_is_told_without_importing_much() -> None:
    program = (
        "import sys; from deid_node.cli import main; code = main(['version']);"
        "sys.exit(code or bool({'pydicom', 'pydantic', 'typer', 'structlog'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(".") == 2


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "deid_node", "version"], capture_output=True, check=False)

    assert done.returncode == ExitCode.OK


@pytest.mark.parametrize("words", [["nonsense"], ["deidentify"], ["serve", "--nonsense"], ["queue", "drop"]])
def test_a_wrong_command_line_is_told(words: list[str], tmp_path: Path) -> None:
    assert main(words) in (ExitCode.USAGE, ExitCode.NO_INPUT)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["deidentify"], "deid-node deidentify [OPTIONS] IN... OUT\n"),
        (["queue", "drop", "x"], "deid-node queue drop [OPTIONS] [ENTRY]...\n"),
        (["quarantine", "keys"], "deid-node quarantine keys PRIVATE PUBLIC\n"),
        (["profile", "import", "f", "--from", "x", "-o", "y"], "deid-node profile import [OPTIONS] FILE\n"),
    ],
)
def test_the_usage_is_as_the_reference_has_it(
    capsys: pytest.CaptureFixture[str], words: list[str], usage: str
) -> None:
    assert main(words) == ExitCode.USAGE

    told = capsys.readouterr().err
    assert f"Usage: {usage}" in told
    assert "Value error" not in told


def test_an_error_of_ours_is_told_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr("deid_node.settings.load.read_settings", broken)

    status = main(["check"])

    told = capsys.readouterr().err
    assert status == ExitCode.SOFTWARE
    assert "RuntimeError" in told
    assert "Doe" not in told


# --- check --------------------------------------------------------------------------------------------


def test_check_says_what_would_run_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('state = "s"\n')

    status = main(["check", "--config", str(config)])

    told = capsys.readouterr().out
    assert status == ExitCode.OK
    assert "DEIDNODE on 0.0.0.0 port 11112" in told
    assert "basic" in told
    assert str(tmp_path / "s" / "out") in told
    assert files_in(tmp_path) == [config]


def test_check_tells_all_problems_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    (tmp_path / "short").write_text("00")
    (tmp_path / "short").chmod(0o600)
    config.write_text(
        'key_file = "short"\nprofile = "basik"\n[destinations.o]\nkind = "folder"\npath = "short/o"\n'
        'template = "{PatientNam}.dcm"\n'
    )

    status = main(["check", "--json", "--config", str(config)])

    told = json.loads(capsys.readouterr().out)
    assert status == ExitCode.CONFIGURATION
    assert told["ok"] is False
    for part in ("too short", "basik", "PatientName", "cannot be written"):
        assert any(part in problem["problem"] for problem in told["problems"]), (part, told["problems"])


def test_check_tells_what_is_wrong_with_one_profile_and_what_should_be_known_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "site.toml"
    profile.write_text('name = "site"\nextends = ["basic"]\n[attributes]\nPatientNam = "X"\n')

    wrong = main(["check", "--profile", str(profile)])
    told = capsys.readouterr().err
    profile.write_text(
        'name = "site"\nextends = ["basic"]\n[attributes]\nPatientID = { value = "{PatientID}" }\n'
    )
    right = main(["check", "--json", "--profile", str(profile)])
    found = json.loads(capsys.readouterr().out)

    assert wrong == ExitCode.CONFIGURATION
    assert "site.toml line 4" in told and "did you mean PatientName" in told
    assert right == ExitCode.OK
    assert found["ok"] and any("PatientID" in note for note in found["notes"])
    assert files_in(tmp_path) == [profile]


# --- deidentify ---------------------------------------------------------------------------------------


def test_one_file_becomes_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.dcm"

    status = main(["deidentify", str(CT), str(out)])

    assert status == ExitCode.OK
    before, after = pydicom.dcmread(CT), pydicom.dcmread(out)
    assert after.PatientIdentityRemoved == "YES"
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.PixelData == before.PixelData
    assert str(before.PatientID).encode() not in out.read_bytes()


def test_a_tree_keeps_its_paths_but_for_names_that_may_identify(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    status = main(["deidentify", str(tree), str(out), "-j", "2"])

    assert status == ExitCode.INCOMPLETE
    one, two = sorted((path.relative_to(out) for path in files_in(out)), key=lambda path: len(path.parts))
    assert one == Path("mr.dcm")
    assert two.name == "IM0001.dcm"
    assert re.fullmatch("[A-Z2-7]{16}", two.parent.as_posix())


def test_a_tree_is_named_by_deidentified_attributes_when_a_template_says_so(
    tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    main(["deidentify", str(tree), str(out), "-t", "{Modality}/{input_path}/{index:03}.dcm"])

    ct, mr = sorted(path.relative_to(out).as_posix() for path in files_in(out))
    assert re.fullmatch("CT/[A-Z2-7]{16}/[0-9]{3}.dcm", ct)
    assert re.fullmatch("MR/[0-9]{3}.dcm", mr)


def test_a_template_names_one_file_as_it_names_a_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    status = main(["deidentify", str(CT), str(out), "-t", "{Modality}/{SOPInstanceUID}.dcm"])

    (result,) = files_in(out)
    assert status == ExitCode.OK
    assert result == out / "CT" / f"{pydicom.dcmread(result).SOPInstanceUID}.dcm"
    assert main(["deidentify", str(CT), str(result), "-t", "{Modality}.dcm"]) == ExitCode.USAGE
    assert "with --template, --leaf and --resume OUT is a folder" in capsys.readouterr().err


def test_a_profile_that_keeps_the_identity_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{tmp_path}"\nprofile = "routing"\n')

    main(["deidentify", "-p", "routing", str(CT), str(tmp_path / "out.dcm")])
    main(["check", "-c", str(config)])

    told = capsys.readouterr()
    assert "NOT DE-IDENTIFIED: under the profile routing" in told.err
    assert "-> out (NOT DE-IDENTIFIED)" in told.out


def test_a_run_that_finds_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["deidentify", str(CT.parent), str(tmp_path / "out"), "--name", "no such name"])

    assert status == ExitCode.OK
    assert "Nothing was found to de-identify" in capsys.readouterr().err


def test_every_file_of_a_tree_has_one_outcome(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["deidentify", "--json", str(tree), str(tmp_path / "out")])

    told = json.loads(capsys.readouterr().out)
    outcomes = {Path(file["source"]).name: (file["outcome"], file["code"]) for file in told["files"]}
    assert status == ExitCode.INCOMPLETE
    assert outcomes == {
        "IM0001": ("deidentified", ""),
        "mr.dcm": ("deidentified", ""),
        "cut.dcm": ("failed", "malformed"),
        "notes.txt": ("skipped", "not-dicom"),
        "DICOMDIR": ("skipped", "dicomdir"),
    }
    assert told["summary"]["in"] == 5
    assert sum(told["summary"][word] for word in ("deidentified", "failed", "skipped")) == 5


def test_nothing_half_written_is_left(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    main(["deidentify", str(tree), str(out)])

    assert not [path for path in files_in(out) if path.name.startswith(".")]


def test_a_second_run_finds_its_own_results(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tree / "cut.dcm").unlink()

    first = main(["deidentify", str(tree), str(out)])
    names = files_in(out)
    second = main(["deidentify", str(tree), str(out)])

    assert (first, second) == (ExitCode.OK, ExitCode.OK)
    assert files_in(out) == names


def test_another_object_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.dcm"
    out.write_bytes(b"other")

    status = main(["deidentify", str(CT), str(out)])

    assert status == ExitCode.INCOMPLETE
    assert out.read_bytes() == b"other"
    assert "not replaced" in capsys.readouterr().err


def test_two_objects_with_one_name_get_two_names(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a", "b"):
        ds = pydicom.dcmread(CT)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{ord(name)}"
        ds.save_as(source / name)

    status = main(["deidentify", str(source), str(out), "--template", "{Modality}.dcm"])

    assert status == ExitCode.OK
    assert len(files_in(out)) == 2


def test_names_of_the_input_are_kept_only_when_asked_for(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    main(["deidentify", str(tree), str(out), "--mirror"])

    assert {path.relative_to(out).as_posix() for path in files_in(out)} == {
        "DOE_JANE/IM0001.dcm",
        "mr.dcm",
    }


def test_results_inside_the_input_are_not_read_again(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["deidentify", "--json", str(tree), str(tree / "out")])
    main(["deidentify", "--json", str(tree), str(tree / "out")])

    assert capsys.readouterr().out.count('"in": 5') == 2


@pytest.mark.parametrize("words", [["absent", "out"], ["in", "in"]])
def test_an_input_that_cannot_be_is_told(
    words: list[str], tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["deidentify", *words]) in (ExitCode.NO_INPUT, ExitCode.USAGE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["", "out"], "is empty; write ."),
        ([str(CT), ""], "is empty; write ."),
        ([str(CT), "ftp://x/y"], "ftp:// is neither read nor written"),
        (["sftp://x/y", "out"], "sftp:// is neither read nor written"),
    ],
)
def test_a_path_that_is_empty_or_of_another_scheme_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["deidentify", *words]) == ExitCode.USAGE
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_output_below_a_file_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    status = main(["deidentify", str(CT), str(tmp_path / "file" / "out.dcm")])

    assert status == ExitCode.USAGE
    assert f"{tmp_path / 'file'}: is a file, so nothing can be written below it." in capsys.readouterr().err


def test_a_new_key_file_is_private_and_decides_the_pseudonyms(tmp_path: Path) -> None:
    uids = set()
    for name in ("a", "b"):
        out = tmp_path / f"{name}.dcm"
        main(["deidentify", "--key-file", str(tmp_path / f"{name}.key"), str(CT), str(out)])
        uids.add(pydicom.dcmread(out).SOPInstanceUID)

    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert len(uids) == 2


# --- explain ------------------------------------------------------------------------------------------


def test_explain_tells_the_row_and_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["explain", str(CT)])

    told = capsys.readouterr().out
    assert status == ExitCode.OK
    assert "PS3.15 E.1-1" in told
    assert str(pydicom.dcmread(CT).PatientName) not in told


def test_explain_shows_values_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "--values", "--json", str(CT)])

    told = json.loads(capsys.readouterr().out)
    [row] = [row for row in told["attributes"] if row["path"] == "PatientName"]
    assert row["before"] == str(pydicom.dcmread(CT).PatientName)
    assert row["after"] != row["before"]


def test_explain_takes_one_file_and_says_so_of_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(CT.parent)]) == ExitCode.NO_INPUT
    assert "is a folder; name one file of it" in capsys.readouterr().err


def test_explain_says_held_of_what_deidentify_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "site.toml"
    profile.write_text(
        'name = "site"\nextends = ["basic"]\n[tables.ids]\nfile = "ids.csv"\nkey = "old"\nvalue = "new"\n'
        '[attributes]\nPatientID = { do = "lookup", table = "ids", missing = "hold" }\n'
    )
    (tmp_path / "ids.csv").write_text("old,new\n")

    status = main(["explain", str(CT), "-p", str(profile)])

    assert status == ExitCode.INCOMPLETE
    assert ": held: the lookup table 'ids' has no row" in capsys.readouterr().err


def test_explain_says_why_an_object_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["explain", "--profile", "grand-challenge", str(FILES / "rtplan.dcm")])

    assert status == ExitCode.INCOMPLETE
    assert "rejected" in capsys.readouterr().err


# --- profiles and procedures --------------------------------------------------------------------------


def test_profiles_can_be_listed_shown_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    statuses = [
        main(["profile", "list"]),
        main(["profile", "show", "basic", "-s", "MR", "--json"]),
        main(["profile", "diff", "basic", "grand-challenge", "-s", "CT"]),
    ]

    told = capsys.readouterr().out
    assert statuses == [ExitCode.OK] * 3
    assert "basic" in told
    assert "PatientName" in told


def test_an_unknown_profile_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "show", "basik"]) == ExitCode.CONFIGURATION
    assert "basic" in capsys.readouterr().err


def test_what_the_schema_cannot_say_of_a_profile_is_told_in_few_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["procedure", "export", "basic", "CT", "-o", str(tmp_path / "basic.json")])

    lines = capsys.readouterr().err.splitlines()
    assert status == ExitCode.OK
    assert 0 < len(lines) < 20
    assert any(
        re.match(r"CT Image Storage: \d+ attributes are replaced, not cleaned: \w+", line) for line in lines
    )


def test_a_procedure_is_built_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, candidate, final = (str(tmp_path / f"{name}.json") for name in ("base", "candidate", "final"))

    assert main(["procedure", "build", "base", "CT", "-o", base]) == ExitCode.OK
    assert (
        main(["procedure", "build", "final", base, "--version", "1", "-o", final]) == ExitCode.CONFIGURATION
    )
    assert main(["procedure", "build", "candidate", base, "--decide", "-o", candidate]) == ExitCode.OK
    assert main(["procedure", "build", "worklist", candidate]) == ExitCode.OK
    assert "Nothing is undecided." in capsys.readouterr().out
    assert main(["procedure", "build", "final", candidate, "--version", "1", "-o", final]) == ExitCode.OK
    assert main(["deidentify", "-p", final, str(CT), str(tmp_path / "out.dcm")]) == ExitCode.OK


# --- peers --------------------------------------------------------------------------------------------


def test_a_peer_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["echo", "127.0.0.1", "1", "NOBODY", "--timeout", "1"]) == ExitCode.UNAVAILABLE
    assert "NOBODY at 127.0.0.1 port 1" in capsys.readouterr().err


def test_help_is_there_in_time() -> None:
    began = time.monotonic()

    done = subprocess.run([sys.executable, "-m", "deid_node", "--help"], capture_output=True, check=False)

    assert done.returncode == 0
    assert time.monotonic() - began < 5


def test_a_table_on_a_terminal_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from deid_node.commands.terminal import print_table

    uid = "2.25." + "1234567890" * 3
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "dumb")

    print_table(("entry", "object"), [(1, uid), (2, uid)])

    shown = "".join(
        line.removeprefix("1").removeprefix("2").strip() for line in screen.getvalue().splitlines()
    )
    assert shown.count(uid) == 2
    assert "…" not in shown


def test_the_queue_can_be_asked_for_every_state_there_is() -> None:
    from deid_node.commands.queue import State
    from deid_node.spool.outcomes import DeliveryState

    assert {state.value for state in State} == {state.value for state in DeliveryState}
