"""Real DICOM peers for tests: find them, start them on free ports, wait for facts, end them.

A peer that is missing skips its tests on a laptop; with CI in the environment it fails them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"

# Debian's DCMTK and Orthanc leave Nagle's algorithm on; each message then waits for a delayed ACK.
# Settings of the node in the environment of the tests are for no node that they start.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("DEID_NODE_")},
    "TCP_NODELAY": "1",
}


def require(program: str) -> str:
    """Return the path of a program; skip the test without it, fail it on CI."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed", pytrace=False)
        pytest.skip(f"{program} is not installed")
    return path


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of the loopback interface."""
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((LOOPBACK, port)) == 0


def wait_for(fact: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Return when `fact()` is true; fail the test when it does not become so in time."""
    end = time.monotonic() + timeout_s
    while not fact():
        if time.monotonic() > end:
            pytest.fail(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)


def run(*command: str | Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a program of a peer to its end and return what it said."""
    return subprocess.run(
        [str(word) for word in command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: ask first, then insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def started(
    *command: str | Path,
    port: int,
    log: Path,
    environment: Mapping[str, str] = ENVIRONMENT,
    timeout_s: float = 30.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs; it is up when it listens on its port."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment
        )
    try:
        wait_for(
            lambda: listens(port) or process.poll() is not None, f"{command[0]} listens on {port}", timeout_s
        )
        if process.poll() is not None:
            pytest.fail(
                f"{command[0]} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}"
            )
        yield process
    finally:
        stop(process)


@contextmanager
def storescp(folder: Path, *options: str, port: int = 0) -> Iterator[int]:
    """Run DCMTK's storescp, which keeps what it gets under `folder`; yield its port."""
    program = require("storescp")
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    with started(program, "-aet", "DOWN", "-od", folder, "--fork", *options, str(port), port=port, log=log):
        yield port


class Orthanc:
    """A running Orthanc, asked over its REST API."""

    def __init__(self, http_port: int, dicom_port: int) -> None:
        self.http_port = http_port
        self.dicom_port = dicom_port

    def get(self, path: str) -> bytes:
        """Return the body of a GET request."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}{path}", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def post(self, path: str, content: bytes | Mapping[str, object]) -> object:
        """Return the JSON answer of a POST request."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.http_port}{path}", data=body, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def instances(self) -> list[str]:
        """Return the identifiers of all objects it holds."""
        found: list[str] = json.loads(self.get("/instances"))
        return found

    def file(self, instance: str) -> bytes:
        """Return one object as a DICOM file."""
        return self.get(f"/instances/{instance}/file")


@contextmanager
def orthanc(folder: Path, modalities: Mapping[str, tuple[str, int]] | None = None) -> Iterator[Orthanc]:
    """Run Orthanc with its store under `folder`; `modalities` maps a name to (AE title, port)."""
    program = require("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    server = Orthanc(free_port(), free_port())
    settings = folder / "orthanc.json"
    settings.write_text(
        json.dumps(
            {
                "Name": "peer",
                "HttpPort": server.http_port,
                "DicomPort": server.dicom_port,
                "DicomAet": "ORTHANC",
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "StorageDirectory": str(folder / "store"),
                "IndexDirectory": str(folder / "store"),
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowEcho": True,
                "UnknownSopClassAccepted": True,
                "DicomModalities": {
                    name: [title, LOOPBACK, port] for name, (title, port) in (modalities or {}).items()
                },
            }
        )
    )
    with started(program, settings, port=server.http_port, log=folder / "orthanc.log"):
        wait_for(lambda: listens(server.dicom_port), "Orthanc's DICOM port")
        yield server
