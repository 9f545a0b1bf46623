"""Cut-through: Success is the destination's own, nothing is kept, trouble is the sender's to see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.stream_acceptor import StreamAcceptor
from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.service import Node
from deid_node.node.through import passed_on
from deid_node.settings.destinations import AESettings
from deid_node.settings.load import load_settings
from deid_node.settings.routes import Acknowledge, RouteSettings
from deid_node.spool.desk import Desk
from deid_node.spool.outcomes import DeliveryState
from deid_node.spool.spool import Spool
from deid_node.standard.values import AETitle
from tests.dimse.recording import RecordingIntake
from tests.dimse.scripted import Scripted, scripted
from tests.node.running import CT, FILES, refusals, running, store
from tests.peers import LOOPBACK, free_port, storescp, wait_for

MR = FILES / "MR_small.dcm"
CONTEXT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")


class Downstream(RecordingIntake):
    """A destination in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.acceptor: StreamAcceptor | None = None

    def listen(self, port: int = 0) -> int:
        self.acceptor = StreamAcceptor(self, port=port)
        self.acceptor.start()
        return self.acceptor.address[1]

    def close(self) -> None:
        if self.acceptor is not None:
            self.acceptor.stop(0)


@pytest.fixture
def down() -> Iterator[Downstream]:
    made = Downstream()
    yield made
    made.close()


@contextmanager
def node_before(state: Path, port: int, **ae: Any) -> Iterator[Node]:
    ae = {"timeout_s": 5, **ae}
    destinations = {"pacs": AESettings(kind="ae", host=LOOPBACK, port=port, ae_title="DOWN", **ae)}
    routes = {"pass": RouteSettings(called="DEIDNODE", destinations="pacs", acknowledge=Acknowledge.THROUGH)}
    with running(state, destinations=destinations, routes=routes) as node:
        yield node


def counts(node: Node) -> dict[DeliveryState, int]:
    return dict(Desk(node.settings.spool_folder).status().destinations.get("pacs", {}))


def spooled(state: Path) -> list[Path]:
    return list((state / "spool").rglob("*.dcm")) + list((state / "spool" / "incoming").iterdir())


# --- what Success means -------------------------------------------------------------------------------


def test_success_is_heard_only_after_the_destination_said_so(state: Path, down: Downstream) -> None:
    asked, may_answer = threading.Event(), threading.Event()
    down.before_answer = lambda: (asked.set(), may_answer.wait(10))
    answers: list[StoreAnswer] = []
    with node_before(state, down.listen()) as node:
        sender = threading.Thread(target=lambda: answers.append(store(node, CT)))
        sender.start()
        assert asked.wait(10)
        heard_before = list(answers)
        may_answer.set()
        sender.join(10)

    assert heard_before == []
    assert answers == [StoreAnswer(StoreStatus.SUCCESS)]


def test_the_destination_gets_the_deidentified_object_and_nothing_is_kept(
    state: Path, down: Downstream
) -> None:
    with node_before(state, down.listen()) as node:
        answer = store(node, CT)
        files = spooled(state)
        known = counts(node)
        [study] = Desk(node.settings.spool_folder).status().studies

    [taken] = down.objects
    ds = pydicom.dcmread(CT)
    assert answer.status == StoreStatus.SUCCESS
    assert files == []
    assert known == {DeliveryState.DELIVERED: 1}
    assert study.objects == 1
    assert str(ds.PatientName).encode() not in taken.content
    assert ds.PixelData in bytes(taken.content)
    assert taken.request.sop_instance_uid != ds.SOPInstanceUID
    assert taken.caller.calling == "DEIDNODE"


def test_the_bytes_are_those_that_would_have_been_kept(state: Path, tmp_path: Path, down: Downstream) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    with running(state / "a", key_file=key) as node:
        store(node, CT)
        wait_for(lambda: list((state / "a" / "out").rglob("*.dcm")), "the file is there")
    [file] = list((state / "a" / "out").rglob("*.dcm"))
    routes = {"pass": RouteSettings(called="DEIDNODE", destinations="pacs", acknowledge="through")}
    pacs = AESettings(kind="ae", host=LOOPBACK, port=down.listen(), ae_title="DOWN")

    with running(state / "b", key_file=key, destinations={"pacs": pacs}, routes=routes) as node:
        store(node, CT)

    assert file.read_bytes().endswith(bytes(down.objects[0].content))


def test_an_object_sent_twice_goes_through_twice_and_is_counted_once(state: Path, down: Downstream) -> None:
    with node_before(state, down.listen()) as node:
        answers = [store(node, CT).status for _ in range(3)]
        [study] = Desk(node.settings.spool_folder).status().studies
        known = counts(node)

    assert answers == [StoreStatus.SUCCESS] * 3
    assert len(down.objects) == 3
    assert (study.objects, study.duplicates, study.revisions) == (1, 2, 0)
    assert known == {DeliveryState.DELIVERED: 1}


