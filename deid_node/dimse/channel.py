"""The socket of an association that we request: every wait on it has a deadline.

The socket does not block; waiting is done by poll, so that a deadline covers a whole step (a PDU, an
answer) and not single bytes of it. Files go from the page cache to the socket without a copy here.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from collections.abc import Sequence
from time import monotonic
from typing import Final

from deid_node.dimse.peer import Peer
from deid_node.dimse.wire import prompt
from deid_node.errors import AssociationError

_MSG_MORE: Final = getattr(socket, "MSG_MORE", 0)
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_MAX_PIECES: Final = 512  # buffers of one system call, well below IOV_MAX
_NOT_READ: Final = "the peer did not take the data in time"
_FILE_ENDED: Final = "the file ended before the dataset did"


class Channel:
    """A connection to a peer; every method raises AssociationError when the peer fails or is late."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._secured = isinstance(sock, ssl.SSLSocket)
        self._poll = select.poll()
        self._poll.register(sock)

    @classmethod
    def connect(cls, peer: Peer, tls: ssl.SSLContext | None) -> Channel:
        """Connect, within the peer's timeout; with TLS also make the handshake, within another one."""
        place = f"{peer.host} port {peer.port}"
        try:
            sock = socket.create_connection((peer.host, peer.port), timeout=peer.timeout_s)
        except OSError as error:
            raise AssociationError(f"cannot connect to {place}: {reason_of(error)}") from None
        try:
            prompt(sock)
            sock.setblocking(False)
            if tls is None:
                return cls(sock)
            secured = tls.wrap_socket(
                sock, server_hostname=peer.certificate_name or peer.host, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:
            sock.close()
            raise AssociationError(f"no connection to {place}: {reason_of(error)}") from None
        channel = cls(secured)
        try:
            channel._handshake(secured, monotonic() + peer.timeout_s)
        except (AssociationError, OSError, ValueError) as error:
            channel.close()
            raise AssociationError(f"no TLS connection to {place}: {reason_of(error)}") from None
        return channel

    def _handshake(self, secured: ssl.SSLSocket, deadline: float) -> None:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)
            else:
                return

    def send(self, content: bytes | memoryview, deadline: float, *, more: bool = False) -> None:
        """Send everything; `more` says that the next bytes follow at once."""
        left = memoryview(content)
        flags = _MSG_MORE if more and not self._secured else 0
        while left:
            try:
                left = left[self._sock.send(left, flags) :]
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, deadline)
            except (OSError, ValueError) as error:
                raise AssociationError(f"the connection was lost while sending: {reason_of(error)}") from None

    def send_pieces(
        self, pieces: Sequence[bytes | memoryview], deadline: float, *, more: bool = False
    ) -> None:
        """Send several buffers one after the other, without joining them where that is possible."""
        if self._secured:
            self.send(b"".join(pieces), deadline)
            return
        left = [memoryview(piece) for piece in pieces if len(piece)]
        flags = _MSG_MORE if more else 0
        while left:
            try:
                sent = self._sock.sendmsg(left[:_MAX_PIECES], [], flags)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except (OSError, ValueError) as error:
                raise AssociationError(f"the connection was lost while sending: {reason_of(error)}") from None
            while left and sent >= len(left[0]):
                sent -= len(left[0])
                del left[0]
            if sent:
                left[0] = left[0][sent:]

    def is_quiet(self) -> bool:
        """Tell whether the peer says nothing: no bytes, no end of the connection."""
        self._poll.modify(self._sock, select.POLLIN)
        return not self._poll.poll(0)

    def send_file(
        self, header: bytes, file: int, offset: int, length: int, deadline: float, after: bytes = b""
    ) -> None:
        """Send a header, `length` bytes of an open file from `offset` on, and what comes after."""
        if self._secured:
            content = os.pread(file, length, offset)
            if len(content) < length:
                raise AssociationError(_FILE_ENDED)
            self.send(header + content + after, deadline)
            return
        self.send(header, deadline, more=True)
        end = offset + length
        while offset < end:
            try:
                sent = os.sendfile(self._sock.fileno(), file, offset, end - offset)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except (OSError, ValueError) as error:
                raise AssociationError(f"the connection was lost while sending: {reason_of(error)}") from None
            if not sent:
                raise AssociationError(_FILE_ENDED)
            offset += sent
        self.send(after, deadline)

    def receive(self, count: int, deadline: float) -> bytes:
        """Receive exactly `count` bytes."""
        content = bytearray(count)
        view = memoryview(content)
        while view:
            try:
                received = self._sock.recv_into(view)
                if _QUICKACK is not None:
                    self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline)
                continue
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)
                continue
            except (OSError, ValueError) as error:
                raise AssociationError(f"the connection was lost while waiting: {reason_of(error)}") from None
            if not received:
                raise AssociationError("the peer closed the connection")
            view = view[received:]
        return bytes(content)

    def interrupt(self) -> None:
        """End every wait on the connection; the one method that another thread may call."""
        with contextlib.suppress(OSError):  # not connected any more
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; also twice."""
        self._sock.close()

    def _wait(self, event: int, deadline: float) -> None:
        left_s = deadline - monotonic()
        if left_s > 0:
            self._poll.modify(self._sock, event)
            if self._poll.poll(left_s * 1000):
                return
        raise AssociationError("the peer did not answer in time" if event == select.POLLIN else _NOT_READ)


def reason_of(error: Exception) -> str:
    """Return why a connection failed, in words that quote nothing of the peer."""
    if isinstance(error, AssociationError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, socket.gaierror):
        return "the host name cannot be looked up"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return type(error).__name__
