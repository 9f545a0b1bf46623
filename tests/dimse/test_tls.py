"""TLS on both sides: the handshake is bounded, and tells who the peer is."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.certificates import Authority
from tests.dimse.conftest import QUICK
from tests.dimse.probes import Start
from tests.dimse.raw import IMPLICIT, VERIFICATION, RawPeer
from tests.dimse.recording import RecordingIntake, sample
from tests.peers import LOOPBACK, require, run, wait_for


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_context(authority: Authority) -> ssl.SSLContext:
    own = authority.issue("node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.file, own.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def client_context(authority: Authority) -> ssl.SSLContext:
    own = authority.issue("modality")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(own.file, own.key)
    context.load_verify_locations(authority.file)
    return context


def peer_of(acceptor: ListeningAcceptor) -> Peer:
    return Peer("localhost", acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), 5)


def test_an_object_goes_through_tls_and_the_peer_is_known(
    either: Start,
    intake: RecordingIntake,
    authority: Authority,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    sent = sample("CT_small.dcm")
    issued = authority.issue("modality")
    client_context.load_cert_chain(issued.file, issued.key)
    acceptor = either(tls=server_context)

    with (
        Requestor.connect(peer_of(acceptor), [sent.context], tls=client_context) as assoc,
        sent.path.open("rb") as file,
    ):
        statuses = [assoc.store_file(file, **sent.keywords).status for _ in range(3)]

    assert statuses == [StoreStatus.SUCCESS] * 3
    assert bytes(intake.objects[2].content) == sent.dataset
    certificate = intake.callers[0].certificate
    assert certificate is not None
    assert certificate.subject == issued.certificate.subject.rfc4514_string()
    assert certificate.names == ("modality", "localhost")
    assert certificate.fingerprint == issued.fingerprint
    assert certificate.common_name == "modality"


def test_a_large_object_goes_through_tls(
    either: Start,
    intake: RecordingIntake,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    sent = sample("CT_small.dcm")
    content = bytes(range(256)) * 40_000
    (tmp_path / "large").write_bytes(content)
    acceptor = either(tls=server_context)

    with (
        Requestor.connect(peer_of(acceptor), [sent.context], tls=client_context) as assoc,
        (tmp_path / "large").open("rb") as file,
    ):
        assoc.store_file(file, **(sent.keywords | {"offset": 0, "length": len(content)}))

    assert intake.objects[0].content == content


def test_silent_clients_do_not_stop_the_handshake_of_others(
    either: Start, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    acceptor = either(replace(QUICK, handshake_s=60), tls=server_context)
    silent = [RawPeer(acceptor.address) for _ in range(5)]
    before = time.monotonic()

    with Requestor.connect(peer_of(acceptor), [(VERIFICATION, IMPLICIT)], tls=client_context) as assoc:
        status = assoc.echo()
    took = time.monotonic() - before
    for peer in silent:
        peer.sock.close()

    assert status == StoreStatus.SUCCESS
    assert took < 10


def test_a_silent_client_is_cut_at_the_deadline_of_the_handshake(
    either: Start, server_context: ssl.SSLContext
) -> None:
    acceptor = either(tls=server_context)

    with RawPeer(acceptor.address) as peer:
        kind, _ = peer.pdu()

    assert kind in (0, 21)  # 21: a TLS alert
    wait_for(lambda: not acceptor._hall.wires(), "the connection is gone", 5)


@pytest.mark.parametrize("kind", ["cleartext", "no certificate", "stranger"])
def test_who_is_not_trusted_gets_no_association(
    either: Start,
    intake: RecordingIntake,
    server_context: ssl.SSLContext,
    authority: Authority,
    tmp_path: Path,
    kind: str,
) -> None:
    acceptor = either(tls=server_context)
    tls: ssl.SSLContext | None = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert tls is not None
    tls.load_verify_locations(authority.file)
    if kind == "stranger":
        (tmp_path / "other").mkdir()
        stranger = Authority(tmp_path / "other").issue("stranger")
        tls.load_cert_chain(stranger.file, stranger.key)
    elif kind == "cleartext":
        tls = None

    with pytest.raises(AssociationError):
        Requestor.connect(peer_of(acceptor), [sample("CT_small.dcm").context], tls=tls)

    assert not intake.callers


def test_a_server_that_is_not_trusted_is_told(either: Start, server_context: ssl.SSLContext) -> None:
    acceptor = either(tls=server_context)

    with pytest.raises(AssociationError, match="certificate is not accepted"):
        Requestor.connect(
            peer_of(acceptor),
            [sample("CT_small.dcm").context],
            tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )


def test_a_server_that_says_nothing_is_given_up_in_time(client_context: ssl.SSLContext) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        peer = Peer("localhost", listener.getsockname()[1], AETitle("NODE"), AETitle("TESTER"), 0.5)
        before = time.monotonic()
        with pytest.raises(AssociationError, match=r"no TLS connection .* in time"):
            Requestor.connect(peer, [(VERIFICATION, IMPLICIT)], tls=client_context)

    assert time.monotonic() - before < 3


@pytest.mark.peer
def test_storescu_sends_over_tls(
    either: Start,
    intake: RecordingIntake,
    authority: Authority,
    server_context: ssl.SSLContext,
) -> None:
    own = authority.issue("storescu")
    acceptor = either(tls=server_context)

    done = run(
        require("storescu"),
        *("+tls", own.key, own.file, "+cf", authority.file),
        *("-aec", "NODE", LOOPBACK, str(acceptor.address[1]), sample("CT_small.dcm").path),
    )

    assert done.returncode == 0, done.stderr
    assert intake.objects[0].finished == 1


def test_a_failed_handshake_is_told_with_its_reason(
    either: Start, intake: RecordingIntake, server_context: ssl.SSLContext, authority: Authority
) -> None:
    acceptor = either(tls=server_context)
    nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nameless.load_verify_locations(authority.file)
    socket.create_connection(acceptor.address).close()  # somebody looks whether the port is open

    with pytest.raises(AssociationError):
        Requestor.connect(peer_of(acceptor), [(VERIFICATION, IMPLICIT)], tls=nameless)
    wait_for(lambda: intake.handshakes, "it is told")

    assert intake.handshakes == [(LOOPBACK, "peer-did-not-return-a-certificate")]
    assert intake.callers == []
