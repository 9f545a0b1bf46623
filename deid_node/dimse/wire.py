"""One accepted connection: its socket, the moment until which it may wait, and who cuts it.

Sockets block without a timeout, so that a receive costs one system call. The acceptor's sweep looks
at `until` a few times a second and shuts down the sockets whose time is over; the thread that waits
there then wakes and says why. Deadlines are on the monotonic clock.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

from deid_node.dimse.association import PeerCertificate
from deid_node.dimse.certificate import read_certificate

_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_LINGER_BYTES: Final = 1 << 20
STOPPING: Final = "stopping"
"""The word for connections that end because the node does."""


class ConnectionLost(Exception):
    """The peer closed or broke the connection."""


class HandshakeFailed(ConnectionLost):
    """TLS could not be agreed on; the word says why, and is one of OpenSSL's or ours, never the peer's."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Cut(Exception):
    """We gave up on the peer; the word says why ("idle", "pdu-deadline", "stopping" ...)."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def prompt(sock: socket.socket) -> None:
    """Send small PDUs at once (C-STORE is stop-and-wait), and find out when the other machine died."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class Wire:
    """The socket of one connection, used by one thread and watched by the acceptor's sweep."""

    def __init__(self, sock: socket.socket, address: str, port: int) -> None:
        self.sock = sock
        self.address = address
        self.port = port
        self.until = math.inf
        self.limit_word = ""
        self.idle_since: float | None = None  # set while no message is under way
        self._cut = ""
        self._sending = False
        self._handshaking = False
        self._closed = False
        self._lock = threading.Lock()
        self._answer_by = math.inf
        self._late_answer: Callable[[], bytes | None] | None = None
        self._answered = False
        self._answering = threading.Lock()
        prompt(sock)

    # --- by the acceptor's sweep, from its thread -----------------------------------------------

    def cut(self, word: str, *, both_ways: bool = False) -> None:
        """Wake the thread that waits on the socket, and let it end for the reason `word`."""
        with self._lock:
            if self._closed:
                return
            self._cut = self._cut or word
            self.until = math.inf
            how = socket.SHUT_RDWR if both_ways or self._sending else socket.SHUT_RD
            try:
                # The plain socket's method: SSLSocket's forgets the TLS state under the other thread.
                socket.socket.shutdown(self.sock, how)
            except OSError:
                return

    def cut_if_late(self, now: float) -> None:
        """Cut when the peer had its time."""
        if now > self.until:
            self.cut(self.limit_word)
        if now > self._answer_by:
            self._answer_late()

    def _answer_late(self) -> None:
        """Answer in the place of the thread that still works on it, unless it is done meanwhile."""
        with self._answering:
            late, self._late_answer = self._late_answer, None
            self._answer_by = math.inf
            frames = late() if late is not None else None
            if frames is None:
                return
            self._answered = True
            try:
                # Never waited for: the sweep serves everybody, and an answer of a few bytes finds room.
                self.sock.setblocking(False)
                sent = self.sock.send(frames)
                self.sock.setblocking(True)
            except (OSError, ValueError):
                sent = 0
        if sent < len(frames):
            self.cut("send-deadline", both_ways=True)

    # --- by the connection's own thread ---------------------------------------------------------

    def secure(self, context: ssl.SSLContext, within_s: float) -> PeerCertificate | None:
        """Make the TLS handshake as server; return the peer's certificate if it was asked for one.

        Raises:
            HandshakeFailed: it was begun and came to nothing.
            Cut: the time is over, or the acceptor wants the connection to end.
            ConnectionLost: the peer went before its first byte, as who only looks for an open port does.
        """
        self._handshaking = True
        self.expect(within_s, "handshake-deadline")
        try:
            begun = self.sock.recv(1, socket.MSG_PEEK)
        except OSError:
            begun = b""
        if not begun:
            self._raise()
        try:
            secured = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):
            raise ConnectionLost from None
        with self._lock:
            self.sock = secured
        try:
            secured.do_handshake()
            self._handshaking = False
        except (OSError, ValueError) as error:
            if not self._cut:
                raise HandshakeFailed(_why(error)) from None
            self._raise()
        finally:
            self.until = math.inf
        der = secured.getpeercert(binary_form=True)
        return None if der is None else read_certificate(der)

    def receive_into(self, view: memoryview, within_s: float, limit_word: str) -> int:
        """Receive at least one byte, waiting no longer than `within_s`.

        Raises:
            Cut: the time is over, or the acceptor wants the connection to end.
            ConnectionLost: the peer is gone.
        """
        self.expect(within_s, limit_word)
        try:
            received = self.sock.recv_into(view)
            if _QUICKACK is not None:
                # The kernel leaves this mode by itself. It repairs senders with Nagle's algorithm on.
                self.sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except (OSError, ValueError):
            received = 0
        self.until = math.inf
        if not received or self._cut:
            self._raise()
        return received

    def send(self, pdu: bytes, within_s: float) -> None:
        """Send a whole PDU. Raises as `receive_into` does."""
        self._sending = True
        self.expect(within_s, "send-deadline")
        try:
            self.sock.sendall(pdu)
        except (OSError, ValueError):
            self._raise()
        finally:
            self.until = math.inf
            self._sending = False

    def answer_by(self, within_s: float, late: Callable[[], bytes | None]) -> None:
        """Begin to work on an answer; after `within_s` the sweep sends what `late` returns, if anything."""
        self._late_answer = late
        self._answer_by = monotonic() + within_s

    def may_answer(self) -> bool:
        """End the work on an answer; False when the sweep has sent one."""
        with self._answering:
            self._answer_by = math.inf
            self._late_answer = None
            answered, self._answered = self._answered, False
        return not answered

    def say_last(self, pdu: bytes, linger_s: float) -> None:
        """Send a last PDU, and wait shortly until the peer took it: closing at once could destroy it."""
        if self._handshaking:
            return
        try:
            self.send(pdu, linger_s)
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
            end = monotonic() + linger_s
            sink = memoryview(bytearray(1 << 16))
            swallowed = 0
            while swallowed < _LINGER_BYTES and (left := end - monotonic()) > 0:
                swallowed += self.receive_into(sink, left, "linger")
        except (Cut, ConnectionLost, OSError):
            return

    def close(self) -> None:
        """Close the socket; the sweep may still come, to no effect."""
        with self._lock:
            self._closed = True
            self.sock.close()

    def expect(self, within_s: float, limit_word: str) -> None:
        """Let the connection be cut for the reason `limit_word` when nothing comes of it in time."""
        self.limit_word = limit_word
        self.until = monotonic() + within_s

    def rest(self) -> None:
        """Let the connection be, for as long as it takes."""
        self.until = math.inf

    def _raise(self) -> None:
        if self._cut:
            raise Cut(self._cut)
        raise ConnectionLost


def _why(error: Exception) -> str:
    """Return the word for a failed handshake: OpenSSL's reason, with what is wrong with a certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate-refused: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return "ended-by-peer"
    return (error.reason or "tls-error").lower().replace("_", "-")
