"""TLS of a whole node: who gets in, who does not, and what is said about files that are wrong."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.peer import AssociationRejectedError, Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError, ConfigurationError
from deid_node.node.parts import association_limits
from deid_node.node.service import Node
from deid_node.node.tls import acceptor_context, check_tls, expires_soon, own_context
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings
from deid_node.settings.load import Loaded
from deid_node.settings.network import LimitSettings, PeerSettings, TLSSettings
from deid_node.standard.values import AETitle
from tests.certificates import Authority, Issued
from tests.node.running import CT, running
from tests.peers import LOOPBACK, free_port, require, run, started, wait_for

VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")
QUICK = LimitSettings(handshake_s=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own(authority: Authority) -> Issued:
    return authority.issue("node")


@pytest.fixture
def tls(authority: Authority, own: Issued) -> TLSSettings:
    return TLSSettings(certificate=own.file, key=own.key, ca=authority.file)


def client(authority: Authority, shown: Issued | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    if shown is not None:
        context.load_cert_chain(shown.file, shown.key)
    return context


def echo(node: Node, context: ssl.SSLContext | None, calling: str = "TEST") -> StoreStatus:
    address = Peer("localhost", node.address[1], AETitle("DEIDNODE"), AETitle(calling), 5)
    with Requestor.connect(address, [VERIFICATION], tls=context) as assoc:
        return assoc.echo()


def handshake(node: Node, context: ssl.SSLContext) -> str | None:
    """Return the version that a client agrees on with the node, after the node took its certificate."""
    with (
        socket.create_connection((LOOPBACK, node.address[1]), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.settimeout(0.3)
        try:
            return None if secured.recv(1) == b"" else secured.version()
        except TimeoutError:
            return secured.version()


# --- who gets in --------------------------------------------------------------------------------------


def test_a_caller_with_a_certificate_of_the_authority_gets_in(
    state: Path, tls: TLSSettings, authority: Authority
) -> None:
    with running(state, tls=tls) as node:
        assert echo(node, client(authority, authority.issue("modality"))) == StoreStatus.SUCCESS


@pytest.mark.parametrize("shown", ["nothing", "expired", "not yet valid", "of another authority"])
def test_a_caller_without_a_valid_certificate_does_not_get_in(
    state: Path, tmp_path: Path, tls: TLSSettings, authority: Authority, shown: str
) -> None:
    (tmp_path / "other").mkdir()
    certificate = {
        "nothing": lambda: None,
        "expired": lambda: authority.issue("old", shifted_h=-3),
        "not yet valid": lambda: authority.issue("new", shifted_h=3),
        "of another authority": lambda: Authority(tmp_path / "other").issue("stranger"),
    }[shown]()

    with running(state, tls=tls) as node:
        before = time.monotonic()
        with pytest.raises(AssociationError):
            echo(node, client(authority, certificate))

        assert time.monotonic() - before < 5
        wait_for(lambda: failed_handshakes(state), "it is told")

    told = {
        "nothing": "peer-did-not-return-a-certificate",
        "expired": "certificate-refused: certificate has expired",
        "not yet valid": "certificate-refused: certificate is not yet valid",
        "of another authority": "certificate-refused: certificate signature failure",
    }[shown]
    assert failed_handshakes(state) == [(LOOPBACK, told, 1)]


def wait_closed(sock: socket.socket) -> None:
    """Wait until the node has closed a connection, with bytes of ours unread or not."""
    sock.settimeout(10)
    with suppress(ConnectionResetError):
        while sock.recv(4096):
            pass


def failed_handshakes(state: Path) -> list[tuple[str, str, int]]:
    lines = (state / "audit" / "audit.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["event"] == "handshake-failed"]
    return [(event["address"], event["reason"], event["count"]) for event in events]


def test_a_flood_of_failed_handshakes_is_two_lines_and_a_look_at_the_port_is_none(
    state: Path, tls: TLSSettings
) -> None:
    with running(state, tls=tls) as node:
        for number in range(50):
            with socket.create_connection(node.address) as sock:
                if number:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    wait_closed(sock)

    [first, rest] = failed_handshakes(state)
    assert first == (LOOPBACK, "http-request", 1)
    assert rest == (LOOPBACK, "http-request", 48)


def test_a_handshake_that_is_not_ended_in_time_is_told(state: Path, tls: TLSSettings) -> None:
    with running(state, tls=tls, limits=QUICK) as node, socket.create_connection(node.address) as sock:
        sock.sendall(b"\x16\x03\x01")
        wait_closed(sock)
        wait_for(lambda: failed_handshakes(state), "it is told")

    assert failed_handshakes(state) == [(LOOPBACK, "handshake-deadline", 1)]


def test_a_caller_in_cleartext_does_not_get_in(state: Path, tls: TLSSettings) -> None:
    with running(state, tls=tls) as node, pytest.raises(AssociationError):
        echo(node, None)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(
    state: Path, tls: TLSSettings, authority: Authority, own: Issued, version: ssl.TLSVersion
) -> None:
    context = client(authority, authority.issue("old"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version

    assert version_with_a_lax_server(context, own, version)
    with running(state, tls=tls, limits=QUICK) as node, pytest.raises(ssl.SSLError):
        handshake(node, context)


def version_with_a_lax_server(context: ssl.SSLContext, own: Issued, version: ssl.TLSVersion) -> bool:
    """Return whether the client can speak the version at all: the control of the test."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own.file, own.key)
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.minimum_version = version
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(near, far, server_hostname="localhost")
    theirs = server.wrap_bio(far, near, server_side=True)
    for _ in range(10):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.version() in ("TLSv1", "TLSv1.1")


