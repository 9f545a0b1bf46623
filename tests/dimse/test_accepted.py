"""Before there is an association: silent, hostile and odd requestors, and what is negotiated."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from deid_node.dimse.association import AssociationRejection
from tests.dimse.conftest import QUICK
from tests.dimse.probes import Start, connections, echoes, peers, readable
from tests.dimse.raw import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    RawPeer,
    context,
    echo_rq,
    item,
    pdata,
    request,
    role,
    user_information,
)
from tests.dimse.recording import RecordingIntake
from tests.peers import wait_for


def test_fifty_silent_connections_keep_nobody_out(either: Start) -> None:
    acceptor = either(replace(QUICK, request_s=60))

    with peers(acceptor, 50):
        served = echoes(acceptor)
        waiting = connections(acceptor)

    assert served
    assert waiting <= QUICK.waiting_per_address + 1


def test_fifty_begun_headers_keep_nobody_out_and_end(either: Start) -> None:
    acceptor = either()

    with peers(acceptor, 50) as silent:
        for peer in silent:
            try:
                peer.send(b"\x01\x00\x00")
            except OSError:
                continue  # displaced by a newer one
        served = echoes(acceptor)
        wait_for(lambda: not connections(acceptor), "all are cut", 5)

    assert served


def test_a_request_that_trickles_is_cut_at_its_deadline(either: Start) -> None:
    acceptor = either()
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


def test_a_flood_of_connects_is_bounded(either: Start) -> None:
    acceptor = either()

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
def test_a_bad_request_is_aborted(either: Start, sent: bytes, reason: int | None) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.send(sent)
        kind, body = peer.pdu()
        ended = peer.ended()

    assert kind == ABORT
    assert ended
    assert reason is None or body == bytes((0, 0, 2, reason))
    wait_for(lambda: not connections(acceptor), "the connection is gone", 5)


def test_an_abort_before_any_request_is_not_answered(either: Start) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.send(bytes.fromhex("07000000000400000000"))
        kind, _ = peer.pdu()

    assert kind == 0


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
    either: Start, sent: bytes, rejection: AssociationRejection
) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.send(sent)
        kind, body = peer.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, rejection.value)


def test_an_association_too_many_is_rejected_for_now(either: Start) -> None:
    acceptor = either(replace(QUICK, associations=2))

    with peers(acceptor, 3) as (first, second, third):
        first.associate()
        second.associate()
        third.send(request())
        kind, body = third.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, (2, 3, 2))
    wait_for(lambda: not connections(acceptor), "all are gone", 5)
    assert echoes(acceptor)


def test_an_association_too_many_of_one_address_is_rejected_for_now(either: Start) -> None:
    acceptor = either(replace(QUICK, associations_per_address=1))

    with peers(acceptor, 2) as (first, second):
        first.associate()
        second.send(request())
        kind, body = second.pdu()

    assert (kind, tuple(body[1:])) == (ASSOCIATE_RJ, (2, 3, 2))


def test_a_fault_while_admitting_ends_that_association_alone(
    either: Start, intake: RecordingIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    acceptor = either()
    monkeypatch.setattr(intake, "supports", lambda caller, uid: 1 / 0)

    with RawPeer(acceptor.address) as peer:
        peer.send(request())
        kind, _ = peer.pdu()

    assert kind == ABORT
    assert echoes(acceptor)  # Verification asks nobody


def test_user_items_that_are_not_for_us_are_ignored(either: Start) -> None:
    acceptor = either()
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


def test_titles_and_uids_may_be_padded_with_nul(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        peer.send(
            request([context(1, CT + "\0", EXPLICIT + "\0")], calling=b"RAW\0\0", called=b" NODE \0\0\0")
        )
        kind, _ = peer.pdu()

    assert kind == ASSOCIATE_AC
    assert (intake.callers[0].calling, intake.callers[0].called) == ("RAW", "NODE")


def test_all_contexts_may_be_refused(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()

    with RawPeer(acceptor.address) as peer:
        body = peer.associate(context(1, intake.NOT_SUPPORTED, EXPLICIT))
        peer.send(RELEASE_RQ)
        kind, _ = peer.pdu()

    assert b"\x21\0\0\x1b\x01\0\x03\0" in body
    assert kind == RELEASE_RP
