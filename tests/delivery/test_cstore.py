"""C-STORE to a downstream: every answer has its class, every loss its consequence; with real peers too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread

from deid_node.delivery.breaker import Circuit
from deid_node.delivery.cstore import CStoreDestination, outcome_of
from deid_node.delivery.destination import Context, Parcel, UnusableError
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.peer import AssociationRejectedError, ContextNotAcceptedError, Peer
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.spool import Content, Deferred, Delivered, Entry, Held, Outcome, Reader, Refused, Spool
from deid_node.standard.values import AETitle
from tests.delivery.sending import QUICK, peer_at, put_real, real_object
from tests.peers import free_port, storescp, wait_for
from tests.spool.objects import CT, EXPLICIT, heading, put

ROOT = Path(__file__).resolve().parents[2]
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x0000, Delivered),
        *((status, Delivered) for status in (0xB000, 0xB006, 0xB007, 0x0111)),
        *((status, Deferred) for status in (0xA700, 0xA701, 0xA7FF, 0x0110, 0x0210, 0x0213)),
        *((status, Refused) for status in (0xA900, 0xC000, 0xCFFF, 0x0117, 0x0122, 0x0124)),
        *((status, Refused) for status in (0xFF00, 0x1234, 0x0001, 0xFFFF, 0xA6FF, 0xA800)),
    ],
)
def test_every_status_has_its_class(status: int, kind: type, attempt: int) -> None:
    outcome = outcome_of(status, attempt)

    assert type(outcome) is kind
    assert outcome.status == status
    if isinstance(outcome, Delivered):
        expected = status in (0xB000, 0xB006, 0xB007) or (status == 0x0111 and attempt == 1)
        assert outcome.warning is expected


# --- with a made-up association -----------------------------------------------------------------


@dataclass
class FakePeer:
    """Answers as `script` says; keeps the contexts of every association."""

    script: Callable[[str], StoreAnswer] = lambda _: StoreAnswer(StoreStatus.SUCCESS)
    opened: list[tuple[Context, ...]] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    released: int = 0

    def connect(self, contexts: Sequence[Context]) -> FakeAssociation:
        self.opened.append(tuple(contexts))
        return FakeAssociation(self)


class FakeAssociation:
    def __init__(self, peer: FakePeer) -> None:
        self.peer = peer

    def store_file(self, file: int, **request: object) -> StoreAnswer:
        uid = str(request["sop_instance_uid"])
        answer = self.peer.script(uid)
        self.peer.stored.append(uid)
        return answer

    def echo(self) -> StoreStatus:
        return StoreStatus.SUCCESS

    def release(self) -> None:
        self.peer.released += 1

    def interrupt(self) -> None:
        pass


PEER = Peer("192.0.2.1", 104, AETitle("DOWN"), AETitle("NODE"))


def send(sender: object, entries: Sequence[Entry]) -> list[Outcome]:
    def parcels() -> Iterator[Parcel]:
        for entry in entries:
            content = Reader().open(entry)
            assert isinstance(content, Content)
            yield Parcel(entry, content)
            content.close()

    contexts = frozenset(entry.context for entry in entries)
    return [outcome for _, outcome in sender.deliver(contexts, parcels())]


def entries_for(spool: Spool, *contexts: Context) -> list[Entry]:
    for number, (sop_class, syntax) in enumerate(contexts):
        put(spool, 100 * len(spool.desk.queue()) + number, head=heading(number, sop_class, syntax))
    return spool.claim("a", 100)


def test_many_objects_share_an_association_with_the_contexts_of_all(spool: Spool) -> None:
    peer = FakePeer()
    sender = CStoreDestination("a", PEER, connect=peer.connect).sender()

    first = send(sender, entries_for(spool, (CT, EXPLICIT), (MR, IMPLICIT), (CT, EXPLICIT)))
    second = send(sender, entries_for(spool, (MR, IMPLICIT)))

    assert first + second == [Delivered()] * 4
    assert [set(contexts) for contexts in peer.opened] == [{(CT, EXPLICIT), (MR, IMPLICIT)}]


def test_a_new_context_asks_for_a_new_association_which_keeps_the_old_ones(spool: Spool) -> None:
    peer = FakePeer()
    sender = CStoreDestination("a", PEER, connect=peer.connect).sender()

    send(sender, entries_for(spool, (CT, EXPLICIT)))
    send(sender, entries_for(spool, (MR, EXPLICIT)))
    send(sender, entries_for(spool, (CT, EXPLICIT)))

    assert peer.opened == [((CT, EXPLICIT),), ((MR, EXPLICIT), (CT, EXPLICIT))]
    assert peer.released == 1


def test_more_contexts_than_an_association_takes_are_sent_over_several(spool: Spool) -> None:
    peer = FakePeer()
    sender = CStoreDestination("a", PEER, connect=peer.connect).sender()
    contexts = [(f"1.2.840.10008.5.1.4.1.1.{n}", EXPLICIT) for n in range(150)]
    for number, (sop_class, syntax) in enumerate(contexts):
        put(spool, number, head=heading(number, sop_class, syntax))

    outcomes = send(sender, spool.claim("a", 200))

    assert outcomes == [Delivered()] * 150
    assert {len(opened) for opened in peer.opened} == {128}


def test_a_context_that_was_not_accepted_holds_its_objects_only(spool: Spool) -> None:
    def refuse_first(uid: str) -> StoreAnswer:
        if uid == heading(0).sop_instance_uid:
            raise ContextNotAcceptedError(CT, EXPLICIT)
        return StoreAnswer(StoreStatus.SUCCESS)

    peer = FakePeer(refuse_first)

    held, delivered = send(
        CStoreDestination("a", PEER, connect=peer.connect).sender(),
        entries_for(spool, (CT, EXPLICIT), (MR, EXPLICIT)),
    )

    assert isinstance(held, Held)
    assert delivered == Delivered()
    assert len(peer.opened) == 1


def test_a_lost_association_is_opened_again_for_the_next_object(spool: Spool) -> None:
    def lose_first(uid: str) -> StoreAnswer:
        if uid == heading(0).sop_instance_uid:
            raise AssociationError("the peer closed the connection")
        return StoreAnswer(StoreStatus.SUCCESS)

    peer = FakePeer(lose_first)

    lost, delivered = send(
        CStoreDestination("a", PEER, connect=peer.connect).sender(),
        entries_for(spool, (CT, EXPLICIT), (CT, EXPLICIT)),
    )

    assert lost == Deferred("the peer closed the connection", aborted=True)
    assert delivered == Delivered()
    assert len(peer.opened) == 2


def test_when_no_other_association_can_be_had_the_object_was_not_attempted(spool: Spool) -> None:
    def lose(_: str) -> StoreAnswer:
        raise AssociationError("the peer closed the connection")

    peer = FakePeer(lose)

    def connect_once(contexts: Sequence[Context]) -> FakeAssociation:
        if peer.opened:
            raise AssociationError("cannot connect")
        return peer.connect(contexts)

    lane = Lane(spool, CStoreDestination("a", PEER, connect=connect_once), QUICK)
    for number in range(3):
        put(spool, number)
    lane.start()
    wait_for(lambda: lane.status().why == "cannot connect", "out of use")
    assert lane.stop(5)

    assert counts(spool) == {"deferred": 1, "pending": 2}


def test_an_association_that_ended_while_idle_is_no_fault_of_the_object(spool: Spool) -> None:
    peer = FakePeer()
    sender = CStoreDestination("a", PEER, connect=peer.connect).sender()
    send(sender, entries_for(spool, (CT, EXPLICIT)))
    losses = iter([AssociationError("the peer closed the connection")])

    def lose_once(_: str) -> StoreAnswer:
        for loss in losses:
            raise loss
        return StoreAnswer(StoreStatus.SUCCESS)

    peer.script = lose_once

    assert send(sender, entries_for(spool, (CT, EXPLICIT))) == [Delivered()]

    assert len(peer.opened) == 2


@pytest.mark.parametrize(("result", "lasting"), [(1, True), (2, False)])
def test_a_rejected_association_makes_the_destination_unusable(
    spool: Spool, result: int, lasting: bool
) -> None:
    def reject(_: Sequence[Context]) -> FakeAssociation:
        raise AssociationRejectedError(result, 1, 7)

    destination = CStoreDestination("a", PEER, connect=reject)

    with pytest.raises(UnusableError) as caught:
        send(destination.sender(), entries_for(spool, (CT, EXPLICIT)))

    assert caught.value.lasting is lasting
    assert destination.probe() == str(caught.value)


def test_resting_releases_the_association(spool: Spool) -> None:
    peer = FakePeer()
    sender = CStoreDestination("a", PEER, connect=peer.connect).sender()
    send(sender, entries_for(spool, (CT, EXPLICIT)))

    sender.rest()
    sender.rest()

    assert peer.released == 1


# --- with real peers ----------------------------------------------------------------------------


@contextmanager
def lane_to(
    spool: Spool, port: int, policy: DestinationPolicy = QUICK, timeout_s: float = 5
) -> Iterator[Lane]:
    lane = Lane(spool, CStoreDestination("a", peer_at(port, timeout_s)), policy)
    lane.start()
    try:
        yield lane
    finally:
        assert lane.stop(5)


def counts(spool: Spool) -> dict[str, int]:
    spool.flush()
    return {state.value: n for state, n in spool.desk.status().destinations.get("a", {}).items()}


@pytest.mark.peer
def test_storescp_gets_every_object_unchanged(spool: Spool, tmp_path: Path) -> None:
    for number in range(20):
        put_real(spool, number, MR if number % 3 else CT)

    with storescp(tmp_path / "down", "+B") as port, lane_to(spool, port):
        wait_for(lambda: counts(spool) == {"delivered": 20}, "delivered")

    for number in range(20):
        head, content = real_object(number, MR if number % 3 else CT)
        (path,) = (tmp_path / "down").glob(f"*{head.sop_instance_uid}")
        assert path.read_bytes().endswith(content)
        assert dcmread(path).InstanceNumber == number


@pytest.mark.peer
def test_objects_wait_for_a_peer_that_is_down_and_arrive_when_it_is_up(spool: Spool, tmp_path: Path) -> None:
    for number in range(5):
        put_real(spool, number)
    port = free_port()

    with lane_to(spool, port) as lane:
        wait_for(lambda: lane.status().circuit != Circuit.CLOSED, "down")
        assert "cannot connect" in lane.status().why
        with storescp(tmp_path / "down", port=port):
            wait_for(lambda: counts(spool) == {"delivered": 5}, "delivered")


@pytest.mark.peer
@pytest.mark.parametrize("how", ["--refuse", "--abort-during", "--abort-after"])
def test_a_peer_that_rejects_or_aborts_loses_nothing(spool: Spool, tmp_path: Path, how: str) -> None:
    for number in range(3):
        put_real(spool, number)
    port = free_port()

    with lane_to(spool, port) as lane:
        with storescp(tmp_path / "bad", how, port=port):
            wait_for(lambda: lane.status().why and "cannot connect" not in lane.status().why, "trouble")
        with storescp(tmp_path / "good", port=port):
            wait_for(lambda: counts(spool) == {"delivered": 3}, "delivered")

    assert len(list((tmp_path / "good").iterdir())) == 3


@pytest.mark.peer
@pytest.mark.parametrize("point", ["after-claim", "association-open", "answer-read", "before-settle"])
def test_a_kill_while_sending_may_send_twice_and_never_not_at_all(tmp_path: Path, point: str) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    for number in range(5):
        put_real(spool, number)
    spool.close()
    nth = 1 if point in ("after-claim", "association-open") else 3

    with storescp(tmp_path / "down") as port:
        command = [sys.executable, "-m", "tests.delivery.sending", str(tmp_path / "spool"), str(port)]
        killed = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "DEID_FAILPOINT": f"{point}:kill:{nth}"},
            timeout=60,
            check=False,
        )
        again = subprocess.run(command, cwd=ROOT, timeout=60, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert again.returncode == 0
    assert len(list((tmp_path / "down").iterdir())) == 5
    spool = Spool.open(tmp_path / "spool", durable=False)
    assert counts(spool) == {"delivered": 5}
    assert list((tmp_path / "spool" / "objects").glob("*/*")) == []
    spool.close()


@contextmanager
def silent_peer() -> Iterator[int]:
    """Something that accepts connections and never says or reads anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with server:
                while True:
                    try:
                        held.append(server.accept()[0])
                    except OSError:
                        return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


def test_a_silent_peer_is_given_up_after_its_timeout(spool: Spool) -> None:
    put_real(spool, 1)

    with silent_peer() as port, lane_to(spool, port, timeout_s=0.2) as lane:
        wait_for(lambda: "did not answer in time" in lane.status().why, "given up", timeout_s=5)

    assert counts(spool) == {"pending": 1}