@pytest.mark.parametrize(
    "ciphers",
    ["ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "aNULL", "DHE+AESGCM"],
)
def test_weak_ciphers_are_refused(state: Path, tls: TLSSettings, authority: Authority, ciphers: str) -> None:
    context = client(authority, authority.issue("weak"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")

    with running(state, tls=tls, limits=QUICK) as node, pytest.raises(ssl.SSLError):
        handshake(node, context)


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (ssl.TLSVersion.TLSv1_3, None),
    ],
)
def test_what_bcp_195_recommends_is_spoken(
    state: Path, tls: TLSSettings, authority: Authority, version: ssl.TLSVersion, cipher: str | None
) -> None:
    context = client(authority, authority.issue("modern"))
    context.minimum_version = context.maximum_version = version
    if cipher:
        context.set_ciphers(cipher)

    with running(state, tls=tls) as node:
        assert handshake(node, context) in ("TLSv1.2", "TLSv1.3")


def test_silent_and_slow_clients_are_cut_and_keep_nobody_out(
    state: Path, tls: TLSSettings, authority: Authority
) -> None:
    with running(state, tls=tls, limits=QUICK) as node:
        silent = [socket.create_connection(node.address, 5) for _ in range(5)]
        slow = socket.create_connection(node.address, 5)
        slow.send(b"\x16\x03\x01")
        before = time.monotonic()

        status = echo(node, client(authority, authority.issue("modality")))
        took_s = time.monotonic() - before
        ends = [sock.recv(64) for sock in [*silent, slow]]
        for sock in [*silent, slow]:
            sock.close()

    assert status == StoreStatus.SUCCESS
    assert took_s < 1
    assert all(end == b"" or end[0] == 21 for end in ends)  # closed, or a TLS alert


def test_renegotiation_ends_the_connection(state: Path, tls: TLSSettings, authority: Authority) -> None:
    shown = authority.issue("modality")
    with running(state, tls=tls, limits=QUICK) as node:
        said = subprocess.run(
            [
                *(require("openssl"), "s_client", "-tls1_2", "-connect", f"{LOOPBACK}:{node.address[1]}"),
                *("-cert", shown.file, "-key", shown.key, "-CAfile", authority.file),
            ],
            input=b"R\n",
            capture_output=True,
            timeout=20,
            check=False,
        )

    assert b"RENEGOTIATING" in said.stdout + said.stderr
    assert b"no renegotiation" in said.stdout + said.stderr


# --- certificate and AE title ---------------------------------------------------------------------------


@pytest.mark.parametrize("binding", ["fingerprint", "colons", "name"])
def test_an_ae_title_opens_nothing_with_the_certificate_of_another_ae(
    state: Path, tls: TLSSettings, authority: Authority, binding: str
) -> None:
    ct, mr = authority.issue("ct.example"), authority.issue("mr.example")
    digits = ct.fingerprint
    bound = {
        "fingerprint": digits,
        "colons": "SHA256:" + ":".join(digits[n : n + 2] for n in range(0, 64, 2)).upper(),
        "name": "CT.example",
    }[binding]
    peers = {"ct": PeerSettings(ae_title="CT1", address=LOOPBACK, certificate=bound)}

    with running(state, tls=tls, peers=peers) as node:
        assert echo(node, client(authority, ct), "CT1") == StoreStatus.SUCCESS
        with pytest.raises(AssociationRejectedError) as caught:
            echo(node, client(authority, mr), "CT1")
        assert echo(node, client(authority, mr), "OTHER") == StoreStatus.SUCCESS

    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)


