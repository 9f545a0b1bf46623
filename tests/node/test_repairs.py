"""What is put right in an object is told everywhere, and is a setting, with and without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node import Engine, Outcome
from deid_node.cli import main
from deid_node.node.audit import NAME, STORED
from deid_node.spool.desk import Desk
from deid_node.standard.repairs import ALL_REPAIRS
from tests.node.running import CT, FILES, running, store
from tests.peers import wait_for

PADDED = FILES / "MR_small_padded.dcm"


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    """A file whose SOP Instance UID has leading zeros."""
    ds = pydicom.dcmread(CT)
    for place, tag in ((ds, 0x00080018), (ds.file_meta, 0x00020003)):
        place.add(pydicom.DataElement(tag, "UI", "1.2.003.4", validation_mode=pydicom.config.IGNORE))
    path = tmp_path / "zeros.dcm"
    ds.save_as(path)
    return path


def _stored(state: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (state / "audit" / NAME).read_text().splitlines()]
    return [line for line in lines if line["event"] == STORED]


def test_repairs_are_in_the_audit_stream_and_counted(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_NODE_STATE", str(state))
    with running(state) as node:
        for file in (PADDED, PADDED, CT):
            assert store(node, file).status.code == "0000"
        wait_for(lambda: len(_stored(state)) == 3, "lines of the audit stream")

    told = [line.get("repairs") for line in _stored(state)]
    assert told == [["surplus-pixels"], ["surplus-pixels"], None]
    (counted,) = Desk(state / "spool").status().repairs
    assert (counted.route, counted.name, counted.objects) == ("default", "surplus-pixels", 1)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "Put right:" in shown
    assert "surplus-pixels" in shown


def test_what_has_no_waiver_is_refused_until_the_settings_allow_it(state: Path, zeros: Path) -> None:
    with running(state) as node:
        refused = store(node, zeros)
    with running(state, limits={"repairs": ["uid-leading-zeros"]}) as node:
        taken = store(node, zeros)
        forbidden = store(node, PADDED)

    assert [answer.status.code for answer in (refused, taken, forbidden)] == ["C101", "0000", "C101"]
    codes = {refusal.code for refusal in Desk(state / "spool").status().refusals}
    assert codes == {"uid-leading-zeros", "surplus-pixels"}


def test_files_follow_the_settings_and_the_option(
    tmp_path: Path, zeros: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text("[limits]\nrepairs = []\n")
    sources, out = tmp_path / "in", tmp_path / "out"
    sources.mkdir()
    (sources / "zeros.dcm").write_bytes(zeros.read_bytes())
    (sources / "padded.dcm").write_bytes(PADDED.read_bytes())

    def run(*words: str) -> dict[str, Any]:
        main(["deidentify", "--json", "--dry-run", *words, str(sources), str(out)])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {
            "counts": told["summary"]["repairs"],
            **{Path(f["source"]).stem: (f["code"], f["repairs"]) for f in told["files"]},
        }

    by_default = run()
    allowed = run("--config", str(strict), "--repair", "uid-leading-zeros")

    assert by_default["counts"] == {"surplus-pixels": 1}
    assert ("uid-leading-zeros", []) in by_default.values()
    assert ("", ["surplus-pixels"]) in by_default.values()
    assert allowed["counts"] == {"uid-leading-zeros": 1}
    assert ("surplus-pixels", []) in allowed.values()
    assert main(["deidentify", "--dry-run", str(sources / "padded.dcm"), str(out)]) == 0
    assert "Put right: surplus-pixels in 1" in capsys.readouterr().out


def test_a_repair_that_nobody_knows_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert main(["deidentify", "--repair", "everything", str(CT), str(tmp_path / "out.dcm")]) == 2


def test_the_library_takes_the_repairs_that_it_may_make(zeros: Path) -> None:
    with Engine() as strict, Engine(repairs=ALL_REPAIRS) as lenient:
        results = [engine.deidentify(zeros) for engine in (strict, lenient)]

    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.DEIDENTIFIED]
    assert results[1].repairs == ("uid-leading-zeros",)
