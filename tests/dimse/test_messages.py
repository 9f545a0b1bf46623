"""The messages of an association: how they may be cut, and what ends the association."""

from __future__ import annotations

import resource
import socket
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.status import StoreStatus
from tests.dimse.conftest import QUICK
from tests.dimse.probes import DATASET, Null, Start, connections
from tests.dimse.raw import (
    ABORT,
    CT,
    DATA,
    RELEASE_RP,
    RELEASE_RQ,
    RawPeer,
    command,
    echo_rq,
    elem,
    pdata,
    request,
    store_rq,
    uid,
    us,
)
from tests.dimse.recording import RecordingIntake
from tests.peers import wait_for


def test_a_peer_without_a_pdu_limit_is_answered(either: Start) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate(max_pdu=0)
        peer.send(pdata(3, 3, echo_rq()))
        status = peer.status()

    assert status == 0


def test_an_answer_is_cut_into_the_pdus_that_the_peer_takes(either: Start, intake: RecordingIntake) -> None:
    intake.answer = StoreAnswer(StoreStatus.REJECTED, "c" * 64)
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate(max_pdu=128)
        peer.send(pdata(1, 3, store_rq()), pdata(1, 2, DATASET))
        kind, body = peer.pdu()
        rest_kind, rest = peer.pdu()

    assert (kind, rest_kind) == (DATA, DATA)
    assert len(body) <= 128
    assert body[5] == 1
    assert rest[5] == 3


def test_fragments_may_be_cut_anywhere(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    rq = store_rq()
    message = pdata(1, 1, rq[:11]) + pdata(1, 1, b"") + pdata(1, 3, rq[11:])
    message += pdata(1, 0, DATASET[:3]) + pdata(1, 0, b"") + pdata(1, 0, DATASET[3:]) + pdata(1, 2, b"")

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        for place in range(0, len(message), 7):
            peer.send(message[place : place + 7])
        status = peer.status()

    assert status == 0
    assert intake.objects[0].content == DATASET


def test_small_fragments_that_are_there_are_handed_on_together(
    stream: Start, intake: RecordingIntake
) -> None:
    acceptor = stream()
    content = bytes(range(256)) * 400
    cuts = [0, 1, 2, 9, 100, *range(150, len(content), 977)]
    fragments = [content[begin:end] for begin, end in pairwise(cuts)]

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        for number in (1, 2):
            last = pdata(1, 2, content[cuts[-1] :])
            peer.send(
                pdata(1, 3, store_rq(message_id=number)), *(pdata(1, 0, part) for part in fragments), last
            )
        answered = [peer.status(), peer.status()]

    assert answered == [0, 0]
    assert [bytes(taken.content) for taken in intake.objects] == [content, content]
    assert all(taken.pieces < len(fragments) // 2 for taken in intake.objects)


def test_command_and_dataset_may_share_a_pdu(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    values = pdata(1, 3, store_rq())[6:] + pdata(1, 2, DATASET)[6:]

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(b"\x04\0" + len(values).to_bytes(4, "big") + values)
        status = peer.status()

    assert status == 0
    assert intake.objects[0].content == DATASET


def test_a_second_message_in_a_pdu_is_answered_or_ends_the_association(
    either: Start, intake: RecordingIntake
) -> None:
    acceptor = either()
    values = b"".join(
        pdata(*one)[6:] for one in ((1, 3, store_rq()), (1, 2, DATASET), (3, 3, echo_rq(message_id=9)))
    )

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(b"\x04\0" + len(values).to_bytes(4, "big") + values)
        kinds = [kind for kind, _ in (peer.pdu(), peer.pdu())]

    assert kinds in ([DATA, DATA], [ABORT, 0])


def test_messages_may_be_sent_without_waiting_for_answers(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    message = b"".join(
        pdata(1, 3, store_rq(message_id=n)) + pdata(1, 2, DATASET + bytes((n, 0))) for n in range(1, 50)
    )

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(message, RELEASE_RQ)
        answered = [int.from_bytes(peer.answer()[0x120], "little") for _ in range(1, 50)]
        kind, _ = peer.pdu()

    assert answered == list(range(1, 50))
    assert kind == RELEASE_RP
    assert [taken.content[-2] for taken in intake.objects] == answered


@pytest.mark.parametrize(
    ("field", "dataset"), [(0x20, 1), (0x21, 1), (0x10, 1), (0x110, 0x101), (0x130, 1)], ids=hex
)
def test_another_service_is_an_unrecognized_operation(either: Start, field: int, dataset: int) -> None:
    acceptor = either()
    rq = command(uid(2, CT), us(0x100, field), us(0x110, 9), us(0x800, dataset))

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, rq))
        if dataset != 0x101:
            peer.send(pdata(1, 2, DATASET))
        answer = peer.answer()
        peer.send(pdata(3, 3, echo_rq()))
        echoed = peer.status()

    assert answer[0x900] == b"\x11\x02"
    assert int.from_bytes(answer[0x100], "little") == field | 0x8000
    assert answer[0x120] == b"\x09\0"
    assert echoed == 0


def test_a_cancel_is_ignored(either: Start) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, command(us(0x100, 0xFFF), us(0x120, 3), us(0x800, 0x101))))
        peer.send(pdata(3, 3, echo_rq()))
        status = peer.status()

    assert status == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"\x04\0\xff\xff\xff\xfe\xff\xff\xff\xfa\x01\x00" + bytes(1000),
        b"\x04\0\0\x02\0\x01" + bytes(100),
        b"\x04\0\0\0\0\0",
        b"\x04\0\0\0\0\x05\0\0\0\x01\x01",
        b"\x04\0\0\0\0\x06\0\0\0\x01\x01\x03",
        b"\x04\0\0\0\0\x06\0\0\x10\0\x01\x03",
        pdata(5, 3, echo_rq()),
        pdata(1, 2, DATASET),
        pdata(1, 3, store_rq()) + pdata(3, 2, DATASET),
        pdata(1, 3, store_rq()) + pdata(1, 3, store_rq()),
        pdata(1, 1, store_rq()) + pdata(3, 3, b""),
        pdata(1, 1, bytes(10_000)) + pdata(1, 1, bytes(10_000)),
        pdata(1, 3, b"\x08\0\x05\0\x02\0\0\0  "),
        pdata(1, 3, command(us(0x110, 1))),
        pdata(1, 3, command(elem(0x100, b"\x01"))),
        pdata(1, 3, command(us(0x100, 1), us(0x100, 1))),
        pdata(1, 3, command(us(0x100, 0x30))),
        pdata(1, 3, command(us(0x100, 0x8001), us(0x120, 1), us(0x800, 0x101))),
        pdata(1, 3, b"\0\0\0"),
        request(),
        b"\x02\0\0\0\0\x04\0\0\0\0",
        b"\x06\0\0\0\0\x04\0\0\0\0",
        b"\xee\0\0\0\0\x04\0\0\0\0",
    ],
    ids=[
        "4 GiB",
        "more than announced",
        "empty PDU",
        "PDV cut",
        "PDV too short",
        "PDV past its PDU",
        "context not accepted",
        "dataset without command",
        "dataset on another context",
        "command instead of dataset",
        "command on two contexts",
        "20 KB command",
        "group 0008",
        "no command field",
        "command field of one byte",
        "element twice",
        "no message id",
        "response",
        "element cut",
        "second request",
        "AC",
        "release response",
        "unknown PDU",
    ],
)
def test_a_bad_message_is_aborted(either: Start, intake: RecordingIntake, sent: bytes) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(sent)
        kind, _ = peer.pdu()
        ended = peer.ended()

    assert kind == ABORT
    assert ended
    assert all((taken.finished, taken.aborted) == (0, 1) for taken in intake.objects)
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)