# --- destinations ---------------------------------------------------------------------------------------


@pytest.mark.peer
def test_dcmtk_sends_over_tls_and_gets_over_tls(
    state: Path, tmp_path: Path, tls: TLSSettings, authority: Authority
) -> None:
    scu, scp, port = authority.issue("scu"), authority.issue("scp"), free_port()
    destinations = {
        "down": AESettings(kind="ae", host="localhost", port=port, ae_title="DOWN", tls=True, tls_name="scp")
    }
    (tmp_path / "got").mkdir()
    command = (
        *(require("storescp"), "-aet", "DOWN", "-od", tmp_path / "got", "--fork"),
        *("+tls", scp.key, scp.file, "+cf", authority.file, str(port)),
    )

    with (
        started(*command, port=port, log=tmp_path / "scp.log"),
        running(state, tls=tls, destinations=destinations) as node,
    ):
        sent = run(
            *(require("storescu"), "+tls", scu.key, scu.file, "+cf", authority.file),
            *("-aec", "DEIDNODE", LOOPBACK, str(node.address[1]), CT),
        )
        wait_for(lambda: list((tmp_path / "got").iterdir()), "the object is delivered")

    assert sent.returncode == 0, sent.stderr


@pytest.mark.peer
def test_a_destination_with_another_name_in_its_certificate_gets_nothing(
    state: Path, tmp_path: Path, tls: TLSSettings, authority: Authority
) -> None:
    scp, port = authority.issue("scp"), free_port()
    down = AESettings(
        kind="ae", host="localhost", port=port, ae_title="DOWN", tls=True, tls_name="archive.example"
    )
    (tmp_path / "got").mkdir()
    command = (
        *(require("storescp"), "-od", tmp_path / "got", "--fork"),
        *("+tls", scp.key, scp.file, "+cf", authority.file, str(port)),
    )

    with (
        started(*command, port=port, log=tmp_path / "scp.log"),
        running(state, destinations={"down": down}, tls=tls) as node,
    ):
        run(
            *(require("storescu"), "+tls", scp.key, scp.file, "+cf", authority.file),
            *("-aec", "DEIDNODE", LOOPBACK, str(node.address[1]), CT),
        )
        wait_for(lambda: "certificate is not accepted" in why_of(node), "the lane says why")

    assert not list((tmp_path / "got").iterdir())


def why_of(node: Node) -> str:
    from deid_node.spool.desk import Desk

    return " ".join(entry.why for entry in Desk(node.settings.spool_folder).queue())


# --- what is wrong with files -----------------------------------------------------------------------------


def problems(settings: Settings) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        check_tls(settings)
    return list(caught.value.problems)


def test_without_tls_nothing_is_checked_or_made() -> None:
    check_tls(Settings())

    assert acceptor_context(Settings()) is None


def test_each_wrong_file_is_named_with_its_setting(
    tmp_path: Path, tls: TLSSettings, authority: Authority
) -> None:
    other, text, mixed = authority.issue("other"), tmp_path / "text", tmp_path / "mixed"
    old, new = authority.issue("old", shifted_h=-30), authority.issue("new", shifted_h=30)
    text.write_text("no certificate\n")
    mixed.write_bytes(other.file.read_bytes())
    wide = authority.issue("wide")
    wide.key.chmod(0o640)
    guarded = authority.issue("guarded")
    key = serialization.load_pem_private_key(guarded.key.read_bytes(), None)
    guarded.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    cases = {
        "tls.certificate: .*cannot be read": {"certificate": tmp_path / "absent"},
        "tls.certificate: .*no certificate": {"certificate": text},
        "tls.certificate: .*expired on": {"certificate": old.file, "key": old.key},
        "tls.certificate: .*not valid before": {"certificate": new.file, "key": new.key},
        "tls.key: is missing": {"key": None},
        "tls.key: .*not the key of": {"key": other.key},
        "tls.key: .*no private key": {"key": mixed},
        "tls.key: .*may be read by others": {"certificate": wide.file, "key": wide.key},
        "tls.key: .*password": {"certificate": guarded.file, "key": guarded.key},
        "tls.ca: is missing": {"ca": None},
        "tls.ca: .*no certificate": {"ca": text},
        "tls.ca: .*expired": {"ca": old.file},
    }
    mixed.chmod(0o600)

    for expected, change in cases.items():
        [problem] = problems(Settings(tls=tls.model_copy(update=change)))
        assert re.search(expected, problem), problem


