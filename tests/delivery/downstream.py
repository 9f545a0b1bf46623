"""A downstream AE for any number of associations that misbehaves in a way a test names, until it heals."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import VERIFICATION, answer_contexts, associate_ac
from deid_node.dimse.proposal import read_proposal
from tests.dimse.raw import command, pdata, uid, us
from tests.dimse.scripted import Scripted

STORE, ECHO, NO_DATASET = 1, 0x30, 0x101
_ABORT = bytes.fromhex("07000000000400000200")


class Downstream:
    """Serves connections in threads. `mode` may change at any time; "well" stores everything."""

    def __init__(self, mode: str = "well") -> None:
        self.mode = mode
        self.stored: list[str] = []
        self.asked_at: list[float] = []  # seconds since 1970 of every C-STORE-RQ
        self.associations = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0

    def listen(self) -> None:
        """Listen, on the port of before if there was one."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
        )  # so that one that never reads fills up
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """End everything."""
        self._over.set()
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for thread in self._threads:
            thread.join(15)
            assert not thread.is_alive()

    def _start(self, run: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=run, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._over.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.associations += 1
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            scp = Scripted(sock)
            with scp:
                if self.mode == "silent":
                    self._over.wait(10)
                    raise AssertionError
                self._negotiate(scp)
                while not self._over.is_set():
                    self._answer(scp)
        except (OSError, AssertionError, KeyError):  # the other side has had enough
            pass

    def _negotiate(self, scp: Scripted) -> None:
        kind, body = scp.pdu()
        assert kind == 1
        if self.mode.startswith("rejects-"):
            result = int(self.mode.removeprefix("rejects-"))
            scp.send(bytes((3, 0, 0, 0, 0, 4, 0, result, 1 if result == 1 else 3, 1)))
            raise AssertionError
        proposal = read_proposal(bytes(6) + body, AssociationLimits())
        takes_all = self.mode != "refuses-context"
        answers = answer_contexts(proposal, lambda syntax: takes_all or syntax == VERIFICATION)
        scp.send(associate_ac(proposal, answers, 16384))

    def _answer(self, scp: Scripted) -> None:
        if self.mode == "never-reads":
            self._over.wait(10)
            raise AssertionError
        if self.mode == "reads-slowly":
            while not self._over.wait(0.2) and self.mode == "reads-slowly" and scp.sock.recv(1):
                pass
            raise AssertionError
        if self.mode in _MIDWAY:
            scp.pdu()
            _MIDWAY[self.mode](scp)
            raise AssertionError
        request, _ = scp.message()
        message_id = struct.unpack("<H", request[0x110])[0]
        if struct.unpack("<H", request[0x100])[0] == ECHO:
            scp.send(_response(0x8030, message_id, 0, None))
            return
        self.asked_at.append(time.time())
        instance = request[0x1000].decode().strip("\0")
        while self.mode == "holds" and not self._over.wait(0.01):
            pass
        mode = self.mode  # a test may change it at any time
        if mode in _ANSWERS:
            _ANSWERS[mode](self, scp, message_id, instance)
            return
        status = 0 if mode == "well" else _status(mode)
        if status in (0, 0xB000, 0xB006, 0xB007):
            self.stored.append(instance)
        scp.send(_response(0x8001, message_id, status, instance))


def _status(mode: str) -> int:
    """Return the status that a mode names; one that began while the association was open ends it."""
    try:
        return int(mode, 16)
    except ValueError:
        raise AssertionError from None


def _response(field: int, message_id: int, status: int | None, instance: str | None) -> bytes:
    elements = [us(0x100, field), us(0x120, message_id), us(0x800, NO_DATASET)]
    elements += [] if status is None else [us(0x900, status)]
    elements += [] if instance is None else [uid(0x1000, instance)]
    return pdata(1, 3, command(*elements))


def _reset(scp: Scripted) -> None:
    scp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    scp.sock.close()


_MIDWAY: Final[dict[str, Callable[[Scripted], None]]] = {
    "aborts-midway": lambda scp: scp.send(_ABORT),
    "resets-midway": _reset,
}


def _end(down: Downstream, scp: Scripted, message_id: int, instance: str) -> None:
    raise AssertionError


def _silent(down: Downstream, scp: Scripted, message_id: int, instance: str) -> None:
    down._over.wait(10)
    raise AssertionError


def _dribble(down: Downstream, scp: Scripted, message_id: int, instance: str) -> None:
    for byte in _response(0x8001, message_id, 0, instance):
        scp.send(bytes((byte,)))
        if down._over.wait(0.2):
            return


_ANSWERS: Final[dict[str, Callable[[Downstream, Scripted, int, str], None]]] = {
    "closes-before-answer": _end,
    "no-answer": _silent,
    "dribbles": _dribble,
    "wrong-message-id": lambda _, scp, n, uid: scp.send(_response(0x8001, n + 1, 0, uid)),
    "wrong-instance": lambda _, scp, n, uid: scp.send(_response(0x8001, n, 0, "1.2.3")),
    "no-status": lambda _, scp, n, uid: scp.send(_response(0x8001, n, None, uid)),
    "wrong-command": lambda _, scp, n, uid: scp.send(_response(0x8030, n, 0, uid)),
    "garbage": lambda _, scp, n, uid: scp.send(b"\xff" * 64),
}


@contextmanager
def downstream(mode: str = "well") -> Iterator[Downstream]:
    """Run a downstream AE while the block runs; in mode "down" it does not listen yet."""
    down = Downstream(mode)
    if mode == "down":
        with socket.create_server(("127.0.0.1", 0)) as placeholder:
            down.port = placeholder.getsockname()[1]
    else:
        down.listen()
    try:
        yield down
    finally:
        down.close()
