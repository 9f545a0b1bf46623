"""A relay between sockets: `python -m benchmarks.relay PORT HOST PORT [GATE]`.

Reads blocks and sends them on, two threads for each connection. With GATE, the name of a file, it reads
what a caller sends only while that file exists; the first block, the association request, always passes.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path

_BLOCK = 256 * 1024
_LOOK_S = 0.01


def _carry(source: socket.socket, sink: socket.socket, gate: Path | None) -> None:
    block = memoryview(bytearray(_BLOCK))
    with contextlib.suppress(OSError):
        first = True
        while got := source.recv_into(block):
            while gate is not None and not first and not gate.exists():
                time.sleep(_LOOK_S)
            sink.sendall(block[:got])
            first = False
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main(port: int, host: str, port_beyond: int, gate: Path | None) -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        while True:
            caller, _ = listening.accept()
            beyond = socket.create_connection((host, port_beyond))
            for sock in (caller, beyond):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_carry, args=(caller, beyond, gate), daemon=True).start()
            threading.Thread(target=_carry, args=(beyond, caller, None), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