def test_the_problems_of_all_destinations_are_told_together(tmp_path: Path) -> None:
    one = AESettings(kind="ae", host="a", port=1, ae_title="A", tls=True)
    two = AESettings(kind="ae", host="a", port=1, ae_title="A", tls=True, tls_ca=tmp_path / "absent")

    found = problems(Settings(destinations={"one": one, "two": two}))

    assert [problem.split(":")[0] for problem in found] == [
        "destinations.one.tls_ca",
        "destinations.two.tls_ca",
    ]


@pytest.mark.parametrize(
    ("address", "is_private"),
    [
        ("10.1.2.3", True),
        ("192.168.0.0/16", True),
        ("fd00::/8", True),
        ("8.8.8.8", False),
        ("0.0.0.0/0", False),
        ("10.0.0.0/7", False),
        ("2001:db8::/32", False),
    ],
)
def test_public_addresses_without_tls_need_to_be_accepted_by_name(address: str, is_private: bool) -> None:
    peers = {"ct": PeerSettings(ae_title="CT1", address=address)}

    check_tls(Settings(peers=peers, i_accept_cleartext=True))
    if is_private:
        check_tls(Settings(peers=peers))
    else:
        [problem] = problems(Settings(peers=peers))
        assert "peers.ct.address" in problem
        assert "i_accept_cleartext" in problem


def test_a_bound_certificate_is_of_no_use_without_mutual_tls(tls: TLSSettings) -> None:
    peers = {"ct": PeerSettings(ae_title="CT1", address=LOOPBACK, certificate="ct.example")}

    [without] = problems(Settings(peers=peers))
    [one_way] = problems(Settings(peers=peers, tls=tls.model_copy(update={"mutual": False})))

    assert "there are no certificates without TLS" in without
    assert "tls.mutual is false" in one_way


def test_reload_takes_over_a_renewed_certificate(
    state: Path, tls: TLSSettings, authority: Authority, own: Issued
) -> None:
    context = client(authority, authority.issue("modality"))
    with running(state, tls=tls) as node:
        renewed = authority.issue("node")  # the same files

        node.reload(lambda: Loaded(node.settings, None))

        with (
            socket.create_connection(node.address, 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            shown = secured.getpeercert(binary_form=True)

    assert shown == renewed.certificate.public_bytes(serialization.Encoding.DER)
    assert shown != own.certificate.public_bytes(serialization.Encoding.DER)


def test_a_certificate_that_expires_soon_is_known(tls: TLSSettings, own: Issued) -> None:
    end = own.certificate.not_valid_after_utc

    assert expires_soon(Settings(tls=tls), end - timedelta(days=29)) == end
    assert expires_soon(Settings(tls=tls), end - timedelta(days=31)) is None
    assert expires_soon(Settings()) is None


def test_the_node_can_be_called_from_its_own_machine_with_its_own_certificate(
    tmp_path: Path, tls: TLSSettings
) -> None:
    with running(tmp_path / "state", tls=tls) as node:
        address = Peer(LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle("TEST"), 5)

        with Requestor.connect(address, [VERIFICATION], tls=own_context(Settings(tls=tls))) as assoc:
            status = assoc.echo()

    assert status == StoreStatus.SUCCESS


def test_every_limit_of_the_acceptor_can_be_set() -> None:
    changed = {
        name: (field.default + 1 if isinstance(field.default, int) else field.default / 2)
        for name, field in LimitSettings.model_fields.items()
        if name not in ("memory_bytes", "contexts", "header_bytes", "depth", "elements", "items", "repairs")
    }

    before = association_limits(LimitSettings())
    after = association_limits(LimitSettings(**changed, contexts=64))

    fixed = {"linger_s"}
    assert {f.name for f in fields(after) if getattr(before, f.name) == getattr(after, f.name)} == fixed
    assert replace(before, max_dataset_bytes=0) == replace(AssociationLimits(), max_dataset_bytes=0)
