"""Who is let in."""

from __future__ import annotations

import pytest

from deid_node.node.peers import LOOPBACK, Peers
from deid_node.settings import PeerSettings

PEERS = Peers(
    {
        "ct": PeerSettings(ae_title="CT1", address="10.0.0.7"),
        "floor": PeerSettings(ae_title="*", address="10.1.0.0/16"),
        "six": PeerSettings(ae_title="SIX", address="2001:db8::/32"),
    }
)


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
    assert PEERS.names_of(calling, address) == names


def test_without_peers_only_this_machine_is_let_in() -> None:
    nobody = Peers({})

    assert nobody.names_of("ANY", "127.0.0.1")
    assert not nobody.names_of("ANY", "192.168.0.1")
