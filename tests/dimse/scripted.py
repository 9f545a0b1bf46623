"""An SCP that answers as a test tells it to, for one association."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import answer_contexts, associate_ac
from deid_node.dimse.proposal import read_proposal
from tests.dimse.raw import RawPeer, command, pdata, uid, us, values


class Scripted(RawPeer):
    """The acceptor's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock

    def accept(self, max_pdu: int = 16384) -> None:
        kind, body = self.pdu()
        assert kind == 1
        proposal = read_proposal(bytes(6) + body, AssociationLimits())
        self.send(associate_ac(proposal, answer_contexts(proposal, lambda uid: True), max_pdu))

    def message(self) -> tuple[dict[int, bytes], list[bytes]]:
        """Return the command set and the dataset fragments of the next message."""
        fragments: list[bytes] = []
        gathered = b""
        while True:
            kind, body = self.pdu()
            assert kind == 4, kind
            while body:
                length = int.from_bytes(body[:4], "big")
                content, control, body = body[6 : 4 + length], body[5], body[4 + length :]
                if control & 1:
                    gathered += content
                else:
                    fragments.append(content)
                last_command, last = control == 3, control & 2
            if last and not (last_command and values(gathered)[0x800] != b"\x01\x01"):
                return values(gathered), fragments


def answer(
    field: int = 0x8001, message_id: int = 1, status: int | None = 0, instance: str | None = None
) -> bytes:
    """Return a response on the first context."""
    return pdata(
        1,
        3,
        command(
            us(0x100, field),
            us(0x120, message_id),
            us(0x800, 0x101),
            *([] if status is None else [us(0x900, status)]),
            *([] if instance is None else [uid(0x1000, instance)]),
        ),
    )


@contextmanager
def scripted(script: Callable[[Scripted], object]) -> Iterator[tuple[str, int]]:
    """Listen, and run `script` on the first connection; yield where. Raises what the script raises."""
    failures: list[BaseException] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            try:
                sock, _ = listener.accept()
                with Scripted(sock) as scp:
                    script(scp)
                    over.wait(10)
            except OSError:
                pass
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            over.set()
            thread.join(15)
    if failures:
        raise failures[0]
