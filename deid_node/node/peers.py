"""Who may open an association: the loopback interface, and the peers that are listed.

An AE title is no secret. Where certificates are bound to one, it opens nothing without them: neither
under another peer's "*" nor from this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from deid_node.dimse.association import Caller, PeerCertificate
from deid_node.settings.network import PeerSettings
from deid_node.settings.types import ANY_AE_TITLE

LOOPBACK = "loopback"
"""The name under which callers of this machine are known."""

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Peer:
    """A listed peer. `ae_title` may be `*`; without certificates any will do, also none."""

    name: str
    ae_title: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    certificates: tuple[str, ...] = ()

    def is_caller(
        self, calling: str, address: IPv4Address | IPv6Address, certificate: PeerCertificate | None
    ) -> bool:
        """Tell whether a caller is this peer: title, address and certificate, all of them."""
        return (
            self.ae_title in (ANY_AE_TITLE, calling)
            and any(address in network for network in self.networks)
            and self._is_shown(certificate)
        )

    def _is_shown(self, certificate: PeerCertificate | None) -> bool:
        if not self.certificates:
            return True
        return certificate is not None and any(map(certificate.is_named, self.certificates))


class Peers:
    """The listed peers."""

    def __init__(self, settings: Mapping[str, PeerSettings]) -> None:
        self._peers = tuple(
            Peer(name, peer.ae_title, peer.address, peer.certificate) for name, peer in settings.items()
        )
        self._settings = settings
        self._names: dict[tuple[str, str, PeerCertificate | None], frozenset[str]] = {}
        self._bound = frozenset(
            peer.ae_title for peer in self._peers if peer.certificates and peer.ae_title != ANY_AE_TITLE
        )

    def may_connect(self, address: str) -> bool:
        """Tell whether a caller from an address can be let in at all, whatever it says."""
        at = _plain(address)
        return at is not None and (
            at.is_loopback or any(at in network for peer in self._peers for network in peer.networks)
        )

    def settings_of(self, caller: Caller) -> PeerSettings | None:
        """Return the settings of a listed caller, those with a port for reports first."""
        found = [self._settings[name] for name in sorted(self.names_of(caller)) if name in self._settings]
        return next((peer for peer in found if peer.report_port is not None), found[0] if found else None)

    def names_of(self, caller: Caller) -> frozenset[str]:
        """Return the names under which a caller is known; empty when it is not let in."""
        key = str(caller.calling), caller.address, caller.certificate
        names = self._names.get(key)
        if names is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            names = self._names[key] = self._find(caller)
        return names

    def _find(self, caller: Caller) -> frozenset[str]:
        at = _plain(caller.address)
        if at is None:
            return frozenset()
        calling = str(caller.calling)
        of_title = calling in self._bound  # only a peer that binds it speaks for this title
        names = {
            peer.name
            for peer in self._peers
            if peer.is_caller(calling, at, caller.certificate)
            and not (of_title and not (peer.certificates and peer.ae_title == calling))
        }
        if at.is_loopback and (names or not of_title):
            names.add(LOOPBACK)
        return frozenset(names)


def _plain(address: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; an IPv4 peer of a dual-stack socket is an IPv4 peer."""
    try:
        at = ip_address(address.split("%")[0])
    except ValueError:
        return None
    mapped = at.ipv4_mapped if isinstance(at, IPv6Address) else None
    return mapped or at
