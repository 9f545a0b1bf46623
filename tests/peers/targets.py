"""Acceptors under attack: the node with each of its acceptors, and those it is compared with.

Each is a process of its own on the loopback interface with an empty store. `wrap` is a command that starts
it (strace, a shell with a limit).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority
from tests.peers import ENVIRONMENT, LOOPBACK, free_port, require, started

ROOT = Path(__file__).resolve().parents[2]

# What is under attack waits a moment instead of its defaults, so that a test needs not wait either.
_QUICK = """
[limits]
handshake_s = 2
request_s = 2
pdu_s = 2
rate_window_s = 2
object_bytes = 268435456
memory_bytes = 201326592
"""


@dataclass
class Target:
    """A running acceptor: its process, its store, and who issues certificates when it speaks TLS."""

    name: str
    port: int
    process: int
    folder: Path
    authority: Authority | None = None

    @property
    def address(self) -> tuple[str, int]:
        return LOOPBACK, self.port

    def status(self, field_name: str) -> int:
        """Return a number of /proc/<pid>/status, memory in bytes; 0 when the process is gone."""
        try:
            lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        except OSError:
            return 0
        for line in lines:
            if line.startswith(f"{field_name}:"):
                words = line.split()
                return int(words[1]) * (1024 if words[-1] == "kB" else 1)
        return 0

    def is_alive(self) -> bool:
        state = Path(f"/proc/{self.process}/stat")
        try:
            return state.read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
        except OSError:
            return False

    def forget_peak(self) -> None:
        """Let VmHWM start anew."""
        Path(f"/proc/{self.process}/clear_refs").write_text("5")

    def stored_bytes(self) -> int:
        """Return the bytes of all files of the target but the ballast, kept by the node to finish with."""
        found = 0
        for path in self.folder.rglob("*"):
            try:
                found += path.stat().st_size if path.is_file() and path.name != "ballast" else 0
            except OSError:
                continue
        return found


Wrap = Sequence[str | Path]


def _child(process: int) -> int:
    """Return the process itself, or what a wrapping program started."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return process
    return _child(int(children[0])) if children else process


@contextmanager
def _running(
    name: str, folder: Path, command: Wrap, port: int, wrap: Wrap, authority: Authority | None
) -> Iterator[Target]:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {key: value for key, value in environment.items() if not key.startswith("DEID_NODE_")}
    log = folder.parent / f"{name}.log"
    with started(*wrap, *command, port=port, log=log, environment=environment) as process:
        target = Target(name, port, _child(process.pid) if wrap else process.pid, folder, authority)
        try:
            yield target
        finally:
            if wrap and target.is_alive():  # strace lets go of what it traces when it is ended itself
                os.kill(target.process, signal.SIGTERM)
                _wait_for_end(target)


def _wait_for_end(target: Target) -> None:
    end = time.monotonic() + 10
    while target.is_alive() and time.monotonic() < end:
        time.sleep(0.05)
    if target.is_alive():
        os.kill(target.process, signal.SIGKILL)


@contextmanager
def node(
    home: Path, kind: str = "stream", *, wrap: Wrap = (), authority: Authority | None = None
) -> Iterator[Target]:
    """Run the node."""
    home.mkdir(parents=True, exist_ok=True)
    port, folder, config = free_port(), home / "store", home / "deid-node.toml"
    tls = ""
    if authority is not None:
        own = authority.issue("node")
        tls = f'[tls]\ncertificate = "{own.file}"\nkey = "{own.key}"\nca = "{authority.file}"\n'
    config.write_text(
        f'host = "{LOOPBACK}"\nport = {port}\nstate = "{folder}"\nacceptor = "{kind}"\n{_QUICK}{tls}'
    )
    command = (sys.executable, "-m", "deid_node", "serve", "--config", config)
    with _running(f"node-{kind}", folder, command, port, wrap, authority) as target:
        yield target


@contextmanager
def stock(home: Path, *, wrap: Wrap = (), authority: Authority | None = None) -> Iterator[Target]:
    """Run pynetdicom as its documentation shows it: a handler that writes what it gets."""
    port, folder = free_port(), home / "store"
    command: list[str | Path] = [sys.executable, "-m", "tests.peers.stock", str(port), folder]
    if authority is not None:
        own = authority.issue("stock")
        command += [own.file, own.key, authority.file]
    with _running("pynetdicom", folder, command, port, wrap, authority) as target:
        yield target


@contextmanager
def storescp(home: Path, *, wrap: Wrap = (), authority: Authority | None = None) -> Iterator[Target]:
    """Run DCMTK's storescp, one process for all associations, as it is by default."""
    port, folder = free_port(), home / "store"
    command: list[str | Path] = [require("storescp"), "-od", folder, "+xa"]
    if authority is not None:
        own = authority.issue("storescp")
        command += ["+tls", own.key, own.file, "+cf", authority.file]
    with _running("storescp", folder, (*command, str(port)), port, wrap, authority) as target:
        yield target


@contextmanager
def orthanc(home: Path, *, wrap: Wrap = (), authority: Authority | None = None) -> Iterator[Target]:
    """Run Orthanc; without TLS, which needs a remote configuration there."""
    home.mkdir(parents=True, exist_ok=True)
    port, folder = free_port(), home / "store"
    settings = home / "orthanc.json"
    settings.write_text(
        json.dumps(
            {
                "HttpServerEnabled": False,
                "DicomPort": port,
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowEcho": True,
                "StorageDirectory": str(folder),
                "IndexDirectory": str(folder),
            }
        )
    )
    with _running("Orthanc", folder, (require("Orthanc"), settings), port, wrap, authority) as target:
        yield target


TARGETS = {
    "stream": lambda home, **more: node(home, "stream", **more),
    "pynetdicom": lambda home, **more: node(home, "pynetdicom", **more),
    "stock": stock,
    "storescp": storescp,
    "Orthanc": orthanc,
}
"""By the name of their column: the node twice, then the others."""

OURS = ("stream", "pynetdicom")
SECURED = ("stream", "pynetdicom", "stock", "storescp")
