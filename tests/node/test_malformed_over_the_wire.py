"""Malformed objects sent to a running node are answered with the status that is listed for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.settings import AcceptorKind
from deid_node.settings.routes import RouteSettings
from tests import malformed, malformed_values
from tests.dimse.raw import RawPeer, context, pdata, request, store_rq
from tests.engine.encoded import INSTANCE, SC
from tests.malformed import Case
from tests.malformed_codes import listed
from tests.node.running import running

pytestmark = pytest.mark.timeout(300)

_FAMILIES = (*malformed.FAMILIES, *malformed_values.FAMILIES)
# These name other objects than the request below, or are refused for what the request says.
_LEFT_OUT = frozenset(("truncated", "mismatched", "uids", "surroundings", "orders"))
_LARGEST = 200_000
_EVERY = 3


def _cases() -> Iterator[tuple[Case, str]]:
    codes = iter(listed())
    for family in _FAMILIES:
        for number, case in enumerate(family()):
            name, _, code = next(codes)
            if name in _LEFT_OUT or len(case.dataset) > _LARGEST or number % _EVERY:
                continue
            yield case, code


def _answered(peer: RawPeer, case: Case) -> str:
    peer.send(request([context(1, SC, case.transfer_syntax_uid)], called=b"DEIDNODE"))
    assert peer.pdu()[0] == 2
    peer.send(pdata(1, 3, store_rq(sop_class=SC, instance=INSTANCE)))
    for start in range(0, max(len(case.dataset), 1), 16_000):
        last = 2 if start + 16_000 >= len(case.dataset) else 0
        peer.send(pdata(1, last, case.dataset[start : start + 16_000]))
    return f"{peer.status():04X}"


@pytest.mark.parametrize("acceptor", AcceptorKind)
def test_each_object_is_answered_with_its_status(state: Path, acceptor: AcceptorKind) -> None:
    routes = {"r": RouteSettings(called="DEIDNODE", destinations="out", profile="routing")}
    wrong = []

    with running(state, routes=routes, acceptor=acceptor) as node:
        for case, code in _cases():
            with RawPeer(node.address) as peer:
                said = _answered(peer, case)
            if said != code:
                wrong.append((case.name, code, said))

    assert wrong == []
