"""A node that is killed again and again at random moments under load loses nothing and doubles nothing.

DEID_NODE_KILLS says how often it is killed (3 unless told), DEID_NODE_SENDERS how many send (4).
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.node.part10 import read_part10
from deid_node.spool import Desk
from deid_node.standard.values import AETitle
from tests.e2e.objects import assert_deidentified, pixel_digests, series
from tests.e2e.running import RunningNode, running
from tests.peers import LOOPBACK, wait_for

KILLS = int(os.environ.get("DEID_NODE_KILLS", "3"))
SENDERS = int(os.environ.get("DEID_NODE_SENDERS", "4"))
OBJECTS = 150 * KILLS


class Modality:
    """Sends its files one after the other, each until it hears Success; what it heard is `acknowledged`."""

    def __init__(self, port: int, files: list[Path], number: int) -> None:
        self.files = files
        self.acknowledged: list[Path] = []
        self.other_answers: list[int] = []
        self.over = threading.Event()
        self._peer = Peer(LOOPBACK, port, AETitle("DEIDNODE"), AETitle(f"MOD{number}"), 5)
        self._assoc: Requestor | None = None
        self.thread = threading.Thread(target=self._send_all, daemon=True)

    def _send_all(self) -> None:
        left = list(reversed(self.files))
        while left and not self.over.is_set():
            try:
                status = self._send(left[-1])
            except (AssociationError, OSError):
                self._assoc = None
                self.over.wait(0.05)
                continue
            if status == StoreStatus.SUCCESS:
                self.acknowledged.append(left.pop())
            else:
                self.other_answers.append(status)

    def _send(self, file: Path) -> int:
        with file.open("rb") as stream:
            part10 = read_part10(stream)
            uids = {
                "sop_class_uid": part10.sop_class_uid,
                "sop_instance_uid": part10.sop_instance_uid,
                "transfer_syntax_uid": part10.transfer_syntax_uid,
            }
            if self._assoc is None:
                contexts = [(part10.sop_class_uid, part10.transfer_syntax_uid)]
                self._assoc = Requestor.connect(self._peer, contexts)
            length = stream.seek(0, os.SEEK_END) - part10.offset
            return int(self._assoc.store_file(stream, offset=part10.offset, length=length, **uids).status)


def kill_at_random(node: RunningNode, modalities: list[Modality], chance: random.Random) -> int:
    """Kill and start the node; return how often while objects arrived."""
    busy = 0
    for kill in range(KILLS):
        heard = sum(len(modality.acknowledged) for modality in modalities)
        wait_for(
            lambda heard=heard: (
                sum(len(m.acknowledged) for m in modalities) > heard  # type: ignore[misc]
                or not any(m.thread.is_alive() for m in modalities)
            ),
            "objects are acknowledged",
        )
        time.sleep(chance.uniform(0, 0.4))  # the moment is random on purpose
        busy += any(modality.thread.is_alive() for modality in modalities)
        node.kill()
        begun = time.monotonic()
        node.start()
        assert time.monotonic() - begun < 15, kill
    return busy


@pytest.mark.peer
def test_random_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    files = series(tmp_path / "files", OBJECTS, pixel_bytes=8192)
    with running(tmp_path / "node") as node:
        modalities = [Modality(node.port, files[n::SENDERS], n) for n in range(SENDERS)]
        for modality in modalities:
            modality.thread.start()
        busy = kill_at_random(node, modalities, random.Random(3))
        wait_for(lambda: not any(m.thread.is_alive() for m in modalities), "everything is acknowledged", 120)
        desk = Desk(node.home / "state" / "spool")
        wait_for(lambda: not desk.queue(), "everything is delivered", 60)
        wait_for(lambda: len(node.stored()) >= len(files), "every file is there")
        status = desk.status()
        check = node.command("fsck")

    assert busy >= KILLS - 1
    acknowledged = [file for modality in modalities for file in modality.acknowledged]
    assert sorted(acknowledged) == files
    assert {answer for modality in modalities for answer in modality.other_answers} <= {0xA700}
    assert pixel_digests(node.stored()) == pixel_digests(files)
    assert_deidentified(node.stored())
    assert sum(study.objects for study in status.studies) == len(files)
    assert {state.value: count for state, count in status.destinations["out"].items()} == {
        "delivered": len(files)
    }
    assert check.returncode == 0, check.stdout
    audit = "".join(path.read_text() for path in (node.home / "state" / "audit").glob("*.jsonl"))
    items = {
        int(line.split('"item":')[1].split(",")[0])
        for line in audit.splitlines()
        if '"object-stored"' in line
    }
    assert items == set(range(1, len(files) + 1))
