"""The socket of an association that we request: every wait on it has a deadline.

The socket does not block; waiting is done by poll, so that a deadline covers a whole step (a PDU, an
answer) and not single bytes of it. Many PDUs go with one call of the system: each call lets go of the
interpreter, and has to wait for it among all threads that receive.
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
_READ_AHEAD: Final = 4096
_SECURED_BYTES: Final = 128 * 1024  # joined for one call of TLS


class Channel:
    """A connection to a peer; every method raises AssociationError when the peer fails or is late."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._secured = isinstance(sock, ssl.SSLSocket)
        self._poll = select.poll()
        self._poll.register(sock)
        self._ahead = bytearray()  # what came together with what was asked for

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

    def send(self, content: bytes | bytearray | memoryview, deadline: float, *, more: bool = False) -> None:
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
        self, pieces: Sequence[bytes | memoryview], timeout_s: float, *, more: bool = False
    ) -> None:
        """Send several buffers one after the other, without joining them where that is possible.

        The peer has `timeout_s` for each of them.
        """
        if self._secured:
            self._send_secured(pieces, timeout_s)
            return
        left = [memoryview(piece) for piece in pieces if len(piece)]
        flags = _MSG_MORE if more else 0
        deadline = monotonic() + timeout_s
        while left:
            try:
                sent = self._sock.sendmsg(left[:_MAX_PIECES], [], flags)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except (OSError, ValueError) as error:
                raise AssociationError(f"the connection was lost while sending: {reason_of(error)}") from None
            gone = 0
            while gone < len(left) and sent >= len(left[gone]):
                sent -= len(left[gone])
                gone += 1
            if gone:
                del left[:gone]
                deadline = monotonic() + timeout_s
            if sent:
                left[0] = left[0][sent:]

    def _send_secured(self, pieces: Sequence[bytes | memoryview], timeout_s: float) -> None:
        run = bytearray()
        for piece in pieces:
            run += piece
            if len(run) >= _SECURED_BYTES:
                self.send(run, monotonic() + timeout_s)
                run = bytearray()
        self.send(run, monotonic() + timeout_s)

    def is_quiet(self) -> bool:
        """Tell whether the peer says nothing: no bytes, no end of the connection."""
        if self._ahead:
            return False
        self._poll.modify(self._sock, select.POLLIN)
        return not self._poll.poll(0)

    def receive(self, count: int, deadline: float) -> bytes:
        """Receive exactly `count` bytes."""
        ahead = self._ahead
        while len(ahead) < count:
            try:
                received = self._sock.recv(max(count - len(ahead), _READ_AHEAD))
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
            ahead += received
        content = bytes(ahead[:count])
        del ahead[:count]
        return content

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
