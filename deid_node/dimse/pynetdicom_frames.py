"""Looks at P-DATA before pynetdicom does, which takes on trust that fragments and commands are well formed.

What it cannot decode ends a thread of it with an exception, and the peer hears nothing. Here the
association is aborted first, for the same reasons as in `stream_messages`.
"""

from __future__ import annotations

from typing import Any

from deid_node.dimse import pdu
from deid_node.dimse.command import Command, CommandField, read_command
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.pdu import AbortReason, ProtocolViolation


class Frames:
    """Follows the fragments of the messages of one association."""

    def __init__(self, assoc: Any, limits: AssociationLimits) -> None:
        self._assoc = assoc
        self._limits = limits
        self._command = bytearray()
        self._command_context = 0  # 0 while no command is under way
        self._dataset_context = 0  # 0 while no dataset is
        self._empty_fragments = 0  # in a row
        self._message_ended = False  # in the PDU that is looked at
        self.unfinished: tuple[Command, int] | None = None  # whose dataset is under way, and its context

    def look_at(self, body: bytearray) -> None:
        """Look at what follows the header of a P-DATA-TF.

        Raises:
            ProtocolViolation: it is not well formed, out of turn or too long; or goes on after the end of
                a message, with what pynetdicom would pass over in silence.
        """
        view = memoryview(body)
        self._message_ended = False
        while view:
            if self._message_ended:
                raise ProtocolViolation("message-not-awaited", AbortReason.USER)
            if len(view) < pdu.PDV_HEADER_BYTES:
                raise ProtocolViolation("pdv-cut")
            length, context_id, control = pdu.PDV_HEADER.unpack_from(view)
            end = pdu.PDV_HEADER_BYTES - 2 + length
            if length < 2 or end > len(view):
                raise ProtocolViolation("pdv-length")
            if context_id not in self._assoc._accepted_cx:
                raise ProtocolViolation("context-not-accepted")
            self._empty_fragments = 0 if length > 2 else self._empty_fragments + 1
            if self._empty_fragments > pdu.MAX_EMPTY_FRAGMENTS:
                raise ProtocolViolation("empty-fragments", AbortReason.USER)
            last = bool(control & pdu.LAST)
            if control & pdu.COMMAND:
                self._command_fragment(context_id, view[pdu.PDV_HEADER_BYTES : end], last)
            else:
                self._data_fragment(context_id, last)
            view = view[end:]

    def _command_fragment(self, context_id: int, fragment: memoryview, last: bool) -> None:
        if self._dataset_context or self._command_context not in (0, context_id):
            raise ProtocolViolation("command-out-of-turn", AbortReason.USER)
        self._command_context = context_id
        self._command += fragment
        if len(self._command) > self._limits.max_command_bytes:
            raise ProtocolViolation("command-too-long", AbortReason.USER)
        if last:
            self._begin(context_id)

    def _begin(self, context_id: int) -> None:
        command = read_command(self._command)
        self._command.clear()
        self._command_context = 0
        awaits_nothing = command.field in (CommandField.C_CANCEL_RQ, CommandField.N_EVENT_REPORT_RSP)
        if not awaits_nothing and (not command.is_request or command.message_id is None):
            raise ProtocolViolation("command-not-answerable", AbortReason.USER)
        if command.has_dataset:
            self._dataset_context = context_id
            self.unfinished = command, context_id
        else:
            self._message_ended = True

    def _data_fragment(self, context_id: int, last: bool) -> None:
        if self._dataset_context != context_id:
            raise ProtocolViolation("dataset-out-of-turn", AbortReason.USER)
        if last:
            self._dataset_context = 0
            self._message_ended = True
            self.unfinished = None
