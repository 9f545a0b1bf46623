"""Runs over many files: which are taken, how results are named, what a second run does."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node import Filters, Options, Outcome, deidentify_many
from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.engine.keys import Key
from deid_node.errors import ConfigurationError
from deid_node.files import MIRROR
from deid_node.files.result import FileResult
from tests.peers import wait_for

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
KEY = Key(bytes(32))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three files at three depths."""
    root = tmp_path / "in"
    for name in ("top.dcm", "s1/one.dcm", "s1/deep/two.ima"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CT, root / name)
    return root


def run(source: Path, target: Path, **options: Any) -> list[FileResult]:
    return list(
        deidentify_many([source], target, key=KEY, options=Options(**{"template": MIRROR, **options}))
    )


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        (Filters(), {"top.dcm", "one.dcm", "two.ima"}),
        (Filters(names=("o",)), {"top.dcm", "one.dcm", "two.ima"}),
        (Filters(names=("dcm", "two")), {"top.dcm", "one.dcm", "two.ima"}),
        (Filters(names=("dcm", "one"), every_name=True), {"one.dcm"}),
        (Filters(folders=("deep", "s9")), {"two.ima"}),
        (Filters(folders=("s1", "deep"), every_folder=True), {"two.ima"}),
        (Filters(depth=0), {"top.dcm"}),
        (Filters(depth=1), {"top.dcm", "one.dcm"}),
        (Filters(skipped=("TOP.DCM",)), {"one.dcm", "two.ima"}),
    ],
)
def test_pf11_pf13_files_are_taken_by_parts_of_their_names_and_by_depth(
    tree: Path, tmp_path: Path, filters: Filters, taken: set[str]
) -> None:
    results = run(tree, tmp_path / "out", filters=filters)

    assert {Path(result.source).name for result in results} == taken


@pytest.mark.parametrize("leaf", ["anon-%s", "anon-{}"])
def test_pf_v19_the_last_folder_gets_a_new_name(tree: Path, tmp_path: Path, leaf: str) -> None:
    run(tree, tmp_path / "out", leaf=leaf)

    assert files_in(tmp_path / "out") == {"top.dcm", "anon-s1/one.dcm", "s1/anon-deep/two.dcm"}


@pytest.mark.parametrize("leaf", ["anon", "a/{}"])
def test_a_name_of_the_last_folder_that_cannot_be_is_an_error(tree: Path, tmp_path: Path, leaf: str) -> None:
    with pytest.raises(ConfigurationError, match="the last folder"):
        run(tree, tmp_path / "out", leaf=leaf)


def test_several_sources_may_be_named(tree: Path, tmp_path: Path) -> None:
    sources = [tree / "top.dcm", tree / "s1"]

    results = list(
        deidentify_many(sources, tmp_path / "out", key=KEY, options=Options(template="{index}.dcm"))
    )

    assert [result.outcome for result in results] == [Outcome.DEIDENTIFIED] * 3


