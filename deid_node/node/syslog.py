"""Syslog messages over TLS: RFC 5424 in the frames of RFC 5425 (PS3.15 A.6).

Syslog has no acknowledgement: that a message was taken means here that the receiving host has
acknowledged every byte of it, which is as much as a sender can know.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

FACILITY: Final = 10  # security/authorization messages
WARNING: Final = 4
NOTICE: Final = 5
MESSAGE_ID: Final = "DICOM+RFC3881"
_SETTLE_S: Final = 1.0
_LOOK_S: Final = 0.005
_LOOK_LONGEST_S: Final = 0.1
_LONGEST_HOST: Final = 255
_LONGEST_PROCESS: Final = 128
_APPLICATION: Final = "deid-node"


def host_name() -> str:
    """Return the name of this host as the header of a message can have it."""
    return _printable(socket.gethostname(), _LONGEST_HOST)


def message(text: bytes, *, at: str, host: str, process: str, severity: int) -> bytes:
    """Return one message of RFC 5424.

    Args:
        text: in ASCII, so that no byte order mark is due.
        at: an RFC 3339 time stamp.
        host: see `host_name`.
        process: id of the process that did what is told.
        severity: NOTICE or WARNING.
    """
    name = _printable(process, _LONGEST_PROCESS)
    head = f"<{FACILITY * 8 + severity}>1 {at} {host} {_APPLICATION} {name} {MESSAGE_ID} - "
    return head.encode("ascii") + text


def frame(text: bytes) -> bytes:
    """Return a message with its length in front (RFC 5425 4.3)."""
    return b"%d %b" % (len(text), text)


def _printable(text: str, longest: int) -> str:
    kept = "".join(letter for letter in text if "!" <= letter <= "~")
    return kept[:longest] or "-"


class Collector:
    """The connection to what collects messages; opened when something is sent. For one thread."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, *, name: str | None = None, timeout_s: float = 30
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            host: name or address.
            port: TCP port.
            context: for a client, with the authorities that issued the certificate.
            name: what the certificate has to carry; `host` when None.
            timeout_s: longest wait for the connection, the handshake, and each send.
        """
        self.address = (host, port)
        self._context = context
        self._name = name or host
        self._timeout_s = timeout_s
        self._sock: ssl.SSLSocket | None = None

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages, and return when the host at the other end has acknowledged them.

        Raises:
            OSError: not all of them were taken; the connection is closed.
        """
        try:
            sock = self._connected()
            sock.sendall(b"".join(map(frame, messages)))
            self._wait_acknowledged(sock)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; also twice."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        with suppress(OSError):
            sock.settimeout(1)
            sock.unwrap()
        sock.close()

    def abort(self) -> None:
        """Let a `send` that runs in another thread fail now."""
        sock = self._sock
        if sock is not None:
            with suppress(OSError):  # not the method of SSLSocket, which takes its state away
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _connected(self) -> ssl.SSLSocket:
        if self._sock is not None and _is_open(self._sock):
            return self._sock
        self.close()
        plain = socket.create_connection(self.address, self._timeout_s)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self._context.wrap_socket(plain, server_hostname=self._name)
        except BaseException:
            plain.close()
            raise
        self._sock = sock
        _settle(sock)
        return sock

    def _wait_acknowledged(self, sock: ssl.SSLSocket) -> None:
        """Wait until the peer's TCP has acknowledged everything (SIOCOUTQ, tcp(7))."""
        end = time.monotonic() + self._timeout_s
        pause = _LOOK_S
        while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:
            if time.monotonic() > end:
                raise TimeoutError("what was sent is not acknowledged")
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_LONGEST_S)
        if not _is_open(sock):
            raise ConnectionResetError("the connection was closed while it was sent")


def _settle(sock: ssl.SSLSocket) -> None:
    """Give a collector the time to turn us away, before it has what it does not want.

    With TLS 1.3 the handshake is over for a client before its certificate was looked at, and collectors
    look at the name in it later still: what is sent in between arrives and is thrown away.
    """
    end = time.monotonic() + _SETTLE_S
    while _is_open(sock):
        left_s = end - time.monotonic()
        if left_s <= 0:
            return
        select.select([sock], [], [], left_s)
    raise ConnectionRefusedError("the collector closed the new connection")


def _is_open(sock: ssl.SSLSocket) -> bool:
    """Tell whether the other end still listens: collectors say nothing, but their end is read."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        return sock.recv(1) != b""
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(timeout)
