"""A node that is killed again and again at random moments under load loses nothing and doubles nothing.

DEID_NODE_KILLS says how often it is killed (3 unless told), DEID_NODE_SENDERS how many send (4).
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from deid_node.node.key_file import make_key
from deid_node.spool import Desk
from tests.e2e.modality import Modality
from tests.e2e.objects import assert_deidentified, pixel_digests, series
from tests.e2e.running import RunningNode, running
from tests.peers import wait_for

KILLS = int(os.environ.get("DEID_NODE_KILLS", "3"))
SENDERS = int(os.environ.get("DEID_NODE_SENDERS", "4"))
OBJECTS = 150 * KILLS


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


def settings_of(intake: str, key: Path) -> str:
    """Return settings with a route that takes objects in one way or the other."""
    return (
        f'[sealed]\nkey_file = "{key}"\n[routes.r]\ncalled = "DEIDNODE"\n'
        f'destinations = "out"\nintake = "{intake}"\n'
    )


@pytest.mark.peer
@pytest.mark.parametrize("intake", ["ram", "sealed"])
def test_random_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path, intake: str) -> None:
    files = series(tmp_path / "files", OBJECTS, pixel_bytes=8192)
    key = tmp_path / "sealed.key"
    make_key(key)
    with running(tmp_path / "node", extra=settings_of(intake, key)) as node:
        modalities = [Modality(node.port, files[n::SENDERS], n) for n in range(SENDERS)]
        for modality in modalities:
            modality.thread.start()
        busy = kill_at_random(node, modalities, random.Random(3))
        wait_for(lambda: not any(m.thread.is_alive() for m in modalities), "everything is acknowledged", 120)
        desk = Desk(node.home / "state" / "spool")
        wait_for(lambda: not desk.sealed() and not desk.queue(), "everything is delivered", 60)
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
