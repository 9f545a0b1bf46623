"""Strikes a running node at one system call of one of its threads, by strace, without a hook in its code."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.spool import Desk, check
from deid_node.spool.spares import SPARE
from deid_node.standard.values import AETitle
from tests.delivery.downstream import Downstream, downstream
from tests.e2e.whole_way import settings
from tests.node.running import CT, store_on, uids_of
from tests.node.running import running as running_node
from tests.peers import ENVIRONMENT, LOOPBACK, require, stop, wait_for

CALLS = (
    *("write", "writev", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync"),
    *("openat", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdirat"),
    *("sendto", "sendmsg", "sendfile"),
)
RECEIVING, SETTLING, AGAIN = "receiving", "settling", "again"
LANES = ("lane-out-0", "lane-down-0")
THREADS = {
    "dimse-association": ("dimse-association",),
    **{lane: (lane,) for lane in LANES},
    "whoever-settles": (*LANES, "ledger"),
}
"""The names of the threads of a role. The last delivery is committed, and its file released, by whichever
of three has the turn: one of them makes all those calls."""

ROLES = {
    RECEIVING: ("dimse-association", *LANES),
    SETTLING: ("whoever-settles",),
    AGAIN: ("dimse-association",),
}
"""The roles that are struck in a stage: an object comes and is sent on; the AE downstream, which held back
its answer until then, answers; an object comes when there is a spare file, which is larger, to write."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens at the n-th `call` of `role` in a stage: `deed` is an option of strace's inject."""

    stage: str
    role: str
    call: str
    nth: int
    deed: str = "signal=KILL"

    @property
    def objects(self) -> int:
        """How many objects are sent, until the end."""
        return 2 if self.stage == AGAIN else 1


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of it: whether it struck, the status that the sender heard, and how the process ended."""

    struck: bool
    status: StoreStatus | None
    ended: int | None


class Child:
    """A node in a process of its own."""

    def __init__(self, state: Path, port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.whole_way", str(state), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT,
            cwd=Path(__file__).resolve().parents[2],
        )
        self.port = int(self._line(str.isdigit))

    def _line(self, is_it: Callable[[str], bool]) -> str:
        """Return the next line, which is as expected."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert is_it(line), line
        return line

    def threads(self) -> dict[str, int]:
        """Return the system's number of every thread by its name."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, int] = json.loads(self._line(lambda line: line.startswith('{"MainThread"')))
        return found

    def end(self) -> None:
        """End the process if it has not ended yet."""
        stop(self.process)  # type: ignore[arg-type]
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def scanner_at(port: int, timeout_s: float) -> Peer:
    """Return a node on this machine as a peer to call."""
    return Peer(LOOPBACK, port, AETitle("DEIDNODE"), AETitle("TEST"), timeout_s)


class Sender:
    """An association over which the object is sent."""

    def __init__(self, port: int) -> None:
        uids = uids_of(CT)
        self.assoc = Requestor.connect(
            scanner_at(port, 10), [(uids["sop_class_uid"], uids["transfer_syntax_uid"])]
        )

    def store(self, file: Path = CT) -> StoreStatus | None:
        """Store an object; None when no answer came."""
        try:
            return store_on(self.assoc, file).status
        except AssociationError:
            return None


@contextmanager
def tracing(log: Path, *options: str) -> Iterator[None]:
    """Trace threads while the block runs; skip where that is not permitted."""
    tracer = subprocess.Popen(
        [require("strace"), "-o", str(log), *options], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    try:
        for _ in filter(lambda option: option.startswith("-p"), options):  # each thread has a line
            if "attached" not in (said := tracer.stderr.readline()):
                pytest.skip(f"tracing is not permitted here: {said}")
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)
        tracer.stderr.close()


def calls_of_one_object(folder: Path) -> list[Strike]:
    """Return every system call that one object costs, and those of another one until it is acknowledged."""
    found = []
    for stage in ROLES:
        (folder / stage).mkdir()
        with downstream() as down, contextlib.ExitStack() as ends:
            child = Child(folder / stage / "state", down.port)
            ends.callback(child.end)  # also when the test fails
            found += _calls(folder / stage, stage, child, down)
    return found


def _calls(folder: Path, stage: str, child: Child, down: Downstream) -> list[Strike]:
    state, sender = folder / "state", Sender(child.port)
    status = lead_to(stage, state, sender, down)
    found = child.threads()
    by_number = {str(found[name]): role for role in ROLES[stage] for name in THREADS[role]}
    with tracing(folder / "log", "-e", f"trace={','.join(CALLS)}", *(f"-p{number}" for number in by_number)):
        assert go_on(stage, sender, down, status) == StoreStatus.SUCCESS
        wait_for(lambda: is_settled(state, 2 if stage == AGAIN else 1), "delivered")
    counted: Counter[tuple[str, str]] = Counter()
    for line in (folder / "log").read_text(errors="replace").splitlines():
        if call := re.match(r"(?:(\d+) +)?(\w+)\(", line):  # one thread alone is not named
            role = by_number[call[1]] if call[1] else ROLES[stage][0]
            # After its claim a lane may commit, or release, as the one whose turn it is: struck as SETTLING.
            is_turn = call[2] in ("pwrite64", "fdatasync", "renameat")
            if role not in LANES or not is_turn or not counted[role, "fdatasync"]:
                counted[role, call[2]] += 1
    return [
        Strike(stage, role, call, nth)
        for (role, call), times in sorted(counted.items())
        for nth in range(1, times + 1)
    ]


def lead_to(stage: str, state: Path, sender: Sender, down: Downstream) -> StoreStatus | None:
    """Bring a node to where a stage begins; return the status of an object that was sent for it."""
    if stage == SETTLING:
        down.mode = "holds"
        status = sender.store()
        is_out = {"delivered": 1}
        wait_for(lambda: down.asked_at and _deliveries(state)["out"] == is_out, "only one is outstanding")
        return status
    if stage == AGAIN:
        assert sender.store(larger_object(state.parent)) == StoreStatus.SUCCESS
        wait_for(lambda: is_settled(state), "the first one is delivered")
        wait_for(lambda: list((state / "spool" / SPARE).iterdir()), "its file is kept")
    return None


def go_on(stage: str, sender: Sender, down: Downstream, status: StoreStatus | None) -> StoreStatus | None:
    """Let a stage happen; return the status that the sender heard."""
    if stage != SETTLING:
        return sender.store()
    down.mode = "well"
    return status


def larger_object(folder: Path) -> Path:
    """Write another object of the same class, larger than the one that is sent."""
    ds = pydicom.dcmread(CT)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.1"
    ds.Rows, ds.PixelData = 2 * ds.Rows, 2 * ds.PixelData
    ds.save_as(folder / "larger.dcm")
    return folder / "larger.dcm"


def _deliveries(state: Path) -> dict[str, dict[str, int]]:
    return {name: dict(states) for name, states in Desk(state / "spool").status().destinations.items()}


def is_settled(state: Path, objects: int = 1) -> bool:
    """Whether so many objects came and were delivered, and their files were given up."""
    desk = Desk(state / "spool")
    is_delivered = not desk.queue() and desk.last_item() >= objects
    return is_delivered and not list((state / "spool" / "objects").glob("*/*"))


def strike(folder: Path, blow: Strike) -> Struck:
    """Send an object to a node that is struck, start it again, and look at the end.

    What was not acknowledged is sent again, as a sender does.
    """
    state = folder / "state"
    folder.mkdir()
    with downstream() as down, contextlib.ExitStack() as ends:
        child = Child(state, down.port)
        ends.callback(child.end)  # also when the test fails
        sender = Sender(child.port)
        status = lead_to(blow.stage, state, sender, down)
        found = child.threads()
        numbers = [f"-p{found[name]}" for name in THREADS[blow.role]]
        inject = f"inject={blow.call}:{blow.deed}:when={blow.nth}"
        with tracing(folder / "log", "-e", f"trace={blow.call}", "-e", inject, *numbers):
            status = go_on(blow.stage, sender, down, status)
            with contextlib.suppress(subprocess.TimeoutExpired):
                if status != StoreStatus.SUCCESS:
                    child.process.wait(2)
            wait_for(
                lambda: child.process.poll() is not None or is_settled(state, blow.objects) or status != 0,
                f"an end after {blow}",
            )
        log = (folder / "log").read_text(errors="replace")
        if is_killed := "killed by SIGKILL" in log:
            child.process.wait(5)
        ended = child.process.poll()
        child.end()
        with running_node(state, destinations=settings(state, down.port).destinations) as node:
            if status != StoreStatus.SUCCESS:
                assert Sender(node.address[1]).store() == StoreStatus.SUCCESS, blow
            wait_for(lambda: is_settled(state, blow.objects), f"everything is delivered after {blow}")
    assert_whole(state, down, blow)
    return Struck(is_killed or "(INJECTED)" in log, status, ended)


def assert_whole(state: Path, down: Downstream, blow: Strike) -> None:
    """Every object is at both destinations, whole, in the folder once; and nothing else is anywhere."""
    files = [path for path in (state / "out").rglob("*") if path.is_file() and ".incoming" not in path.parts]
    assert len(files) == blow.objects, blow
    pixels = [len(pydicom.dcmread(path).PixelData) for path in files]
    assert sorted(pixels) == [32_768, 65_536][: blow.objects], blow
    assert blow.objects <= len(down.stored) <= blow.objects + 1, blow
    assert set(down.stored) == {path.stem for path in files}, blow
    desk = Desk(state / "spool")
    assert sum(study.objects for study in desk.status().studies) == blow.objects, blow
    deliveries = _deliveries(state)
    assert deliveries["out"] == {"delivered": blow.objects}, blow
    assert sum(deliveries["down"].values()) == blow.objects, blow
    assert set(deliveries) == {"out", "down"}, blow
    assert set(deliveries["down"]) <= {"delivered", "warned"}, blow
    assert check(state / "spool") == [], blow
    for folder in ("incoming", SPARE):
        assert not list((state / "spool" / folder).iterdir()), blow
    assert not list((state / "spool" / "objects").glob("*/*")), blow
