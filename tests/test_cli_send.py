"""`deid-node send` and `echo`: what they ask of a peer and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from tests.node.running import CT, running
from tests.peers import LOOPBACK, storescp


def test_the_uids_of_the_dataset_are_sent_and_not_those_of_the_file_meta(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ds = pydicom.dcmread(CT)
    ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3.4")
    path = tmp_path / "in.dcm"
    ds.save_as(path)
    (received := tmp_path / "received").mkdir()

    with storescp(received) as port:
        code = main(["send", str(path), LOOPBACK, str(port), "ANY"])

    assert (code, capsys.readouterr().out) == (ExitCode.OK, "1 of 1 stored.\n")
    assert [ds.SOPInstanceUID in file.name for file in received.iterdir()] == [True]


def test_a_peer_that_rejects_says_why_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--refuse") as port:
        code = main(["echo", LOOPBACK, str(port), "ANY"])

    told = capsys.readouterr().err
    assert code == ExitCode.UNAVAILABLE
    assert "rejected permanently: no reason given" in told


def test_a_host_that_is_not_known_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["echo", "no-such-host.invalid", "104", "ANY"])

    assert code == ExitCode.UNAVAILABLE
    assert "the host name cannot be looked up" in capsys.readouterr().err


def test_what_the_peer_remarks_is_told_with_the_status(
    capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    ds = pydicom.dcmread(CT)
    ds.BurnedInAnnotation = "YES"
    ds.save_as(path := tmp_path / "in.dcm")
    with running(state) as node:
        words = ["send", str(path), LOOPBACK, str(node.address[1]), "DEIDNODE"]
        code = main(words)
        told = capsys.readouterr().err
        main([*words, "--json"])

    assert code == ExitCode.INCOMPLETE
    assert told == f"{path}: answered C107H, and says: Rejected by a rule of the profile.\n"
    [result] = json.loads(capsys.readouterr().out)
    assert (result["status"], result["comment"]) == ("C107", "Rejected by a rule of the profile")
