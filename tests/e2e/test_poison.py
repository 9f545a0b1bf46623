"""An object that the process dies over, by a fault and not by kill -9."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.reception import Swallowed
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import SpoolError
from deid_node.node.suspects import Suspects
from deid_node.spool import Desk
from tests.e2e.running import RunningNode
from tests.e2e.striking import Sender, scanner_at
from tests.node.running import FILES, store_on, uids_of
from tests.peers import wait_for

MR = FILES / "MR_small.dcm"


def die_over_an_object(node: RunningNode, how: str) -> int:
    node.start(DEID_FAILPOINT=f"draft-half:{how}")
    assert Sender(node.port).store() is None
    assert node.process is not None
    return node.process.wait(20)


def test_an_object_over_which_the_process_died_twice_is_not_taken_and_others_are(tmp_path: Path) -> None:
    node = RunningNode(tmp_path)
    faults = tmp_path / "state" / "faults"
    try:
        ends = [die_over_an_object(node, "segv")]
        node.start()
        after_one = json.loads((faults / "suspects.json").read_text())
        node.stop()
        ends.append(die_over_an_object(node, "segv"))
        node.start()
        poison = Sender(node.port).store()
        uids = uids_of(MR)
        contexts = [(uids["sop_class_uid"], uids["transfer_syntax_uid"])]
        with Requestor.connect(scanner_at(node.port, 10), contexts) as assoc:
            other = store_on(assoc, MR).status
        wait_for(lambda: len(node.stored()) == 1, "the other one is delivered")
        refused = [refusal.code for refusal in Desk(tmp_path / "state" / "spool").status().refusals]
        node.stop()
        yesterday = {
            digest: (deaths, at - 90_000)
            for digest, (deaths, at) in json.loads((faults / "suspects.json").read_text()).items()
        }
        (faults / "suspects.json").write_text(json.dumps(yesterday))
        node.start()
        a_day_later = Sender(node.port).store()
        log = node.log.read_text()
    finally:
        node.stop()

    assert ends == [-signal.SIGSEGV] * 2
    assert [deaths for deaths, _ in after_one.values()] == [1]
    assert (poison, other) == (StoreStatus.MALFORMED, StoreStatus.SUCCESS)
    assert refused == ["poison"]
    assert a_day_later == StoreStatus.SUCCESS
    assert '"event": "node.died", "reason": "Segmentation fault"' in log
    assert {path.stat().st_mode & 0o077 for path in [faults, *faults.iterdir()]} == {0}


def test_kill_9_makes_nothing_suspect(tmp_path: Path) -> None:
    node = RunningNode(tmp_path)
    try:
        ends = [die_over_an_object(node, "kill") for _ in range(3)]
        node.start()
        answer = Sender(node.port).store()
        wait_for(lambda: len(node.stored()) == 1, "delivered")
    finally:
        node.stop()

    assert ends == [-signal.SIGKILL] * 3
    assert answer == StoreStatus.SUCCESS
    assert json.loads((tmp_path / "state" / "faults" / "suspects.json").read_text()) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"a": 1}', bytes(range(128, 178))])
def test_what_is_left_of_a_file_after_a_power_cut_stops_no_start(tmp_path: Path, content: bytes) -> None:
    for name in ("suspects.json", "at-work", "fault"):
        (tmp_path / name).write_bytes(content)

    suspects = Suspects.open(tmp_path)

    assert suspects.died_of == ""
    assert not suspects.is_poison(b"x" * 32)
    suspects.close()


def test_what_a_running_process_notes_is_left_alone_by_another(tmp_path: Path) -> None:
    suspects = Suspects.open(tmp_path)
    suspects.watch(b"x" * 32, Swallowed(StoreAnswer(StoreStatus.SUCCESS)))
    noted = (tmp_path / "at-work").read_bytes()

    with pytest.raises(SpoolError, match="Another deid_node"):
        Suspects.open(tmp_path)

    assert b"x" * 32 in noted
    assert (tmp_path / "at-work").read_bytes() == noted
    suspects.close()
    Suspects.open(tmp_path).close()
