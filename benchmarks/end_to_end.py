"""Contenders between a sender and a downstream AE: the clock stops when every object is downstream.

The downstream is storescp +B for all. What its process costs is not counted; CPU and memory are those of
the contender in the middle.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.check import WrongOutput, outputs
from benchmarks.contenders import Node, Pace, Running, Storescp
from benchmarks.orthanc import orthanc, rest
from benchmarks.processes import HOST, find, free_port, server

_DOWNSTREAM = Storescp()
_OPEN = "open"
_STALLED_TIMEOUT_S = 900
_ORTHANC_PACE = Pace(1.2, 12, 80)
_RELAY_PACE = Pace(0.3, 1.0, 400)
_PYTHON_PACE = Pace(1.3, 20, 100)
_NODE_PACE = Pace(2.0, 2.0, 200)


@dataclass(frozen=True, slots=True)
class Direct(Storescp):
    """No proxy at all: the sender talks to the downstream. The ceiling."""

    name: str = "direct"


@contextmanager
def _downstream(folder: Path) -> Iterator[Running]:
    folder.mkdir(parents=True)
    with _DOWNSTREAM.run(folder) as running:
        yield running


def _destination(name: str, port: int) -> str:
    return (
        f'[destinations.{name}]\nkind = "ae"\nhost = "{HOST}"\nport = {port}\n'
        f'ae_title = "{_DOWNSTREAM.called}"\ntimeout_s = {_STALLED_TIMEOUT_S}\n'
    )


@dataclass(frozen=True, slots=True)
class NodeForward(Node):
    """deid_node with downstream AEs as its destinations, each of which gets everything; durable."""

    durable: bool = True
    pace: Pace = _NODE_PACE

    def missing(self) -> str | None:
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        with ExitStack() as stack:
            down = folder / "downstream"
            ports = [
                stack.enter_context(_downstream(down / str(number))).port for number in range(self.copies)
            ]
            destinations = "".join(_destination(f"down-{at}", port) for at, port in enumerate(ports))
            yield stack.enter_context(self.serving(folder, destinations, down))


@dataclass(frozen=True, slots=True)
class NodeStalled(NodeForward):
    """deid_node whose downstream accepts the association and reads nothing until all was received."""

    name: str = "downstream stalled"

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        gate, port = folder / _OPEN, free_port()
        gate.touch()
        with _downstream(folder / "downstream") as down:
            command = [sys.executable, "-m", "benchmarks.relay", str(port), HOST, str(down.port), str(gate)]
            with (
                server(command, port, folder / "gate-log"),
                self.serving(folder, _destination("down", port), down.output) as running,
            ):
                yield running

    def prepare(self, running: Running) -> None:
        """Let the downstream stop reading."""
        self._gate(running).unlink()

    def settle(self, running: Running) -> None:
        """Let it read again, once it is seen that it had not.

        Raises:
            WrongOutput: it got objects while it should have been stalled.
        """
        gate = self._gate(running)
        if not gate.exists() and len(outputs(running.output)) > 1:
            raise WrongOutput(f"{self.name}: the downstream got objects all the same")
        gate.touch()

    def _gate(self, running: Running) -> Path:
        return running.output.parents[1] / _OPEN


@dataclass(frozen=True, slots=True)
class PynetdicomForward:
    """pynetdicom receives, pydicom de-identifies, pynetdicom sends, in one handler."""

    name: str = "pynetdicom + pydicom"
    deidentifies: bool = True
    called: str = "PEER"
    copies: int = 1
    pace: Pace = _PYTHON_PACE

    def missing(self) -> str | None:
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        with _downstream(folder / "downstream") as downstream:
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.pynetdicom_deid", str(port), str(folder)]
            with server([*command, HOST, str(downstream.port)], port, folder / ".log") as process:
                yield Running(port, process.pid, downstream.output)


@dataclass(frozen=True, slots=True)
class Relay:
    """A Python program that moves bytes from socket to socket and looks at none: the limit of any proxy."""

    name: str = "socket relay"
    deidentifies: bool = False
    called: str = _DOWNSTREAM.called
    copies: int = 1
    pace: Pace = _RELAY_PACE

    def missing(self) -> str | None:
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        with _downstream(folder / "downstream") as down:
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.relay", str(port), HOST, str(down.port)]
            with server(command, port, folder / ".log") as process:
                yield Running(port, process.pid, down.output)


@dataclass(frozen=True, slots=True)
class OrthancForward:
    """Orthanc receives all; then, over its REST API, anonymizes each study and stores it downstream.

    Its fastest way that was found; a script for each stored instance was slower.
    """

    name: str = "Orthanc anonymize + store"
    deidentifies: bool = True
    called: str = "ORTHANC"
    copies: int = 1
    pace: Pace = _ORTHANC_PACE

    def missing(self) -> str | None:
        if find("Orthanc") is None:
            return "Orthanc"
        try:
            socket.gethostbyname(socket.gethostname())
        except OSError:
            return "host name that resolves (Orthanc's anonymize would stall)"
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        with _downstream(folder / "downstream") as downstream:
            modalities = {"down": [_DOWNSTREAM.called, HOST, downstream.port]}
            with orthanc(folder, self.called, modalities) as (port, process):
                yield Running(port, process.pid, downstream.output)

    def settle(self, running: Running) -> None:
        """Anonymize and forward what was received."""
        folder = running.output.parents[1]
        for study in rest(folder, "/studies"):
            made = rest(folder, f"/studies/{study}/anonymize", {"KeepSource": False, "Synchronous": True})
            rest(folder, "/modalities/down/store", {"Resources": [made["ID"]], "Synchronous": True})
            rest(folder, f"/studies/{made['ID']}", method="DELETE")
