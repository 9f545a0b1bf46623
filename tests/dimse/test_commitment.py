"""Storage commitment on the network, in both roles, with pynetdicom on the other side."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, dsutils, evt

from deid_node.dimse import commitment_scu
from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    CommitmentRequest,
    Instance,
    refusal_of,
)
from deid_node.dimse.commitment_dataset import (
    SYNTAXES,
    CommitmentError,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.probes import Start
from tests.dimse.raw import ABORT, IMPLICIT, VERIFICATION, RawPeer, command, context, pdata, uid, us, values
from tests.dimse.recording import RecordingIntake
from tests.dimse.scripted import scripted
from tests.peers import LOOPBACK, free_port, wait_for

ONE, TWO = Instance("1.2.840.10008.5.1.4.1.1.2", "1.2.3"), Instance("1.2.840.10008.5.1.4.1.1.4", "1.2.4")
REQUEST = CommitmentRequest("2.25.7", (ONE, TWO))
ACTION = command(
    uid(0x0003, PUSH_MODEL),
    us(0x100, 0x0130),
    us(0x110, 1),
    us(0x800, 1),
    uid(0x1001, PUSH_MODEL_INSTANCE),
    us(0x1008, 1),
)
REPORT = CommitmentReport("2.25.7", (ONE,), ((TWO, 0x0112),))


def peer_of(acceptor: ListeningAcceptor, timeout_s: float = 5) -> Peer:
    return Peer(LOOPBACK, acceptor.address[1], AETitle("NODE"), AETitle("PACS"), timeout_s)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_written_is_read(syntax: str) -> None:
    assert decode_request(encode_request(REQUEST, syntax), syntax) == REQUEST
    assert decode_report(encode_report(REPORT, syntax), syntax) == REPORT


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_what_is_written(syntax: str) -> None:
    ds = as_pydicom(encode_report(REPORT, syntax), syntax)

    assert ds.TransactionUID == "2.25.7"
    assert ds.ReferencedSOPSequence[0].ReferencedSOPClassUID == ONE.sop_class_uid
    assert ds.FailedSOPSequence[0].ReferencedSOPInstanceUID == TWO.sop_instance_uid
    assert ds.FailedSOPSequence[0].FailureReason == 0x0112


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
def test_what_pydicom_writes_is_read(syntax: str, undefined: bool) -> None:
    ds = as_pydicom(encode_report(REPORT, syntax), syntax)
    ds.StorageMediaFileSetID = "MEDIA"
    step = Dataset()
    step.ReferencedSOPClassUID, step.ReferencedSOPInstanceUID = "1.2", "1.3"
    ds.ReferencedPerformedProcedureStepSequence = [step]
    for keyword in ("ReferencedPerformedProcedureStepSequence", "FailedSOPSequence", "ReferencedSOPSequence"):
        ds[keyword].is_undefined_length = undefined
        for item in ds[keyword].value:
            item.is_undefined_length_sequence_item = undefined

    assert decode_report(as_bytes(ds, syntax), syntax) == REPORT


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_whatever_is_cut_or_changed_is_read_or_refused(syntax: str) -> None:
    content = encode_report(REPORT, syntax)
    rng = random.Random(1)
    for number in range(5000):
        spoiled = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            spoiled[rng.randrange(len(spoiled))] = rng.choice((0, 0xFF, 0xFE, rng.randrange(256)))
        with suppress(CommitmentError):
            decode_report(bytes(spoiled[: len(spoiled) - number % 40]), syntax)


def test_many_instances_are_read_at_once() -> None:
    many = CommitmentRequest("1.2", tuple(Instance(ONE.sop_class_uid, f"1.2.3.{n}") for n in range(40_000)))
    content = encode_request(many, SYNTAXES[0])
    before = time.monotonic()

    assert len(decode_request(content, SYNTAXES[0]).instances) == 40_000
    assert time.monotonic() - before < 3


def as_pydicom(content: bytes, syntax: str) -> Dataset:
    return dsutils.decode(BytesIO(content), syntax == SYNTAXES[0], True)


def as_bytes(ds: Dataset, syntax: str) -> bytes:
    encoded = dsutils.encode(ds, syntax == SYNTAXES[0], True)
    assert encoded is not None
    return encoded


def test_the_event_says_whether_anything_failed() -> None:
    assert REPORT.event_type == 2
    assert CommitmentReport("1.2", (ONE,)).event_type == 1
    assert refusal_of(REQUEST, 0x0110).event_type == 2
    assert refusal_of(REQUEST, 0x0110).committed == ()


@pytest.mark.parametrize("spoil", ["no transaction", "bad transaction", "no items", "bad item", "no class"])
def test_a_request_that_does_not_say_what_it_has_to_is_refused(spoil: str) -> None:
    ds = request_dataset(REQUEST)
    match spoil:
        case "no transaction":
            del ds.TransactionUID
        case "bad transaction":
            ds.add_new(0x00081195, "LO", "../../etc")
        case "no items":
            ds.ReferencedSOPSequence = []
        case "bad item":
            ds.ReferencedSOPSequence[0].add_new(0x00081155, "UI", ["1.2", "1.3"])
        case "no class":
            del ds.ReferencedSOPSequence[1].ReferencedSOPClassUID

    with pytest.raises(CommitmentError):
        decode_request(as_bytes(ds, SYNTAXES[0]), SYNTAXES[0])


def request_dataset(request: CommitmentRequest) -> Dataset:
    return as_pydicom(encode_request(request, SYNTAXES[0]), SYNTAXES[0])


# --- as acceptor --------------------------------------------------------------------------------------


def test_a_peer_that_asks_is_answered_and_told_on_the_same_association(
    either: Start, intake: RecordingIntake
) -> None:
    intake.report = lambda request: REPORT
    acceptor = either()
    told: list[CommitmentReport] = []

    def take(report: CommitmentReport) -> StoreStatus:
        told.append(report)
        return StoreStatus.SUCCESS

    status = commitment_scu.ask(peer_of(acceptor), REQUEST, take, listen_s=5)

    assert status == StoreStatus.SUCCESS
    assert intake.asked == [REQUEST]
    assert told == [REPORT]


def test_a_report_of_many_instances_fits_small_pdus(either: Start, intake: RecordingIntake) -> None:
    many = tuple(Instance(ONE.sop_class_uid, f"1.2.3.{number}") for number in range(2000))
    intake.report = lambda request: refusal_of(request, 0x0110)
    acceptor = either()
    told: list[CommitmentReport] = []
    peer = Peer(LOOPBACK, acceptor.address[1], AETitle("NODE"), AETitle("PACS"), 10, max_pdu_bytes=4096)

    commitment_scu.ask(
        peer,
        CommitmentRequest("1.2", many),
        lambda report: (told.append(report), StoreStatus.SUCCESS)[1],
        listen_s=10,
    )

    assert [len(report.failed) for report in told] == [2000]


def test_messages_go_on_after_a_report(either: Start, intake: RecordingIntake) -> None:
    intake.report = lambda request: REPORT
    acceptor = either()
    told = threading.Semaphore(0)
    with raw_association(acceptor, told=told.release) as assoc:
        for _ in range(3):
            status, _ = assoc.send_n_action(request_dataset(REQUEST), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            assert status.Status == 0
            assert told.acquire(timeout=5)
            wait_for(lambda: assoc.is_established, "it goes on")
        assert assoc.send_c_echo().Status == 0

    assert intake.asked == [REQUEST] * 3


@contextmanager
def raw_association(acceptor: ListeningAcceptor, told: Callable[[], object] = lambda: None) -> Iterator[Any]:
    ae = AE("PACS")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 5
    ae.add_requested_context(PUSH_MODEL)
    ae.add_requested_context(VERIFICATION)
    assoc = ae.associate(
        LOOPBACK,
        acceptor.address[1],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, lambda event: (told(), (0, None))[1])],
    )
    assert assoc.is_established
    yield assoc
    assoc.release()


def test_a_peer_that_is_the_scp_reports_on_an_association_of_its_own(
    either: Start, intake: RecordingIntake
) -> None:
    acceptor = either()

    status = commitment_scu.report(peer_of(acceptor), REPORT)

    assert status == StoreStatus.SUCCESS
    assert intake.reported == [REPORT]


def test_only_storage_commitment_may_be_proposed_with_the_scp_role_alone(
    either: Start,
) -> None:
    acceptor = either()
    ae = AE("PACS")
    ae.add_requested_context(PUSH_MODEL)
    ae.add_requested_context(ONE.sop_class_uid)
    roles = [build_role(uid, scp_role=True) for uid in (PUSH_MODEL, ONE.sop_class_uid)]
    assoc = ae.associate(LOOPBACK, acceptor.address[1], ext_neg=roles)

    accepted = {cx.abstract_syntax: cx.as_scp for cx in assoc.accepted_contexts}
    assoc.release()

    assert accepted == {PUSH_MODEL: True}


@pytest.mark.parametrize(
    ("action", "instance", "content", "status"),
    [
        (1, PUSH_MODEL_INSTANCE, request_dataset(REQUEST), 0x0000),
        (2, PUSH_MODEL_INSTANCE, request_dataset(REQUEST), 0x0123),
        (1, "1.2.3", request_dataset(REQUEST), 0x0112),
        (1, PUSH_MODEL_INSTANCE, None, 0x0115),
    ],
)
def test_each_wrong_request_has_its_status(
    either: Start,
    intake: RecordingIntake,
    action: int,
    instance: str,
    content: Dataset | None,
    status: int,
) -> None:
    acceptor = either()
    with raw_association(acceptor) as assoc:
        answer, _ = assoc.send_n_action(content, action, PUSH_MODEL, instance)

    assert answer.Status == status
    assert bool(intake.asked) is (status == 0)


def test_nesting_and_length_do_no_harm(either: Start, intake: RecordingIntake) -> None:
    def nested(depth: int) -> bytes:
        item = bytes.fromhex("feff00e0ffffffff")
        return (bytes.fromhex("08000011ffffffff") + item) * depth

    acceptor = either()
    answers = []
    for content in (nested(100_000), bytes(5 << 20)):
        with RawPeer(acceptor.address) as peer:
            peer.associate(context(1, PUSH_MODEL, IMPLICIT))
            peer.send(pdata(1, 3, ACTION))
            for at in range(0, len(content), 60_000):
                last = at + 60_000 >= len(content)
                peer.send(pdata(1, 2 if last else 0, content[at : at + 60_000]))
            answers.append(values(peer.pdu()[1][6:])[0x900])

    assert answers == [b"\x15\x01", b"\x13\x02"]
    assert intake.asked == []


def test_a_fault_of_ours_is_answered(either: Start, intake: RecordingIntake) -> None:
    intake.report = lambda request: 1 // 0  # type: ignore[assignment,return-value]
    acceptor = either()
    with raw_association(acceptor) as assoc:
        answer, _ = assoc.send_n_action(request_dataset(REQUEST), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)

    assert answer.Status == 0x0110


def test_an_answer_that_nobody_waits_for_ends_the_association(either: Start, intake: RecordingIntake) -> None:
    acceptor = either()
    with RawPeer(acceptor.address) as peer:
        peer.associate(context(1, PUSH_MODEL, IMPLICIT))
        peer.send(pdata(1, 3, command(us(0x100, 0x8100), us(0x120, 1), us(0x800, 0x101), us(0x900, 0))))

        assert peer.pdu()[0] == ABORT


# --- as requestor -------------------------------------------------------------------------------------


@contextmanager
def scp(handle: Callable[[Any], tuple[int, None]]) -> Iterator[int]:
    """Run pynetdicom as SCP of storage commitment."""
    ae = AE("PACS")
    ae.add_supported_context(PUSH_MODEL)
    server = ae.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, handle)])
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def peer_at(port: int, timeout_s: float = 5) -> Peer:
    return Peer(LOOPBACK, port, AETitle("PACS"), AETitle("NODE"), timeout_s)


def never(_: CommitmentReport) -> StoreStatus:
    raise AssertionError


@pytest.mark.parametrize("status", [0x0000, 0x0110, 0x0122])
def test_the_answer_of_the_peer_is_returned(status: int) -> None:
    asked: list[CommitmentRequest] = []

    def handle(event: Any) -> tuple[int, None]:
        asked.append(decode_request(event.request.ActionInformation.getvalue(), SYNTAXES[0]))
        return status, None

    with scp(handle) as port:
        answered = commitment_scu.ask(peer_at(port), REQUEST, never)

    assert answered == status
    assert asked == [REQUEST]


@pytest.mark.parametrize("kind", ["silent", "closes", "aborts"])
def test_a_peer_that_fails_is_an_error_in_time(kind: str) -> None:
    def script(scp: Any) -> None:
        if kind == "silent":
            scp.accept()
            return
        scp.accept()
        scp.message()
        if kind == "aborts":
            scp.send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
        scp.sock.close()

    with scripted(script) as (_, port), pytest.raises(AssociationError):
        commitment_scu.ask(peer_at(port, 1), REQUEST, never)


def test_a_peer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AssociationError):
        commitment_scu.ask(peer_at(free_port(), 1), REQUEST, never)


def test_a_peer_without_storage_commitment_is_an_error() -> None:
    ae = AE("PACS")
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server((LOOPBACK, 0), block=False)
    try:
        with pytest.raises(AssociationError, match="does not take storage commitment"):
            commitment_scu.ask(peer_at(server.socket.getsockname()[1]), REQUEST, never)
    finally:
        server.shutdown()


def test_a_peer_that_takes_no_reports_is_an_error() -> None:
    with scp(lambda event: (0, None)) as port, pytest.raises(AssociationError, match="takes no reports"):
        commitment_scu.report(peer_at(port), REPORT)


def test_no_thread_is_left(either: Start) -> None:
    before = threading.active_count()
    acceptor = either()

    commitment_scu.ask(peer_of(acceptor), REQUEST, never)
    commitment_scu.report(peer_of(acceptor), REPORT)
    with Requestor.connect(peer_of(acceptor), [(VERIFICATION, "1.2.840.10008.1.2")]) as assoc:
        assoc.echo()

    wait_for(lambda: threading.active_count() <= before + 1, "only the acceptor is left")
