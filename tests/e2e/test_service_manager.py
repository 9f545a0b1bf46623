"""What a service manager hears of a node over its socket, from the start to the end."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from tests.e2e.running import RunningNode
from tests.peers import listens, stop

BEAT_S = 0.5


def test_the_service_manager_hears_when_the_node_is_ready_that_it_lives_and_when_it_ends(
    tmp_path: Path,
) -> None:
    """A node that stands still is not heard of, so that its watchdog ends it."""
    node = RunningNode(tmp_path / "node")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC=str(int(2e6 * BEAT_S)))
        assert node.process is not None
        try:
            first = manager.recv(100)
            listened = listens(node.port)
            beats = [manager.recv(100) for _ in range(3)]
            node.process.send_signal(signal.SIGSTOP)
            heard_standing = heard_within(manager, 6 * BEAT_S)[2:]  # what was under way does not count
            node.process.send_signal(signal.SIGCONT)
            again = manager.recv(100)
            node.process.send_signal(signal.SIGTERM)
            last = manager.recv(100)
            while last == b"WATCHDOG=1":
                last = manager.recv(100)
            ended = node.process.wait(30)
        finally:
            node.process.send_signal(signal.SIGCONT)
            stop(node.process)

    assert first == b"READY=1"
    assert listened
    assert beats == [b"WATCHDOG=1"] * 3
    assert heard_standing == []
    assert again == b"WATCHDOG=1"
    assert (last, ended) == (b"STOPPING=1", 0)


def heard_within(manager: socket.socket, seconds: float) -> list[bytes]:
    """Return what comes within a time."""
    heard, end = [], time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0:
        manager.settimeout(left_s)
        try:
            heard.append(manager.recv(100))
        except TimeoutError:
            break
    manager.settimeout(20)
    return heard
