"""An association whose messages are read by our own loop (`stream_messages`)."""

from __future__ import annotations

from deid_node.dimse import pdu
from deid_node.dimse.accepted import AcceptedAssociation, Admitted, out_of_place
from deid_node.dimse.negotiation import AnsweredContext, ContextResult, answer_contexts, associate_ac
from deid_node.dimse.pdu import PduType
from deid_node.dimse.stream_messages import Messages


class StreamAssociation(AcceptedAssociation):
    """One thread, one buffer, and an object is never held."""

    _messages: Messages | None = None

    def _converse(self, admitted: Admitted) -> None:
        contexts = self._negotiate(admitted)
        self._messages = Messages(
            self._wire,
            self._intake,
            admitted.caller,
            contexts,
            admitted.proposal.max_pdu_bytes,
            self._limits,
        )
        self._end(*self._messages.serve())

    def _negotiate(self, admitted: Admitted) -> dict[int, AnsweredContext]:
        """Answer the contexts, and return those that were accepted."""
        proposal = admitted.proposal
        answered = answer_contexts(proposal, lambda uid: self._intake.supports(admitted.caller, uid))
        accepted = {cx.context_id: cx for cx in answered if cx.result is ContextResult.ACCEPTED}
        self._wire.send(associate_ac(proposal, answered, self._limits.max_pdu_bytes), self._limits.send_s)
        caller = admitted.caller
        self._log.info(
            "dimse.association_accepted",
            calling=caller.calling,
            called=caller.called,
            address=caller.address,
            proposed=len(answered),
            accepted=len(accepted),
        )
        return accepted

    def _end(self, kind: int, length: int) -> None:
        """Answer the PDU that is not data: release, abort, or what has no place here."""
        if kind == PduType.ABORT:
            self._log.info("dimse.association_aborted", by="peer", **self._counts())
        elif kind == PduType.RELEASE_RQ and length == pdu.SHORT_BYTES:
            self._wire.send(pdu.RELEASE_RP, self._limits.send_s)
            self._log.info("dimse.association_released", **self._counts())
        else:
            raise out_of_place(kind)

    def _forget(self) -> None:
        if self._messages is not None:
            self._messages.abort()

    def _counts(self) -> dict[str, object]:
        if self._messages is None:
            return {"stage": "negotiation"}
        return {"answered": self._messages.answered, "midway": self._messages.midway}
