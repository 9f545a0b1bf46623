"""What a running node costs, in terms that hold on a busy machine: memory, system calls, bytes moved, CPU.

One process with its own interpreter, real associations, a folder store. Nothing here reads a clock: the
bounds are of counts, of bytes, and of CPU time against a reference loop. Rates are measured by
`python -m benchmarks`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.measure import cpu_seconds, forget_peak, peak_bytes, shared_bytes, tree
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.standard.values import AETitle
from tests.e2e.running import AE_TITLE, RunningNode
from tests.peers import ENVIRONMENT, LOOPBACK, listens, require, wait_for
from tests.test_costs import cpu_s, dataset, reference

_MR, _EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
_VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")
_SETTINGS = (
    "[spool]\ndurable = false\n[limits]\nassociations = 1024\nassociations_per_address = 1024\n"
    'waiting = 1024\nwaiting_per_address = 1024\n[log]\nlevel = "warning"\n'
)
_IDLE = 200
_IDLE_S = 3.0
_MB = 1_000_000
_MOVED = re.compile(
    r"\b(?:read|pread64|readv|preadv2?|recvfrom|recvmsg|write|pwrite64|writev|pwritev2?|sendto|sendmsg|sendfile"
    r"|copy_file_range)(?:\(| resumed>).*\) += (\d+)$"
)


@dataclass
class Sender:
    """Sends objects to a node over one association, and waits until its store has them."""

    node: RunningNode
    folder: Path
    sent: int = 0

    def __post_init__(self) -> None:
        self.requestor = Requestor.connect(_peer(self.node), [(_MR, _EXPLICIT)])

    def send(self, count: int, pixel_bytes: int) -> int:
        """Send so many objects and return the bytes of one; their pixels are zeros on no disk."""
        length = 0
        for number in range(self.sent + 1, self.sent + count + 1):
            path = self.folder / "object"
            with path.open("wb+") as file:
                file.write(dataset(number, pixel_bytes))
                length = file.tell() + pixel_bytes
                file.truncate(length)
                file.flush()
                answer = self.requestor.store_file(
                    file,
                    offset=0,
                    length=length,
                    sop_class_uid=_MR,
                    sop_instance_uid=f"1.2.3.{number}",
                    transfer_syntax_uid=_EXPLICIT,
                )
            assert answer.status == 0
        self.sent += count
        wait_for(lambda: len(self.node.stored()) >= self.sent, "everything is in the store", 60)
        return length


def _peer(node: RunningNode) -> Peer:
    return Peer(LOOPBACK, node.port, AETitle(AE_TITLE), AETitle("SENDER"), timeout_s=60)


@contextmanager
def traced(home: Path, log: Path) -> Iterator[RunningNode]:
    """Run a node whose system calls are written to a log."""
    strace = require("strace")
    node = RunningNode(home, extra=_SETTINGS)
    command = [sys.executable, "-m", "deid_node", "serve", "--config", str(node.config)]
    with node.log.open("ab") as out:
        process = subprocess.Popen(
            [strace, "-f", "-qq", "-ttt", "-s", "0", "-o", str(log), *command],
            stdout=out,
            stderr=out,
            env=ENVIRONMENT,
        )
    try:
        wait_for(lambda: listens(node.port) or process.poll() is not None, "the node listens", 60)
        said = node.log.read_text(errors="replace")
        if process.poll() is not None and "ptrace" in said.lower():
            pytest.skip("tracing is not permitted here")
        assert process.poll() is None, said[-3000:]
        yield node
    finally:
        for pid in tree(process.pid)[1:]:  # the node first: it would outlive its tracer
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: process.poll() is not None, "the node and its tracer end", 30)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    started = RunningNode(tmp_path_factory.mktemp("node"), extra=_SETTINGS)
    started.start()
    yield started
    started.stop()
    shutil.rmtree(started.home)  # half a gigabyte


@pytest.fixture(scope="module")
def sender(node: RunningNode, tmp_path_factory: pytest.TempPathFactory) -> Sender:
    made = Sender(node, tmp_path_factory.mktemp("sender"))
    made.send(2, 1000)  # what is made for the first object is made
    return made


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str], int]:
    """The system calls for 50 small objects, for one of 32 MB, and the bytes of that one."""
    folder = tmp_path_factory.mktemp("traced")
    log = folder / "calls"
    with traced(folder / "home", log) as node:
        sender = Sender(node, folder)
        sender.send(2, 1000)
        marks = [time.time()]
        sender.send(50, 1000)
        marks.append(time.time())
        size = sender.send(1, 32 * _MB)
        marks.append(time.time())
    small, large = (_between(log, *span) for span in pairwise(marks))
    return small, large, size


def _between(log: Path, start: float, end: float) -> list[str]:
    """Return the calls that ended in a time; one that another thread interrupted stands on two lines."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if " = " in line and start <= float(line.split()[1]) < end]


def pid_of(node: RunningNode) -> int:
    assert node.process is not None
    return node.process.pid


def test_an_object_of_500_mb_is_never_in_memory(node: RunningNode, sender: Sender) -> None:
    sender.send(1, _MB)
    forget_peak(pid_of(node))
    before = peak_bytes(pid_of(node))

    sender.send(1, 500 * _MB)

    assert peak_bytes(pid_of(node)) - before < 16 * _MB


def test_idle_associations_take_almost_no_memory_and_no_cpu_time(node: RunningNode, sender: Sender) -> None:
    pid = pid_of(node)
    memory = shared_bytes(pid)
    with ExitStack() as stack:
        for _ in range(_IDLE):
            stack.enter_context(Requestor.connect(_peer(node), [_VERIFICATION]))
        added = shared_bytes(pid) - memory
        before = cpu_seconds(pid)
        time.sleep(_IDLE_S)  # the window in which CPU time is counted
        idle_cpu_s = cpu_seconds(pid) - before

    assert added / _IDLE < 0.1 * _MB
    assert idle_cpu_s <= 0.02 * _IDLE_S


def test_a_small_object_takes_a_node_less_than_four_reference_loops(
    node: RunningNode, sender: Sender
) -> None:
    count = 300
    sender.send(50, 1000)
    found = []
    for _ in range(3):
        before = cpu_seconds(pid_of(node))
        sender.send(count, 1000)
        found.append(cpu_seconds(pid_of(node)) - before)

    assert min(found) / count / cpu_s(reference) < 4


@pytest.mark.peer
def test_a_megabyte_takes_few_system_calls(calls: tuple[list[str], list[str], int]) -> None:
    _, large, size = calls

    assert len(large) / (size / _MB) < 50


@pytest.mark.peer
def test_a_small_object_takes_few_system_calls(calls: tuple[list[str], list[str], int]) -> None:
    small, _, _ = calls

    assert len(small) / 50 < 80


@pytest.mark.peer
def test_a_byte_is_moved_no_more_than_it_must(calls: tuple[list[str], list[str], int]) -> None:
    _, large, size = calls
    moved = sum(int(found[1]) for line in large if (found := _MOVED.search(line)))

    assert moved / size < 3.2  # from the socket, to the file, and once more to prove the file
