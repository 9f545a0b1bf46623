"""What the tests of acceptors ask of them from the outside."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.standard.values import AETitle
from tests.dimse.raw import IMPLICIT, VERIFICATION, RawPeer
from tests.peers import LOOPBACK

Start = Callable[..., ListeningAcceptor]
"""The fixtures `stream` and `either`: start an acceptor."""

DATASET = b"\x08\0\x05\0CS\x02\0  "


def echoes(acceptor: ListeningAcceptor, timeout_s: float = 5) -> bool:
    """Whether a well behaved peer is served within `timeout_s`."""
    peer = Peer(LOOPBACK, acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), timeout_s)
    with Requestor.connect(peer, [(VERIFICATION, IMPLICIT)]) as assoc:
        return assoc.echo() == StoreStatus.SUCCESS


def connections(acceptor: ListeningAcceptor) -> int:
    return len(acceptor._hall.wires())


@contextmanager
def peers(acceptor: ListeningAcceptor, count: int) -> Iterator[list[RawPeer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawPeer(acceptor.address)) for _ in range(count)]


def readable(sock: socket.socket, timeout_s: float) -> bool:
    return bool(select.select([sock], [], [], timeout_s)[0])


class Null:
    """An object that is taken and forgotten."""

    def feed(self, piece: memoryview) -> None:
        pass

    def finish(self) -> StoreAnswer:
        return StoreAnswer(StoreStatus.SUCCESS)

    def refuse(self, answer: StoreAnswer) -> None:
        pass

    def abort(self) -> None:
        pass
