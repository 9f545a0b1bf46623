"""Who may open an association: the loopback interface, and the peers that are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from deid_node.settings import ANY_AE_TITLE, PeerSettings

LOOPBACK = "loopback"
"""The name under which callers of this machine are known."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A listed peer. `ae_title` may be `*`."""

    name: str
    ae_title: str
    networks: tuple[IPv4Network | IPv6Network, ...]

    def is_caller(self, calling: str, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether a caller is this peer: title and address, both."""
        title_fits = self.ae_title in (ANY_AE_TITLE, calling)
        return title_fits and any(address in network for network in self.networks)


class Peers:
    """The listed peers."""

    def __init__(self, settings: Mapping[str, PeerSettings]) -> None:
        self._peers = tuple(Peer(name, peer.ae_title, peer.address) for name, peer in settings.items())

    def names_of(self, calling: str, address: str) -> frozenset[str]:
        """Return the names under which a caller is known; empty when it is not let in."""
        try:
            at = _plain(address)
        except ValueError:
            return frozenset()
        names = {peer.name for peer in self._peers if peer.is_caller(calling, at)}
        if at.is_loopback:
            names.add(LOOPBACK)
        return frozenset(names)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Parse an address; an IPv4 peer of a dual-stack socket is an IPv4 peer."""
    at = ip_address(address.split("%")[0])
    mapped = at.ipv4_mapped if isinstance(at, IPv6Address) else None
    return mapped or at
