"""Who is let in: the truth table of called and calling AE title, address and certificate."""

from __future__ import annotations

from itertools import product

import pytest

from deid_node.dimse.association import Caller, PeerCertificate
from deid_node.node.peers import LOOPBACK, Peers
from deid_node.settings.network import PeerSettings
from deid_node.standard.values import AETitle

CT_CERTIFICATE = PeerCertificate("CN=ct", ("ct.example", "10.0.0.7"), "ab" * 32, "ct")
MR_CERTIFICATE = PeerCertificate("CN=mr", ("mr.example",), "cd" * 32, "mr")

PEERS = Peers(
    {
        "ct": PeerSettings(ae_title="CT1", address="10.0.0.7"),
        "floor": PeerSettings(ae_title="*", address="10.1.0.0/16"),
        "six": PeerSettings(ae_title="SIX", address="2001:db8::/32"),
    }
)


def caller(calling: str, address: str, certificate: PeerCertificate | None = None) -> Caller:
    return Caller(AETitle(calling), AETitle("NODE"), address, 1, "a", certificate)


@pytest.mark.parametrize(
    ("calling", "address", "names"),
    [
        ("CT1", "10.0.0.7", {"ct"}),
        ("CT1", "10.0.0.8", set()),
        ("CT2", "10.0.0.7", set()),
        ("ct1", "10.0.0.7", set()),
        ("ANY", "10.1.200.3", {"floor"}),
        ("SIX", "2001:db8::1", {"six"}),
        ("CT1", "::ffff:10.0.0.7", {"ct"}),
        ("WHO", "127.0.0.1", {LOOPBACK}),
        ("WHO", "127.5.5.5", {LOOPBACK}),
        ("WHO", "::1", {LOOPBACK}),
        ("WHO", "::ffff:127.0.0.1", {LOOPBACK}),
        ("WHO", "fe80::1%eth0", set()),
        ("CT1", "no address", set()),
    ],
)
def test_title_and_address_both_decide(calling: str, address: str, names: set[str]) -> None:
    assert PEERS.names_of(caller(calling, address)) == names


def test_without_peers_only_this_machine_is_let_in() -> None:
    nobody = Peers({})

    assert nobody.names_of(caller("ANY", "127.0.0.1"))
    assert not nobody.names_of(caller("ANY", "192.168.0.1"))


BOUND = Peers(
    {
        "ct": PeerSettings(ae_title="CT1", address="10.0.0.0/24", certificate="ct.example"),
        "any": PeerSettings(ae_title="*", address="10.0.0.7"),
        "mr": PeerSettings(ae_title="*", address="10.2.0.0/16", certificate="CD" * 32),
    }
)


@pytest.mark.parametrize(
    ("calling", "address", "certificate"),
    list(
        product(
            ("CT1", "MR1"),
            ("10.0.0.7", "10.0.0.8", "10.2.0.1", "10.3.0.1", "127.0.0.1"),
            (None, CT_CERTIFICATE, MR_CERTIFICATE),
        )
    ),
)
def test_a_bound_title_needs_its_certificate_everywhere(
    calling: str, address: str, certificate: PeerCertificate | None
) -> None:
    expected = set()
    if calling == "CT1":
        if certificate is CT_CERTIFICATE and address.startswith("10.0.0."):
            expected = {"ct"}
    elif address == "10.0.0.7":
        expected = {"any"}
    elif address == "10.2.0.1" and certificate is MR_CERTIFICATE:
        expected = {"mr"}
    elif address == "127.0.0.1":
        expected = {LOOPBACK}

    assert BOUND.names_of(caller(calling, address, certificate)) == expected


@pytest.mark.parametrize(
    "bound", ["ab" * 32, "AB:" * 31 + "AB", "ct.example", "CT.Example", "10.0.0.7", "ct"]
)
def test_a_certificate_is_known_by_fingerprint_alternative_name_or_common_name(bound: str) -> None:
    peers = Peers({"ct": PeerSettings(ae_title="CT1", address="10.0.0.7", certificate=bound)})

    assert peers.names_of(caller("CT1", "10.0.0.7", CT_CERTIFICATE)) == {"ct"}
    assert not peers.names_of(caller("CT1", "10.0.0.7", MR_CERTIFICATE))
    assert not peers.names_of(caller("CT1", "10.0.0.7"))


@pytest.mark.parametrize("wrong", ["CN=ct, O=hospital", "ab cd"])
def test_a_certificate_is_not_bound_by_its_subject(wrong: str) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        PeerSettings(ae_title="CT1", address="10.0.0.7", certificate=wrong)


@pytest.mark.parametrize(
    ("address", "may"),
    [("10.0.0.7", True), ("::ffff:10.0.0.7", True), ("127.0.0.1", True), ("10.9.9.9", False), ("x", False)],
)
def test_who_may_connect_is_known_by_the_address_alone(address: str, may: bool) -> None:
    assert PEERS.may_connect(address) is may
