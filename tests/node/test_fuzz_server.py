"""A whole node under random scripts of a peer: it answers or ends, keeps serving, and nothing stays open."""

from __future__ import annotations

import contextlib
import random
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind
from deid_node.settings.network import LimitSettings
from deid_node.settings.routes import RouteSettings
from deid_node.standard.values import AETitle
from tests.dimse.raw import (
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    RawPeer,
    command,
    context,
    echo_rq,
    pdata,
    request,
    store_rq,
    uid,
    us,
)
from tests.fuzzing import SECONDS, datasets, mutant, numbers
from tests.node.running import running
from tests.peers import LOOPBACK, wait_for

pytestmark = pytest.mark.timeout(180 + SECONDS)

_QUICK = LimitSettings(request_s=1, pdu_s=1, rate_window_s=1, idle_s=2, handshake_s=1, send_s=2)
_PUSH_MODEL = "1.2.840.10008.1.20.1"
_CONTEXTS = [
    context(1, CT, EXPLICIT),
    context(3, VERIFICATION, IMPLICIT),
    context(5, _PUSH_MODEL, EXPLICIT),
    context(7, CT, IMPLICIT),
]
_ACTION = command(
    uid(3, _PUSH_MODEL),
    us(0x100, 0x130),
    us(0x110, 1),
    us(0x800, 1),
    uid(0x1001, _PUSH_MODEL + ".1"),
    us(0x1008, 1),
)

Step = Callable[[random.Random], bytes]


def _store(choose: random.Random) -> bytes:
    _, dataset, syntax = choose.choice(datasets())
    on = 7 if syntax == IMPLICIT else 1
    content = mutant(dataset, choose) if choose.random() < 0.7 else dataset
    size = choose.choice((1000, 16_000, 100_000))
    pieces = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    last = len(pieces) - 1
    return pdata(on, 3, store_rq(message_id=choose.randrange(1 << 16))) + b"".join(
        pdata(on, 2 if number == last else 0, piece) for number, piece in enumerate(pieces)
    )


_STEPS: tuple[Step, ...] = (
    _store,
    _store,
    lambda choose: pdata(3, 3, echo_rq()),
    lambda choose: pdata(3, 3, mutant(echo_rq(), choose)),
    lambda choose: pdata(1, 3, mutant(store_rq(), choose)) + pdata(1, 2, b"\x08\0\x05\0CS\x02\0  "),
    lambda choose: pdata(5, 3, _ACTION) + pdata(5, 2, choose.randbytes(choose.randrange(300))),
    lambda choose: pdata(choose.randrange(256), choose.randrange(4), choose.randbytes(20)),
    lambda choose: mutant(pdata(3, 3, echo_rq()), choose),
    lambda choose: (
        bytes((choose.randrange(9), 0)) + (n := choose.randrange(50)).to_bytes(4, "big") + bytes(n)
    ),
    lambda choose: request(_CONTEXTS, called=b"DEIDNODE"),
    lambda choose: RELEASE_RQ,
    lambda choose: choose.randbytes(choose.randrange(40)),
)


def _script(choose: random.Random) -> list[bytes]:
    first = request(_CONTEXTS, called=b"DEIDNODE")
    if choose.random() < 0.15:
        first = mutant(first, choose)
    steps = [first, *(choose.choice(_STEPS)(choose) for _ in range(choose.randrange(1, 6)))]
    if choose.random() < 0.2:  # and leave in the middle of something
        steps[-1] = steps[-1][: choose.randrange(len(steps[-1]) + 1)]
    return steps


def _play(node: Node, steps: list[bytes]) -> Counter[int]:
    """Send everything, then read until the node ends the connection; count the types of its PDUs."""
    said: Counter[int] = Counter()
    with RawPeer(node.address, 15) as peer:
        with contextlib.suppress(OSError):
            for step in steps:
                peer.send(step)
            peer.sock.shutdown(socket.SHUT_WR)
        while True:
            kind, _ = peer.pdu()
            said[kind] += 1
            if not kind:
                return said


@pytest.mark.parametrize("acceptor", AcceptorKind)
def test_every_script_is_answered_or_ended_and_the_node_serves_on(
    state: Path, acceptor: AcceptorKind
) -> None:
    routes = {"r": RouteSettings(called="DEIDNODE", destinations="out", commitment="refuse")}
    said: Counter[int] = Counter()

    with running(state, acceptor=acceptor, limits=_QUICK, routes=routes) as node:
        for number in numbers(0.15):
            said += _play(node, _script(random.Random(number)))
        hall = node._acceptor._hall  # type: ignore[union-attr]
        wait_for(lambda: not hall.wires(), "no connection is left", 10)
        good = Peer(LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle("GOOD"), 5)
        with Requestor.connect(good, [(VERIFICATION, IMPLICIT)]) as assoc:
            assert assoc.echo() == 0
        assert node.failed is None
        incoming = state / "spool" / "incoming"
        wait_for(lambda: not list(incoming.iterdir()), "nothing half is left")

    assert {2, 4, 7} <= set(said), said
