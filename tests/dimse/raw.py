"""A peer that says what a test tells it to, byte by byte."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
INSTANCE = "1.2.826.0.1.3680043.10.1.2.3"

ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RP, ABORT = 2, 3, 4, 6, 7
RELEASE_RQ = bytes.fromhex("05000000000400000000")


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def context(context_id: int, abstract: str, *transfer: str) -> bytes:
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer)
    return item(0x20, bytes((context_id, 0, 0, 0)) + item(0x30, abstract.encode()) + syntaxes)


def user_information(*items: bytes, max_pdu: int = 16384) -> bytes:
    return item(0x50, item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.4") + b"".join(items))


def role(uid: str, scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes((scu, scp)))


def request(
    contexts: Sequence[bytes] = (context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT)),
    *,
    called: bytes = b"NODE",
    calling: bytes = b"RAW",
    version: int = 1,
    application: bytes = b"1.2.840.10008.3.1.1.1",
    user: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """Return an A-ASSOCIATE-RQ."""
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
    body += item(0x10, application) + b"".join(contexts)
    body += (user_information() if user is None else user) + tail
    return struct.pack(">BBI", 1, 0, len(body)) + body


def elem(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def us(number: int, value: int) -> bytes:
    return elem(number, struct.pack("<H", value))


def uid(number: int, value: str) -> bytes:
    encoded = value.encode()
    return elem(number, encoded + b"\0" * (len(encoded) % 2))


def command(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return elem(0, struct.pack("<I", len(body))) + body


def store_rq(
    sop_class: str = CT, instance: str | None = INSTANCE, message_id: int = 7, dataset: int = 1
) -> bytes:
    return command(
        uid(2, sop_class),
        us(0x100, 1),
        us(0x110, message_id),
        us(0x700, 0),
        us(0x800, dataset),
        *([] if instance is None else [uid(0x1000, instance)]),
    )


def echo_rq(message_id: int = 1) -> bytes:
    return command(uid(2, VERIFICATION), us(0x100, 0x30), us(0x110, message_id), us(0x800, 0x101))


def pdata(context_id: int, control: int, content: bytes) -> bytes:
    """Return a P-DATA-TF with one PDV; control 1 is command, 2 is last."""
    return struct.pack(">BBIIBB", 4, 0, len(content) + 6, len(content) + 2, context_id, control) + content


def values(encoded: bytes) -> dict[int, bytes]:
    """Return the elements of a command set."""
    found = {}
    offset = 0
    while offset < len(encoded):
        _, number, length = struct.unpack_from("<HHI", encoded, offset)
        found[number] = encoded[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return found


class RawPeer:
    """A TCP connection to an acceptor."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 10.0) -> None:
        self.sock = socket.create_connection(address, timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, *content: bytes) -> None:
        self.sock.sendall(b"".join(content))

    def associate(self, *contexts: bytes, max_pdu: int = 16384) -> bytes:
        """Negotiate; return the A-ASSOCIATE-AC."""
        offered = contexts or (context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT))
        self.send(request(offered, user=user_information(max_pdu=max_pdu)))
        kind, body = self.pdu()
        assert kind == ASSOCIATE_AC
        return body

    def pdu(self) -> tuple[int, bytes]:
        """Return type and content of the next PDU; type 0 when the connection ended."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, header
        return header[0], self._exactly(int.from_bytes(header[2:], "big"))

    def answer(self) -> dict[int, bytes]:
        """Return the elements of the command set that comes next."""
        gathered = b""
        while True:
            kind, body = self.pdu()
            assert kind == DATA, kind
            while body:
                length = int.from_bytes(body[:4], "big")
                gathered += body[6 : 4 + length]
                last = body[5] & 2
                body = body[4 + length :]
            if last:
                return values(gathered)

    def status(self) -> int:
        """Return the status of the answer that comes next."""
        return int.from_bytes(self.answer()[0x900], "little")

    def ended(self) -> bool:
        """Whether the other side closes the connection without saying more."""
        try:
            return not self.sock.recv(1)
        except ConnectionError:
            return True

    def _exactly(self, count: int) -> bytes:
        content = b""
        end = time.monotonic() + 30
        while len(content) < count and time.monotonic() < end:
            try:
                piece = self.sock.recv(count - len(content))
            except ConnectionError:
                return content
            if not piece:
                return content
            content += piece
        return content
