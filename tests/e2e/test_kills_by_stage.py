"""kill -9 while an object arrives, before its destination has answered, while settings are taken over."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deid_node.dimse import pdu
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.node.part10 import read_part10
from deid_node.spool import Desk, check
from tests.delivery.downstream import downstream
from tests.e2e.running import RunningNode, ae_destination
from tests.e2e.striking import Sender, scanner_at
from tests.node.running import CT, uids_of
from tests.peers import LOOPBACK, wait_for

STAGES = ("connected", "associated", "command sent", "header sent", "half sent", "all but the last sent")


def come_to(stage: str, port: int) -> Callable[[], object]:
    """Let an object arrive up to a stage; return what goes on from there."""
    if stage == "connected":
        sock = socket.create_connection((LOOPBACK, port), 5)
        return lambda: sock.close()
    uids = uids_of(CT)
    assoc = Requestor.connect(scanner_at(port, 10), [(uids["sop_class_uid"], uids["transfer_syntax_uid"])])
    if stage == "associated":
        return assoc.abort
    out = assoc.begin_store(**uids)
    with CT.open("rb") as stream:
        stream.seek(read_part10(stream).offset)
        content = stream.read()
    shares = {"command sent": 0, "header sent": 6000, "half sent": len(content) // 4 * 2}
    sent = shares.get(stage, len(content))
    if sent:  # on the one context there is, and not as the last fragment
        assoc.send_fragment(pdu.data_header(1, sent, 0), [content[:sent]], more=False)
    out.write([content[sent:] or b"\0\0"])

    def finish() -> None:
        with pytest.raises(AssociationError):
            out.finish()

    return finish


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_while_an_object_arrives_leaves_nothing_and_it_can_come_again(
    tmp_path: Path, stage: str
) -> None:
    node = RunningNode(tmp_path)
    spool = tmp_path / "state" / "spool"
    try:
        node.start()
        go_on = come_to(stage, node.port)
        if stage in ("half sent", "all but the last sent"):
            wait_for(lambda: list((spool / "incoming").iterdir()), "bytes of it are in the spool")
        node.kill()
        node.start()
        left = [*(spool / "incoming").iterdir(), *(spool / "objects").glob("*/*")]
        before = Desk(spool).last_item()
        answer = Sender(node.port).store()
        wait_for(lambda: len(node.stored()) == 1, "delivered")
        found = check(spool)
    finally:
        node.stop()
    go_on()

    assert (left, before) == ([], 0)
    assert answer == StoreStatus.SUCCESS
    assert found == []


def test_a_kill_before_the_destination_has_answered_counts_and_is_sent_again(
    tmp_path: Path,
) -> None:
    with downstream("no-answer") as down:
        node = RunningNode(tmp_path, ae_destination(down.port))
        desk = Desk(tmp_path / "state" / "spool")
        try:
            node.start()
            assert Sender(node.port).store() == StoreStatus.SUCCESS
            wait_for(lambda: down.asked_at, "the object is at the destination")
            [leased] = desk.queue()
            node.kill()
            down.mode = "A700"
            node.start()
            wait_for(lambda: len(down.asked_at) == 2, "it is sent again")
            wait_for(lambda: [entry.attempts for entry in desk.queue()] == [2], "the attempt is counted")
            down.mode = "well"
            desk.retry()
            wait_for(lambda: not desk.queue(), "delivered")
        finally:
            node.stop()

    assert (leased.state, leased.attempts) == ("leased", 1)
    assert len(down.stored) == 1


def test_a_kill_while_settings_are_taken_over_leaves_the_old_or_the_new_ones(tmp_path: Path) -> None:
    node = RunningNode(tmp_path, extra='profile = "basic"\n')
    try:
        node.start(DEID_FAILPOINT="reloading:kill")
        assert Sender(node.port).store() == StoreStatus.SUCCESS
        before = digest_of(node)
        node.config.write_text(node.config.read_text().replace('"basic"', '"research"'))
        assert node.process is not None
        os.kill(node.process.pid, signal.SIGHUP)
        ended = node.process.wait(20)
        node.start()
        assert Sender(node.port).store() == StoreStatus.SUCCESS
        wait_for(lambda: len(node.stored()) == 2, "both are delivered")
        arrived = Desk(tmp_path / "state" / "spool").arrivals(0, 10)
        after = digest_of(node)
    finally:
        node.stop()

    assert ended == -signal.SIGKILL
    assert [item["profile"] for item in arrived] == [before, after]
    assert before != after


def digest_of(node: RunningNode) -> str:
    """Return the digest of the procedure that the settings mean."""
    told = json.loads(node.command("check", "--json").stdout)
    return str(told["routes"]["default"]["digest"])
