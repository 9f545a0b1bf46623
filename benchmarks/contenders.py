"""Who takes part: programs that receive objects and write them, each behind the same few facts.

A contender is started for one run with an empty folder, receives everything, and is ended. What it does
to the objects is said by `deidentifies`, so that the check of its output knows what to look for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchmarks.orthanc import orthanc, rest, rest_bytes
from benchmarks.processes import ENVIRONMENT, FACTORY_ENVIRONMENT, find, free_port, server
from benchmarks.tls import TlsFiles, issue


@dataclass(frozen=True, slots=True)
class Running:
    """A started contender: where it listens, its process, the folder of its output, files for TLS callers."""

    port: int
    pid: int
    output: Path
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """About how fast something is, for telling how long a run takes."""

    start_s: float
    object_ms: float
    mb_s: float


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

    @property
    def copies(self) -> int:
        """How many times each object comes out."""
        ...

    @property
    def pace(self) -> Pace:
        """About how fast it is."""
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


@runtime_checkable
class Prepares(Protocol):
    """A contender that has to be told that the clock is about to start."""

    def prepare(self, running: Running) -> None:
        """Do what the line is about."""
        ...


@runtime_checkable
class Provides(Protocol):
    """A contender that keeps something between runs."""

    def provide(self, scratch: Path) -> None:
        """Make it where it is not there yet."""
        ...


@runtime_checkable
class Keeps(Protocol):
    """A contender that keeps objects in a way of its own."""

    def count(self, running: Running) -> int:
        """Return how many objects it has."""
        ...

    def collect(self, running: Running, folder: Path) -> None:
        """Write what it has as files, for the check."""
        ...


@dataclass(frozen=True, slots=True)
class Storescp:
    """DCMTK's storescp: copies what it gets into files; `+B` writes the bytes as they come.

    With `factory` it runs with Nagle's algorithm, as Debian ships it.
    """

    name: str = "storescp +B"
    options: tuple[str, ...] = ("+B",)
    factory: bool = False
    tls: bool = False
    deidentifies: bool = False
    called: str = "ANY-SCP"
    copies: int = 1
    pace: Pace = Pace(0.1, 1.0, 500)

    def missing(self) -> str | None:
        return None if find("storescp") else "storescp (DCMTK)"

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output, port = folder / "out", free_port()
        output.mkdir()
        files = issue(folder / "tls") if self.tls else None
        secured = ["+tls", str(files.node_key), str(files.node), "+cf", str(files.ca)] if files else []
        words = ["+xa", "-pdu", "131072", *self.options, *secured, "--fork", "-od", str(output), str(port)]
        environment = FACTORY_ENVIRONMENT if self.factory else ENVIRONMENT
        with server([find("storescp") or "", *words], port, folder / ".log", environment) as process:
            yield Running(port, process.pid, output, files)


@dataclass(frozen=True, slots=True)
class PynetdicomDeid:
    """pynetdicom with a pydicom handler that applies the Basic Profile."""

    name: str = "pynetdicom + pydicom"
    deidentifies: bool = True
    called: str = "PEER"
    copies: int = 1
    pace: Pace = Pace(1.2, 11, 150)

    def missing(self) -> str | None:
        return None

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output, port = folder / "out", free_port()
        output.mkdir()
        command = [sys.executable, "-m", "benchmarks.pynetdicom_deid", str(port), str(output)]
        with server(command, port, folder / ".log") as process:
            yield Running(port, process.pid, output)


@dataclass(frozen=True, slots=True)
class OrthancReceive:
    """Orthanc receives into its own storage; it does not de-identify."""

    name: str = "Orthanc receive"
    deidentifies: bool = False
    called: str = "ORTHANC"
    copies: int = 1
    pace: Pace = Pace(1.0, 7, 400)

    def missing(self) -> str | None:
        return None if find("Orthanc") else "Orthanc"

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        (folder / "out").mkdir()
        with orthanc(folder, self.called, {}) as (port, process):
            yield Running(port, process.pid, folder / "out")

    def count(self, running: Running) -> int:
        """Ask for the number of instances."""
        return int(rest(running.output.parent, "/statistics")["CountInstances"])

    def collect(self, running: Running, folder: Path) -> None:
        """Fetch every instance as a file."""
        for number, instance in enumerate(rest(running.output.parent, "/instances")):
            content = rest_bytes(running.output.parent, f"/instances/{instance}/file")
            (folder / f"{number}.dcm").write_bytes(content)


@dataclass(frozen=True, slots=True)
class Node:
    """deid_node with its folder store.

    Attributes:
        durable: syncs before it answers.
        files_before: files that the folder store has already, all in the one folder that it then uses.
        python: interpreter to run it with.
    """

    name: str = "deid_node"
    durable: bool = False
    profile: str = "basic"
    acceptor: str = "stream"
    factory: bool = False
    tls: bool = False
    files_before: int | None = None
    python: str = sys.executable
    deidentifies: bool = True
    called: str = "DEIDNODE"
    copies: int = 1
    pace: Pace = Pace(1.8, 1.0, 400)

    def missing(self) -> str | None:
        return None

    def settings(self, port: int, state: Path, tls: TlsFiles | None = None) -> str:
        """Return the configuration of one run, without destinations."""
        secured = (
            f'[tls]\ncertificate = "{tls.node}"\nkey = "{tls.node_key}"\nca = "{tls.ca}"\n' if tls else ""
        )
        return (
            f'host = "127.0.0.1"\nport = {port}\nstate = "{state}"\nprofile = "{self.profile}"\n'
            f'acceptor = "{self.acceptor}"\n[spool]\ndurable = {json.dumps(self.durable)}\n'
            "[limits]\nassociations = 1024\nassociations_per_address = 1024\n"
            f'waiting = 1024\nwaiting_per_address = 1024\n[log]\nlevel = "warning"\n{secured}'
        )

    @contextmanager
    def serving(
        self, folder: Path, destinations: str, output: Path, state: Path | None = None
    ) -> Iterator[Running]:
        """Run the node with some destinations."""
        port, config = free_port(), folder / "deid-node.toml"
        files = issue(folder / "tls") if self.tls else None
        config.write_text(self.settings(port, state or folder / "state", files) + destinations)
        command = [self.python, "-m", "deid_node", "serve", "--config", str(config)]
        environment = FACTORY_ENVIRONMENT if self.factory else ENVIRONMENT
        with server(command, port, folder / ".log", environment) as process:
            yield Running(port, process.pid, output, files)

    def store(self, output: Path) -> str:
        """Return the folder store as a destination."""
        series = "{SeriesInstanceUID}/" if self.files_before is None else ""
        return (
            f'[destinations.out]\nkind = "folder"\npath = "{output}"\n'
            f'template = "{series}{{SOPInstanceUID}}.dcm"\n'
        )

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        output = folder / "out"
        for number in range(self.files_before or 0):
            output.mkdir(mode=0o700, exist_ok=True)
            (output / f"2.25.{number}.tmp").touch()  # not counted as output
        with self.serving(folder, self.store(output), output) as running:
            yield running
