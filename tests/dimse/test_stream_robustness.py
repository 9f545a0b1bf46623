"""Hostile and broken peers: each gets an answer or an abort in time, and others are served meanwhile."""

from __future__ import annotations

import os
import random
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from deid_node.dimse.association import AssociationRejection, StoreAnswer
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.stream_acceptor import StreamAcceptor
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.conftest import QUICK
from tests.dimse.raw import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    CT,
    DATA,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    RawPeer,
    command,
    context,
    echo_rq,
    elem,
    item,
    pdata,
    request,
    role,
    store_rq,
    uid,
    us,
    user_information,
)
from tests.dimse.recording import RecordingIntake, sample
from tests.peers import LOOPBACK, wait_for

Start = Callable[..., StreamAcceptor]

DATASET = b"\x08\0\x05\0CS\x02\0  "


def echoes(acceptor: StreamAcceptor, timeout_s: float = 5) -> bool:
    """Whether a well behaved peer is served within `timeout_s`."""
    peer = Peer(LOOPBACK, acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), timeout_s)
    with Requestor.connect(peer, [(VERIFICATION, IMPLICIT)]) as assoc:
        return assoc.echo() == StoreStatus.SUCCESS


def connections(acceptor: StreamAcceptor) -> int:
    return len(acceptor._hall.wires())


@contextmanager
def peers(acceptor: StreamAcceptor, count: int) -> Iterator[list[RawPeer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawPeer(acceptor.address)) for _ in range(count)]


# --- before an association ------------------------------------------------------------------------


def test_fifty_silent_connections_keep_nobody_out(stream: Start) -> None:
    acceptor = stream(replace(QUICK, request_s=60))

    with peers(acceptor, 50):
        served = echoes(acceptor)
        waiting = connections(acceptor)

    assert served
    assert waiting <= QUICK.waiting_per_address + 1


def test_fifty_begun_headers_keep_nobody_out_and_end(stream: Start) -> None:
    acceptor = stream()

    with peers(acceptor, 50) as silent:
        for peer in silent:
            try:
                peer.send(b"\x01\x00\x00")
            except OSError:
                continue  # displaced by a newer one
        served = echoes(acceptor)
        wait_for(lambda: not connections(acceptor), "all are cut", 5)

    assert served


def test_a_request_that_trickles_is_cut_at_its_deadline(stream: Start) -> None:
    acceptor = stream()
    before = time.monotonic()

    with RawPeer(acceptor.address) as peer:
        cut = False
        for byte in request():
            try:
                peer.send(bytes((byte,)))
                cut = readable(peer.sock, 0.1) is not False and peer.pdu()[0] in (0, ABORT)
            except OSError:
                cut = True
            if cut:
                break

    assert cut
    assert time.monotonic() - before < 5


def readable(sock: socket.socket, timeout_s: float) -> bool:
    return bool(select.select([sock], [], [], timeout_s)[0])


def test_a_flood_of_connects_is_bounded(stream: Start) -> None:
    acceptor = stream()

    for _ in range(3):
        with peers(acceptor, 100):
            assert connections(acceptor) <= 200
    served = echoes(acceptor)
    wait_for(lambda: not connections(acceptor), "all are gone", 5)

    assert served


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (pdata(1, 3, echo_rq()), 2),
        (RELEASE_RQ, 2),
        (b"\x01\0\xff\xff\xff\xfe" + bytes(1000), 6),
        (b"\x01\0\0\0\0\x04\0\0\0\0", 6),
        (request([context(2, CT, EXPLICIT)]), 6),
        (request([context(1, CT, EXPLICIT), context(1, CT, IMPLICIT)]), 6),
        (request([context(n % 256 | 1, CT, EXPLICIT) for n in range(300)]), 6),
        (request([context(1, CT, *["1.2.840.10008.1.2.4.50"] * 65)]), 6),
        (request([context(1, CT)]), 6),
        (request([context(1, "", EXPLICIT)]), 6),
        (request([item(0x20, b"\x01")]), 6),
        (request([item(0x20, bytes((1, 0, 0, 0)) + b"\x30\0\xff\xff12")]), 6),
        (request(user=user_information(*[item(0x5A, b"x")] * 600)), 6),
        (request(user=user_information(max_pdu=16)), 6),
        (request(user=item(0x50, item(0x51, b"\0"))), 6),
        (request(user=user_information(item(0x54, b"\xff\xff1.2")))[:-1], None),
        (request(user=user_information(item(0x54, b"\xff\xff1.2"))), 6),
        (request(tail=b"\x20\0"), 6),
        (request(tail=bytes(300 * 1024)), 6),
    ],
    ids=[
        "http",
        "data first",
        "release first",
        "4 GiB",
        "short request",
        "even id",
        "id twice",
        "300 contexts",
        "65 transfer syntaxes",
        "no transfer syntax",
        "no abstract syntax",
        "context cut",
        "syntax past the end",
        "600 user items",
        "peer PDU too small",
        "maximum length item",
        "request cut",
        "role item",
        "tail",
        "300 KiB",
    ],
)
def test_a_bad_request_is_aborted(stream: Start, sent: bytes, reason: int | None) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.send(sent)
        kind, body = peer.pdu()
        ended = peer.ended()

    assert kind == ABORT
    assert ended
    assert reason is None or body == bytes((0, 0, 2, reason))
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)


