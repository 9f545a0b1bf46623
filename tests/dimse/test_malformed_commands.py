"""Command sets that are wrong in twelve ways, of four services: each is answered or ends the association."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.dimse.probes import DATASET, Start, connections, echoes
from tests.dimse.raw import (
    ABORT,
    CT,
    EXPLICIT,
    INSTANCE,
    VERIFICATION,
    RawPeer,
    command,
    context,
    elem,
    pdata,
    uid,
    us,
)
from tests.dimse.recording import RecordingIntake
from tests.peers import wait_for

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"


@dataclass(frozen=True)
class Service:
    """A request as it should be: its elements by number, and the context it goes on."""

    name: str
    context_id: int
    elements: dict[int, bytes]
    has_dataset: bool

    def without(self, number: int) -> list[bytes]:
        return [encoded for one, encoded in self.elements.items() if one != number]

    def with_(self, number: int, encoded: bytes) -> list[bytes]:
        return [encoded if one == number else kept for one, kept in self.elements.items()]


def service(
    name: str, on: int, field: int, sop_class: str, *more: tuple[int, bytes], dataset: bool
) -> Service:
    number = 3 if name == "N-ACTION" else 2
    head = {number: uid(number, sop_class), 0x100: us(0x100, field), 0x110: us(0x110, 7)}
    tail = {0x800: us(0x800, 1 if dataset else 0x101)}
    return Service(name, on, {**head, **dict(more[:1]), **tail, **dict(more[1:])}, dataset)


STORE = service("C-STORE", 1, 1, CT, (0x700, us(0x700, 0)), (0x1000, uid(0x1000, INSTANCE)), dataset=True)
ECHO = service("C-ECHO", 3, 0x30, VERIFICATION, dataset=False)
ACTION = Service(
    "N-ACTION",
    5,
    {
        3: uid(3, PUSH_MODEL),
        0x100: us(0x100, 0x130),
        0x110: us(0x110, 7),
        0x800: us(0x800, 1),
        0x1001: uid(0x1001, WELL_KNOWN),
        0x1008: us(0x1008, 1),
    },
    True,
)
REPORT = Service(
    "N-EVENT-REPORT",
    5,
    {
        2: uid(2, PUSH_MODEL),
        0x100: us(0x100, 0x100),
        0x110: us(0x110, 7),
        0x800: us(0x800, 1),
        0x1000: uid(0x1000, WELL_KNOWN),
        0x1002: us(0x1002, 1),
    },
    True,
)


def malformed(one: Service) -> Iterator[tuple[str, bytes, bool]]:
    """Yield a name, a command set, and whether nothing but the end of the association is right."""
    whole = command(*one.elements.values())
    sop_class = 3 if 3 in one.elements else 2
    yield "cut in an element", whole[:-3], True
    yield "cut in a header", whole + b"\0\0\x02", True
    yield "a length past the end", whole + struct.pack("<HHI", 0, 0x5000, 1 << 20), True
    yield "an element twice", command(*one.elements.values(), us(0x110, 8)), True
    yield "another group", whole + struct.pack("<HHI", 8, 0x18, 2) + b"1\0", True
    yield "no command field", command(*one.without(0x100)), True
    yield "a command field of three bytes", command(*one.with_(0x100, elem(0x100, b"\1\0\0"))), True
    yield "a command field of no service", command(*one.with_(0x100, us(0x100, 0x0666))), False
    yield "no message id", command(*one.without(0x110)), True
    yield "a response for a request", command(*one.with_(0x100, us(0x100, 0x8001))), True
    yield "no SOP class", command(*one.without(sop_class)), False
    yield "bytes for a SOP class", command(*one.with_(sop_class, elem(sop_class, b"\xff\xfe" * 40))), False


CASES = [
    pytest.param(one, sent, must_end, id=f"{one.name}, {name}")
    for one in (STORE, ECHO, ACTION, REPORT)
    for name, sent, must_end in malformed(one)
]


def test_there_are_forty_eight() -> None:
    assert len(CASES) == 48


@pytest.mark.parametrize(("one", "sent", "must_end"), CASES)
def test_a_malformed_command_is_answered_or_ends_the_association(
    either: Start, intake: RecordingIntake, one: Service, sent: bytes, must_end: bool
) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate(
            context(1, CT, EXPLICIT),
            context(3, VERIFICATION, EXPLICIT),
            context(5, PUSH_MODEL, EXPLICIT),
        )
        peer.send(pdata(one.context_id, 3, sent))
        if one.has_dataset:
            try:
                peer.send(pdata(one.context_id, 2, DATASET))
            except OSError:
                assert must_end
        kind, body = peer.pdu()

    assert kind in (0, ABORT) if must_end else kind in (0, 4, ABORT)
    if kind == 4:
        status = body[body.index(b"\0\0\0\x09\2\0\0\0") + 8 :][:2]
        assert one is ECHO or status != b"\0\0"
    assert not any(taken.finished for taken in intake.objects)
    assert not intake.asked and not intake.reported
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)
    assert echoes(acceptor)
