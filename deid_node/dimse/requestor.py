"""An association as SCU: C-STORE from files, C-ECHO (PS3.7 9.1.1 and 9.1.5, PS3.4 annexes A and B).

Whatever goes wrong raises an AssociationError and ends the association: after that nothing is known
of the object under way. A status, also a failure, is an answer and not an error.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from struct import Struct
from time import monotonic
from types import TracebackType
from typing import BinaryIO, Final

from deid_node.dimse import pdu
from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.channel import Channel
from deid_node.dimse.command import Command, CommandField, echo_request, read_command, store_request
from deid_node.dimse.implementation import silence_libraries
from deid_node.dimse.negotiation import VERIFICATION
from deid_node.dimse.outgoing import OutgoingStore
from deid_node.dimse.pdu import AbortReason, PduType, ProtocolViolation
from deid_node.dimse.peer import (
    AssociationAbortedError,
    AssociationRejectedError,
    ContextNotAcceptedError,
    Peer,
)
from deid_node.dimse.request import MAX_CONTEXTS, Accepted, Context, associate_rq, read_associate_ac
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.syntaxes import DEFLATED
from deid_node.errors import AssociationError

_MAX_ANSWER_BYTES: Final = 256 * 1024
_MAX_MESSAGE_ID: Final = 0xFFFF
_RELEASE_S: Final = 5.0
_ABORT_S: Final = 1.0
_PIECE_BYTES: Final = 1 << 20
_FILE_ENDED: Final = "the file ended before the dataset did"
_REASONS: Final = Struct(">xBBB")


class Requestor:
    """One association that we requested. Not to be shared by threads."""

    def __init__(self, peer: Peer, channel: Channel, accepted: Accepted) -> None:
        """For `connect`."""
        self.accepted = frozenset(accepted.ids)
        self._peer = peer
        self._channel = channel
        self._ids = accepted.ids
        self._fragment_bytes = pdu.fragment_bytes(accepted.max_pdu_bytes)
        self._peer_max_pdu = accepted.max_pdu_bytes
        self._message_id = 0
        self._buffer = bytearray()  # for files that are read here
        self._open = True

    @classmethod
    def connect(
        cls, peer: Peer, contexts: Sequence[Context], *, tls: ssl.SSLContext | None = None
    ) -> Requestor:
        """Request an association for (SOP class UID, transfer syntax UID) pairs, at most 128.

        Raises:
            AssociationRejectedError: the peer rejected it.
            AssociationError: no connection, no answer in time, or not the answer of a DICOM node.
        """
        silence_libraries()
        contexts = tuple(dict.fromkeys(contexts))
        if not 0 < len(contexts) <= MAX_CONTEXTS:
            raise ValueError(f"an association has 1 to {MAX_CONTEXTS} presentation contexts")
        channel = Channel.connect(peer, tls)
        try:
            deadline = monotonic() + peer.timeout_s
            channel.send(associate_rq(peer, contexts), deadline)
            kind, content = _receive_pdu(channel, deadline)
            if kind == PduType.ASSOCIATE_RJ and len(content) == pdu.SHORT_BYTES:
                raise AssociationRejectedError(*_REASONS.unpack(content))
            if kind != PduType.ASSOCIATE_AC:
                raise _not_expected(kind, content)
            header = pdu.HEADER.pack(kind, len(content))
            return cls(peer, channel, read_associate_ac(header + content, contexts))
        except BaseException:
            channel.close()
            raise

    def store_file(
        self,
        file: BinaryIO | int,
        *,
        offset: int,
        length: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        content: memoryview | None = None,
    ) -> StoreAnswer:
        """Store the dataset that lies in an open file from `offset` on, as it is; return the answer.

        Args:
            file: a file or its descriptor; its position is neither used nor moved.
            content: the whole file where it lies in memory: nothing is read then.
            offset: of the first byte of the dataset, after the file meta information.
            length: bytes of the dataset; even (PS3.5 7.1.1), as fragments have to be. A deflated
                dataset may be odd: it is sent with the NUL that PS3.5 A.5 asks for.

        Raises:
            ContextNotAcceptedError: not negotiated; nothing was sent, the association goes on.
            AssociationError: the association was lost; whether the object was stored is not known.
        """
        context_id = self._context_id((sop_class_uid, transfer_syntax_uid))
        padding = b"\0" if length % 2 and transfer_syntax_uid == DEFLATED else b""
        if length <= 0 or (length + len(padding)) % 2:
            raise ValueError("the length of a dataset is even and not zero")
        if content is None:
            pieces = self._read(file if isinstance(file, int) else file.fileno(), offset, length)
        else:
            pieces = iter([content[offset : offset + length]])
        message_id = self._next_message_id()
        try:
            rq = store_request(sop_class_uid, sop_instance_uid, message_id)
            try:
                self._send_object(context_id, rq, pieces, length, padding)
            except AssociationError as lost:
                raise self._told(lost) from None
            return self._stored(context_id, message_id, sop_instance_uid)
        except BaseException:
            self.abort()
            raise

    def begin_store(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> OutgoingStore:
        """Begin to store an object that is still being made; its bytes are written to what is returned.

        Raises:
            ContextNotAcceptedError: not negotiated; nothing was sent, the association goes on.
            AssociationError: the association was lost.
        """
        context_id = self._context_id((sop_class_uid, transfer_syntax_uid))
        message_id = self._next_message_id()
        try:
            rq = store_request(sop_class_uid, sop_instance_uid, message_id)
            self._send_command(context_id, rq, more=True)
        except BaseException:
            self.abort()
            raise
        return OutgoingStore(
            self,
            context_id,
            lambda: self._stored(context_id, message_id, sop_instance_uid),
            pads=transfer_syntax_uid == DEFLATED,
        )

    @property
    def fragment_bytes(self) -> int:
        """The largest fragment that the peer takes, even."""
        return self._fragment_bytes

    @property
    def is_usable(self) -> bool:
        """Whether the association is open and the peer has not said anything unasked, like an abort."""
        return self._open and self._channel.is_quiet()

    def send_fragment(self, header: bytes, pieces: Sequence[bytes | memoryview], *, more: bool) -> None:
        """Send one fragment of an object that was begun; for `OutgoingStore`."""
        if not self._open:
            raise AssociationError("the association is over")
        try:
            self._channel.send_pieces([header, *pieces], self._peer.timeout_s, more=more)
        except AssociationError as lost:
            raise self._told(lost) from None

    def echo(self) -> StoreStatus:
        """Verify the association: C-ECHO on a context for Verification."""
        context = next((context for context in self._ids if context[0] == VERIFICATION), (VERIFICATION, ""))
        context_id = self._context_id(context)
        message_id = self._next_message_id()
        try:
            self._send_command(context_id, echo_request(VERIFICATION, message_id))
            return _status(self._answer(context_id, CommandField.C_ECHO_RSP, message_id))
        except BaseException:
            self.abort()
            raise

    def release(self) -> None:
        """Release the association, waiting at most a few seconds; does not raise, also when it is over."""
        if not self._open:
            return
        deadline = monotonic() + min(_RELEASE_S, self._peer.timeout_s)
        try:
            self._channel.send(pdu.RELEASE_RQ, deadline)
            kind = PduType.DATA
            while kind not in (PduType.RELEASE_RP, PduType.ABORT):
                received, _ = _receive_pdu(self._channel, deadline)
                if received == PduType.RELEASE_RQ:  # both at once, PS3.8 9.2.2.2
                    self._channel.send(pdu.RELEASE_RP, deadline)
                kind = PduType(received)
        except (AssociationError, ValueError):
            pass
        finally:
            self._close()

    def abort(self) -> None:
        """Abort the association; does not raise, also when it is over."""
        if not self._open:
            return
        try:
            self._channel.send(pdu.abort(AbortReason.USER), monotonic() + _ABORT_S)
        except AssociationError:
            pass
        finally:
            self._close()

    def interrupt(self) -> None:
        """Make what another thread waits for on this association fail at once."""
        self._channel.interrupt()

    def __enter__(self) -> Requestor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    # --- steps ----------------------------------------------------------------------------------

    def _context_id(self, context: Context) -> int:
        if not self._open:
            raise AssociationError("the association is over")
        context_id = self._ids.get(context)
        if context_id is None:
            raise ContextNotAcceptedError(*context)
        return context_id

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % _MAX_MESSAGE_ID + 1
        return self._message_id

    def _deadline(self) -> float:
        return monotonic() + self._peer.timeout_s

    def _send_command(self, context_id: int, command: bytes, *, more: bool = False) -> None:
        frames = pdu.command_frames(context_id, command, self._peer_max_pdu)
        self._channel.send(frames, self._deadline(), more=more)

    def _send_object(
        self, context_id: int, command: bytes, pieces: Iterator[memoryview], length: int, padding: bytes
    ) -> None:
        """Send a command and its dataset in fragments of even length, the last one marked and never empty."""
        largest = self._fragment_bytes
        run: list[bytes | memoryview] = [pdu.command_frames(context_id, command, self._peer_max_pdu)]
        for piece in pieces:
            for start in range(0, len(piece), largest):
                fragment = piece[start : start + largest]
                length -= len(fragment)
                after = b"" if length else padding
                control = 0 if length else pdu.LAST
                run += (pdu.data_header(context_id, len(fragment) + len(after), control), fragment, after)
            self._channel.send_pieces(run, self._peer.timeout_s, more=length > 0)
            run = []
        if length:
            raise AssociationError(_FILE_ENDED)

    def _read(self, descriptor: int, offset: int, length: int) -> Iterator[memoryview]:
        """Read a part of a file in large pieces of even length; each is valid until the next is taken."""
        if len(self._buffer) < min(length, _PIECE_BYTES):
            self._buffer = bytearray(min(length, _PIECE_BYTES))
        view = memoryview(self._buffer)
        while length:
            piece = view[: min(length, _PIECE_BYTES)]
            filled = 0
            while filled < len(piece):
                count = os.preadv(descriptor, [piece[filled:]], offset + filled)
                if not count:
                    raise AssociationError(_FILE_ENDED)
                filled += count
            yield piece
            offset += filled
            length -= filled

    def _told(self, lost: AssociationError) -> AssociationError:
        """Return why the peer gave up, when it said so before it closed the connection."""
        try:
            kind, content = _receive_pdu(self._channel, monotonic())
        except AssociationError:
            return lost
        said = _not_expected(kind, content)
        return said if isinstance(said, AssociationAbortedError) else lost

    def _stored(self, context_id: int, message_id: int, sop_instance_uid: str) -> StoreAnswer:
        """Receive the response to a C-STORE-RQ whose dataset was sent."""
        try:
            answer = self._answer(context_id, CommandField.C_STORE_RSP, message_id)
            if answer.sop_instance_uid not in ("", sop_instance_uid):
                raise AssociationError("the peer answered for another SOP instance")
            return StoreAnswer(_status(answer), answer.comment)
        except BaseException:
            self.abort()
            raise

    def _answer(self, context_id: int, field: CommandField, message_id: int) -> Command:
        """Receive the response to a request."""
        deadline = self._deadline()
        gathered = bytearray()
        last = False
        try:
            while not last:
                kind, content = _receive_pdu(self._channel, deadline)
                if kind != PduType.DATA:
                    raise _not_expected(kind, content)
                last = _gather_command(content, context_id, gathered)
            command = read_command(gathered)
        except ProtocolViolation as violation:
            raise AssociationError(f"the answer is not well formed ({violation.word})") from None
        if command.field != field or command.responded_to != message_id or command.has_dataset:
            raise AssociationError("the answer does not belong to the request")
        return command

    def _close(self) -> None:
        self._open = False
        self._channel.close()


def _receive_pdu(channel: Channel, deadline: float) -> tuple[int, bytes]:
    kind, length = pdu.HEADER.unpack(channel.receive(pdu.HEADER_BYTES, deadline))
    if length > _MAX_ANSWER_BYTES:
        raise AssociationError("the peer sent a PDU that is too long")
    return kind, channel.receive(length, deadline)


def _gather_command(content: bytes, context_id: int, gathered: bytearray) -> bool:
    """Add the command fragments of one P-DATA-TF; return whether the last one is among them."""
    at = 0
    last = False
    while at < len(content):
        if last or at + pdu.PDV_HEADER_BYTES > len(content):
            raise ProtocolViolation("pdv-cut")
        item_length, of_context, control = pdu.PDV_HEADER.unpack_from(content, at)
        end = at + 4 + item_length
        if item_length < 2 or end > len(content):
            raise ProtocolViolation("pdv-length")
        if of_context != context_id or not control & pdu.COMMAND:
            raise ProtocolViolation("context")
        gathered += content[at + pdu.PDV_HEADER_BYTES : end]
        if len(gathered) > _MAX_ANSWER_BYTES:
            raise ProtocolViolation("command-too-long")
        last = bool(control & pdu.LAST)
        at = end
    return last


def _status(answer: Command) -> StoreStatus:
    if answer.status is None:
        raise AssociationError("the answer has no status")
    return StoreStatus(answer.status)


def _not_expected(kind: int, content: bytes) -> AssociationError:
    if kind == PduType.ABORT and len(content) == pdu.SHORT_BYTES:
        _, source, reason = _REASONS.unpack(content)
        return AssociationAbortedError(source, reason)
    if kind == PduType.RELEASE_RQ:
        return AssociationError("the peer wants to release instead of answering")
    return AssociationError(f"the peer sent a PDU of type {kind:02X}H instead of an answer")
