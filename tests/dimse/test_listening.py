"""What an operator is told when the node cannot listen."""

from __future__ import annotations

import pytest

from deid_node.dimse.listening import listen, plain_address
from deid_node.errors import ConfigurationError


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("name.invalid", 104, "name.invalid port 104: the host name cannot be resolved"),
        ("192.0.2.1", 0, "192.0.2.1 port 0: this machine has no such address"),
        ("127.0.0.1", 70000, "127.0.0.1 port 70000: a port is a number from 0 to 65535"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_with_advice(host: str, port: int, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen(host, port)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_an_address_is_written_in_one_way(address: str, plain: str) -> None:
    assert plain_address(address) == plain