def test_a_pipe_in_a_tree_is_told_and_not_waited_for(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe.dcm")

    results = {Path(result.source).name: result for result in run(tree, tmp_path / "out")}

    told = results["pipe.dcm"]
    assert (told.outcome, told.reason) == (Outcome.SKIPPED, "is no regular file")
    assert results["top.dcm"].outcome is Outcome.DEIDENTIFIED


def test_a_dry_run_says_where_results_would_be_and_writes_nothing(tree: Path, tmp_path: Path) -> None:
    results = run(tree, tmp_path / "out", dry_run=True)

    assert {result.target for result in results} == {
        tmp_path / "out" / name for name in ("top.dcm", "s1/one.dcm", "s1/deep/two.dcm")
    }
    assert all(result.target_size for result in results)
    assert not (tmp_path / "out").exists()


# --- hashes ---------------------------------------------------------------------------------------


def test_without_hashes_the_results_are_the_same_files(tree: Path, tmp_path: Path) -> None:
    with_them = run(tree, tmp_path / "with")
    without = run(tree, tmp_path / "without", hashes=False)

    assert files_in(tmp_path / "with") == files_in(tmp_path / "without") != set()
    for name in files_in(tmp_path / "with"):
        content = (tmp_path / "with" / name).read_bytes()
        assert content == (tmp_path / "without" / name).read_bytes()
    told = {(r.source, r.target_sha256) for r in with_them}
    assert told == {(r.source, hashlib.sha256(Path(str(r.target)).read_bytes()).hexdigest()) for r in without}
    assert {(r.source_sha256, r.target_sha256) for r in without} == {("", "")}
    assert [r.target_size for r in with_them] == [r.target_size for r in without]


def test_an_index_has_hashes_whatever_was_asked_for(tree: Path, tmp_path: Path) -> None:
    results = run(tree, tmp_path / "out", resume=tmp_path / "index", hashes=False)

    assert {len(r.source_sha256) for r in results} == {len(r.target_sha256) for r in results} == {64}


def test_a_name_that_is_taken_gives_way_to_the_same_one_without_hashes(tmp_path: Path) -> None:
    names = []
    for hashes in (True, False):
        out = tmp_path / str(hashes)
        out.mkdir()
        (out / "x.dcm").write_bytes(b"another")
        (result,) = run(CT, out, template="x.dcm", hashes=hashes)
        names.append(Path(str(result.target)).name)

    assert names[0] == names[1] != "x.dcm"


# --- how inputs are read --------------------------------------------------------------------------


@pytest.mark.parametrize("length", [3900, 4060, 4064, 4072, 4080, 4084, 4090, 4096, 4100, 70_000])
def test_file_meta_information_may_be_long(tmp_path: Path, length: int) -> None:
    ds = pydicom.dcmread(CT)
    meta = ds.file_meta
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = "1.2.3", bytes(2)
    ds.save_as(tmp_path / "short.dcm")
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    meta.PrivateInformation = bytes(2 + max(0, length - start) // 2 * 2)
    ds.save_as(tmp_path / "long.dcm")

    short, long = (
        run(tmp_path / name, tmp_path / name[:-4], template="x.dcm")[0] for name in ("short.dcm", "long.dcm")
    )

    assert long.outcome is Outcome.DEIDENTIFIED
    assert long.source_size - short.source_size == max(0, length - start) // 2 * 2
    assert long.target_sha256 == short.target_sha256


def test_a_long_object_leaves_nothing_in_the_one_after_it(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    ds = pydicom.dcmread(CT)
    for number, kilobytes in enumerate((3000, 1, 1024, 1025, 1100)):
        ds.Rows, ds.Columns = 512, kilobytes
        ds.PixelData = bytes([number + 1]) * (1024 * kilobytes)
        ds.SOPInstanceUID = f"1.2.{number}"
        ds.save_as(source / f"{number}.dcm")

    run(source, tmp_path / "together", workers=1)
    for number in range(5):
        run(source / f"{number}.dcm", tmp_path / "alone")

    for number in range(5):
        together = (tmp_path / "together" / f"{number}.dcm").read_bytes()
        assert together == (tmp_path / "alone" / f"{number}.dcm").read_bytes()
        assert pydicom.dcmread(tmp_path / "alone" / f"{number}.dcm").PixelData[-1] == number + 1


# --- what a second run does -----------------------------------------------------------------------


def test_dc31_what_has_not_changed_is_not_read_again(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"

    first = run(tree, tmp_path / "out", resume=index)
    second = run(tree, tmp_path / "out", resume=index)

    assert {result.outcome for result in first} == {Outcome.DEIDENTIFIED}
    assert {result.outcome for result in second} == {Outcome.UNCHANGED}
    assert [r.target_sha256 for r in first] == [r.target_sha256 for r in second]
    assert index.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["touched", "gone", "profile", "template"])
def test_dc31_what_has_changed_is_done_again(tree: Path, tmp_path: Path, what: str) -> None:
    index, out = tmp_path / "index", tmp_path / "out"
    options: dict[str, Any] = {"resume": index}
    profile = "basic"
    run(tree, out, **options)

    if what == "touched":
        (tree / "top.dcm").touch()
    elif what == "gone":
        (out / "top.dcm").unlink()
    elif what == "template":
        options["template"] = "{index}.dcm"
    else:
        profile = "research"
        out = tmp_path / "out2"
    results = list(
        deidentify_many(
            [tree], out, profile=profile, key=KEY, options=Options(**{"template": MIRROR, **options})
        )
    )

    changed = {Path(r.source).name for r in results if r.outcome is Outcome.DEIDENTIFIED}
    assert changed == ({"top.dcm"} if what in ("touched", "gone") else {"top.dcm", "one.dcm", "two.ima"})


def test_half_of_a_line_in_the_index_does_no_harm(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    run(tree, tmp_path / "out", resume=index)
    index.write_text(index.read_text()[:-40])

    outcomes = [result.outcome for result in run(tree, tmp_path / "out", resume=index)]
    again = [result.outcome for result in run(tree, tmp_path / "out", resume=index)]

    assert sorted(outcomes) == [Outcome.DEIDENTIFIED, Outcome.UNCHANGED, Outcome.UNCHANGED]
    assert again == [Outcome.UNCHANGED] * 3


def test_a_held_object_goes_on_when_the_row_is_there(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("old,new\n1CT1,\n")
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n'
        '[attributes]\nPatientID = { do = "lookup", table = "ids", missing = "hold" }\n'
        '[tables.ids]\nfile = "ids.csv"\nkey = "old"\nvalue = "new"\n'
    )
    options = Options(template=MIRROR, resume=tmp_path / "index")

    def outcomes() -> set[str]:
        done = deidentify_many(
            [tree], tmp_path / "out", profile=tmp_path / "site.toml", key=KEY, options=options
        )
        return {result.outcome for result in done}

    assert outcomes() == {Outcome.HELD}
    (tmp_path / "ids.csv").write_text("old,new\n1CT1,S-1\n")
    assert outcomes() == {Outcome.DEIDENTIFIED}
    assert pydicom.dcmread(tmp_path / "out" / "top.dcm").PatientID == "S-1"


# --- the command ----------------------------------------------------------------------------------


def test_the_command_takes_several_inputs_and_tells_hashes_and_findings(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n'
        '[[validate]]\nwhen = "SliceThickness > 3"\nmessage = "thick"\nlevel = "note"\n'
    )
    words = ["deidentify", "--json", "-p", str(tmp_path / "site.toml"), "--mirror", "--leaf", "x-{}"]

    status = main([*words, str(tree / "top.dcm"), str(tree / "s1"), str(tmp_path / "out")])

    told = json.loads(capsys.readouterr().out)
    assert status == ExitCode.OK
    assert (told["summary"]["in"], told["summary"]["findings"]) == (3, {"note": 3})
    assert told["summary"]["bytes_in"] == 3 * CT.stat().st_size
    assert all(len(file["target_sha256"]) == len(file["source_sha256"]) == 64 for file in told["files"])
    assert told["files"][0]["findings"][0] == {
        "level": "note",
        "code": "validation",
        "message": "thick",
        "path": "",
    }


def test_the_command_runs_dry(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["deidentify", "--dry-run", str(tree), str(tmp_path / "out")])

    assert status == ExitCode.OK
    assert "No result was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_missing_secret_is_named_before_anything_is_read(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n[attributes]\n'
        'PatientID = { do = "hash", key = "nobody-wrote-this" }\n'
    )

    status = main(["deidentify", "-p", str(tmp_path / "site.toml"), str(tree), str(tmp_path / "out")])

    assert status == ExitCode.CONFIGURATION
    assert "'nobody-wrote-this'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["one"], ["in", "in/top.dcm", "in/top.dcm"]])
def test_a_command_line_without_a_target_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tree.parent)

    assert main(["deidentify", *words]) == ExitCode.USAGE


@pytest.mark.parametrize("sources", [["top.dcm"], ["s1"], ["top.dcm", "s1"]])
def test_a_target_below_a_file_is_told_before_anything_is_read(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sources: list[str]
) -> None:
    (tmp_path / "file").write_text("")

    status = main(["deidentify", *(str(tree / name) for name in sources), str(tmp_path / "file" / "x.dcm")])

    assert status == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'file'}: is a file, so nothing can be written")


@pytest.mark.parametrize("words", [["top.dcm", "x" * 300], ["x" * 300, "out"]])
def test_a_path_that_is_too_long_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tree)

    assert main(["deidentify", *words]) == ExitCode.USAGE
    assert "File name too long" in capsys.readouterr().err


