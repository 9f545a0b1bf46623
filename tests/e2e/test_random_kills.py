"""A node that is killed again and again at random moments under load loses nothing and doubles nothing.

DEID_NODE_KILLS says how often it is killed (3 unless told; 1,000 for the whole test), DEID_NODE_SENDERS how
many associations send (8). They send until the last kill, so a kill costs little more than a start.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from deid_node.node.key_file import make_key
from deid_node.spool import Desk, check
from tests.delivery.downstream import Downstream, downstream
from tests.e2e.modality import Modality
from tests.e2e.numbered import STUDIES, files_until, number_in
from tests.e2e.objects import assert_deidentified
from tests.e2e.running import RunningNode, ae_destination, running
from tests.peers import wait_for

KILLS = int(os.environ.get("DEID_NODE_KILLS", "3"))
SENDERS = int(os.environ.get("DEID_NODE_SENDERS", "8"))
LANE_SENDERS = 2
IN_FLIGHT = 32  # sent, and not yet in the ledger, which gathers what nobody waits for
START_S = 5.0  # of processor time


def kill_at_random(node: RunningNode, modalities: list[Modality]) -> list[float]:
    """Kill and start the node while objects arrive; return the processor time of every start."""
    chance = random.Random(3)
    starts = []
    for _ in range(KILLS):
        heard = sum(len(modality.acknowledged) for modality in modalities)
        wait_for(
            lambda heard=heard: sum(len(m.acknowledged) for m in modalities) > heard,  # type: ignore[misc]
            "objects are acknowledged",
        )
        time.sleep(chance.uniform(0, 0.8))  # the moment is random on purpose
        node.kill()
        node.start()
        assert node.process is not None
        starts.append(sum(psutil.Process(node.process.pid).cpu_times()[:2]))
    return starts


def settings_of(intake: str, key: Path) -> str:
    """Return settings with a route that takes objects in one way or the other."""
    return (
        f'[sealed]\nkey_file = "{key}"\n[routes.r]\ncalled = "DEIDNODE"\n'
        f'destinations = ["out", "down"]\nintake = "{intake}"\n'
    )


def destinations_of(home: Path, down: Downstream, *, links: bool) -> str:
    """Return a folder, where an object is there once, and an AE, which is asked once more after a kill.

    What is linked stays the folder's file; otherwise files of the spool are written again.
    """
    folder = f'[destinations.out]\nkind = "folder"\npath = "{home}/store"\nmay_link = {str(links).lower()}\n'
    ae = ae_destination(down.port) + f"senders = {LANE_SENDERS}\nfirst_pause_s = 0.2\nlongest_pause_s = 1\n"
    return folder + 'template = "{SOPInstanceUID}.dcm"\n' + ae


@pytest.mark.peer
@pytest.mark.timeout(240 + 20 * KILLS)
@pytest.mark.parametrize(("intake", "links"), [("ram", False), ("sealed", True)])
def test_random_kills_under_load_lose_nothing_and_double_nothing(
    tmp_path: Path, intake: str, links: bool
) -> None:
    key, home, enough = tmp_path / "sealed.key", tmp_path / "node", threading.Event()
    make_key(key)
    spool = home / "state" / "spool"
    with (
        downstream() as down,
        running(home, destinations_of(home, down, links=links), extra=settings_of(intake, key)) as node,
    ):
        files = (files_until(enough, tmp_path, n * 1_000_000 + 1) for n in range(SENDERS))
        modalities = [Modality(node.port, own, n) for n, own in enumerate(files)]
        for modality in modalities:
            modality.thread.start()
        try:
            starts = kill_at_random(node, modalities)
        finally:
            enough.set()
        wait_for(lambda: not any(m.thread.is_alive() for m in modalities), "everything is acknowledged", 60)
        desk = Desk(spool)
        released = Counter[str]()

        def is_delivered() -> bool:
            """Whether nothing waits; a person lets go what was under way at death after death."""
            released["originals"] += desk.release_sealed(codes=["poison"])
            return not desk.sealed() and not desk.queue()

        wait_for(is_delivered, "everything is delivered", 120 + 2 * KILLS)
        status = desk.status()
    audit = "".join(path.read_text() for path in (home / "state" / "audit").glob("*.jsonl"))
    acknowledged = [int(file.stem) for modality in modalities for file in modality.acknowledged]
    there = Counter(number_in(file) for file in node.stored())
    asked = Counter(down.stored)
    twice = asked.total() - len(asked)
    print(
        f"{intake}: {KILLS} kills under {SENDERS} associations: {len(acknowledged)} acknowledged, "
        f"{len(set(acknowledged) - set(there))} lost, {sum(n > 1 for n in there.values())} doubled in the "
        f"folder, {twice} sent twice to the AE, {released['originals']} originals held over deaths; "
        f"start {max(starts):.2f} s of processor time at most"
    )

    assert len(acknowledged) == len(set(acknowledged))
    assert there == dict.fromkeys(acknowledged, 1)
    assert len(asked) == len(acknowledged)
    assert twice <= KILLS * IN_FLIGHT
    assert {answer for modality in modalities for answer in modality.other_answers} <= {0xA700}
    assert_deidentified(node.stored()[::50])
    assert all(file.stem.encode() in file.read_bytes() for file in node.stored())
    by_study = Counter(number % STUDIES for number in acknowledged)
    assert sorted(study.objects for study in status.studies) == sorted(by_study.values())
    for name in ("out", "down"):
        assert sum(status.destinations[name].values()) == len(acknowledged)
        assert set(status.destinations[name]) <= {"delivered", "warned"}
    assert check(spool) == []
    items = [
        int(line.split('"item":')[1].split(",")[0])
        for line in audit.splitlines()
        if '"object-stored"' in line
    ]
    assert sorted(set(items)) == list(range(1, len(acknowledged) + 1))
    assert max(starts) < START_S
