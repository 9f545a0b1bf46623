"""Slow and broken peers are left in time, and so is everybody when the acceptor stops."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.stream_acceptor import StreamAcceptor
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.conftest import QUICK
from tests.dimse.probes import DATASET, Null, Start, connections, echoes, peers, readable
from tests.dimse.raw import (
    ABORT,
    RawPeer,
    echo_rq,
    pdata,
    store_rq,
)
from tests.dimse.recording import RecordingIntake, sample
from tests.peers import wait_for


@pytest.mark.parametrize(
    "begun",
    [b"\x04\0\0", pdata(3, 3, echo_rq())[:-1], pdata(1, 3, store_rq()), pdata(1, 3, store_rq())[:40]],
    ids=["half a header", "half a PDU", "half a message", "half a command"],
)
def test_what_is_begun_and_not_finished_is_aborted(
    either: Start, intake: RecordingIntake, begun: bytes
) -> None:
    acceptor = either()

    with peers(acceptor, 12) as stalled:
        for peer in stalled:
            peer.associate()
            peer.send(begun)
        before = time.monotonic()
        served = echoes(acceptor)
        ends = [peer.pdu()[0] for peer in stalled]

    assert served
    assert ends == [ABORT] * 12
    assert time.monotonic() - before < 5
    assert all(taken.aborted == 1 for taken in intake.objects)


def test_bytes_that_trickle_inside_a_pdu_do_not_lengthen_its_deadline(either: Start) -> None:
    acceptor = either()
    ended = False

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        before = time.monotonic()
        for byte in pdata(1, 3, store_rq()):
            try:
                peer.send(bytes((byte,)))
            except OSError:
                ended = True
            if ended or (readable(peer.sock, 0.1) and peer.pdu()[0] in (0, ABORT)):
                ended = True
                break

    assert ended
    assert time.monotonic() - before < 5


def test_a_dataset_below_the_minimum_rate_is_aborted(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    ended = False

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()))
        for _ in range(100):
            try:
                peer.send(pdata(1, 0, bytes(100)))
            except OSError:
                ended = True
            if ended or (readable(peer.sock, 0.1) and peer.pdu()[0] in (0, ABORT)):
                ended = True
                break

    assert ended
    assert intake.objects[0].aborted == 1


def test_the_time_that_the_intake_takes_is_not_held_against_the_sender(
    stream: Start, intake: RecordingIntake
) -> None:
    acceptor = stream()
    pauses = iter([1.3, 1.3])
    slow = SlowObject(pauses)
    intake.begin = lambda caller, request: slow  # type: ignore[method-assign,assignment,return-value]

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 0, bytes(1000)), pdata(1, 2, bytes(1000)))
        status = peer.status()

    assert status == 0


class SlowObject(Null):
    def __init__(self, pauses: Iterator[float]) -> None:
        self._pauses = pauses

    def feed(self, piece: memoryview) -> None:
        time.sleep(next(self._pauses, 0))


def test_an_idle_association_is_aborted_after_its_time(either: Start) -> None:
    acceptor = either(replace(QUICK, idle_s=0.5))

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(3, 3, echo_rq()))
        peer.status()
        before = time.monotonic()
        kind, body = peer.pdu()

    assert (kind, body[2]) == (ABORT, 0)
    assert 0.3 < time.monotonic() - before < 3


def test_a_peer_that_takes_no_answer_is_cut(stream: Start) -> None:
    acceptor = stream(replace(QUICK, send_s=0.5))
    echo = pdata(3, 3, echo_rq()) * 200

    with RawPeer(acceptor.address, timeout_s=3) as peer:
        peer.associate()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(OSError):
            for _ in range(10_000):
                peer.send(echo)
        wait_for(lambda: not connections(acceptor), "the connection is gone", 5)


def test_garbage_is_ended_and_leaves_nothing(either: Start) -> None:
    acceptor = either()
    rng = random.Random(20240312)
    fds = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    for round_ in range(400):
        with RawPeer(acceptor.address) as peer:
            try:
                if round_ % 2:
                    peer.associate()
                kind = rng.randrange(1, 9) if round_ % 3 else rng.randrange(256)
                body = rng.randbytes(rng.randrange(200))
                peer.send(bytes((kind, 0)), len(body).to_bytes(4, "big"), body)
                peer.sock.shutdown(socket.SHUT_WR)
                while peer.pdu()[0]:
                    pass
            except OSError:
                continue
    wait_for(lambda: not connections(acceptor), "all are gone", 5)

    assert echoes(acceptor)
    if fds:
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= fds, "no descriptor is left", 5)


def test_stop_aborts_an_idle_association_after_a_moment(either: Start) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        before = time.monotonic()
        acceptor.stop(20)
        took = time.monotonic() - before
        kind, _ = peer.pdu()

    assert kind == ABORT
    assert took < 5


def test_stop_aborts_an_unfinished_object_when_its_grace_is_over(
    stream: Start, intake: RecordingIntake
) -> None:
    acceptor = stream(replace(QUICK, rate_window_s=60))

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 0, bytes(1000)))
        wait_for(lambda: intake.objects and intake.objects[0].content, "the object began")
        before = time.monotonic()
        acceptor.stop(0.5)
        took = time.monotonic() - before
        kind, _ = peer.pdu()

    assert kind == ABORT
    assert 0.4 < took < 3
    assert intake.objects[0].aborted == 1


def test_stop_twice_and_stop_without_start_do_nothing(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    acceptor.stop(0)

    acceptor.stop(0)
    StreamAcceptor(intake, port=0).stop(0)

    with pytest.raises(AssociationError):
        echoes(acceptor, 1)


def test_a_stopped_port_can_be_used_again_at_once(either: Start, intake: RecordingIntake) -> None:
    sent = sample("CT_small.dcm")
    acceptor = either()
    peer = Peer(*acceptor.address, AETitle("NODE"), AETitle("TESTER"), 5)
    with Requestor.connect(peer, [sent.context]) as assoc, sent.path.open("rb") as file:
        assoc.store_file(file, **sent.keywords)
    acceptor.stop(5)

    again = StreamAcceptor(intake, port=acceptor.address[1])
    again.start()
    served = echoes(again)
    again.stop(0)

    assert served


def test_an_answer_that_is_overdue_is_given_while_the_intake_still_works(
    either: Start, intake: RecordingIntake
) -> None:
    acceptor = either(replace(QUICK, answer_s=0.3))
    go_on = threading.Event()
    intake.before_answer = lambda: go_on.wait(10)
    overdue = StoreAnswer(StoreStatus.OUT_OF_RESOURCES, "overdue")
    intake.late_answer = overdue

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 2, DATASET))
        status = peer.status()
        go_on.set()
        if isinstance(acceptor, StreamAcceptor):
            peer.send(pdata(3, 3, echo_rq()))
            after = peer.status()
        else:
            after = peer.pdu()[0]

    assert status == StoreStatus.OUT_OF_RESOURCES
    assert after == (0 if isinstance(acceptor, StreamAcceptor) else ABORT)
