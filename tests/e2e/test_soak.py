"""Everything at once, for as long as there is time: load, faults on all sides, and counts that add up.

DEID_NODE_SOAK_S says for how many seconds senders send (20 unless told; 600 for the whole test, 3600 or
more before a release). The first half has kills, the second shows whether anything grows.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pydicom import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.errors import AssociationError
from deid_node.spool import Desk, backup, check
from deid_node.standard.values import AETitle
from tests.delivery.downstream import Downstream, downstream
from tests.e2e.running import RunningNode, running
from tests.engine.objects import ROOT, SAMPLES
from tests.peers import LOOPBACK, wait_for

SOAK_S = float(os.environ.get("DEID_NODE_SOAK_S", "20"))
SENDERS = 4
FAULTY = 0.05
BAD_MODES = (
    *("aborts-midway", "resets-midway", "closes-before-answer", "wrong-message-id", "rejects-2"),
    *("no-status", "garbage", "A700", "B000"),
)
CT = str(SAMPLES["ct"]().ds.SOPClassUID)
_NUMBER, _STUDY = f"{ROOT}.31.900000000", f"{ROOT}.20.900"


def template() -> bytes:
    """Return a dataset whose SOP Instance UID and Study Instance UID are replaced byte by byte."""
    ds = SAMPLES["ct"]().ds
    ds.SOPInstanceUID, ds.StudyInstanceUID = _NUMBER, _STUDY
    ds.add_new(0x7FE00010, "OW", random.Random(1).randbytes(8192))
    out = BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True)
    return out.getvalue()


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
        self.whole = template()

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
        content = self.content(number)
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

    def content(self, number: int) -> bytes:
        study = f"{ROOT}.20.{900 + number % 7}"
        return self.whole.replace(_NUMBER.encode(), uid(number).encode()).replace(
            _STUDY.encode(), study.encode()
        )


def uid(number: int) -> str:
    return f"{ROOT}.31.{900_000_000 + number}"


def trouble(node: RunningNode, down: Downstream, tally: Tally, begun: float, ends_at: float) -> list[float]:
    """Kill and stop the node in the first half, let its destination fail; return memory of the second."""
    chance = random.Random(99)
    half = (begun + ends_at) / 2
    kill_every_s = max(4.0, SOAK_S / 20)
    next_kill = begun + kill_every_s / 2
    memory: list[float] = []
    desk = Desk(node.home / "state" / "spool")
    next_look = begun
    while (now := time.monotonic()) < ends_at:
        if now < half and now >= next_kill:
            next_kill = now + kill_every_s
            if chance.random() < 0.3:
                tally.fault("SIGSTOP")
                assert node.process is not None
                os.kill(node.process.pid, signal.SIGSTOP)
                time.sleep(1)
                os.kill(node.process.pid, signal.SIGCONT)
            else:
                tally.fault("kill -9")
                node.kill()
                node.start()
        if chance.random() < 0.3:
            tally.fault("destination fails")
            down.mode = chance.choice(BAD_MODES)
            time.sleep(0.3)
            down.mode = "well"
        if now >= next_look:
            next_look = now + 3
            look(desk, node.home, tally)
        if now > half + SOAK_S / 10:
            assert node.process is not None
            memory.append(psutil.Process(node.process.pid).memory_info().rss / (1 << 20))
        time.sleep(0.5)
    return memory


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
            ends_at = begun + SOAK_S
            scanners = [Scanner(n, node.port, tally, ends_at, tmp_path) for n in range(1, SENDERS + 1)]
            for scanner in scanners:
                scanner.thread.start()
            memory = trouble(node, down, tally, begun, ends_at)
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
    files = {path.stem for path in store.rglob("*.dcm") if ".incoming" not in path.parts}
    sent = Counter(down.stored)
    lost = len(acknowledged) - len(files & set(sent))
    print(
        f"{SOAK_S:g} s: {sum(tally.faults.values())} faults {dict(tally.faults)}; "
        f"{len(acknowledged)} acknowledged, {lost} lost, {len(sent) - len(acknowledged)} more than that, "
        f"{sum(sent.values()) - len(sent)} sent twice to the AE; {threads} threads, "
        f"{descriptors} descriptors, memory {memory[0]:.0f} to {memory[-1]:.0f} MB"
    )
    assert max(acknowledged.values()) == 1
    assert set(tally.answers) <= {0, 0xA700, 0xC101, 0xA900}
    assert files == set(sent)
    assert len(files) == len(acknowledged)
    by_study = Counter(number % 7 for number in acknowledged)
    assert sorted(study.objects for study in status.studies) == sorted(by_study.values())
    for study in status.studies:
        for name in ("out", "down"):
            assert sum(study.destinations[name].values()) == study.objects, study
    assert tally.looks > 1
    assert found == []
    assert not list((desk._folder / "objects").glob("*/*"))
    assert threads < 30
    assert descriptors < 60
    third = max(1, len(memory) // 3)
    assert statistics.median(memory[-third:]) - statistics.median(memory[:third]) < 10


def people_retry(desk: Desk, tally: Tally) -> None:
    """Wait until everything is delivered; what a sick destination made held for is tried again."""
    end = time.monotonic() + 120
    while (waiting := desk.queue()) and time.monotonic() < end:
        if {entry.state for entry in waiting} <= {"held", "refused"}:
            tally.faults["held over an abort"] += len(waiting)
            desk.retry()
        time.sleep(0.2)
    assert desk.queue() == []
