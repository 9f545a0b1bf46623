"""The physical limit: files go through one loopback connection by sendfile, and are read and forgotten.

No DICOM: `python -m benchmarks.loopback sink PORT` reads a length and so many bytes and answers with one
byte; `python -m benchmarks.loopback send PORT INDEX` sends files one after the other, each when the one
before was answered, as C-STORE does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.check import WrongOutput
from benchmarks.line import Objects
from benchmarks.measure import Run, cpu_seconds, peak_bytes
from benchmarks.processes import HOST, free_port, server, stop
from benchmarks.senders import told
from benchmarks.workloads import Workload

_BLOCK = 256 * 1024
_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Loopback:
    """One hop over the loopback interface, in blocks of 256 KiB."""

    workload: Workload
    name: str = "loopback, no DICOM"
    how: str = "sendfile"

    def missing(self) -> str | None:
        return None

    def expected_s(self) -> float:
        return 1.5 + self.workload.megabytes / 1500

    def provide(self, scratch: Path) -> None:
        pass

    def run(self, objects: Objects, scratch: Path) -> Run:
        port, index = free_port(), scratch / "index.json"
        index.write_text(json.dumps([str(path) for path in objects.measured]))
        command = [sys.executable, "-m", "benchmarks.loopback", "sink", str(port), str(scratch / "count")]
        with server(command, port, scratch / "log") as process:
            before = cpu_seconds(process.pid)
            sent = told(["benchmarks.loopback", "send", str(port), str(index)])
            cpu, peak = cpu_seconds(process.pid) - before, peak_bytes(process.pid)
            stop(process)
        size = sum(path.stat().st_size for path in objects.measured)
        if (got := int((scratch / "count").read_text())) != size:
            raise WrongOutput(f"{self.name}: {size} bytes in, {got} out")
        took = sent.elapsed_s
        return Run(took, took, cpu, peak, len(objects.measured), size, latencies_ms=sent.latencies_ms)


def _sink(port: int, count: Path) -> None:
    block = memoryview(bytearray(_BLOCK))
    total = 0

    def end(*_: object) -> None:
        count.write_text(str(total))
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    with socket.create_server((HOST, port)) as listening:
        while True:
            sock, _ = listening.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while len(head := sock.recv(_LENGTH.size, socket.MSG_WAITALL)) == _LENGTH.size:
                left = _LENGTH.unpack(head)[0]
                while left:
                    got = sock.recv_into(block, min(left, _BLOCK))
                    if not got:
                        raise SystemExit("the sender is gone")
                    left -= got
                    total += got
                sock.sendall(b"\0")


def _send(port: int, index: Path) -> None:
    paths = json.loads(index.read_text())
    sock = socket.create_connection((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    latencies = []
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for path in paths:
        begun = time.perf_counter()
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            sock.sendall(_LENGTH.pack(size), socket.MSG_MORE)
            sock.sendfile(file)
        if sock.recv(1) != b"\0":
            raise SystemExit("no answer")
        latencies.append((time.perf_counter() - begun) * 1000)
    print(json.dumps({"elapsed_s": time.perf_counter() - start, "latencies_ms": latencies}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        _sink(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        _send(int(sys.argv[2]), Path(sys.argv[3]))
