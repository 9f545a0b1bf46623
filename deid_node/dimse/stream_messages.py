"""The messages of one association: P-DATA in, answers out (PS3.8 9.3.5, PS3.7 section 9.3).

P-DATA is read into one buffer and handed on as views of it: an object is never held here, whatever
its size. Each message is answered before the next is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deid_node.dimse import pdu
from deid_node.dimse.association import Caller, Intake, ObjectIntake, StoreAnswer
from deid_node.dimse.command import (
    Command,
    CommandField,
    event_report_request,
    read_command,
    response,
)
from deid_node.dimse.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, CommitmentReport
from deid_node.dimse.commitment_dataset import encode_report
from deid_node.dimse.inbox import Inbox
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import AnsweredContext
from deid_node.dimse.pdu import AbortReason, PduType, ProtocolViolation
from deid_node.dimse.reception import Conversation, Reception, echoed, receive, unrecognized
from deid_node.dimse.wire import Wire

_CONVERSATIONS: Final = (CommandField.N_ACTION_RQ, CommandField.N_EVENT_REPORT_RQ)


class Messages:
    """Reads the messages of an association and answers them. `answered` counts them."""

    def __init__(
        self,
        wire: Wire,
        intake: Intake,
        caller: Caller,
        contexts: Mapping[int, AnsweredContext],
        peer_max_pdu: int,
        limits: AssociationLimits,
    ) -> None:
        self.answered = 0
        self._wire = wire
        self._intake = intake
        self._caller = caller
        self._contexts = contexts
        self._peer_max_pdu = peer_max_pdu
        self._limits = limits
        self._inbox = Inbox(wire, limits, self._feed)
        self._command = bytearray()
        self._command_context = 0  # 0 while no command is under way
        self._empty_fragments = 0  # in a row
        self._reception: Reception | None = None
        self._taken: ObjectIntake | None = None
        self._finishing: Reception | None = None  # looked at by the sweep
        self._reported = False  # whether the peer owes the answer to a report of ours

    @property
    def midway(self) -> bool:
        """Whether a dataset is under way."""
        return self._reception is not None

    def serve(self) -> tuple[int, int]:
        """Answer messages until a PDU comes that is not data; return its type and length.

        Raises:
            ProtocolViolation, Cut, ConnectionLost: the association cannot go on.
        """
        inbox = self._inbox
        while True:
            inbox.begin_pdu()
            kind, length = pdu.HEADER.unpack_from(inbox.buffer, inbox.need(pdu.HEADER_BYTES))
            if kind != PduType.DATA:
                return kind, length
            if not 0 < length <= self._limits.max_pdu_bytes:
                raise ProtocolViolation("pdu-length")
            inbox.begin_message()
            self._values(length)

    def abort(self) -> None:
        """Forget the object that is under way, if there is one."""
        if self._reception is not None:
            self._reception.abort()
            self._reception = None

    def _values(self, length: int) -> None:
        """Take the presentation data values of one PDU; `length` is what follows its header."""
        inbox = self._inbox
        while length:
            if length < pdu.PDV_HEADER_BYTES:
                raise ProtocolViolation("pdv-cut")
            item = pdu.PDV_HEADER.unpack_from(inbox.buffer, inbox.need(pdu.PDV_HEADER_BYTES))
            item_length, context_id, control = item
            fragment = item_length - 2
            length -= pdu.PDV_HEADER_BYTES + fragment
            if fragment < 0 or length < 0:
                raise ProtocolViolation("pdv-length")
            if context_id not in self._contexts:
                raise ProtocolViolation("context-not-accepted")
            self._empty_fragments = 0 if fragment else self._empty_fragments + 1
            if self._empty_fragments > pdu.MAX_EMPTY_FRAGMENTS:
                raise ProtocolViolation("empty-fragments", AbortReason.USER)
            if control & pdu.COMMAND:
                self._command_fragment(context_id, fragment, bool(control & pdu.LAST))
            else:
                self._data_fragment(context_id, fragment, bool(control & pdu.LAST))

    def _command_fragment(self, context_id: int, length: int, last: bool) -> None:
        if self._reception is not None or self._command_context not in (0, context_id):
            raise ProtocolViolation("command-out-of-turn", AbortReason.USER)
        self._command_context = context_id
        if len(self._command) + length > self._limits.max_command_bytes:
            raise ProtocolViolation("command-too-long", AbortReason.USER)
        while length:
            piece = self._inbox.piece(length)
            self._command += piece
            length -= len(piece)
        if last:
            command = read_command(self._command)
            self._command.clear()
            self._command_context = 0
            self._begin(command, context_id)

    def _data_fragment(self, context_id: int, length: int, last: bool) -> None:
        reception = self._reception
        if reception is None or reception.context_id != context_id:
            raise ProtocolViolation("dataset-out-of-turn", AbortReason.USER)
        gather = self._inbox.gather
        while length:
            length -= gather(length)
        if last:
            self._feed()
            self._reception = None
            self._answer(reception)

    def _feed(self) -> None:
        """Hand on what was gathered of the dataset."""
        piece = self._inbox.gathered()
        if self._reception is not None and len(piece):
            self._reception.feed(piece)

    def _begin(self, command: Command, context_id: int) -> None:
        """Start on a complete command: answer it, or wait for its dataset."""
        is_expected = command.field == CommandField.N_EVENT_REPORT_RSP and self._reported
        if (command.field == CommandField.C_CANCEL_RQ or is_expected) and not command.has_dataset:
            self._reported = False
            self._inbox.end_message()
            return
        if not command.is_request or command.message_id is None:
            raise ProtocolViolation("command-not-answerable", AbortReason.USER)
        self._taken = self._taker(command, context_id)
        reception = Reception(command, context_id, self._taken, self._limits.max_dataset_bytes)
        if command.has_dataset:
            self._reception = reception
        else:
            self._answer(reception)

    def _taker(self, command: Command, context_id: int) -> ObjectIntake:
        if command.field == CommandField.C_STORE_RQ:
            context = self._contexts[context_id]
            return receive(
                self._intake, self._caller, command, context.abstract_syntax, context.transfer_syntax
            )
        if command.field in _CONVERSATIONS and self._contexts[context_id].abstract_syntax == PUSH_MODEL:
            transfer_syntax = self._contexts[context_id].transfer_syntax
            return Conversation(self._intake, self._caller, command, transfer_syntax)
        return echoed() if command.field == CommandField.C_ECHO_RQ else unrecognized()

    def _answer(self, reception: Reception) -> None:
        self._finishing = reception
        self._wire.answer_by(self._limits.answer_s, self._late_frames)
        answer = reception.finish()
        is_ours = self._wire.may_answer()
        self.answered += 1
        self._inbox.end_message()
        if not is_ours:
            return
        frames = self._frames(reception, answer)
        taker = self._taken
        if isinstance(taker, Conversation) and taker.report is not None:
            frames += self._report_frames(reception.context_id, taker.report)
            self._reported = True
        self._wire.send(frames, self._limits.send_s)

    def _late_frames(self) -> bytes | None:
        """Return the answer to an object that is given up because it takes too long; from another thread."""
        reception = self._finishing
        answer = reception.give_up() if reception is not None else None
        return None if reception is None or answer is None else self._frames(reception, answer)

    def _frames(self, reception: Reception, answer: StoreAnswer) -> bytes:
        rsp = response(reception.request, answer)
        return pdu.command_frames(reception.context_id, rsp, self._peer_max_pdu)

    def _report_frames(self, context_id: int, report: CommitmentReport) -> bytes:
        """Return the message that reports to a requestor what it asked for a moment ago."""
        content = encode_report(report, self._contexts[context_id].transfer_syntax)
        rq = event_report_request(PUSH_MODEL, PUSH_MODEL_INSTANCE, 1, report.event_type)
        return pdu.command_frames(context_id, rq, self._peer_max_pdu) + pdu.dataset_frames(
            context_id, content, self._peer_max_pdu
        )
