"""The operator of the machine gives objects to the node again, and nobody else can."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.association import Caller, StoreRequest
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError, Malformed
from deid_node.node import quarantine
from deid_node.node.operator_door import Again
from deid_node.node.sealing import read_private_key, read_public_key
from deid_node.settings.network import PeerSettings, TLSSettings
from deid_node.standard.values import AETitle
from tests.certificates import Authority
from tests.node.running import CT, refusals, running, store
from tests.node.test_quarantine import Site, rerun, with_rule
from tests.peers import LOOPBACK, wait_for


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@contextmanager
def folder_of(site: Site) -> Iterator[int]:
    folder = os.open(site.state, os.O_RDONLY)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def knocking(site: Site) -> Iterator[socket.socket]:
    """Connect as the account of the node."""
    with socket.socket(socket.AF_UNIX) as sock, folder_of(site) as folder:
        sock.settimeout(10)
        sock.connect(f"/proc/self/fd/{folder}/operator.sock")
        yield sock


def request_of(site: Site, note: quarantine.Note) -> StoreRequest:
    with quarantine.opened(site.state / "quarantine", note.id, read_private_key(site.private)) as (said, _):
        return said


def test_a_rerun_reaches_a_route_that_only_its_peers_may_use_by_the_network(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(site.state, **with_rule(site, "Modality == 'CT'")) as node:
        store(node, CT)
    [note] = site.quarantine()
    authority = Authority(tmp_path)
    own = authority.issue("node.example")
    closed = with_rule(site, "Modality == 'MR'")
    closed["routes"]["r"] = closed["routes"]["r"].model_copy(update={"peers": ("ct",)})
    closed["peers"] = {"ct": PeerSettings(ae_title="TEST", address="10.0.0.7", certificate="ct.example")}
    closed["tls"] = TLSSettings(certificate=own.file, key=own.key, ca=authority.file)

    with running(site.state, **closed) as node:
        with pytest.raises(AssociationError):
            store(node, CT)
        status = rerun(site, node, note.id)
        wait_for(lambda: list((tmp_path / "out").rglob("*.dcm")), "it is delivered")

    assert status == ExitCode.OK, capsys.readouterr().err
    assert site.quarantine() == []
    lines = (site.state / "audit" / "audit.jsonl").read_text().splitlines()
    [event] = [event for event in map(json.loads, lines) if event["event"] == "object-stored"]
    assert (event["calling"], event["called"]) == (note.calling, note.called)


def test_a_caller_of_this_machine_does_not_get_where_the_operator_gets(site: Site) -> None:
    with running(site.state, **with_rule(site, "Modality == 'CT'")) as node:
        store(node, CT)
    [note] = site.quarantine()
    closed = with_rule(site, "Modality == 'MR'")
    closed["routes"]["r"] = closed["routes"]["r"].model_copy(update={"peers": ("ct",)})
    closed["peers"] = {"ct": PeerSettings(ae_title="CT1", address="10.0.0.7")}

    with running(site.state, **closed) as node:
        by_network = store(node, CT).status
        by_operator = rerun(site, node, note.id)

    assert by_network == StoreStatus.NOT_AUTHORIZED
    assert by_operator == ExitCode.OK


def test_a_rerun_gives_an_object_of_odd_length_as_it_came(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
    [note] = site.quarantine()
    folder = site.state / "quarantine"
    request = request_of(site, note)
    odd = quarantine.Quarantine(folder, read_public_key(site.public)).begin(
        Caller(AETitle("TEST"), AETitle("DEIDNODE"), LOOPBACK, 1, "a"), request, "r"
    )
    odd.feed(memoryview(b"\x08\x00\x05\x00CS\x09"))
    odd.keep(Malformed("x"))
    quarantine.purge(folder, [note.id])
    [note] = site.quarantine()

    with running(site.state, **site.settings) as node:
        status = rerun(site, node, note.id)

    [again] = site.quarantine()
    assert status == ExitCode.INCOMPLETE
    assert (again.size, again.code) == (note.size, "malformed")


def test_the_door_has_one_owner_and_goes_with_the_node(site: Site) -> None:
    door = site.state / "operator.sock"
    site.state.mkdir(mode=0o700)
    door.touch()  # as a process that was killed left it

    with running(site.state, **site.settings):
        mode = door.stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not door.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_the_door_opens_for_no_other_account(site: Site) -> None:
    program = (
        "import os, socket; os.setgid(65534); os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX); sock.settimeout(10)\n"
        "sock.connect('operator.sock'); print(sock.recv(1))"
    )

    def knock() -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", program]
        return subprocess.run(argv, cwd=site.state, capture_output=True, text=True, timeout=30, check=False)

    with running(site.state, **site.settings):
        site.state.chmod(0o755)
        guarded = knock()
        (site.state / "operator.sock").chmod(0o666)  # as on a file system that guards nothing
        refused = knock()

    assert "PermissionError" in guarded.stderr
    assert refused.stdout == "b''\n", refused.stderr


@pytest.mark.parametrize(
    "sent", [b"", b"\x00" * 7, b"\xff" * 64, b"\x02" + b"\x00" * 7 + b"{}", b"\x02" + b"\x00" * 7 + b"x"]
)
def test_what_the_door_does_not_understand_leaves_it_open(site: Site, sent: bytes) -> None:
    with running(site.state, **with_rule(site, "Modality == 'CT'")) as node:
        store(node, CT)
        [note] = site.quarantine()
        with knocking(site) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(1)
        status = rerun(site, node, note.id)

    assert answer == b""
    assert status == ExitCode.INCOMPLETE
    assert len(site.quarantine()) == 1  # rejected again


def test_an_operator_who_goes_away_in_the_middle_leaves_nothing(site: Site) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
        [note] = site.quarantine()
        with knocking(site) as sock:
            word = json.dumps(asdict(Again(request_of(site, note), "TEST", "DEIDNODE", LOOPBACK, note.size)))
            sock.sendall(len(word).to_bytes(8, "little") + word.encode() + bytes(note.size // 2))
        wait_for(lambda: "interrupted" in refusals(node), "it is counted")
        [left] = site.quarantine()

    assert left == note
    assert not list((site.state / "quarantine").glob("*.part"))
