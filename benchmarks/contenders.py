"""Who takes part: programs that receive objects and write them, each behind the same few facts.

A contender is started for one run with an empty folder, receives everything, and is ended. What it does
to the objects is said by `deidentifies`, so that the check of its output knows what to look for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchmarks.processes import find, free_port, server


@dataclass(frozen=True, slots=True)
class Running:
    """A started contender: where it listens, its process, and the folder its output goes to."""

    port: int
    pid: int
    output: Path


class Contender(Protocol):
    """A program that can take part."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    @property
    def deidentifies(self) -> bool:
        """Whether its output may hold no identifier."""
        ...

    @property
    def called(self) -> str:
        """Its AE title."""
        ...

    def missing(self) -> str | None:
        """Return what is not installed, None when it can take part."""
        ...

    def run(self, folder: Path) -> AbstractContextManager[Running]:
        """Start it with an empty folder for all it keeps."""
        ...


@runtime_checkable
class Settles(Protocol):
    """A contender that has to be told when everything was sent."""

    def settle(self, running: Running) -> None:
        """Do what is left to do."""
        ...


@dataclass(frozen=True, slots=True)
class Storescp:
    """DCMTK's storescp: copies what it gets into files; `+B` writes the bytes as they come."""

    name: str = "storescp +B"
    options: tuple[str, ...] = ("+B",)
    deidentifies: bool = False
    called: str = "ANY-SCP"

    def missing(self) -> str | None:
        return None if find("storescp") else "storescp (DCMTK)"

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output, port = folder / "out", free_port()
        output.mkdir()
        program = find("storescp") or ""
        command = [program, "-pdu", "131072", *self.options, "--fork", "-od", str(output), str(port)]
        with server(command, port, folder / "log") as process:
            yield Running(port, process.pid, output)


@dataclass(frozen=True, slots=True)
class PynetdicomDeid:
    """pynetdicom with a pydicom handler that applies the Basic Profile."""

    name: str = "pynetdicom + pydicom"
    deidentifies: bool = True
    called: str = "PEER"

    def missing(self) -> str | None:
        return None

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output, port = folder / "out", free_port()
        output.mkdir()
        command = [sys.executable, "-m", "benchmarks.pynetdicom_deid", str(port), str(output)]
        with server(command, port, folder / "log") as process:
            yield Running(port, process.pid, output)


@dataclass(frozen=True, slots=True)
class Node:
    """deid_node with its folder store; `durable` syncs before it answers."""

    name: str = "deid_node"
    durable: bool = False
    profile: str = "basic"
    acceptor: str = "stream"
    deidentifies: bool = True
    called: str = "DEIDNODE"

    def missing(self) -> str | None:
        return None

    def settings(self, port: int, output: Path, state: Path) -> str:
        """Return the configuration of one run."""
        return (
            f'host = "127.0.0.1"\nport = {port}\nstate = "{state}"\nprofile = "{self.profile}"\n'
            f'acceptor = "{self.acceptor}"\n[spool]\ndurable = {str(self.durable).lower()}\n'
            f'[log]\nlevel = "warning"\n[destinations.out]\nkind = "folder"\npath = "{output}"\n'
            'template = "{SeriesInstanceUID}/{SOPInstanceUID}.dcm"\n'
        )

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output, port = folder / "out", free_port()
        config = folder / "deid-node.toml"
        config.write_text(self.settings(port, output, folder / "state"))
        command = [sys.executable, "-m", "deid_node", "serve", "--config", str(config)]
        with server(command, port, folder / "log") as process:
            yield Running(port, process.pid, output)
