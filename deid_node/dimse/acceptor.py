"""Listens for connections, and gives each a thread: what every acceptor does before anything is said.

One more thread accepts connections and, a few times a second, cuts those whose time is over. What an
association is made of is the business of the two subclasses.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from time import monotonic
from typing import Final

import structlog

from deid_node.dimse.accepted import AcceptedAssociation
from deid_node.dimse.association import Intake
from deid_node.dimse.hall import Hall
from deid_node.dimse.implementation import silence_libraries
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.listening import listen, plain_address
from deid_node.dimse.wire import STOPPING, Wire

_LOG: Final = structlog.get_logger(__name__)

_SWEEP_S: Final = 0.25
_IDLE_S_WHILE_STOPPING: Final = 1.0
_ADDRESSES_TOLD: Final = 256
_TOLD_AGAIN_S: Final = 60.0
_LAST_WORD_S: Final = 2.0  # for aborted associations to say so, before their sockets are shut


class ListeningAcceptor(ABC):
    """Bounds connections, looks at addresses, watches deadlines, and stops in order."""

    def __init__(
        self,
        intake: Intake,
        *,
        host: str = "127.0.0.1",
        port: int = 11112,
        limits: AssociationLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._intake = intake
        self._address = (host, port)
        self._limits = limits or AssociationLimits()
        self._tls = tls
        self._hall = Hall(self._limits)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._refused_told: dict[str, float] = {}
        self._woken, self._waker = socket.socketpair()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the real port once started."""
        return self._address

    def start(self) -> None:
        """Listen, and return.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        silence_libraries()
        self._listener = listen(*self._address)
        self._listener.setblocking(False)
        self._address = (self._address[0], self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="dimse-accept", daemon=True)
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Take no new association, let running ones finish for `grace_s`, abort the rest, return.

        An association without a message under way is aborted after a second: its requestor has
        every answer it waits for.
        """
        self._hall.close()
        self._stopping.set()
        if self._thread is not None:
            self._waker.send(b"\0")
            self._thread.join()
            self._thread = None
            self._waker.close()
            self._woken.close()
        end = monotonic() + grace_s
        while (left := end - monotonic()) > 0 and not self._hall.wait_empty(min(_SWEEP_S, left)):
            self._sweep(monotonic() - _IDLE_S_WHILE_STOPPING)
        for both_ways in (False, True):
            for wire in self._hall.wires():
                wire.cut(STOPPING, both_ways=both_ways)
            if self._hall.wait_empty(_LAST_WORD_S):
                return
        _LOG.warning("dimse.stopped_with_work", associations=len(self._hall.wires()))

    def _accept(self) -> None:
        """Accept and sweep until stopped; then close the listening socket."""
        listener = self._listener
        assert listener is not None
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        next_sweep = monotonic() + _SWEEP_S
        while not self._stopping.is_set():
            poll.poll(max(0.0, next_sweep - monotonic()) * 1000)
            self._accept_one(listener)
            now = monotonic()
            if now >= next_sweep:
                self._sweep()
                next_sweep = now + _SWEEP_S
        listener.close()

    def _accept_one(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, most often; the peer waits in the backlog until one is free.
            _LOG.warning("dimse.accept_failed", errno=error.errno)
            self._stopping.wait(_SWEEP_S)
            return
        at = plain_address(address[0])
        if not self._may_connect(at):
            sock.close()
            return
        try:
            wire = Wire(sock, at, address[1])
        except OSError:  # the peer is gone already
            sock.close()
            return
        self._hall.enter(wire)
        try:
            threading.Thread(target=self._run, args=(wire,), name="dimse-association", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            _LOG.warning("dimse.accept_failed", reason="no-thread")
            wire.close()
            self._hall.leave(wire)

    def _may_connect(self, address: str) -> bool:
        """Ask before a thread is spent; tell once a minute about an address that is not let in."""
        try:
            if self._intake.may_connect(address):
                return True
        except Exception as error:
            _LOG.error("dimse.intake_fault", step="connect", error=type(error).__name__)
        now = monotonic()
        if now >= self._refused_told.get(address, 0.0):
            if len(self._refused_told) >= _ADDRESSES_TOLD:
                self._refused_told.clear()
            self._refused_told[address] = now + _TOLD_AGAIN_S
            _LOG.warning("dimse.connection_refused", address=address)
        return False

    @abstractmethod
    def _association(self, wire: Wire) -> AcceptedAssociation:
        """Return what serves a new connection."""

    def _run(self, wire: Wire) -> None:
        try:
            self._association(wire).run()
        finally:
            self._hall.leave(wire)

    def _sweep(self, idle_before: float | None = None) -> None:
        """Cut the connections whose time is over, and those that were idle already at `idle_before`."""
        now = monotonic()
        for wire in self._hall.wires():
            wire.cut_if_late(now)
            if idle_before is not None and wire.idle_since is not None and wire.idle_since < idle_before:
                wire.cut(STOPPING)
