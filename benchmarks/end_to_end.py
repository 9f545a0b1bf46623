"""Contenders between a sender and a downstream AE: the clock stops when every object is downstream.

The downstream is storescp +B for all. What its process costs is not counted; CPU and memory are those of
the contender in the middle.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import Node, Running, Storescp
from benchmarks.processes import HOST, find, free_port, server

_DOWNSTREAM = Storescp()
_REST_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Direct(Storescp):
    """No proxy at all: the sender talks to the downstream. The ceiling."""

    name: str = "direct"


@dataclass(frozen=True, slots=True)
class NodeForward(Node):
    """deid_node with the downstream AE as its destination; durable, as it is run."""

    name: str = "deid_node"
    durable: bool = True

    def missing(self) -> str | None:
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        down = folder / "downstream"
        down.mkdir()
        with _DOWNSTREAM.run(down) as downstream:
            port = free_port()
            config = folder / "deid-node.toml"
            head = self.settings(port, folder / "out", folder / "state").partition("[destinations")[0]
            config.write_text(
                f'{head}[destinations.down]\nkind = "ae"\nhost = "{HOST}"\nport = {downstream.port}\n'
                f'ae_title = "{_DOWNSTREAM.called}"\n'
            )
            command = [sys.executable, "-m", "deid_node", "serve", "--config", str(config)]
            with server(command, port, folder / "log") as process:
                yield Running(port, process.pid, downstream.output)


@dataclass(frozen=True, slots=True)
class PynetdicomForward:
    """pynetdicom receives, pydicom de-identifies, pynetdicom sends, in one handler."""

    name: str = "pynetdicom + pydicom"
    deidentifies: bool = True
    called: str = "PEER"

    def missing(self) -> str | None:
        return _DOWNSTREAM.missing()

    @contextmanager
    def run(self, folder: Path) -> Iterator[Running]:
        down = folder / "downstream"
        down.mkdir()
        with _DOWNSTREAM.run(down) as downstream:
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.pynetdicom_deid", str(port), str(folder)]
            with server([*command, HOST, str(downstream.port)], port, folder / "log") as process:
                yield Running(port, process.pid, downstream.output)


@dataclass(frozen=True, slots=True)
class OrthancForward:
    """Orthanc receives all; then, over its REST API, anonymizes each study and stores it downstream.

    Its fastest way that was found; a script for each stored instance was slower.
    """

    name: str = "Orthanc anonymize + store"
    deidentifies: bool = True
    called: str = "ORTHANC"

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
        down = folder / "downstream"
        down.mkdir()
        with _DOWNSTREAM.run(down) as downstream:
            port, http_port = free_port(), free_port()
            store = str(folder / "store")
            settings = folder / "orthanc.json"
            settings.write_text(
                json.dumps(
                    {
                        "DicomPort": port,
                        "HttpPort": http_port,
                        "DicomAet": self.called,
                        "StorageDirectory": store,
                        "IndexDirectory": store,
                        "StorageCompression": False,
                        "SyncStorageArea": False,
                        "StoreMD5ForAttachments": False,
                        "SaveJobs": False,
                        "ConcurrentJobs": 2,
                        "JobsHistorySize": 10,
                        "RemoteAccessAllowed": False,
                        "AuthenticationEnabled": False,
                        "DicomAlwaysAllowStore": True,
                        "DicomAssociationCloseDelay": 5,
                        "DicomModalities": {"down": [_DOWNSTREAM.called, HOST, downstream.port]},
                    }
                )
            )
            command = [find("Orthanc") or "", str(settings)]
            with server(command, http_port, folder / "log") as process:
                (folder / "http-port").write_text(str(http_port))
                yield Running(port, process.pid, downstream.output)

    def settle(self, running: Running) -> None:
        """Anonymize and forward what was received."""
        http_port = int((running.output.parents[1] / "http-port").read_text())
        for study in _rest(http_port, "/studies"):
            made = _rest(http_port, f"/studies/{study}/anonymize", {"KeepSource": False, "Synchronous": True})
            _rest(http_port, "/modalities/down/store", {"Resources": [made["ID"]], "Synchronous": True})
            _rest(http_port, f"/studies/{made['ID']}", method="DELETE")


def _rest(port: int, path: str, body: object | None = None, method: str | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data=content, method=method)
    with urllib.request.urlopen(request, timeout=_REST_LIMIT_S) as answer:
        return json.loads(answer.read() or b"null")