@pytest.mark.parametrize(
    ("sent", "rejection"),
    [
        (request([]), AssociationRejection.NO_REASON),
        (request(version=2), AssociationRejection.PROTOCOL_VERSION_NOT_SUPPORTED),
        (request(application=b"1.2.3"), AssociationRejection.APPLICATION_CONTEXT_NOT_SUPPORTED),
        (request(calling=b"../../etc/passwd"), AssociationRejection.CALLING_AE_NOT_RECOGNIZED),
        (request(calling=b""), AssociationRejection.CALLING_AE_NOT_RECOGNIZED),
        (request(called=b"A\\B"), AssociationRejection.CALLED_AE_NOT_RECOGNIZED),
        (request(called=b"\xff\xfe"), AssociationRejection.CALLED_AE_NOT_RECOGNIZED),
    ],
    ids=["zero contexts", "version", "application", "traversal", "spaces", "backslash", "not ASCII"],
)
def test_a_request_that_cannot_be_let_in_is_rejected(
    stream: Start, sent: bytes, rejection: AssociationRejection
) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.send(sent)
        kind, body = peer.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, rejection.value)


def test_an_association_too_many_is_rejected_for_now(stream: Start) -> None:
    acceptor = stream(replace(QUICK, associations=2))

    with peers(acceptor, 3) as (first, second, third):
        first.associate()
        second.associate()
        third.send(request())
        kind, body = third.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, (2, 3, 2))
    wait_for(lambda: not connections(acceptor), "all are gone", 5)
    assert echoes(acceptor)


def test_an_association_too_many_of_one_address_is_rejected_for_now(stream: Start) -> None:
    acceptor = stream(replace(QUICK, associations_per_address=1))

    with peers(acceptor, 2) as (first, second):
        first.associate()
        second.send(request())
        kind, body = second.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, (2, 3, 2))


