"""A disk that takes too long: the sender is told in time to send again, and nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.spool import DeliveryState, Desk, check
from tests.e2e.objects import pixel_digests, series
from tests.e2e.running import AE_TITLE, RunningNode
from tests.peers import LOOPBACK, require, run, wait_for

pytestmark = pytest.mark.peer

SLOW = {"DEID_FAILPOINT": "before-sync:sleep", "DEID_FAILPOINT_SLEEP_S": "2"}
NEVER = {"DEID_FAILPOINT": "before-sync:sleep"}


def node_with(home: Path, answer_s: float, acceptor: str = "stream") -> RunningNode:
    return RunningNode(
        home, f'\n[destinations.out]\nkind = "folder"\npath = "{home / "store"}"\n',
        extra=f'acceptor = "{acceptor}"\n[limits]\nanswer_s = {answer_s}',
    )  # fmt: skip


def send(node: RunningNode, file: Path) -> str:
    """Send a file with DCMTK and return what it says of the answer."""
    said = run(require("storescu"), "-v", "-aec", AE_TITLE, "-xe", LOOPBACK, str(node.port), file)
    [answer] = [
        line for line in (said.stdout + said.stderr).splitlines() if "Received Store Response" in line
    ]
    return answer.split("Response")[1].strip(" ()")


def delivered_once(node: RunningNode, files: list[Path]) -> None:
    wait_for(lambda: len(node.stored()) >= len(files), "it is delivered")
    spool = node.home / "state" / "spool"
    wait_for(lambda: not Desk(spool).queue(), "nothing waits")
    assert pixel_digests(node.stored()) == pixel_digests(files)
    assert check(spool) == []
    assert not list((spool / "incoming").iterdir())


def test_a_sync_that_never_ends_is_answered_all_the_same(tmp_path: Path) -> None:
    [file] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", 0.5)
    node.start(**NEVER)
    try:
        answer = send(node, file)
        next_one = send(node, file)
        wait_for(lambda: len(node.stored()) == 1, "the one that was sent again is delivered")
    finally:
        node.kill()

    assert answer == "Refused: OutOfResources"
    assert next_one == "Success"
    assert "node.object_too_late" in node.log.read_text()
    node.start()
    try:
        delivered_once(node, [file])
    finally:
        node.stop()


@pytest.mark.parametrize("acceptor", ["stream", "pynetdicom"])
def test_what_was_durable_too_late_is_withdrawn_and_taken_when_it_comes_again(
    tmp_path: Path, acceptor: str
) -> None:
    [file] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", 0.5, acceptor)
    node.start(**SLOW)
    try:
        first = send(node, file)
        wait_for(lambda: "node.object_not_kept" in node.log.read_text(), "the sync has ended")
        assert not node.stored()
        second = send(node, file)
        delivered_once(node, [file])
    finally:
        node.stop()

    assert (first, second) == ("Refused: OutOfResources", "Success")


def test_a_sender_that_is_gone_when_the_answer_is_ready_finds_its_object_kept(tmp_path: Path) -> None:
    [file] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", 60)
    node.start(**SLOW)
    try:
        program = require("storescu")
        # The time-out of DIMSE: it gives up after a second, and the node is not done yet.
        gone = run(program, "-td", "1", "-aec", AE_TITLE, "-xe", LOOPBACK, str(node.port), file)
        delivered_once(node, [file])
        again = send(node, file)
        delivered_once(node, [file])
        status = Desk(node.home / "state" / "spool").status()
    finally:
        node.stop()

    assert gone.returncode != 0
    assert again == "Success"
    [study] = status.studies
    assert (study.objects, study.duplicates) == (1, 1)
    assert status.destinations["out"] == {DeliveryState.DELIVERED: 1}
