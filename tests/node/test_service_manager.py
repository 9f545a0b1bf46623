"""What systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.node.service_manager import ServiceManager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def test_states_reach_the_socket(listener: socket.socket) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": listener.getsockname()})

    manager.tell("READY=1")

    assert listener.recv(100) == b"READY=1"


def test_an_abstract_socket_is_understood() -> None:
    name = f"deid-node-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(10)

        ServiceManager({"NOTIFY_SOCKET": "@" + name}).tell("READY=1")

        assert sock.recv(100) == b"READY=1"


def test_the_watchdog_hears_as_long_as_the_node_is_well(listener: socket.socket) -> None:
    is_well = True
    manager = ServiceManager({"NOTIFY_SOCKET": listener.getsockname(), "WATCHDOG_USEC": "20000"})

    manager.watch(lambda: is_well)
    heard = [listener.recv(100) for _ in range(3)]
    manager.stop()

    assert heard == [b"WATCHDOG=1"] * 3
    assert manager.watchdog_s == 0.02


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    assert ServiceManager({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_s is None


def test_without_systemd_nothing_happens() -> None:
    manager = ServiceManager({})

    manager.tell("READY=1")
    manager.watch(lambda: True)
    manager.stop()
