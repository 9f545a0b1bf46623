"""Start and end programs, on free ports of the loopback interface, with TCP_NODELAY for all."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1", "PYTHONDONTWRITEBYTECODE": "1"}
FACTORY_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name != "TCP_NODELAY"}
"""For the lines with Nagle's algorithm, which DCMTK leaves on."""
_ROOT = Path(__file__).resolve().parents[1]


def find(program: str) -> str | None:
    """Return the path of a program, also from the folders that a user's PATH often lacks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((HOST, port)) == 0


def wait_until(fact: Callable[[], object], what: str, limit_s: float) -> None:
    """Return when a fact holds.

    Raises:
        TimeoutError: it did not within the limit.
    """
    end = time.monotonic() + limit_s
    while True:
        began = time.monotonic()
        if fact():
            return
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit_s:g} s: {what}")
        time.sleep(max(0.005, 4 * (time.monotonic() - began)))  # looking must not cost what is measured


def start(
    command: list[str], log: Path, environment: Mapping[str, str] = ENVIRONMENT
) -> subprocess.Popen[bytes]:
    """Start a program in the repository's folder, its words going to a log."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
            env=environment,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program: ask, then insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def server(
    command: list[str], port: int, log: Path, environment: Mapping[str, str] = ENVIRONMENT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs.

    Raises:
        RuntimeError: it ended before it listened; its last words are in the message.
    """
    process = start(command, log, environment)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, f"{command[0]} listens", 60)
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended: {log.read_text(errors='replace')[-1500:]}")
        yield process
    finally:
        stop(process)
