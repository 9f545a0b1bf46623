"""Opens a listening socket, IPv4 or IPv6, and says what is wrong when that fails."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from deid_node.errors import ConfigurationError

BACKLOG: Final = 128

_ADVICE: Final = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE; grant it or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; "::" listens on IPv4 as well.

    Raises:
        ConfigurationError: the address cannot be used; names host, port and what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(
            (str(address[0]), port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6(),
        )
    except (OSError, OverflowError) as error:
        raise cannot_listen(host, port, error) from None


def cannot_listen(host: str, port: int, error: Exception) -> ConfigurationError:
    """Return what an operator is told when listening failed with `error`."""
    if isinstance(error, socket.gaierror):
        advice = "the host name cannot be resolved; use an address of this machine"
    elif isinstance(error, OverflowError):
        advice = "a port is a number from 0 to 65535"
    else:
        number = error.errno if isinstance(error, OSError) else None
        advice = _ADVICE.get(number or 0, "the address cannot be used; use one of this machine")
    return ConfigurationError(f"Cannot listen on {host} port {port}: {advice}.")


def plain_address(host: str) -> str:
    """Return an address as a person writes it: IPv4 out of IPv6, without a zone."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
