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

import pytest

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.spool import Desk, check
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
ROLES = ("dimse-association", "lane-out-0", "lane-down-0", "ledger")


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens at the n-th `call` of the thread `role`: `deed` is an option of strace's inject."""

    role: str
    call: str
    nth: int
    deed: str = "signal=KILL"


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

    def store(self) -> StoreStatus | None:
        """Store the object; None when no answer came."""
        try:
            return store_on(self.assoc, CT).status
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
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"tracing is not permitted here: {said}")
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)
        tracer.stderr.close()


def calls_of_one_object(folder: Path) -> list[Strike]:
    """Return every system call that one object costs, as strikes."""
    with downstream() as down, contextlib.ExitStack() as ends:
        child = Child(folder / "state", down.port)
        ends.callback(child.end)  # also when the test fails
        sender = Sender(child.port)
        by_number = {child.threads()[role]: role for role in ROLES}
        numbers = [f"-p{number}" for number in by_number]
        with tracing(folder / "log", "-e", f"trace={','.join(CALLS)}", *numbers):
            assert sender.store() == StoreStatus.SUCCESS
            wait_for(lambda: is_settled(folder / "state"), "delivered")
        child.end()
    counted: Counter[tuple[str, str]] = Counter()
    for line in (folder / "log").read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counted[by_number[int(found[1])], found[2]] += 1
    return [
        Strike(role, call, nth)
        for (role, call), times in sorted(counted.items())
        for nth in range(1, times + 1)
    ]


def is_settled(state: Path) -> bool:
    """Whether an object came and was delivered."""
    desk = Desk(state / "spool")
    return not desk.queue() and desk.last_item() > 0


def strike(folder: Path, blow: Strike) -> Struck:
    """Send an object to a node that is struck, start it again, and look at the end.

    What was not acknowledged is sent again, as a sender does.
    """
    state = folder / "state"
    with downstream() as down, contextlib.ExitStack() as ends:
        child = Child(state, down.port)
        ends.callback(child.end)  # also when the test fails
        sender = Sender(child.port)
        number = child.threads()[blow.role]
        inject = f"inject={blow.call}:{blow.deed}:when={blow.nth}"
        with tracing(folder / "log", "-e", f"trace={blow.call}", "-e", inject, f"-p{number}"):
            status = sender.store()
            with contextlib.suppress(subprocess.TimeoutExpired):
                if status != StoreStatus.SUCCESS:
                    child.process.wait(2)
            wait_for(
                lambda: child.process.poll() is not None or is_settled(state) or status != 0,
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
            wait_for(lambda: is_settled(state), f"everything is delivered after {blow}")
    assert_whole(state, down, blow)
    return Struck(is_killed or "(INJECTED)" in log, status, ended)


def assert_whole(state: Path, down: Downstream, blow: Strike) -> None:
    """The object is at both destinations, whole, in the folder once; and nothing else is anywhere."""
    files = [path for path in (state / "out").rglob("*") if path.is_file() and ".incoming" not in path.parts]
    assert len(files) == 1, blow
    assert files[0].stat().st_size > 32_000, blow
    assert 1 <= len(down.stored) <= 2, blow
    assert set(down.stored) == {files[0].stem}, blow
    status = Desk(state / "spool").status()
    assert sum(study.objects for study in status.studies) == 1, blow
    assert {name: dict(states) for name, states in status.destinations.items()} in (
        {"out": {"delivered": 1}, "down": {"delivered": 1}},
        {"out": {"delivered": 1}, "down": {"warned": 1}},
    ), blow
    assert check(state / "spool") == [], blow
    assert not list((state / "spool" / "incoming").iterdir()), blow
    assert not list((state / "spool" / "objects").glob("*/*")), blow