@pytest.mark.parametrize(
    ("downstream", "answered", "known", "recorded"),
    [
        (0x0000, "0000", {DeliveryState.DELIVERED: 1}, []),
        (0xB000, "0000", {DeliveryState.WARNED: 1}, []),
        (0x0111, "0000", {DeliveryState.DELIVERED: 1}, []),
        (0xA700, "A700", {}, []),
        (0xA7FF, "A700", {}, []),
        (0x0110, "A700", {}, []),
        (0xA900, "A900", {}, ["destination-refused"]),
        (0xC123, "C123", {}, ["destination-refused"]),
        (0x0122, "0122", {}, ["destination-refused"]),
        (0x0124, "C000", {}, ["destination-refused"]),
        (0xFF00, "C000", {}, ["destination-refused"]),
        (0x1234, "C000", {}, ["destination-refused"]),
    ],
)
def test_each_answer_of_the_destination_has_its_meaning(
    state: Path,
    down: Downstream,
    downstream: int,
    answered: str,
    known: dict[DeliveryState, int],
    recorded: list[str],
) -> None:
    down.answer = StoreAnswer(StoreStatus(downstream))
    with node_before(state, down.listen()) as node:
        answer = store(node, CT)
        wait_for(lambda: refusals(node) == recorded, "it is recorded")
        found = counts(node)

    assert answer.status.code == answered
    assert found == known


def test_no_refusal_ever_becomes_success() -> None:
    from deid_node.dimse.status import StatusClass, class_of

    for status in range(0x10000):
        if class_of(status) is StatusClass.REFUSED:
            assert class_of(passed_on(status)) is StatusClass.REFUSED


# --- trouble ------------------------------------------------------------------------------------------


def test_a_destination_that_is_down_is_answered_a700_until_it_is_back(state: Path, down: Downstream) -> None:
    port = free_port()
    with node_before(state, port) as node:
        before = store(node, CT).status
        down.listen(port)
        after = store(node, CT).status

    assert (before, after) == (StoreStatus.OUT_OF_RESOURCES, StoreStatus.SUCCESS)


def test_a_kind_of_object_that_the_destination_does_not_take_is_refused(
    state: Path, down: Downstream
) -> None:
    down.NOT_SUPPORTED = CONTEXT[0]  # type: ignore[misc]
    with node_before(state, down.listen()) as node:
        assert store(node, CT).status == StoreStatus.SOP_CLASS_NOT_SUPPORTED
        assert store(node, MR).status == StoreStatus.SUCCESS


def test_an_object_that_is_malformed_at_its_end_is_aborted_downstream(
    state: Path, tmp_path: Path, down: Downstream
) -> None:
    ds = pydicom.dcmread(CT)
    ds.Rows, ds.Columns, ds.PixelData = 2048, 2048, bytes(1 << 23)
    ds.save_as(tmp_path / "big.dcm")
    cut = tmp_path / "cut.dcm"
    cut.write_bytes((tmp_path / "big.dcm").read_bytes()[:-1000])
    with node_before(state, down.listen()) as node:
        answer = store(node, cut)
        wait_for(lambda: down.objects and down.objects[0].aborted, "the destination forgot it")
        later = store(node, CT).status
        known = counts(node)

    assert answer.status == StoreStatus.MALFORMED
    assert down.objects[0].finished == 0
    assert len(down.objects[0].content) > 1 << 20
    assert later == StoreStatus.SUCCESS
    assert known == {DeliveryState.DELIVERED: 1}


def test_a_rejected_object_does_not_reach_the_destination(
    state: Path, tmp_path: Path, down: Downstream
) -> None:
    ds = pydicom.dcmread(CT)
    ds.BurnedInAnnotation = "YES"
    ds.save_as(tmp_path / "burned.dcm")
    with node_before(state, down.listen()) as node:
        answer = store(node, tmp_path / "burned.dcm")

    assert answer.status == StoreStatus.REJECTED
    assert down.callers == []


def test_an_object_whose_sender_goes_away_is_aborted_downstream(state: Path, down: Downstream) -> None:
    ds = pydicom.dcmread(CT)
    with node_before(state, down.listen()) as node:
        peer = Peer(LOOPBACK, node.address[1], AETitle("DEIDNODE"), AETitle("CT"), 10)
        assoc = Requestor.connect(peer, [CONTEXT])
        outgoing = assoc.begin_store(
            sop_class_uid=ds.SOPClassUID,
            sop_instance_uid=ds.SOPInstanceUID,
            transfer_syntax_uid=CONTEXT[1],
        )
        content = CT.read_bytes()
        outgoing.write([content[132 + 12 + int.from_bytes(content[140:144], "little") : -512]])
        wait_for(lambda: down.objects, "the object is on its way")
        outgoing.abort()
        wait_for(lambda: down.objects[0].aborted, "the destination forgot it")

    assert down.objects[0].finished == 0


