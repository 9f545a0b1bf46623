"""The benchmark keeps its word: it checks what comes out, knows its aims, and tells what it found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from benchmarks.__main__ import chosen
from benchmarks.check import WrongOutput, check, pixel_digest
from benchmarks.line import Line, Result
from benchmarks.lines import lines
from benchmarks.measure import Run
from benchmarks.plots import main as write_page
from benchmarks.report import aims, summary, write_json
from benchmarks.workloads import WORKLOADS, prepared
from tests.peers import ENVIRONMENT, require

ROOT = Path(__file__).resolve().parents[1]

# What the node aims at: line, figure, limit.
AIMS = {
    ("through-ct", "times as fast as Orthanc anonymize + store", ">= 4"),
    ("through-mr", "times as fast as Orthanc anonymize + store", ">= 5"),
    ("through-ct", "times as fast as pynetdicom + pydicom", ">= 7"),
    ("through-ct", "times as fast as direct", ">= 0.5"),
    ("receive-ct", "times as fast as storescp +B", ">= 1"),
    ("receive-mg", "times as fast as storescp +B", ">= 1"),
    ("receive-us500", "times as fast as storescp +B", ">= 1"),
    ("receive-mr", "times as fast as storescp +B", ">= 0.9"),
    *((f"receive-{name}", "times as fast as storescp", ">= 1.1") for name in ("ct", "mg", "us500", "mr")),
    ("receive-enhanced", "times as fast as storescp +B", ">= 0.5"),
    *((f"receive-{name}", "times as fast as storescp +B", ">= 0.9") for name in ("implicit", "j2k", "jll")),
    ("durable-ct-1", "times as fast as deid_node", ">= 0.5"),
    ("durable-ct-4", "times as fast as deid_node", ">= 0.8"),
    ("factory-nagle-ct", "times as fast as storescp", ">= 10"),
    ("python-ct", "CPU per GB, as a part of that of pynetdicom + pydicom", "<= 0.1"),
    ("receive-us500", "peak memory", "<= 100 MB"),
    ("idle", "of one core", "<= 2 %"),
    ("idle", "more memory", "<= 200 MB"),
    ("stalled-ct", "times as fast as downstream reads", ">= 0.9"),
    ("folder-ct", "times the objects per core of the fastest tool", ">= 10"),
    ("grow-ledger", "the cost of a unit against that of a smaller size", "<= 1.2"),
    ("research-ct", "times as fast as basic", ">= 0.6"),
}


@pytest.fixture(scope="module")
def every() -> list[Line]:
    return lines(1, Path("cache"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return prepared(WORKLOADS["mr"].scaled(0.001), tmp_path_factory.mktemp("cache"))


def invented(line: Line, rounds: int = 3) -> Result:
    """Return a result in which every trial takes half as long again as the one before."""
    runs = {
        trial.name: [
            Run(1.5**at + number / 100, 1.5**at, 1.5**at, 50_000_000, 10, 5_000_000, latencies_ms=(1.0, 2.0))
            for number in range(rounds)
        ]
        for at, trial in enumerate(line.trials)
    }
    return Result(line, runs, ())


def test_every_aim_is_that_of_a_line(every: list[Line]) -> None:
    found = {(line.name, aim.what, aim.text()) for line in every for aim in line.aims}

    assert found >= AIMS


def test_names_of_lines_and_of_their_trials_are_unique(every: list[Line]) -> None:
    names = [line.name for line in every]
    doubled = [line.name for line in every if len({t.name for t in line.trials}) < len(line.trials)]

    assert len(set(names)) == len(names)
    assert not doubled


def test_lines_are_chosen_by_name_or_beginning(every: list[Line]) -> None:
    assert [line.name for line in chosen(every, ["receive-ct"])] == ["receive-ct"]
    assert len(chosen(every, ["grow-"])) == len([line for line in every if line.growth is not None])
    with pytest.raises(ValueError, match="no such line: nothing"):
        chosen(every, ["nothing"])


def test_a_ratio_says_how_many_times_as_fast_the_node_was(every: list[Line]) -> None:
    line = next(line for line in every if line.name == "receive-ct")

    ratio = invented(line).ratio("storescp +B")

    assert 1.4 < ratio.median < 1.5  # a little less than 1.5: the rounds add the same to both


def test_an_aim_is_judged_by_the_median_and_not_at_all_without_a_peer(every: list[Line]) -> None:
    line = next(line for line in every if line.name == "receive-ct")
    whole = invented(line)
    alone = Result(line, {"deid_node": whole.runs["deid_node"]}, ("storescp: no storescp (DCMTK)",))

    assert [row["verdict"] for row in aims(whole)] == ["met", "met"]
    assert [row["verdict"] for row in aims(alone)] == ["not measured", "not measured"]


def test_a_cost_that_rises_with_the_size_misses_its_aim(every: list[Line]) -> None:
    line = next(line for line in every if line.name == "grow-ledger")

    (row,) = aims(invented(line))

    assert row["reached"].startswith("2.25")
    assert row["verdict"] == "missed"


def test_the_same_objects_are_made_again(objects: list[Path], tmp_path: Path) -> None:
    again = prepared(WORKLOADS["mr"].scaled(0.001), tmp_path)

    assert [pixel_digest(path) for path in again] == [pixel_digest(path) for path in objects]


def test_a_lost_object_is_found(objects: list[Path]) -> None:
    digests = [pixel_digest(path) for path in objects]

    with pytest.raises(WrongOutput, match="2 objects in, 1 out"):
        check("peer", digests, objects[:1], deidentified=False)


def test_changed_pixels_are_found(objects: list[Path], tmp_path: Path) -> None:
    digests = [pixel_digest(path) for path in objects]
    ds = dcmread(objects[0])
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(tmp_path / "changed.dcm")

    with pytest.raises(WrongOutput, match="1 of them with other pixels"):
        check("peer", digests, [tmp_path / "changed.dcm", *objects[1:]], deidentified=False)


def test_an_identifier_that_is_left_is_found(objects: list[Path]) -> None:
    digests = [pixel_digest(path) for path in objects]

    with pytest.raises(WrongOutput, match="an identifier is left"):
        check("peer", digests, objects, deidentified=True)


def test_the_page_shows_every_line_of_the_results(every: list[Line], tmp_path: Path) -> None:
    results = [invented(line) for line in every]
    write_json(tmp_path / "results.json", results, {"cores": 2}, {"rounds": 3})

    write_page(tmp_path / "results.json", tmp_path / "figures.md")

    page = (tmp_path / "figures.md").read_text()
    assert not [line.name for line in every if f"### {line.name}\n" not in page]
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["figures-growth.svg", "figures-peers.svg"]
    assert "receive-ct" in summary(results)


@pytest.mark.peer
def test_a_line_runs_against_real_peers(tmp_path: Path) -> None:
    require("storescp")
    words = ["receive-jll", "--rounds", "1", "--scale", "0.005", "--cache", str(tmp_path / "cache")]

    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words, "--json", str(tmp_path / "results.json")],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (line,) = json.loads((tmp_path / "results.json").read_text())["lines"]
    assert [trial["name"] for trial in line["trials"]] == ["deid_node", "storescp +B"]
    assert all(trial["runs"][0]["objects"] == 3 for trial in line["trials"])
