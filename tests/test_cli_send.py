"""`deid-node send` and `echo`: what they ask of a peer and what they say."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from tests.node.running import CT
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
