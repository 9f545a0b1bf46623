"""How an association as SCP begins and ends (PS3.8 section 9.2), whoever serves what is between.

Nothing is trusted before A-ASSOCIATE-RQ was read within its limits and the caller was let in.
"""

from __future__ import annotations

import secrets
import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

from deid_node.dimse import pdu
from deid_node.dimse.association import AssociationRejection, Caller, Intake, PeerCertificate
from deid_node.dimse.hall import Hall
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.pdu import AbortReason, PduType, ProtocolViolation
from deid_node.dimse.proposal import Proposal, ProposalRejected, read_proposal
from deid_node.dimse.wire import STOPPING, ConnectionLost, Cut, HandshakeFailed, Wire

_LOG: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller that was let in, and what it proposes."""

    caller: Caller
    proposal: Proposal


class AcceptedAssociation(ABC):
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

    def run(self) -> None:
        """Serve the association until it ends, whatever ends it. Does not raise; closes the socket."""
        try:
            self._converse(self._let_in())
        except ProposalRejected as answer:
            self._reject(answer.rejection)
        except ProtocolViolation as violation:
            self._abort(violation.word, violation.reason)
        except Cut as cut:
            self._abort(cut.word, AbortReason.USER)
        except HandshakeFailed:
            pass  # told where it failed
        except ConnectionLost:
            self._log.info("dimse.association_lost", **self._counts())
        except Exception as error:
            # Ours: nothing of it may reach the peer or the log but its class.
            self._log.error("dimse.association_fault", error=type(error).__name__)
            self._abort("fault", AbortReason.NOT_SPECIFIED)
        finally:
            self._forget()
            self._wire.close()

    @abstractmethod
    def _converse(self, admitted: Admitted) -> None:
        """Answer the proposal and then messages, until the association ends. May raise what `run` knows."""

    @abstractmethod
    def _forget(self) -> None:
        """Let the intake forget the object that is under way, before time is spent on the peer."""

    @abstractmethod
    def _counts(self) -> dict[str, object]:
        """Return what is told in the log at the end."""

    # --- beginning ------------------------------------------------------------------------------

    def _let_in(self) -> Admitted:
        certificate = None if self._tls is None else self._secure(self._tls)
        proposal = read_proposal(self._read_request(), self._limits)
        caller = Caller(
            calling=proposal.calling,
            called=proposal.called,
            address=self._wire.address,
            port=self._wire.port,
            association=self._id,
            certificate=certificate,
        )
        # In this order: who is not let in must not take the place of an association.
        rejection = self._intake.admit(caller) or self._hall.associate(self._wire)
        if rejection is not None:
            raise ProposalRejected(rejection)
        return Admitted(caller, proposal)

    def _secure(self, tls: ssl.SSLContext) -> PeerCertificate | None:
        try:
            return self._wire.secure(tls, self._limits.handshake_s)
        except (HandshakeFailed, Cut) as failure:
            self._log.info("dimse.handshake_failed", address=self._wire.address, reason=failure.word)
            if failure.word != STOPPING:
                self._intake.handshake_failed(self._wire.address, failure.word)
            raise

    def _read_request(self) -> bytes:
        """Read the first PDU, which has to be an A-ASSOCIATE-RQ."""
        end = monotonic() + self._limits.request_s
        header = self._read_exactly(pdu.HEADER_BYTES, end)
        kind, length = pdu.HEADER.unpack(header)
        if kind == PduType.ABORT:
            raise ConnectionLost  # AA-2 of PS3.8 Table 9-10: it is not answered
        if kind != PduType.ASSOCIATE_RQ:
            raise out_of_place(kind)
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

    # --- ending ---------------------------------------------------------------------------------

    def _reject(self, rejection: AssociationRejection) -> None:
        self._log.info("dimse.association_rejected", reason=rejection.word)
        answer = pdu.reject(rejection.result, rejection.source, rejection.reason)
        self._wire.say_last(answer, self._limits.linger_s)

    def _abort(self, word: str, reason: AbortReason) -> None:
        self._log.info("dimse.association_aborted", by="node", reason=word, **self._counts())
        self._forget()
        self._wire.say_last(pdu.abort(reason), self._limits.linger_s)


def out_of_place(kind: int) -> ProtocolViolation:
    """Return what is wrong with a PDU that does not belong here."""
    if kind in PduType._value2member_map_:
        return ProtocolViolation("unexpected-pdu", AbortReason.UNEXPECTED_PDU)
    return ProtocolViolation("unrecognized-pdu", AbortReason.UNRECOGNIZED_PDU)