@pytest.mark.parametrize("begun", [b"", pdata(1, 3, store_rq())], ids=["command", "dataset"])
def test_fragments_of_nothing_go_on_for_a_while_and_not_for_ever(either: Start, begun: bytes) -> None:
    nothing = pdata(1, 0 if begun else 1, b"")
    whole = begun + nothing * 500 + (pdata(1, 2, DATASET) if begun else pdata(1, 3, store_rq(dataset=0x101)))
    acceptor = either(AssociationLimits())  # their deadlines are longer than this waits

    with RawPeer(acceptor.address, 5) as peer:
        peer.associate()
        peer.send(whole)
        status = peer.status()
        peer.send(begun, nothing * 2000)
        kind, _ = peer.pdu()

    assert (status == 0) == bool(begun)
    assert kind == ABORT


@pytest.mark.parametrize("end", ["close", "reset", "abort", "release"])
def test_an_object_that_is_not_complete_is_aborted_once(
    stream: Start, intake: RecordingIntake, end: str
) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 0, bytes(5000)))
        wait_for(lambda: intake.objects and len(intake.objects[0].content) == 5000, "5000 bytes came")
        if end == "abort":
            peer.send(b"\x07\0\0\0\0\x04\0\0\0\0")
        elif end == "release":
            peer.send(RELEASE_RQ)
        elif end == "reset":
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if end in ("close", "reset"):
            peer.sock.close()
        wait_for(lambda: not connections(acceptor), "the connection is gone", 5)

    (taken,) = intake.objects
    assert (taken.finished, taken.aborted) == (0, 1)


def test_an_object_is_kept_when_its_sender_is_gone_before_the_answer(
    either: Start, intake: RecordingIntake
) -> None:
    acceptor = either()
    entered, go_on = threading.Event(), threading.Event()
    intake.before_answer = lambda: (entered.set(), go_on.wait(10))

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 2, DATASET))
        assert entered.wait(5)
    go_on.set()
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)

    (taken,) = intake.objects
    assert (taken.finished, taken.aborted) == (1, 0)


def test_a_dataset_over_the_limit_is_answered_and_not_kept(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream(replace(QUICK, max_dataset_bytes=20_000))

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), *[pdata(1, 0, bytes(10_000))] * 3, pdata(1, 2, DATASET))
        status = peer.status()
        peer.send(pdata(3, 3, echo_rq()))
        echoed = peer.status()

    assert (status, echoed) == (StoreStatus.LIMIT_EXCEEDED, 0)
    assert (intake.objects[0].finished, intake.objects[0].aborted) == (0, 1)


def test_an_endless_dataset_is_aborted_in_constant_memory(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream(replace(QUICK, max_dataset_bytes=50_000_000))
    intake.begin = lambda caller, request: Null()  # type: ignore[method-assign,assignment,return-value]
    piece = pdata(1, 0, bytes(100_000)) * 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()))
        sent = 0
        try:
            while sent < 400_000_000:
                peer.send(piece)
                sent += len(piece)
        except OSError:
            pass

    assert sent < 120_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
