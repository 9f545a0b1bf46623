"""A sender that does not parse: datasets go from file to socket as they are, so the receiver is the limit.

A program of its own: `python -m benchmarks.sender PORT CALLED INDEX ASSOCIATIONS [CA CERTIFICATE KEY]`.
It negotiates, with TLS when there are certificates, says "ready", waits for a line, sends, and prints
elapsed seconds and the milliseconds of each object from C-STORE-RQ to C-STORE-RSP as JSON.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydicom.filereader import _read_file_meta_info, read_preamble

from benchmarks.processes import HOST
from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.standard.values import AETitle

_FAILURE = 0xA000


@dataclass(frozen=True, slots=True)
class Entry:
    """One object to send: where its dataset lies and what the C-STORE-RQ says."""

    path: str
    offset: int
    length: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def entry_of(path: Path) -> Entry:
    """Read the file meta information of an object."""
    with path.open("rb") as file:
        read_preamble(file, force=False)
        meta = _read_file_meta_info(file)
        offset = file.tell()
    size = path.stat().st_size
    return Entry(
        str(path),
        offset,
        size - offset,
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
    )


def write_index(paths: Sequence[Path], index: Path) -> None:
    """Write what the sender has to know, so that it reads no DICOM."""
    index.write_text(json.dumps([asdict(entry_of(path)) for path in paths]))


def _send(requestor: Requestor, entries: list[Entry], latencies: list[float]) -> None:
    for entry in entries:
        with open(entry.path, "rb") as file:
            start = time.perf_counter()
            answer = requestor.store_file(
                file,
                offset=entry.offset,
                length=entry.length,
                sop_class_uid=entry.sop_class_uid,
                sop_instance_uid=entry.sop_instance_uid,
                transfer_syntax_uid=entry.transfer_syntax_uid,
            )
            took_ms = (time.perf_counter() - start) * 1000
        if answer.status >= _FAILURE:
            raise RuntimeError(f"status {answer.status:04X}")  # said by the thread's traceback
        latencies.append(took_ms)


def _tls(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context


def main(port: int, called: str, index: Path, associations: int, tls: ssl.SSLContext | None) -> None:
    """Send everything of an index over some associations at once."""
    entries = [Entry(**item) for item in json.loads(index.read_text())]
    contexts = sorted({(entry.sop_class_uid, entry.transfer_syntax_uid) for entry in entries})
    peer = Peer(HOST, port, AETitle(called), AETitle("SENDER"), timeout_s=300, certificate_name="localhost")
    requestors = [Requestor.connect(peer, contexts, tls=tls) for _ in range(associations)]
    latencies: list[float] = []
    threads = [
        threading.Thread(target=_send, args=(requestor, entries[number::associations], latencies))
        for number, requestor in enumerate(requestors)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    for requestor in requestors:
        requestor.release()
    if len(latencies) != len(entries):
        raise SystemExit("not all objects were stored")
    print(json.dumps({"elapsed_s": elapsed, "latencies_ms": sorted(latencies)}), flush=True)


if __name__ == "__main__":
    _context = _tls(*sys.argv[5:8]) if len(sys.argv) > 5 else None
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), _context)
