"""Real senders to the node to real receivers: everything arrives once, de-identified, pixels unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

from tests.e2e.objects import ENCAPSULATED, NATIVE, assert_deidentified, pixel_digests, series
from tests.e2e.running import AE_TITLE, RunningNode, ae_destination, running
from tests.peers import ENVIRONMENT, LOOPBACK, free_port, orthanc, require, run, storescp, wait_for

pytestmark = pytest.mark.peer

# What storescu has to propose for files in each transfer syntax.
_PROPOSALS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.5": "-xr",
}


def _storescu(node: RunningNode, files: list[Path], *options: str) -> None:
    said = run(require("storescu"), "-R", "-aec", AE_TITLE, *options, LOOPBACK, str(node.port), *files)
    assert said.returncode == 0, said.stderr


def _wait_for_files(folder: Path, count: int) -> list[Path]:
    def files() -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]

    wait_for(lambda: len(files()) >= count, f"{count} files in {folder.name}")
    return files()


@pytest.mark.parametrize("transfer_syntax_uid", [*NATIVE, *ENCAPSULATED])
@pytest.mark.parametrize("acceptor", ["stream", "pynetdicom"])
def test_storescu_to_folder_in_each_transfer_syntax(
    tmp_path: Path, transfer_syntax_uid: str, acceptor: str
) -> None:
    sent = series(tmp_path / "in", 3, transfer_syntax_uid=transfer_syntax_uid)

    with running(tmp_path / "node", extra=f'acceptor = "{acceptor}"') as node:
        _storescu(node, sent, _PROPOSALS[transfer_syntax_uid])
        wait_for(lambda: len(node.stored()) == len(sent), "all are stored")
        stored = node.stored()

    assert pixel_digests(stored) == pixel_digests(sent)
    assert {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in stored} == {transfer_syntax_uid}
    assert_deidentified(stored)


@pytest.mark.parametrize("associations", [1, 4])
def test_dcmsend_to_storescp_over_one_and_four_associations(tmp_path: Path, associations: int) -> None:
    program = require("dcmsend")
    sent = [
        series(tmp_path / "in", 10, number=number, pixel_bytes=40_000)
        for number in range(1, associations + 1)
    ]

    with storescp(tmp_path / "down", "+xa") as port, running(tmp_path / "node", ae_destination(port)) as node:
        senders = [
            subprocess.Popen(
                [program, "-aec", AE_TITLE, LOOPBACK, str(node.port), *map(str, files)],
                env=ENVIRONMENT,
                stdout=subprocess.DEVNULL,
            )
            for files in sent
        ]
        statuses = [sender.wait(60) for sender in senders]
        received = _wait_for_files(tmp_path / "down", 10 * associations)

    assert statuses == [0] * associations
    assert pixel_digests(received) == sum((pixel_digests(files) for files in sent), Counter())
    assert_deidentified(received)


def test_storescu_to_orthanc(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 5)

    with orthanc(tmp_path / "orthanc") as peer:
        with running(tmp_path / "node", ae_destination(peer.dicom_port, "ORTHANC")) as node:
            _storescu(node, sent, "-xe")
            wait_for(lambda: len(peer.instances()) == len(sent), "Orthanc has all")
        received = []
        for number, instance in enumerate(peer.instances()):
            received.append(tmp_path / f"received-{number}.dcm")
            received[-1].write_bytes(peer.file(instance))

    assert pixel_digests(received) == pixel_digests(sent)
    assert_deidentified(received)


def test_orthanc_to_folder(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 5, kind="mr")

    with running(tmp_path / "node") as node:
        with orthanc(tmp_path / "orthanc", {"node": (AE_TITLE, node.port)}) as peer:
            for path in sent:
                peer.post("/instances", path.read_bytes())
            peer.post("/modalities/node/store", {"Resources": peer.instances(), "Synchronous": True})
            wait_for(lambda: len(node.stored()) == len(sent), "all are stored")
        stored = node.stored()

    assert pixel_digests(stored) == pixel_digests(sent)
    assert_deidentified(stored)


def test_pynetdicom_gets_success_for_each_object(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 5)
    ae = AE("MODALITY")
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")

    with running(tmp_path / "node") as node:
        assoc = ae.associate(LOOPBACK, node.port, ae_title=AE_TITLE)
        statuses = [assoc.send_c_store(path).Status for path in sent]
        assoc.release()
        wait_for(lambda: len(node.stored()) == len(sent), "all are stored")

    assert statuses == [0x0000] * len(sent)


def test_what_was_acknowledged_before_a_kill_is_delivered_after_a_restart(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 120, pixel_bytes=20_000)
    program = require("storescu")
    down = tmp_path / "down"
    acknowledged: list[Path] = []

    with storescp(down, "+xa") as port:
        node = RunningNode(tmp_path / "node", ae_destination(port))
        node.start()
        try:
            said = subprocess.Popen(
                [program, "-v", "-R", "-xe", "-aec", AE_TITLE, LOOPBACK, str(node.port), *map(str, sent)],
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            acknowledged = _until_killed(said, node, sent, after=40)
            node.start()
            expected = pixel_digests(acknowledged)
            wait_for(
                lambda: not expected - pixel_digests(_complete(down)), "all acknowledged are delivered", 60
            )
            node.stop()
        finally:
            node.stop()
    received = pixel_digests(_complete(down))

    assert 40 <= len(acknowledged) < len(sent)
    assert not expected - received
    assert_deidentified(_complete(down))


def _complete(folder: Path) -> list[Path]:
    """The objects of storescp that it has written to the end."""
    found = []
    for path in folder.iterdir():
        try:
            if "PixelData" in pydicom.dcmread(path):
                found.append(path)
        except (pydicom.errors.InvalidDicomError, EOFError, OSError):
            continue
    return found


def _until_killed(
    sender: subprocess.Popen[str], node: RunningNode, files: list[Path], *, after: int
) -> list[Path]:
    """Kill the node after some successes; return the files that storescu heard Success for."""
    assert sender.stdout is not None
    timer = threading.Timer(60, sender.kill)
    timer.start()
    successes = 0
    for line in sender.stdout:
        if "Received Store Response (Success)" in line:
            successes += 1
            if successes == after:
                node.kill()
    sender.wait(10)
    timer.cancel()
    return files[:successes]


@pytest.mark.parametrize("kind", ["ct", "mr", "sc"])
def test_dciodvfy_finds_no_error_that_the_input_did_not_have(tmp_path: Path, kind: str) -> None:
    sent = series(tmp_path / "in", 1, kind=kind)

    with running(tmp_path / "node") as node:
        _storescu(node, sent, "-xe")
        wait_for(lambda: len(node.stored()) == 1, "it is stored")
        (stored,) = node.stored()

    assert _errors(stored) - _errors(sent[0]) == set()


def _errors(path: Path) -> set[str]:
    said = run(require("dciodvfy"), path)
    return {line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")}


def test_a_stopped_node_ends_with_success_and_says_nothing_of_the_patient(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 3)

    with running(tmp_path / "node") as node:
        _storescu(node, sent, "-xe")
        wait_for(lambda: len(node.stored()) == 3, "all are stored")
        status = node.stop()
        log = node.log.read_text()

    assert status == os.EX_OK
    assert not [word for word in ("Quellwasser", "Ottilie", "PID-7749", str(sent[0])) if word in log]


def test_what_a_fallback_does_not_accept_goes_to_the_archive_when_it_is_back(tmp_path: Path) -> None:
    compressed = series(tmp_path / "in", 3, transfer_syntax_uid="1.2.840.10008.1.2.4.50")
    archive_port = free_port()
    destinations = (
        f'{ae_destination(archive_port)}fallback = ["second"]\nfallback_after_s = 0.2\n'
        "first_pause_s = 0.1\nlongest_pause_s = 0.5\n"
        '[destinations.second]\nkind = "ae"\nae_title = "DOWN"\n'
    )
    routes = '[routes.all]\ncalled = ["DEIDNODE"]\ndestinations = ["down"]\n'

    with storescp(tmp_path / "second") as port:  # without +xa: nothing compressed is accepted
        text = f'{routes}{destinations}host = "{LOOPBACK}"\nport = {port}\n'
        with running(tmp_path / "node", text) as node:
            _storescu(node, compressed, "-xy")
            wait_for(lambda: _held_for(node, "second") == 3, "the fallback holds what it does not accept")
            with storescp(tmp_path / "archive", "+xa", port=archive_port):
                arrived = _wait_for_files(tmp_path / "archive", 3)
                wait_for(lambda: "Nothing waits" in node.command("queue", "list").stdout, "nothing waits")

    assert pixel_digests(arrived) == pixel_digests(compressed)


def _held_for(node: RunningNode, destination: str) -> int:
    said = node.command("status", "--state", "held", "--json").stdout
    counted: int = json.loads(said)["destinations"].get(destination, {}).get("held", 0)
    return counted
