"""What both acceptors promise, shown with real peers and with a raw one."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, _config, build_context
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from deid_node.dimse.association import Acceptor, AssociationRejection, StoreAnswer
from deid_node.dimse.peer import AssociationRejectedError, ContextNotAcceptedError, Peer
from deid_node.dimse.pynetdicom_acceptor import PynetdicomAcceptor
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.stream_acceptor import StreamAcceptor
from deid_node.errors import AssociationError, ConfigurationError
from deid_node.standard.values import AETitle
from tests.dimse.probes import Start
from tests.dimse.raw import ABORT, CT, EXPLICIT, INSTANCE, MR, RawPeer, context, echo_rq, pdata, store_rq
from tests.dimse.recording import RecordingIntake, sample
from tests.peers import LOOPBACK, require, run, wait_for

SAMPLES = {
    "implicit": "MR_small_implicit.dcm",
    "explicit": "CT_small.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "deflated": "image_dfl.dcm",
    "RLE": "MR_small_RLE.dcm",
    "JPEG baseline": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
}

UNCOMPRESSED = {SAMPLES[kind] for kind in ("implicit", "explicit", "big endian", "deflated")}


def peer_of(acceptor: Acceptor, timeout_s: float = 10) -> Peer:
    return Peer(LOOPBACK, acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), timeout_s)


@pytest.mark.parametrize("name", SAMPLES.values(), ids=SAMPLES)
def test_an_object_arrives_byte_for_byte(acceptor: Acceptor, intake: RecordingIntake, name: str) -> None:
    sent = sample(name)

    with Requestor.connect(peer_of(acceptor), [sent.context]) as assoc, sent.path.open("rb") as file:
        answer = assoc.store_file(file, **sent.keywords)

    assert answer.status == StoreStatus.SUCCESS
    (taken,) = intake.objects
    assert bytes(taken.content) == sent.dataset + b"\0" * (len(sent.dataset) % 2)  # PS3.5 A.5
    assert taken.request.sop_class_uid == sent.sop_class_uid
    assert taken.request.sop_instance_uid == sent.sop_instance_uid
    assert taken.request.transfer_syntax_uid == sent.transfer_syntax_uid
    assert (taken.finished, taken.aborted) == (1, 0)


@pytest.mark.peer
@pytest.mark.parametrize("name", SAMPLES.values(), ids=SAMPLES)
def test_dcmsend_sends_every_transfer_syntax(acceptor: Acceptor, intake: RecordingIntake, name: str) -> None:
    sent = sample(name)

    done = run(require("dcmsend"), "--decompress-never", "-v", LOOPBACK, str(acceptor.address[1]), sent.path)

    assert done.returncode == 0, done.stderr
    (taken,) = intake.objects
    assert taken.request.sop_instance_uid == sent.sop_instance_uid
    assert taken.finished == 1
    if name not in UNCOMPRESSED:  # which DCMTK turns into the first transfer syntax that was accepted
        assert taken.request.transfer_syntax_uid == sent.transfer_syntax_uid


@pytest.mark.peer
@pytest.mark.parametrize("option", ["-xe", "-xb", "-xi", "-xd"])
def test_storescu_sends_every_uncompressed_encoding(
    acceptor: Acceptor, intake: RecordingIntake, option: str
) -> None:
    files = [sample("CT_small.dcm").path, sample("MR_small.dcm").path]

    done = run(require("storescu"), "-v", option, LOOPBACK, str(acceptor.address[1]), *files)

    assert done.returncode == 0, done.stderr
    assert [taken.finished for taken in intake.objects] == [1, 1]


@pytest.mark.peer
def test_echoscu_is_answered(acceptor: Acceptor, intake: RecordingIntake) -> None:
    done = run(require("echoscu"), "-aet", "MODALITY", "-aec", "ROUTE", LOOPBACK, str(acceptor.address[1]))

    assert done.returncode == 0, done.stderr
    (caller,) = intake.callers
    assert (caller.calling, caller.called, caller.address) == ("MODALITY", "ROUTE", LOOPBACK)
    assert caller.certificate is None


def test_a_pynetdicom_scu_is_served(acceptor: Acceptor, intake: RecordingIntake) -> None:
    ds = dcmread(sample("CT_small.dcm").path)
    ae = AE()
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT, True, True
    contexts = [build_context(CT, EXPLICIT), build_context("1.2.840.10008.1.1")]

    assoc = ae.associate(*acceptor.address, contexts=contexts, ext_neg=[role])
    statuses = [assoc.send_c_echo().Status, assoc.send_c_store(ds).Status]
    roles = [(cx.as_scu, cx.as_scp) for cx in assoc.accepted_contexts]
    assoc.release()

    assert statuses == [0, 0]
    assert roles == [(True, False), (True, False)]
    assert intake.objects[0].finished == 1


def test_many_objects_and_messages_share_an_association(acceptor: Acceptor, intake: RecordingIntake) -> None:
    ct, mr = sample("CT_small.dcm"), sample("MR_small_implicit.dcm")
    contexts = [ct.context, mr.context, ("1.2.840.10008.1.1", "1.2.840.10008.1.2")]

    with Requestor.connect(peer_of(acceptor), contexts) as assoc:
        for sent in (ct, mr, ct):
            with sent.path.open("rb") as file:
                assert assoc.store_file(file, **sent.keywords).status == StoreStatus.SUCCESS
            assert assoc.echo() == StoreStatus.SUCCESS

    assert [bytes(taken.content) for taken in intake.objects] == [ct.dataset, mr.dataset, ct.dataset]


def test_associations_are_served_side_by_side(acceptor: Acceptor, intake: RecordingIntake) -> None:
    together = threading.Barrier(4, timeout=20)
    intake.before_answer = together.wait
    sent = sample("CT_small.dcm")

    def store(_: int) -> StoreStatus:
        with Requestor.connect(peer_of(acceptor, 20), [sent.context]) as assoc, sent.path.open("rb") as file:
            return assoc.store_file(file, **sent.keywords).status

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(store, range(4)))

    assert statuses == [StoreStatus.SUCCESS] * 4
    assert all(bytes(taken.content) == sent.dataset for taken in intake.objects)


def test_the_status_and_the_comment_of_the_intake_reach_the_sender(
    acceptor: Acceptor, intake: RecordingIntake
) -> None:
    intake.answer = StoreAnswer(StoreStatus.REJECTED, "A rule of the procedure rejects the object")

    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 2, b"\x08\0\x05\0CS\x02\0  "))
        answer = peer.answer()

    assert answer[0x900] == b"\x07\xc1"
    assert answer[0x902].rstrip() == b"A rule of the procedure rejects the object"
    assert answer[0x120] == b"\x07\0"
    assert answer[0x100] == b"\x01\x80"
    assert answer[0x1000].rstrip(b"\0") == INSTANCE.encode()
    assert answer[0x2].rstrip(b"\0") == CT.encode()


def test_an_exception_of_the_intake_is_0110_and_the_association_goes_on(
    acceptor: Acceptor, intake: RecordingIntake
) -> None:
    intake.answer = None
    sent = sample("CT_small.dcm")

    with Requestor.connect(peer_of(acceptor), [sent.context]) as assoc, sent.path.open("rb") as file:
        statuses = [assoc.store_file(file, **sent.keywords).status for _ in range(2)]

    assert statuses == [StoreStatus.PROCESSING_FAILURE] * 2


@pytest.mark.parametrize("sop_class", [MR, "1.2.840.10008.1.1", "1.2.826.0.1.3680043.10.9"])
def test_a_sop_class_other_than_that_of_the_context_is_a900(
    acceptor: Acceptor, intake: RecordingIntake, sop_class: str
) -> None:
    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq(sop_class=sop_class)), pdata(1, 2, b"\x08\0\x05\0CS\x02\0  "))
        status = peer.status()
        peer.send(pdata(3, 3, echo_rq()))
        echoed = peer.status()

    assert (status, echoed) == (0xA900, 0)
    assert not intake.objects


@pytest.mark.parametrize("instance", [None, ""], ids=["absent", "empty"])
def test_a_store_without_an_instance_uid_is_refused(
    acceptor: Acceptor, intake: RecordingIntake, instance: str | None
) -> None:
    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq(instance=instance)), pdata(1, 2, b"\x08\0\x05\0CS\x02\0  "))
        kind, body = peer.pdu()

    assert kind == ABORT or b"\x00\x00\x00\x09\x02\x00\x00\x00\x17\x01" in body
    assert not intake.objects


def test_an_instance_uid_that_is_a_path_is_refused(acceptor: Acceptor, intake: RecordingIntake) -> None:
    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq(instance="../../../etc")), pdata(1, 2, b"\x08\0\x05\0CS\x02\0  "))
        kind, body = peer.pdu()

    assert kind == ABORT or b"\x17\x01" in body
    assert not intake.objects


def test_a_store_without_a_dataset_is_refused(acceptor: Acceptor, intake: RecordingIntake) -> None:
    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq(dataset=0x101)))
        kind, body = peer.pdu()

    assert kind == ABORT or b"\x00\xc0" in body
    assert not intake.objects


def test_a_class_that_the_intake_does_not_support_is_not_negotiated(
    acceptor: Acceptor, intake: RecordingIntake
) -> None:
    contexts = [(intake.NOT_SUPPORTED, EXPLICIT), (CT, EXPLICIT)]

    with Requestor.connect(peer_of(acceptor), contexts) as assoc:
        accepted = assoc.accepted
        with pytest.raises(ContextNotAcceptedError), sample("CT_small.dcm").path.open("rb") as file:
            assoc.store_file(
                file,
                offset=0,
                length=10,
                sop_class_uid=intake.NOT_SUPPORTED,
                sop_instance_uid="1.2",
                transfer_syntax_uid=EXPLICIT,
            )

    assert accepted == {(CT, EXPLICIT)}


def test_a_class_nobody_knows_is_taken_when_the_intake_supports_it(
    acceptor: Acceptor, intake: RecordingIntake
) -> None:
    sent = sample("CT_small.dcm")
    private = "1.2.826.0.1.3680043.10.9999.5.1"
    keywords = sent.keywords | {"sop_class_uid": private}

    with Requestor.connect(peer_of(acceptor), [(private, EXPLICIT)]) as assoc, sent.path.open("rb") as file:
        answer = assoc.store_file(file, **keywords)

    assert answer.status == StoreStatus.SUCCESS
    assert intake.objects[0].request.sop_class_uid == private


def test_the_first_proposed_transfer_syntax_that_is_supported_is_taken(acceptor: Acceptor) -> None:
    with RawPeer(acceptor.address) as peer:
        accepted = peer.associate(
            context(1, CT, "1.2.840.113619.5.2", "1.2.840.10008.1.2.4.90", EXPLICIT),
            context(5, MR, "1.2.840.113619.5.2"),
        )

    assert b"\x21\0\0\x1e\x01\0\0\0\x40\0\0\x161.2.840.10008.1.2.4.90" in accepted
    assert b"\x05\0\x04\0" in accepted


def test_roles_are_answered_for_an_scp(acceptor: Acceptor) -> None:
    ae = AE()
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT, False, True

    assoc = ae.associate(*acceptor.address, contexts=[build_context(CT, EXPLICIT)], ext_neg=[role])
    established = assoc.is_established
    accepted = [cx for cx in assoc.accepted_contexts if cx.as_scu or cx.as_scp]
    assoc.abort()

    assert not (established and accepted)


@pytest.mark.parametrize(
    "rejection",
    [AssociationRejection.CALLING_AE_NOT_RECOGNIZED, AssociationRejection.LOCAL_LIMIT_EXCEEDED],
    ids=lambda rejection: rejection.word,
)
def test_the_rejection_of_the_intake_reaches_the_requestor(
    acceptor: Acceptor, intake: RecordingIntake, rejection: AssociationRejection
) -> None:
    intake.rejection = rejection

    with pytest.raises(AssociationRejectedError) as caught:
        Requestor.connect(peer_of(acceptor), [(CT, EXPLICIT)])

    assert (caught.value.result, caught.value.source, caught.value.reason) == rejection.value
    assert caught.value.is_transient == (rejection.result == 2)


def test_a_sender_that_dies_in_the_middle_leaves_nothing(acceptor: Acceptor, intake: RecordingIntake) -> None:
    with RawPeer(acceptor.address) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_rq()), pdata(1, 0, bytes(1000)))
        if isinstance(acceptor, StreamAcceptor):
            wait_for(lambda: intake.objects and len(intake.objects[0].content) == 1000, "the object began")

    if isinstance(acceptor, StreamAcceptor):
        wait_for(lambda: intake.objects[0].aborted, "the object is forgotten")
    acceptor.stop(1)
    assert [(taken.finished, taken.aborted) for taken in intake.objects] in ([(0, 1)], [])


@pytest.mark.parametrize("kind", [StreamAcceptor, PynetdicomAcceptor])
def test_a_port_in_use_is_a_configuration_error(
    kind: type[StreamAcceptor | PynetdicomAcceptor], acceptor: Acceptor, intake: RecordingIntake
) -> None:
    port = acceptor.address[1]

    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1 port {port}: another program listens"):
        kind(intake, port=port).start()


@pytest.mark.parametrize("kind", [StreamAcceptor, PynetdicomAcceptor])
def test_it_listens_on_ipv6(kind: type[StreamAcceptor | PynetdicomAcceptor], intake: RecordingIntake) -> None:
    acceptor = kind(intake, host="::1", port=0)
    try:
        acceptor.start()
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")

    with Requestor.connect(
        Peer("::1", acceptor.address[1], AETitle("NODE"), AETitle("TESTER"), 10), [(CT, EXPLICIT)]
    ):
        pass
    acceptor.stop(5)

    assert intake.callers[0].address == "::1"


def test_stop_lets_a_running_object_finish(acceptor: Acceptor, intake: RecordingIntake) -> None:
    sent = sample("CT_small.dcm")
    entered, go_on = threading.Event(), threading.Event()
    intake.before_answer = lambda: (entered.set(), go_on.wait(20))

    with ThreadPoolExecutor(2) as pool:
        assoc = Requestor.connect(peer_of(acceptor, 20), [sent.context])
        with sent.path.open("rb") as file:
            storing = pool.submit(assoc.store_file, file, **sent.keywords)
            assert entered.wait(10)
            stopping = pool.submit(acceptor.stop, 20)
            wait_for(lambda: _refuses(acceptor), "no new association")
            go_on.set()
            answer = storing.result(20)
        assoc.release()
        stopping.result(20)

    assert answer.status == StoreStatus.SUCCESS


def _refuses(acceptor: Acceptor) -> bool:
    try:
        Requestor.connect(peer_of(acceptor, 1), [(CT, EXPLICIT)]).abort()
    except AssociationError:
        return True
    return False


def test_no_value_of_a_faulty_intake_is_logged(
    acceptor: Acceptor,
    intake: RecordingIntake,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    intake.answer = None
    sent = sample("CT_small.dcm")

    with Requestor.connect(peer_of(acceptor), [sent.context]) as assoc, sent.path.open("rb") as file:
        assoc.store_file(file, **sent.keywords)

    out, err = capfd.readouterr()
    assert "PATIENT^NAME" not in out + err + caplog.text


def test_pynetdicom_keeps_no_dataset_on_the_disk(acceptor: Acceptor) -> None:
    assert acceptor.address[1]

    assert _config.STORE_RECV_CHUNKED_DATASET is False
    assert _config.LOG_HANDLER_LEVEL == "none" or isinstance(acceptor, StreamAcceptor)


def test_an_address_that_is_not_let_in_is_not_listened_to(either: Start, intake: RecordingIntake) -> None:
    intake.unwelcome.add(LOOPBACK)
    acceptor = either()
    before = threading.active_count()

    with socket.create_connection(acceptor.address, 5) as sock:
        said = sock.recv(1)

    assert said == b""
    assert not acceptor._hall.wires()
    assert threading.active_count() == before
