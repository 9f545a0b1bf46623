"""TLS on both sides: the handshake is bounded, and tells who the peer is."""

from __future__ import annotations

import datetime
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.stream_acceptor import StreamAcceptor
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.conftest import QUICK
from tests.dimse.raw import IMPLICIT, VERIFICATION, RawPeer
from tests.dimse.recording import RecordingIntake, sample
from tests.peers import LOOPBACK, require, run, wait_for


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.file = folder / "authority.pem"
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(True, None))
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path, x509.Certificate]:
        """Return the files of certificate and key, and the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost")])
        certificate = self._sign(subject, key, alternative)
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return *files, certificate

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_context(authority: Authority) -> ssl.SSLContext:
    certificate, key, _ = authority.issue("node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def client_context(authority: Authority) -> ssl.SSLContext:
    certificate, key, _ = authority.issue("modality")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.file)
    return context


def peer_of(acceptor: StreamAcceptor) -> Peer:
    return Peer("localhost", acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), 5)


def test_an_object_goes_through_tls_and_the_peer_is_known(
    stream: Callable[..., StreamAcceptor],
    intake: RecordingIntake,
    authority: Authority,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    sent = sample("CT_small.dcm")
    _, _, issued = authority.issue("modality")
    client_context.load_cert_chain(*authority.issue("modality")[:2])
    acceptor = stream(tls=server_context)

    with (
        Requestor.connect(peer_of(acceptor), [sent.context], tls=client_context) as assoc,
        sent.path.open("rb") as file,
    ):
        statuses = [assoc.store_file(file, **sent.keywords).status for _ in range(3)]

    assert statuses == [StoreStatus.SUCCESS] * 3
    assert bytes(intake.objects[2].content) == sent.dataset
    certificate = intake.callers[0].certificate
    assert certificate is not None
    assert certificate.subject == issued.subject.rfc4514_string()
    assert certificate.names == ("modality", "localhost")
    assert len(certificate.fingerprint) == 64


def test_a_large_object_goes_through_tls(
    stream: Callable[..., StreamAcceptor],
    intake: RecordingIntake,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    sent = sample("CT_small.dcm")
    content = bytes(range(256)) * 40_000
    (tmp_path / "large").write_bytes(content)
    acceptor = stream(tls=server_context)

    with (
        Requestor.connect(peer_of(acceptor), [sent.context], tls=client_context) as assoc,
        (tmp_path / "large").open("rb") as file,
    ):
        assoc.store_file(file, **(sent.keywords | {"offset": 0, "length": len(content)}))

    assert intake.objects[0].content == content


def test_silent_clients_do_not_stop_the_handshake_of_others(
    stream: Callable[..., StreamAcceptor], server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    acceptor = stream(replace(QUICK, handshake_s=60), tls=server_context)
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
    stream: Callable[..., StreamAcceptor], server_context: ssl.SSLContext
) -> None:
    acceptor = stream(tls=server_context)

    with RawPeer(acceptor.address) as peer:
        kind, _ = peer.pdu()

    assert kind in (0, 21)  # 21: a TLS alert
    wait_for(lambda: not acceptor._hall.wires(), "the connection is gone", 5)


@pytest.mark.parametrize("kind", ["cleartext", "no certificate", "stranger"])
def test_who_is_not_trusted_gets_no_association(
    stream: Callable[..., StreamAcceptor],
    intake: RecordingIntake,
    server_context: ssl.SSLContext,
    authority: Authority,
    tmp_path: Path,
    kind: str,
) -> None:
    acceptor = stream(tls=server_context)
    tls: ssl.SSLContext | None = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert tls is not None
    tls.load_verify_locations(authority.file)
    if kind == "stranger":
        (tmp_path / "other").mkdir()
        tls.load_cert_chain(*Authority(tmp_path / "other").issue("stranger")[:2])
    elif kind == "cleartext":
        tls = None

    with pytest.raises(AssociationError):
        Requestor.connect(peer_of(acceptor), [sample("CT_small.dcm").context], tls=tls)

    assert not intake.callers


def test_a_server_that_is_not_trusted_is_told(
    stream: Callable[..., StreamAcceptor], server_context: ssl.SSLContext
) -> None:
    acceptor = stream(tls=server_context)

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
    stream: Callable[..., StreamAcceptor],
    intake: RecordingIntake,
    authority: Authority,
    server_context: ssl.SSLContext,
) -> None:
    certificate, key, _ = authority.issue("storescu")
    acceptor = stream(tls=server_context)

    done = run(
        require("storescu"),
        *("+tls", key, certificate, "+cf", authority.file),
        *("-aec", "NODE", LOOPBACK, str(acceptor.address[1]), sample("CT_small.dcm").path),
    )

    assert done.returncode == 0, done.stderr
    assert intake.objects[0].finished == 1
