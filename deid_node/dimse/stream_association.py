"""One association as SCP, from its first PDU to its last, in one thread (PS3.8 section 9.2).

Beginning and ending are here; the messages between are in `stream_messages`.
"""

from __future__ import annotations

import secrets
import ssl
from time import monotonic
from typing import Final

import structlog

from deid_node.dimse import pdu
from deid_node.dimse.association import AssociationRejection, Caller, Intake
from deid_node.dimse.hall import Hall
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import AnsweredContext, ContextResult, answer_contexts, associate_ac
from deid_node.dimse.pdu import AbortReason, PduType, ProtocolViolation
from deid_node.dimse.proposal import Proposal, ProposalRejected, read_proposal
from deid_node.dimse.stream_messages import Messages
from deid_node.dimse.wire import ConnectionLost, Cut, Wire

_LOG: Final = structlog.get_logger(__name__)


class StreamAssociation:
    """The acceptor's side of one association."""

    def __init__(
        self, wire: Wire, intake: Intake, limits: AssociationLimits, hall: Hall, tls: ssl.SSLContext | None
    ) -> None:
        self._wire = wire
        self._intake = intake
        self._limits = limits
        self._hall = hall
        self._tls = tls
        self._id = secrets.token_hex(4)
        self._log = _LOG.bind(association=self._id)
        self._messages: Messages | None = None

    def run(self) -> None:
        """Serve the association until it ends, whatever ends it. Does not raise; closes the socket."""
        try:
            self._serve()
        except ProposalRejected as answer:
            self._reject(answer.rejection)
        except ProtocolViolation as violation:
            self._abort(violation.word, violation.reason)
        except Cut as cut:
            self._abort(cut.word, AbortReason.USER)
        except ConnectionLost:
            self._log.info("dimse.association_lost", **self._counts())
        except Exception as error:
            # Ours: nothing of it may reach the peer or the log but its class.
            self._log.error("dimse.association_fault", error=type(error).__name__)
            self._abort("fault", AbortReason.NOT_SPECIFIED)
        finally:
            self._forget()
            self._wire.close()

    # --- beginning ------------------------------------------------------------------------------

    def _serve(self) -> None:
        certificate = None
        if self._tls is not None:
            certificate = self._wire.secure(self._tls, self._limits.handshake_s)
        proposal = read_proposal(self._read_request(), self._limits)
        caller = Caller(
            calling=proposal.calling,
            called=proposal.called,
            address=self._wire.address,
            port=self._wire.port,
            association=self._id,
            certificate=certificate,
        )
        contexts = self._negotiate(proposal, caller)
        self._messages = Messages(
            self._wire, self._intake, caller, contexts, proposal.max_pdu_bytes, self._limits
        )
        self._end(*self._messages.serve())

    def _read_request(self) -> bytes:
        """Read the first PDU, which has to be an A-ASSOCIATE-RQ."""
        end = monotonic() + self._limits.request_s
        header = self._read_exactly(pdu.HEADER_BYTES, end)
        kind, length = pdu.HEADER.unpack(header)
        if kind != PduType.ASSOCIATE_RQ:
            raise _out_of_place(kind)
        if length > self._limits.max_request_bytes:
            raise ProtocolViolation("request-too-long")
        return header + self._read_exactly(length, end)

    def _read_exactly(self, count: int, end: float) -> bytes:
        content = bytearray(count)
        view = memoryview(content)
        filled = 0
        while filled < count:
            filled += self._wire.receive_into(view[filled:], end - monotonic(), "request-deadline")
        return bytes(content)

    def _negotiate(self, proposal: Proposal, caller: Caller) -> dict[int, AnsweredContext]:
        """Let the association in, answer its contexts, and return those that were accepted."""
        # In this order: who is not let in must not take the place of an association.
        rejection = self._intake.admit(caller) or self._hall.associate(self._wire)
        if rejection is not None:
            raise ProposalRejected(rejection)
        answered = answer_contexts(proposal, lambda uid: self._intake.supports(caller, uid))
        accepted = {cx.context_id: cx for cx in answered if cx.result is ContextResult.ACCEPTED}
        self._wire.send(associate_ac(proposal, answered, self._limits.max_pdu_bytes), self._limits.send_s)
        self._log.info("dimse.association_accepted", proposed=len(answered), accepted=len(accepted))
        return accepted

    # --- ending ---------------------------------------------------------------------------------

    def _end(self, kind: int, length: int) -> None:
        """Answer the PDU that is not data: release, abort, or what has no place here."""
        if kind == PduType.ABORT:
            self._log.info("dimse.association_aborted", by="peer", **self._counts())
        elif kind == PduType.RELEASE_RQ and length == pdu.SHORT_BYTES:
            self._wire.send(pdu.RELEASE_RP, self._limits.send_s)
            self._log.info("dimse.association_released", **self._counts())
        else:
            raise _out_of_place(kind)

    def _reject(self, rejection: AssociationRejection) -> None:
        self._log.info("dimse.association_rejected", reason=rejection.word)
        answer = pdu.reject(rejection.result, rejection.source, rejection.reason)
        self._wire.say_last(answer, self._limits.linger_s)

    def _abort(self, word: str, reason: AbortReason) -> None:
        self._log.info("dimse.association_aborted", by="node", reason=word, **self._counts())
        self._forget()
        self._wire.say_last(pdu.abort(reason), self._limits.linger_s)

    def _forget(self) -> None:
        """Let the intake forget the object that is under way, before time is spent on the peer."""
        if self._messages is not None:
            self._messages.abort()

    def _counts(self) -> dict[str, object]:
        if self._messages is None:
            return {"stage": "negotiation"}
        return {"answered": self._messages.answered, "midway": self._messages.midway}


def _out_of_place(kind: int) -> ProtocolViolation:
    if kind in PduType._value2member_map_:
        return ProtocolViolation("unexpected-pdu", AbortReason.UNEXPECTED_PDU)
    return ProtocolViolation("unrecognized-pdu", AbortReason.UNRECOGNIZED_PDU)
