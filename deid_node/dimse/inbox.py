"""The receive buffer of one association: bytes from the wire, handed out as views of one buffer.

Knows how long the peer may take for what is under way: a PDU, a message, the pause between two
messages. Only the time in which we wait for the peer counts; what the intake takes is not its fault.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from time import monotonic
from typing import Final

from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.wire import Cut, Wire

_BUFFER_BYTES: Final = 256 * 1024


class Inbox:
    """Reads ahead as far as the buffer goes.

    Views stay valid until the next call; what is gathered does until `spill` is called, which has to take it.
    """

    def __init__(self, wire: Wire, limits: AssociationLimits, spill: Callable[[], None]) -> None:
        # Anonymous memory costs nothing until it is touched: 500 idle associations touch one page each.
        self.buffer = mmap.mmap(-1, _BUFFER_BYTES)
        self._view = memoryview(self.buffer)
        self._wire = wire
        self._limits = limits
        self._spill = spill
        self._start = 0
        self._end = 0
        self._gathered_from = 0
        self._gathered_to = 0
        self._in_pdu = False
        self._in_message = False
        self._pdu_wait_s = 0.0
        self._window_wait_s = 0.0
        self._window_bytes = 0
        wire.idle_since = monotonic()

    def begin_message(self) -> None:
        """Say that a message is under way: from now on the peer must keep a minimum rate."""
        if not self._in_message:
            self._in_message = True
            self._window_wait_s = 0.0
            self._window_bytes = 0
            self._wire.idle_since = None

    def end_message(self) -> None:
        """Say that nothing is under way: the peer may pause."""
        self._in_message = False
        self._wire.idle_since = monotonic()

    def begin_pdu(self) -> None:
        """Say that the next bytes begin a PDU."""
        self._in_pdu = False
        self._pdu_wait_s = 0.0

    def need(self, count: int) -> int:
        """Return the offset in `buffer` of the next `count` bytes, all there, and pass over them."""
        while self._end - self._start < count:
            self._receive()
        offset = self._start
        self._start += count
        self._in_pdu = True
        return offset

    def piece(self, at_most: int) -> memoryview:
        """Return the next bytes, at least one and at most `at_most`, and pass over them."""
        if self._start == self._end:
            self._receive()
        start = self._start
        self._start = min(self._end, start + at_most)
        return self._view[start : self._start]

    def gather(self, at_most: int) -> int:
        """Pass over the next bytes, at least one and at most `at_most`, keep them, and return how many.

        They are moved behind those that were gathered before: headers of PDUs stand between the fragments of
        a dataset, and the way of each small fragment through all that looks at it costs more.
        """
        if self._start == self._end:
            self._receive()
        start = self._start
        end = self._start = min(self._end, start + at_most)
        at = self._gathered_to
        if at == self._gathered_from:
            self._gathered_from, self._gathered_to = start, end
        else:
            self._gathered_to = at + end - start
            self._view[at : self._gathered_to] = self._view[start:end]
        return end - start

    def gathered(self) -> memoryview:
        """Return what was gathered, and gather anew."""
        view = self._view[self._gathered_from : self._gathered_to]
        self._gathered_from = self._gathered_to = 0
        return view

    def _receive(self) -> None:
        if self._gathered_to:
            self._spill()
        rest = self._end - self._start
        if self._start:
            # A few bytes of a header: a piece never asks for more while some are left.
            self._view[:rest] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, rest
        within_s, word = self._patience(bool(rest))
        before = monotonic()
        received = self._wire.receive_into(self._view[self._end :], within_s, word)
        waited = monotonic() - before
        self._end += received
        self._pdu_wait_s += waited
        self._window_wait_s += waited
        self._window_bytes += received
        if self._in_message and self._window_wait_s >= self._limits.rate_window_s:
            self._check_rate()

    def _patience(self, begun: bool) -> tuple[float, str]:
        """Return how long to wait for the next bytes, and what is said when they do not come."""
        if self._in_pdu or begun:
            left_s = self._limits.pdu_s - self._pdu_wait_s
            return min(left_s, self._limits.rate_window_s), "pdu-deadline"
        if self._in_message:
            return self._limits.rate_window_s, "message-stalled"
        return self._limits.idle_s, "idle"

    def _check_rate(self) -> None:
        if self._window_bytes < self._limits.min_rate_bytes_s * self._window_wait_s:
            raise Cut("too-slow")
        self._window_wait_s = 0.0
        self._window_bytes = 0
