"""Everything at once, for as long as there is time: load, faults on all sides, and counts that add up.

DEID_NODE_SOAK_S says for how many seconds senders send (20 unless told; 600 for the whole test, 3600 or
more before a release). The first quarter has kills; what is taken is watched from 40 % on.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.errors import AssociationError
from deid_node.spool import Desk, backup, check
from deid_node.standard.values import AETitle
from tests.delivery.downstream import Downstream, downstream
from tests.e2e.numbered import CT, STUDIES, dataset_of, number_in, uid
from tests.e2e.running import RunningNode, running
from tests.e2e.watching import Watch
from tests.peers import LOOPBACK, wait_for

SOAK_S = float(os.environ.get("DEID_NODE_SOAK_S", "20"))
SENDERS = 4
FAULTY = 0.05
KILLS_UNTIL, WATCHED_FROM = 0.25, 0.4  # of the time
WARM_OBJECTS = 25_000  # after a start: the page cache of the ledger and what the engine remembers are full
CACHED_BYTES = 4096  # of an object, until caches are full; 2,800 were measured
LEDGER_BYTES = 4096  # of history that an object leaves, with both destinations
MB_PER_HOUR, UNCERTAIN_MB = 1.0, 2.0
BAD_MODES = (
    *("aborts-midway", "resets-midway", "closes-before-answer", "wrong-message-id", "rejects-2"),
    *("no-status", "garbage", "A700", "B000"),
)


@dataclass
class Tally:
    """What was done and heard, by all senders together."""

    faults: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    acknowledged: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    looks: int = 0

    def fault(self, kind: str) -> None:
        with self.lock:
            self.faults[kind] += 1


class Scanner:
    """Sends objects one after the other, each until it is acknowledged, and does wrong now and then."""

    def __init__(self, number: int, port: int, tally: Tally, ends_at: float, folder: Path) -> None:
        self.number = number
        self.tally = tally
        self.ends_at = ends_at
        self.path = folder / f"scanner-{number}"
        self.chance = random.Random(number)
        self.peer = Peer(LOOPBACK, port, AETitle("DEIDNODE"), AETitle(f"CT{number}"), 5)
        self.assoc: Requestor | None = None
        self.thread = threading.Thread(target=self.send_all, daemon=True)

    def send_all(self) -> None:
        count = 0
        while time.monotonic() < self.ends_at:
            count += 1
            number = self.number * 10_000_000 + count
            if self.chance.random() < FAULTY:
                self.until_it_works(lambda number=number: self.do_wrong(number))  # type: ignore[misc]
            self.until_it_works(lambda number=number: self.store(number) == 0)  # type: ignore[misc]
            with self.tally.lock:
                self.tally.acknowledged.append(number)
            if self.chance.random() < FAULTY:
                self.tally.fault("sent again")
                self.until_it_works(lambda number=number: self.store(number) == 0)  # type: ignore[misc]
        if self.assoc is not None:
            self.assoc.release()

    def until_it_works(self, deed: Callable[[], bool]) -> None:
        while True:
            try:
                if deed():
                    return
            except (AssociationError, OSError):
                self.assoc = None
                time.sleep(0.05)

    def store(self, number: int, cut: int = 0, named: int = 0) -> int:
        content = dataset_of(number)
        self.path.write_bytes(content[: len(content) - cut])
        with self.path.open("rb") as stream:
            answer = self.association().store_file(
                stream,
                offset=0,
                length=len(content) - cut,
                sop_class_uid=CT,
                sop_instance_uid=uid(named or number),
                transfer_syntax_uid=ExplicitVRLittleEndian,
            )
        with self.tally.lock:
            self.tally.answers[int(answer.status)] += 1
        return int(answer.status)

    def do_wrong(self, number: int) -> bool:
        kind = self.chance.choice(("vanishes", "cut", "mismatch"))
        self.tally.fault(kind)
        if kind == "vanishes":
            assoc = self.association()
            assoc.begin_store(
                sop_class_uid=CT,
                sop_instance_uid=uid(number),
                transfer_syntax_uid=ExplicitVRLittleEndian,
            )
            assoc.interrupt()
            self.assoc = None
            return True
        if kind == "cut":
            return self.store(number, cut=100) in (0xC101, 0xA700)
        return self.store(number, named=number + 5_000_000) in (0xA900, 0xA700)

    def association(self) -> Requestor:
        if self.assoc is None:
            self.assoc = Requestor.connect(self.peer, [(CT, ExplicitVRLittleEndian)])
        return self.assoc


def trouble(node: RunningNode, down: Downstream, tally: Tally, begun: float) -> Watch:
    """Kill and stop the node at first, let its destination fail throughout; watch it from then on."""
    chance = random.Random(99)
    kill_every_s = max(2.0, SOAK_S / 40)
    next_kill = next_look = begun + kill_every_s / 2
    watch, acknowledged = None, 0
    desk = Desk(node.home / "state" / "spool")
    while (now := time.monotonic()) < begun + SOAK_S:
        if now < begun + KILLS_UNTIL * SOAK_S and now >= next_kill:
            next_kill = now + kill_every_s
            disturb(node, tally, chance)
            acknowledged = len(tally.acknowledged)
        if chance.random() < 0.3:
            tally.fault("destination fails")
            down.mode = chance.choice(BAD_MODES)
            time.sleep(0.3)
            down.mode = "well"
        if now >= next_look:
            next_look = now + 3
            look(desk, node.home, tally)
        if now > begun + WATCHED_FROM * SOAK_S:
            assert node.process is not None
            watch = watch or Watch(node.process.pid, node.home / "state" / "spool", acknowledged)
            watch.look(now, len(tally.acknowledged))
        time.sleep(0.5)
    assert watch is not None
    return watch


def disturb(node: RunningNode, tally: Tally, chance: random.Random) -> None:
    """Kill the node and start it again, or let it stand still for a second."""
    assert node.process is not None
    if chance.random() < 0.3:
        tally.fault("SIGSTOP")
        os.kill(node.process.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(node.process.pid, signal.SIGCONT)
    else:
        tally.fault("kill -9")
        node.kill()
        node.start()


def look(desk: Desk, folder: Path, tally: Tally) -> None:
    """Check, count and copy the ledger while it is in use: no finding, and counts that add up."""
    assert check(desk._folder, contents=False) == []
    status = desk.status()
    for study in status.studies:
        for states in study.destinations.values():
            assert sum(states.values()) == study.objects
    copy = folder / f"backup-{time.monotonic_ns()}"
    backup(desk._folder, copy)
    with contextlib.closing(sqlite3.connect(copy)) as conn:
        known = conn.execute("SELECT count(*) FROM item").fetchone()[0]
    assert known >= sum(study.objects for study in status.studies)
    copy.unlink()
    tally.looks += 1


@pytest.mark.timeout(max(240, 2 * SOAK_S))
def test_under_faults_on_all_sides_nothing_is_lost_nothing_grows_and_the_counts_add_up(
    tmp_path: Path,
) -> None:
    tally = Tally()
    with downstream() as down:
        store = tmp_path / "node" / "store"
        destinations = (
            f'[destinations.out]\nkind = "folder"\npath = "{store}"\ntemplate = "{{SOPInstanceUID}}.dcm"\n'
            f'[destinations.down]\nkind = "ae"\nhost = "{LOOPBACK}"\nport = {down.port}\n'
            'ae_title = "DOWN"\ntimeout_s = 3\nfirst_pause_s = 0.2\nlongest_pause_s = 1\n'
        )
        with running(tmp_path / "node", destinations) as node:
            begun = time.monotonic()
            scanners = [Scanner(n, node.port, tally, begun + SOAK_S, tmp_path) for n in range(1, SENDERS + 1)]
            for scanner in scanners:
                scanner.thread.start()
            watch = trouble(node, down, tally, begun)
            wait_for(lambda: not any(s.thread.is_alive() for s in scanners), "all is acknowledged", 60)
            desk = Desk(tmp_path / "node" / "state" / "spool")
            people_retry(desk, tally)
            status = desk.status()
            assert node.process is not None
            process = psutil.Process(node.process.pid)
            wait_for(lambda: len(process.net_connections()) <= 2, "no connection is left", 20)
            threads, descriptors = process.num_threads(), process.num_fds()
            found = check(desk._folder)

    acknowledged = Counter(tally.acknowledged)
    there = Counter(number_in(path) for path in node.stored())
    sent = Counter(down.stored)
    print(
        f"{SOAK_S:g} s: {sum(tally.faults.values())} faults {dict(tally.faults)}; "
        f"{len(acknowledged)} acknowledged, {len(set(acknowledged) - set(there))} lost, "
        f"{sum(n > 1 for n in there.values())} doubled in the folder, "
        f"{sent.total() - len(sent)} sent twice to the AE; "
        f"{threads} threads and {descriptors} descriptors at the end\n{watch}"
    )
    assert max(acknowledged.values()) == 1
    assert set(tally.answers) <= {0, 0xA700, 0xC101, 0xA900}
    assert there == acknowledged
    assert {path.stem for path in node.stored()} == set(sent)
    by_study = Counter(number % STUDIES for number in acknowledged)
    assert sorted(study.objects for study in status.studies) == sorted(by_study.values())
    for study in status.studies:
        for name in ("out", "down"):
            assert sum(study.destinations[name].values()) == study.objects, study
    assert tally.looks > 1
    assert found == []
    assert not list((desk._folder / "objects").glob("*/*"))
    assert threads < 30
    assert descriptors < 60
    assert_nothing_grew(watch)


def assert_nothing_grew(watch: Watch) -> None:
    """Fail when something grows. A slope says something of caches that are full, and the longer the finer."""
    warm = watch.warm(watch.began_with + WARM_OBJECTS)
    print(f"with full caches: {warm.took_s:.0f} s")
    if warm.took_s > 120:
        slope = warm.per_hour("memory_mb")
        print(f"memory then: {slope:+.1f} MB per hour")
        assert slope < MB_PER_HOUR + UNCERTAIN_MB * 3600 / warm.took_s, str(warm)
        assert watch.ledger_bytes_per_object() < LEDGER_BYTES, str(watch)
    # Until they are full, caches keep some of every object: its UIDs, its series, its pages of the ledger.
    cached_mb = CACHED_BYTES * min(watch.objects, WARM_OBJECTS) / 2**20
    for name, by in (("memory_mb", 10 + cached_mb), ("descriptors", 8), ("threads", 4), ("spool_mb", 10)):
        first, last = watch.ends(name)
        assert last - first < by, str(watch)


def people_retry(desk: Desk, tally: Tally) -> None:
    """Wait until everything is delivered; what a sick destination made held for is tried again."""
    end = time.monotonic() + 120
    while (waiting := desk.queue()) and time.monotonic() < end:
        if {entry.state for entry in waiting} <= {"held", "refused"}:
            tally.faults["held over an abort"] += len(waiting)
            desk.retry()
        time.sleep(0.2)
    assert desk.queue() == []