def test_the_private_list_has_what_stays_and_is_its_owners_only(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text('name = "site"\nextends = ["basic"]\n[unlisted]\nprivate = "K"\n')
    listed = tmp_path / "review.csv"
    words = ["deidentify", "--mirror", "-p", str(tmp_path / "site.toml"), "--private-list", str(listed)]

    status = main([*words, str(tree / "top.dcm"), str(tmp_path / "out.dcm")])

    assert status == ExitCode.OK
    with listed.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    result = pydicom.dcmread(tmp_path / "out.dcm")
    assert len(rows) == sum(elem.tag.is_private for elem in result.iterall()) == 179
    assert rows[1] == {
        "source": str(tree / "top.dcm"),
        "result": str(tmp_path / "out.dcm"),
        "path": "(0009,1001)",
        "creator": "GEMS_IDEN_01",
        "vr": "LO",
        "bytes": "14",
        "value": "GE_GENESIS_FF",
    }
    assert listed.stat().st_mode & 0o777 == 0o600
    told = capsys.readouterr()
    assert "GE_GENESIS_FF" not in told.out + told.err
    assert "identifies patients" in told.err


@pytest.mark.parametrize("value", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\tx"])
def test_no_cell_of_the_private_list_is_a_formula(tree: Path, tmp_path: Path, value: str) -> None:
    (tmp_path / "site.toml").write_text('name = "site"\nextends = ["basic"]\n[unlisted]\nprivate = "K"\n')
    ds = pydicom.dcmread(tree / "top.dcm")
    ds.private_block(0x0099, "=ACME", create=True).add_new(0x01, "UT", value)
    ds.save_as(tree / "top.dcm")
    listed = tmp_path / "review.csv"
    words = ["deidentify", "-p", str(tmp_path / "site.toml"), "--private-list", str(listed)]

    assert main([*words, str(tree / "top.dcm"), str(tmp_path / "out.dcm")]) == ExitCode.OK

    with listed.open(newline="") as stream:
        cells = [(row["creator"], row["value"]) for row in csv.DictReader(stream)]
    assert ("'=ACME", f"'{value}") in cells
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_private_list_names_what_resume_passed_over(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text('name = "site"\nextends = ["basic"]\n[unlisted]\nprivate = "K"\n')
    words = ["deidentify", "-p", str(tmp_path / "site.toml"), "--resume", str(tmp_path / "done.jsonl")]
    source, out = str(tree / "top.dcm"), str(tmp_path / "out")
    lists = [tmp_path / "one.csv", tmp_path / "two.csv"]

    codes = [main([*words, "--private-list", str(listed), source, out]) for listed in lists]

    assert codes == [ExitCode.OK] * 2
    rows = [list(csv.DictReader(listed.read_text().splitlines())) for listed in lists]
    assert len(rows[0]) == 179
    assert all(row["path"] for row in rows[0])
    [passed] = rows[1]
    assert (passed["source"], passed["path"]) == (rows[0][0]["source"], "")
    assert passed["result"] == rows[0][0]["result"]
    assert passed["value"] == "not listed: unchanged since an earlier run"
    assert "1 objects are not listed" in capsys.readouterr().err


def test_a_private_list_that_is_there_is_not_replaced(tree: Path, tmp_path: Path) -> None:
    listed = tmp_path / "review.csv"
    listed.write_text("mine")

    status = main(["deidentify", "--private-list", str(listed), str(tree), str(tmp_path / "out")])

    assert status == ExitCode.CANNOT_CREATE
    assert listed.read_text() == "mine"
    assert not (tmp_path / "out").exists()


# --- what a person sees ---------------------------------------------------------------------------


def test_names_are_told_in_one_line_that_no_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a\x1b[31mred\nb.txt").write_text("no object")
    (source / os.fsdecode(b"\xff.txt")).write_text("no object")

    main(["deidentify", str(source), str(tmp_path / "out")])

    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "red" in line] == [
        f"skipped: {source}/a\\x1b[31mred\\nb.txt: is not a DICOM file [not-dicom]"
    ]
    assert f"skipped: {source}/\\udcff.txt: is not a DICOM file [not-dicom]" in told


def test_one_object_whose_name_is_no_text_can_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / os.fsdecode(b"\xff.dcm")
    shutil.copy(CT, source)

    assert main(["deidentify", str(source), str(tmp_path / "out.dcm")]) == ExitCode.OK
    assert "\\udcff.dcm -> " in capsys.readouterr().out


def test_it_is_told_when_the_result_and_not_the_input_is_the_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["deidentify", str(CT), "/proc/there-is-no-such-folder/x.dcm"])
    here = capsys.readouterr().err
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dangling").symlink_to("nowhere")
    main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out")])
    there = capsys.readouterr().err

    assert "the result cannot be written (" in here
    assert there.startswith(f"failed: {tmp_path}/in/dangling: No such file or directory [file-system]")


def test_one_object_from_a_pipe_goes_to_one_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(CT.read_bytes()), daemon=True)
    writer.start()

    status = main(["deidentify", str(pipe), str(tmp_path / "out.dcm")])
    writer.join(10)

    assert status == ExitCode.OK
    assert pydicom.dcmread(tmp_path / "out.dcm").PatientIdentityRemoved == "YES"


def test_an_interrupted_run_says_how_far_it_came_and_leaves_whole_results(tmp_path: Path) -> None:
    source, target, index = tmp_path / "in", tmp_path / "out", tmp_path / "index"
    source.mkdir()
    shutil.copy(CT, source / "0.dcm")
    for number in range(1, 2000):
        (source / f"{number}.dcm").hardlink_to(source / "0.dcm")
    words = [source, target, "--resume", index, "--workers", "2"]
    command = [sys.executable, "-m", "deid_node", "deidentify", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        wait_for(lambda: target.is_dir() and len(list(target.iterdir())) > 20, "results")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)

    assert process.returncode == ExitCode.INTERRUPTED
    assert re.fullmatch(r"Interrupted after \d+ of 2000\. Every result .*\n", told)
    assert {path.suffix for path in target.iterdir()} == {".dcm"}
    assert len({path.read_bytes() for path in target.iterdir()}) == 1


def test_a_folder_that_cannot_be_listed_is_told_whatever_is_filtered(tree: Path, tmp_path: Path) -> None:
    at = os.open(tree, os.O_RDONLY)
    for _ in range(20):  # a path that is too long to be opened by its name
        os.mkdir("d" * 250, dir_fd=at)
        at, above = os.open("d" * 250, os.O_RDONLY, dir_fd=at), at
        os.close(above)
    os.close(at)

    results = list(run(tree, tmp_path / "out", filters=Filters(names=("top",))))

    assert [result.outcome for result in results if Path(result.source).name == "top.dcm"] == [
        Outcome.DEIDENTIFIED
    ]
    told = [result for result in results if result.outcome is Outcome.FAILED]
    assert [(result.code, result.reason) for result in told] == [("file-system", "File name too long")]
    assert len(results) == 2


def test_a_link_to_a_folder_is_told_and_not_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "s1/up").symlink_to(tree)

    results = {Path(result.source).name: result for result in run(tree, tmp_path / "out")}

    told = results["up"]
    assert (told.outcome, told.reason) == (
        Outcome.SKIPPED,
        "is a link to a folder, which is not followed",
    )
    assert len(results) == 4


def test_a_line_of_the_index_that_is_nested_without_end_is_passed_over(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "done.jsonl"
    list(run(tree, tmp_path / "out", resume=index))
    with index.open("a") as stream:
        stream.write("[" * 100_000 + "\n")

    assert {result.outcome for result in run(tree, tmp_path / "out", resume=index)} == {Outcome.UNCHANGED}


def test_a_result_that_lost_bytes_is_made_again_beside_it(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "done.jsonl"
    run(tree, tmp_path / "out", resume=index)
    os.truncate(tmp_path / "out/top.dcm", 100)

    results = {Path(result.source).name: result for result in run(tree, tmp_path / "out", resume=index)}

    again = results["top.dcm"]
    assert again.outcome is Outcome.DEIDENTIFIED
    assert again.target != tmp_path / "out/top.dcm"
    assert Path(str(again.target)).stat().st_size == again.target_size
    assert (tmp_path / "out/top.dcm").stat().st_size == 100
    assert results["one.dcm"].outcome is Outcome.UNCHANGED


def test_an_index_in_a_pipe_is_refused_and_not_waited_for(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigurationError, match="no regular file"):
        run(tree, tmp_path / "out", resume=tmp_path / "pipe")

    assert not (tmp_path / "out").exists()
