"""Orthanc: its configuration, and its REST interface.

Its storage keeps what it gets as it is: no compression, no digests, no sync. Each Orthanc has a folder of
its own, in which `http-port` says where it listens.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import HOST, find, free_port, server

_REST_LIMIT_S = 600
_PORT = "http-port"


@contextmanager
def orthanc(
    folder: Path, called: str, modalities: Mapping[str, object]
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run Orthanc; yield its DICOM port and its process."""
    port, http_port, store = free_port(), free_port(), str(folder / "store")
    settings = {
        "DicomPort": port,
        "HttpPort": http_port,
        "DicomAet": called,
        "StorageDirectory": store,
        "IndexDirectory": store,
        "StorageCompression": False,
        "OverwriteInstances": True,
        "SyncStorageArea": False,
        "StoreMD5ForAttachments": False,
        "SaveJobs": False,
        "ConcurrentJobs": 2,
        "JobsHistorySize": 10,
        "DicomThreadsCount": 4,
        "MaximumPduLength": 131072,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAssociationCloseDelay": 5,
        "DicomModalities": dict(modalities),
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with server([find("Orthanc") or "", str(config)], http_port, folder / ".log") as process:
        (folder / _PORT).write_text(str(http_port))
        yield port, process


def rest_bytes(folder: Path, path: str, body: object | None = None, method: str | None = None) -> bytes:
    """Ask the Orthanc of a folder."""
    content = None if body is None else json.dumps(body).encode()
    place = f"http://{HOST}:{(folder / _PORT).read_text()}{path}"
    request = urllib.request.Request(place, data=content, method=method)
    with urllib.request.urlopen(request, timeout=_REST_LIMIT_S) as answer:
        found: bytes = answer.read()
        return found


def rest(folder: Path, path: str, body: object | None = None, method: str | None = None) -> Any:
    """Ask the Orthanc of a folder for JSON."""
    return json.loads(rest_bytes(folder, path, body, method) or b"null")
