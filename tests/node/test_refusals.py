"""Whatever is not taken is in the ledger: with its reason when it was refused, else as one count."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deid_node.dimse.status import StoreStatus
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind
from deid_node.settings.network import LimitSettings
from deid_node.spool.desk import Desk, RefusalCounts
from tests.dimse.raw import CT, EXPLICIT, INSTANCE, MR, RawPeer, context, pdata, request, store_rq
from tests.engine import encoded
from tests.node.running import CT as CT_FILE
from tests.node.running import running, store
from tests.peers import wait_for

DATASET = b"\x08\0\x05\0CS\x02\0  "


def seen(node: Node) -> dict[str, RefusalCounts]:
    return {row.code: row for row in Desk(node.settings.spool_folder).status().refusals}


def associated(node: Node) -> RawPeer:
    peer = RawPeer(node.address)
    peer.send(request([context(1, CT, EXPLICIT)], called=b"DEIDNODE"))
    assert peer.pdu()[0] == 2
    return peer


@pytest.mark.parametrize(
    ("rq", "status", "code"),
    [
        (store_rq(sop_class=MR), 0xA900, "mismatch"),
        (store_rq(instance="../../../etc/passwd"), 0x0117, "no-sop-instance"),
        (store_rq(instance=None), 0x0117, "no-sop-instance"),
        (store_rq(dataset=0x101), 0xC000, "no-dataset"),
    ],
    ids=["class of another context", "path for an instance", "no instance", "no dataset"],
)
def test_what_is_refused_for_its_request_is_in_the_ledger(
    state: Path, rq: bytes, status: int, code: str
) -> None:
    with running(state) as node:
        with associated(node) as peer:
            peer.send(pdata(1, 3, rq), *([] if status == 0xC000 else [pdata(1, 2, DATASET)]))
            answered = peer.status()
        wait_for(lambda: seen(node), "it is recorded")
        row = seen(node)[code]

    assert answered == status
    assert (row.route, row.objects, row.times) == ("default", 1, 1)


def test_what_a_request_says_instead_of_uids_is_not_in_the_ledger(state: Path) -> None:
    with running(state) as node:
        with associated(node) as peer:
            peer.send(
                pdata(1, 3, store_rq(sop_class="SECRET^CLASS", instance="SECRET^NAME")), pdata(1, 2, DATASET)
            )
            assert peer.status() == 0xA900
        wait_for(lambda: seen(node), "it is recorded")
        [ledger] = [path for path in (state / "spool").iterdir() if path.suffix in (".db", ".sqlite")]
        with closing(sqlite3.connect(ledger)) as conn:
            rows = conn.execute("SELECT * FROM refusal").fetchall()

    assert len(rows) == 1
    assert "SECRET" not in repr(rows)
    assert not [path for path in state.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]


def test_an_object_over_the_size_limit_is_in_the_ledger(state: Path) -> None:
    pixels = encoded.EXPLICIT.element(0x7FE00010, "OW", bytes(1_200_000))
    dataset = encoded.EXPLICIT.dataset(pixels, sop_class_uid=CT, sop_instance_uid=INSTANCE)

    with running(state, limits=LimitSettings(object_bytes=1 << 20)) as node:
        with associated(node) as peer:
            peer.send(pdata(1, 3, store_rq()))
            for start in range(0, len(dataset), 100_000):
                last = 2 if start + 100_000 >= len(dataset) else 0
                peer.send(pdata(1, last, dataset[start : start + 100_000]))
            status = peer.status()
        wait_for(lambda: seen(node), "it is recorded")
        codes = set(seen(node))

    assert status == StoreStatus.LIMIT_EXCEEDED
    assert codes == {"limit"}


def test_interrupted_objects_are_counted_in_one_row(state: Path) -> None:
    with running(state) as node:
        for number in range(3):
            with associated(node) as peer:
                peer.send(pdata(1, 3, store_rq(instance=f"1.2.3.{number}")), pdata(1, 0, DATASET))
        wait_for(lambda: sum(row.times for row in seen(node).values()) == 3, "all are counted")
        row = seen(node)["interrupted"]

    assert (row.objects, row.times) == (1, 3)


def test_what_is_not_kept_for_want_of_room_is_counted_and_taken_when_it_comes_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deid_node.errors import SpoolError
    from deid_node.spool.spool import Spool

    def full(_: Spool) -> None:
        raise SpoolError("no room")

    with running(state) as node:
        with monkeypatch.context() as short:
            short.setattr(Spool, "draft", full)
            answers = [store(node, CT_FILE).status for _ in range(2)]
        wait_for(lambda: "not-kept" in seen(node) and seen(node)["not-kept"].times == 2, "both are counted")
        answers.append(store(node, CT_FILE).status)

    assert [int(status) for status in answers] == [0xA700, 0xA700, 0]


@pytest.mark.parametrize("acceptor", AcceptorKind)
def test_both_acceptors_count_what_was_interrupted(state: Path, acceptor: AcceptorKind) -> None:
    with running(state, acceptor=acceptor) as node:
        with associated(node) as peer:
            peer.send(pdata(1, 3, store_rq()), pdata(1, 0, DATASET))
        wait_for(lambda: "interrupted" in seen(node), "it is counted")


def test_what_finds_no_memory_ends_the_association_of_the_pynetdicom_acceptor(state: Path) -> None:
    limits = LimitSettings(memory_bytes=1 << 20)
    with running(state, acceptor=AcceptorKind.PYNETDICOM, limits=limits) as node:
        with associated(node) as peer:
            peer.send(pdata(1, 3, store_rq()))
            with contextlib.suppress(OSError):
                for _ in range(100):
                    peer.send(pdata(1, 0, bytes(100_000)))
            kind = peer.pdu()[0]
        after = store(node, CT_FILE).status

    assert kind in (0, 7)
    assert after == StoreStatus.SUCCESS