@pytest.mark.parametrize("kind", ["never reads", "never answers", "closes", "aborts"])
def test_a_destination_that_fails_in_the_middle_is_answered_a700_in_time(
    state: Path, tmp_path: Path, kind: str
) -> None:
    ds = pydicom.dcmread(CT)
    ds.Rows, ds.Columns, ds.PixelData = 4096, 4096, bytes(1 << 25)
    ds.save_as(tmp_path / "big.dcm")

    def script(scp: Scripted) -> None:
        scp.accept()
        if kind == "never answers":
            scp.message()
        elif kind == "closes":
            scp.pdu()
            scp.sock.close()
        elif kind == "aborts":
            scp.pdu()
            scp.send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 0]))

    with scripted(script) as (_, port), node_before(state, port, timeout_s=1) as node:
        before = time.monotonic()
        answer = store(node, tmp_path / "big.dcm")
        took_s = time.monotonic() - before
        known = counts(node)

    assert answer.status == StoreStatus.OUT_OF_RESOURCES
    assert took_s < 5
    assert known == {}


def test_what_cannot_be_written_down_is_not_acknowledged(
    state: Path, down: Downstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SpoolError("no room")

    with node_before(state, down.listen()) as node:
        with monkeypatch.context() as broken:
            broken.setattr(Spool, "record_passed", full)
            first = store(node, CT).status
        second = store(node, CT).status

    assert (first, second) == (StoreStatus.OUT_OF_RESOURCES, StoreStatus.SUCCESS)


# --- associations -------------------------------------------------------------------------------------


def test_one_association_serves_many_objects_of_several_kinds(state: Path, down: Downstream) -> None:
    with node_before(state, down.listen()) as node:
        for file in (CT, MR, CT, MR, CT, MR):
            assert store(node, file).status == StoreStatus.SUCCESS

    assert len(down.callers) == 2  # the second one proposed both kinds


def test_an_association_that_the_destination_ended_is_not_used_again(state: Path, down: Downstream) -> None:
    port = down.listen()
    with node_before(state, port) as node:
        store(node, CT)
        down.close()
        down.listen(port)

        assert store(node, CT).status == StoreStatus.SUCCESS


def test_objects_wait_for_a_free_association_and_not_for_ever(state: Path, down: Downstream) -> None:
    may_answer = threading.Event()
    down.before_answer = lambda: may_answer.wait(10)
    answers: dict[str, StoreStatus] = {}

    def send(name: str) -> Callable[[], None]:
        return lambda: answers.__setitem__(name, store(node, CT).status)

    with node_before(state, down.listen(), timeout_s=2) as node:
        first = threading.Thread(target=send("first"))
        first.start()
        wait_for(lambda: down.objects, "the first is under way")
        second = threading.Thread(target=send("second"))
        second.start()
        threading.Timer(0.5, may_answer.set).start()
        first.join(10)
        second.join(10)
        waited = dict(answers)
        may_answer.clear()
        slow = node._throughs["pacs"]
        slow._wait_s = 0.3
        first = threading.Thread(target=send("first"))
        first.start()
        wait_for(lambda: len(down.objects) == 3, "the next is under way")
        busy = store(node, CT).status
        may_answer.set()
        first.join(10)

    assert waited == {"first": StoreStatus.SUCCESS, "second": StoreStatus.SUCCESS}
    assert busy == StoreStatus.OUT_OF_RESOURCES
    assert len(down.callers) == 1


def test_senders_are_associations_at_the_same_time(state: Path, down: Downstream) -> None:
    both = threading.Barrier(2, timeout=10)
    down.before_answer = both.wait
    with node_before(state, down.listen(), senders=2) as node:
        senders = [threading.Thread(target=store, args=(node, CT)) for _ in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(15)

    assert [taken.finished for taken in down.objects] == [1, 1]


def test_an_idle_association_is_released(state: Path, down: Downstream) -> None:
    with node_before(state, down.listen()) as node:
        node._throughs["pacs"]._linger_s = 0.1
        store(node, CT)

        wait_for(lambda: node._throughs["pacs"]._open == 0, "it is released")
        assert store(node, CT).status == StoreStatus.SUCCESS


@pytest.mark.peer
def test_storescp_gets_what_storescp_keeps(state: Path, tmp_path: Path) -> None:
    with storescp(tmp_path / "got", "+B") as port, node_before(state, port) as node:
        answers = [store(node, file).status for file in (CT, MR)]

    assert answers == [StoreStatus.SUCCESS] * 2
    files = [pydicom.dcmread(path) for path in (tmp_path / "got").iterdir()]
    assert sorted(ds.Modality for ds in files) == ["CT", "MR"]
    assert all(ds.PatientIdentityRemoved == "YES" for ds in files)


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("destinations", ['["pacs", "store"]', '"store"'])
def test_through_needs_exactly_one_ae(tmp_path: Path, destinations: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[destinations.pacs]\nkind = "ae"\nhost = "a"\nport = 104\nae_title = "PACS"\n'
        '[destinations.store]\nkind = "folder"\npath = "o"\n'
        f'[routes.r]\ncalled = "R"\ndestinations = {destinations}\nacknowledge = "through"\n'
    )

    with pytest.raises(ConfigurationError, match=r"line 12: routes.r.acknowledge .* exactly one destination"):
        load_settings(file, environment={})
