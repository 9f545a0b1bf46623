"""What pynetdicom reads and writes through, with the limits that its own socket lacks.

pynetdicom reads as many bytes as a length says, for as long as it takes, and goes on reading while a
message waits for its answer. Here every PDU has a largest size and a deadline, a message a largest size,
a minimum rate and its share of the memory, and nothing is read while one is being answered.
"""

from __future__ import annotations

import select
import ssl
import threading
from time import monotonic
from typing import Any

from pynetdicom.transport import AssociationSocket

from deid_node.dimse import pdu
from deid_node.dimse.accepted import out_of_place
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.memory import Share
from deid_node.dimse.pdu import AbortReason, PduType, ProtocolViolation
from deid_node.dimse.pynetdicom_frames import Frames
from deid_node.dimse.wire import ConnectionLost, Cut, Wire


class PeerAborted(Exception):
    """The peer sent A-ABORT; what else it holds is nobody's business."""


class BoundedSocket(AssociationSocket):
    """The socket of one association of pynetdicom. `trouble` says why it was given up."""

    def __init__(
        self, assoc: Any, wire: Wire, request: bytes, limits: AssociationLimits, memory: Share
    ) -> None:
        """Let `assoc` read `request`, which was read before, and then what comes from the wire."""
        super().__init__(assoc, client_socket=wire.sock)
        self.trouble: Exception | None = None
        self.wire = wire
        self._limits = limits
        self._memory = memory
        self._ahead = memoryview(request)
        self._poll = select.poll()  # pynetdicom's select fails beyond descriptor 1023
        self._poll.register(wire.sock, select.POLLIN)
        self._kind = 0  # of the PDU whose header was read
        self._end = 0.0
        self._unanswered = 1  # the request of the association
        self._lock = threading.Lock()
        self._message_bytes = 0
        self.frames = Frames(assoc, limits)
        self._window_began = 0.0
        self._window_bytes = 0
        wire.idle_since = monotonic()

    # --- by pynetdicom --------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether there is something to read, and it is time to."""
        if self.socket is None:
            return False
        if self.trouble is not None:
            return True  # to read nothing, which is how pynetdicom learns of the end
        if self._ahead:
            return True
        if self._unanswered:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        return bool(self._poll.poll(0))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the next bytes; fewer, and the reason in `trouble`, when the peer is given up."""
        try:
            if self.trouble is not None:
                return bytearray()
            if not self._kind:
                return self._header()
            return self._body(nr_bytes)
        except (Cut, ConnectionLost, ProtocolViolation, PeerAborted) as end:
            self.trouble = end
        except MemoryError:
            self.trouble = Cut("no-memory")
        return bytearray()

    def send(self, bytestream: bytes) -> None:
        """Send a PDU within its deadline; nothing after the association was given up."""
        if self.trouble is not None:
            return
        try:
            self.wire.send(bytes(bytestream), self._limits.send_s)
            if bytestream[0] == PduType.ASSOCIATE_AC:
                self.message_answered()
            self._expect()
        except (Cut, ConnectionLost) as end:
            self.trouble = end

    def _shutdown_socket(self) -> None:
        """Leave the socket open: the last word is said, and the socket closed, by who made it."""

    # --- by the association ---------------------------------------------------------------------

    def message_came(self) -> None:
        """Read nothing more until the message is answered; the peer is not hurried meanwhile."""
        with self._lock:
            self._unanswered += 1
        self._message_bytes = 0
        self._expect()

    def message_answered(self) -> None:
        """Give the memory of the message back and read on."""
        with self._lock:
            self._unanswered -= 1
            if self._unanswered:
                return
            self._memory.release()
        self.wire.idle_since = monotonic()
        self._expect()

    def give_up(self, trouble: Exception) -> None:
        """End the association for a reason that was found elsewhere."""
        self.trouble = self.trouble or trouble

    # --- steps ----------------------------------------------------------------------------------

    def _header(self) -> bytearray:
        if not self._ahead:
            self._end = monotonic() + self._limits.pdu_s
        header = self._exactly(pdu.HEADER_BYTES)
        kind, length = pdu.HEADER.unpack(header)
        if not self._ahead:
            self._look_at(kind, length)
        self._kind = kind
        return header

    def _look_at(self, kind: int, length: int) -> None:
        """Let pynetdicom see what belongs here and is well formed, nothing else."""
        if kind == PduType.ABORT:
            raise PeerAborted
        if kind == PduType.DATA:
            if not 0 < length <= self._limits.max_pdu_bytes:
                raise ProtocolViolation("pdu-length")
            self._begin_data(length)
        elif kind != PduType.RELEASE_RQ or length != pdu.SHORT_BYTES:
            raise out_of_place(kind)

    def _begin_data(self, length: int) -> None:
        """Count what is about to be read of a message."""
        if not self._message_bytes:
            self.wire.idle_since = None
            self._window_began, self._window_bytes = monotonic(), 0
        self._message_bytes += length
        self._window_bytes += length
        if self._message_bytes > self._limits.max_dataset_bytes + self._limits.max_command_bytes:
            raise ProtocolViolation("dataset-too-long", AbortReason.USER)
        self._memory.hold(length)

    def _body(self, length: int) -> bytearray:
        body = self._exactly(length)
        if self._kind == PduType.DATA:
            self.frames.look_at(body)
            self._check_rate()
        self._kind = 0
        self._expect()
        return body

    def _exactly(self, count: int) -> bytearray:
        if self._ahead:
            taken, self._ahead = self._ahead[:count], self._ahead[count:]
            return bytearray(taken)
        content = bytearray(count)
        view = memoryview(content)
        while view:
            received = self.wire.receive_into(view, self._end - monotonic(), "pdu-deadline")
            view = view[received:]
        return content

    def _check_rate(self) -> None:
        took_s = monotonic() - self._window_began
        if took_s >= self._limits.rate_window_s:
            if self._window_bytes < self._limits.min_rate_bytes_s * took_s:
                raise Cut("too-slow")
            self._window_began, self._window_bytes = monotonic(), 0

    def _expect(self) -> None:
        """Say how long the peer may be silent from now on."""
        if self._unanswered:
            self.wire.rest()
        elif self._message_bytes:
            self.wire.expect(self._limits.rate_window_s, "message-stalled")
        else:
            self.wire.expect(self._limits.idle_s, "idle")