def test_a_fault_while_admitting_ends_that_association_alone(
    stream: Start, intake: RecordingIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    acceptor = stream()
    monkeypatch.setattr(intake, "supports", lambda caller, uid: 1 / 0)

    with RawPeer(acceptor.address) as peer:
        peer.send(request())
        kind, _ = peer.pdu()

    assert kind == ABORT
    assert echoes(acceptor)  # Verification asks nobody


# --- negotiation ----------------------------------------------------------------------------------


def test_user_items_that_are_not_for_us_are_ignored(stream: Start) -> None:
    acceptor = stream()
    user = user_information(
        item(0x53, b"\0\x04\0\x04"),
        item(0x55, b"VERSION"),
        item(0x56, b"\0\x031.2\x01\x02"),
        item(0x57, b"\0\x031.2\0\x031.2\0\0"),
        item(0x58, b"\x01\x01\0\x04user\0\0"),
        item(0x77, b"?"),
        role(CT, 1, 1),
    )

    with RawPeer(acceptor.address) as peer:
        peer.send(request(user=user))
        kind, body = peer.pdu()

    assert kind == ASSOCIATE_AC
    assert role(CT, 1, 0) in body
    assert body[4:20] == b"NODE".ljust(16)
    assert body[20:36] == b"RAW".ljust(16)


def test_titles_and_uids_may_be_padded_with_nul(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.send(
            request([context(1, CT + "\0", EXPLICIT + "\0")], calling=b"RAW\0\0", called=b" NODE \0\0\0")
        )
        kind, _ = peer.pdu()

    assert kind == ASSOCIATE_AC
    assert (intake.callers[0].calling, intake.callers[0].called) == ("RAW", "NODE")


def test_all_contexts_may_be_refused(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        body = peer.associate(context(1, intake.NOT_SUPPORTED, EXPLICIT))
        peer.send(RELEASE_RQ)
        kind, _ = peer.pdu()

    assert b"\x21\0\0\x1b\x01\0\x03\0" in body
    assert kind == RELEASE_RP


# --- messages -------------------------------------------------------------------------------------


def test_a_peer_without_a_pdu_limit_is_answered(stream: Start) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.associate(max_pdu=0)
        peer.send(pdata(3, 3, echo_rq()))
        status = peer.status()

    assert status == 0


def test_an_answer_is_cut_into_the_pdus_that_the_peer_takes(stream: Start, intake: RecordingIntake) -> None:
    intake.answer = StoreAnswer(StoreStatus.REJECTED, "c" * 64)
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.associate(max_pdu=128)
        peer.send(pdata(1, 3, store_rq()), pdata(1, 2, DATASET))
        kind, body = peer.pdu()
        rest_kind, rest = peer.pdu()

    assert (kind, rest_kind) == (DATA, DATA)
    assert len(body) <= 128
    assert body[5] == 1
    assert rest[5] == 3


def test_fragments_may_be_cut_anywhere(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
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


def test_command_and_dataset_may_share_a_pdu(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
    values = pdata(1, 3, store_rq())[6:] + pdata(1, 2, DATASET)[6:]

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(b"\x04\0" + len(values).to_bytes(4, "big") + values)
        status = peer.status()

    assert status == 0
    assert intake.objects[0].content == DATASET


def test_messages_may_be_sent_without_waiting_for_answers(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
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
def test_another_service_is_an_unrecognized_operation(stream: Start, field: int, dataset: int) -> None:
    acceptor = stream()
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


def test_a_cancel_is_ignored(stream: Start) -> None:
    acceptor = stream()

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
def test_a_bad_message_is_aborted(stream: Start, intake: RecordingIntake, sent: bytes) -> None:
    acceptor = stream()

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(sent)
        kind, _ = peer.pdu()
        ended = peer.ended()

    assert kind == ABORT
    assert ended
    assert all((taken.finished, taken.aborted) == (0, 1) for taken in intake.objects)
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)


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
    stream: Start, intake: RecordingIntake
) -> None:
    acceptor = stream()
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


class Null:
    def feed(self, piece: memoryview) -> None:
        pass

    def finish(self) -> StoreAnswer:
        return StoreAnswer(StoreStatus.SUCCESS)

    def abort(self) -> None:
        pass


# --- deadlines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begun",
    [b"\x04\0\0", pdata(3, 3, echo_rq())[:-1], pdata(1, 3, store_rq()), pdata(1, 3, store_rq())[:40]],
    ids=["half a header", "half a PDU", "half a message", "half a command"],
)
def test_what_is_begun_and_not_finished_is_aborted(
    stream: Start, intake: RecordingIntake, begun: bytes
) -> None:
    acceptor = stream()

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


def test_bytes_that_trickle_inside_a_pdu_do_not_lengthen_its_deadline(stream: Start) -> None:
    acceptor = stream()
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


def test_a_dataset_below_the_minimum_rate_is_aborted(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
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
    pauses = iter([1.2, 1.2])
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


def test_an_idle_association_is_aborted_after_its_time(stream: Start) -> None:
    acceptor = stream(replace(QUICK, idle_s=0.5))

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


# --- garbage --------------------------------------------------------------------------------------


def test_garbage_is_ended_and_leaves_nothing(stream: Start) -> None:
    acceptor = stream()
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


# --- stopping -------------------------------------------------------------------------------------


def test_stop_aborts_an_idle_association_after_a_moment(stream: Start) -> None:
    acceptor = stream()

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


def test_stop_twice_and_stop_without_start_do_nothing(stream: Start, intake: RecordingIntake) -> None:
    acceptor = stream()
    acceptor.stop(0)

    acceptor.stop(0)
    StreamAcceptor(intake, port=0).stop(0)

    with pytest.raises(AssociationError):
        echoes(acceptor, 1)


def test_a_stopped_port_can_be_used_again_at_once(stream: Start, intake: RecordingIntake) -> None:
    sent = sample("CT_small.dcm")
    acceptor = stream()
    peer = Peer(*acceptor.address, AETitle("NODE"), AETitle("TESTER"), 5)
    with Requestor.connect(peer, [sent.context]) as assoc, sent.path.open("rb") as file:
        assoc.store_file(file, **sent.keywords)
    acceptor.stop(5)

    again = StreamAcceptor(intake, port=acceptor.address[1])
    again.start()
    served = echoes(again)
    again.stop(0)

    assert served
