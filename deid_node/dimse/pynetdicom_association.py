"""An association whose messages are read by pynetdicom, and answered by what answers all messages.

pynetdicom decodes; contexts, objects and storage commitment are decided by the same functions as in
`stream_messages`.
"""

from __future__ import annotations

import ssl
import threading
from io import BytesIO
from typing import Any, Final, cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION, N_EVENT_REPORT
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    AbstractSyntaxSubItem,
    ApplicationContextItem,
    PresentationContextItemRQ,
    SCP_SCU_RoleSelectionSubItem,
    TransferSyntaxSubItem,
)
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class
from pynetdicom.transport import AddressInformation

from deid_node.dimse.accepted import AcceptedAssociation, Admitted
from deid_node.dimse.association import Caller, Intake, StoreAnswer
from deid_node.dimse.command import Command, CommandField, response
from deid_node.dimse.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, CommitmentReport
from deid_node.dimse.commitment_dataset import SYNTAXES, encode_report
from deid_node.dimse.hall import Hall
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.memory import Share
from deid_node.dimse.negotiation import VERIFICATION, user_information
from deid_node.dimse.pdu import AbortReason, ProtocolViolation, command_frames
from deid_node.dimse.proposal import APPLICATION_CONTEXT, Proposal, ProposedContext
from deid_node.dimse.pynetdicom_frames import Frames
from deid_node.dimse.pynetdicom_socket import BoundedSocket, PeerAborted
from deid_node.dimse.reception import FAULT, Conversation, Reception, receive
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.syntaxes import IMPLICIT_LITTLE, is_supported
from deid_node.dimse.wire import Cut, Wire

_LOG: Final = structlog.get_logger(__name__)
_ALWAYS: Final = (C_ECHO, C_STORE)
_CONVERSATIONS: Final = (N_ACTION, N_EVENT_REPORT)
_register: Final = threading.Lock()


class PynetdicomAssociation(AcceptedAssociation):
    """A connection that was let in, served by an `Association` of pynetdicom in threads of its own."""

    def __init__(
        self,
        wire: Wire,
        intake: Intake,
        limits: AssociationLimits,
        hall: Hall,
        tls: ssl.SSLContext | None,
        ae: Any,
        memory: Share,
    ) -> None:
        super().__init__(wire, intake, limits, hall, tls)
        self._ae = ae
        self._memory = memory

    def _converse(self, admitted: Admitted) -> None:
        assoc = _Association(self._ae, admitted, self._intake, self._limits)
        request = _request_of(admitted.proposal)
        socket = BoundedSocket(assoc, self._wire, request, self._limits, self._memory)
        assoc.set_socket(socket)
        assoc.start()
        assoc.join()
        assoc.forget(socket.frames)
        if isinstance(socket.trouble, PeerAborted):
            self._log.info("dimse.association_aborted", by="peer")
            return
        if socket.trouble is not None:
            raise socket.trouble
        if assoc.is_released:
            self._log.info("dimse.association_released")
        else:
            self._log.info("dimse.association_aborted", by="node", reason="refused-by-pynetdicom")
        self._wire.say_last(b"", self._limits.linger_s)

    def _forget(self) -> None:
        """Give the memory back; the intake was told when pynetdicom ended."""
        self._memory.release()

    def _counts(self) -> dict[str, object]:
        return {}


class _Provider(DULServiceProvider):
    """pynetdicom's state machine, whose thread ends quietly at an event that it has no transition for."""

    def run(self) -> None:
        """Run until the connection ends; the association ends with the thread."""
        try:
            super().run()
        except Exception as error:
            _LOG.info("dimse.pynetdicom_ended", error=type(error).__name__)


class _Association(Association):
    """pynetdicom's association, which answers one message before it reads the next."""

    def __init__(self, ae: Any, admitted: Admitted, intake: Intake, limits: AssociationLimits) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.dul = _Provider(self)
        self.acse_timeout = ae.acse_timeout  # which are kept in the provider
        self.network_timeout = ae.network_timeout
        self._intake = intake
        self._limits = limits
        self._caller = admitted.caller
        self._peer_max_pdu = admitted.proposal.max_pdu_bytes
        self._to_report: tuple[CommitmentReport, int] | None = None
        self._is_reported = False
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = str(admitted.caller.called)
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.acceptor.supported_contexts = _contexts(admitted.proposal, admitted.caller, intake)
        self.requestor.address_info = AddressInformation(admitted.caller.address, admitted.caller.port)
        self.bind(evt.EVT_DIMSE_RECV, self._came)
        self.bind(evt.EVT_C_STORE, self._store)
        self.bind(evt.EVT_N_ACTION, self._talk)
        self.bind(evt.EVT_N_EVENT_REPORT, self._talk)

    @property
    def _socket(self) -> BoundedSocket:
        return cast(BoundedSocket, self.dul.socket)

    def _came(self, event: Any) -> None:
        """Read nothing more until the message is answered."""
        if type(event.message).__name__ != "C_CANCEL_RQ":
            self._socket.message_came()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve one message, then read on. A response belongs to the report that was sent."""
        is_ours = isinstance(msg, _ALWAYS) or (
            isinstance(msg, _CONVERSATIONS) and self._accepted_cx[context_id].abstract_syntax == PUSH_MODEL
        )
        if not is_ours:
            self.dimse.send_msg(_unrecognized(msg), context_id)
        elif isinstance(msg, C_STORE) and not self._is_served(msg, context_id):
            self.dimse.send_msg(self._refusal(msg, self._accepted_cx[context_id]), context_id)
        elif msg.is_valid_request:
            super()._serve_request(msg, context_id)
        elif isinstance(msg, N_EVENT_REPORT) and self._is_reported:
            self._is_reported = False
        else:
            self._socket.give_up(ProtocolViolation("command-not-answerable", AbortReason.USER))
        if self._to_report is not None:
            (report, on), self._to_report = self._to_report, None
            self._is_reported = True
            self.dimse.send_msg(_report_request(report, str(self._accepted_cx[on].transfer_syntax[0])), on)
        if self.dul.socket is not None:
            self._socket.message_answered()

    def _is_served(self, request: Any, context_id: int) -> bool:
        """Whether pynetdicom answers a C-STORE-RQ: not where something lacks, nor of another class."""
        abstract_syntax = self._accepted_cx[context_id].abstract_syntax
        return bool(request.is_valid_request) and request.AffectedSOPClassUID == abstract_syntax

    def forget(self, frames: Frames) -> None:
        """Let the intake know of an object that was not complete when the association ended."""
        if frames.unfinished is not None:
            command, context_id = frames.unfinished
            if command.field == CommandField.C_STORE_RQ:
                context = self._accepted_cx[context_id]
                syntax = str(context.transfer_syntax[0])
                taker = receive(self._intake, self._caller, command, str(context.abstract_syntax), syntax)
                Reception(command, context_id, taker, self._limits.max_dataset_bytes).abort()

    def _store(self, event: Any) -> Dataset:
        try:
            answer = self._stored(event.request, event.context)
        except Exception as error:
            _LOG.error("dimse.intake_fault", step="store", error=type(error).__name__)
            answer = FAULT
        status = Dataset()
        status.Status = int(answer.status)
        if answer.comment and answer.status != StoreStatus.SUCCESS:
            status.ErrorComment = answer.comment
        return status

    def _refusal(self, request: Any, context: Any) -> Any:
        """Return the answer to a C-STORE-RQ that lacks something, or is of another class than its context."""
        answer = self._stored(
            request, (context.context_id, context.abstract_syntax, context.transfer_syntax[0])
        )
        rsp: Any = C_STORE()
        rsp.MessageIDBeingRespondedTo = request.MessageID
        rsp.Status = int(answer.status)
        if answer.comment and answer.status != StoreStatus.SUCCESS:
            rsp.ErrorComment = answer.comment
        return rsp

    def _stored(self, request: Any, context: tuple[int, Any, Any]) -> StoreAnswer:
        content = request.DataSet.getbuffer() if request.DataSet is not None else memoryview(b"")
        command = Command(
            field=CommandField.C_STORE_RQ,
            message_id=request.MessageID,
            responded_to=None,
            status=None,
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            has_dataset=bool(content),
        )
        context_id, abstract_syntax, transfer_syntax = context
        taker = receive(self._intake, self._caller, command, str(abstract_syntax), str(transfer_syntax))
        reception = Reception(command, context_id, taker, self._limits.max_dataset_bytes)
        reception.feed(content)
        wire = self._socket.wire
        wire.answer_by(self._limits.answer_s, lambda: self._late_frames(reception))
        answer = reception.finish()
        if not wire.may_answer():  # pynetdicom would answer again
            self._socket.give_up(Cut("answer-overdue"))
        return answer

    def _late_frames(self, reception: Reception) -> bytes | None:
        """Return the answer to an object that is given up because it takes too long; from another thread."""
        answer = reception.give_up()
        if answer is None:
            return None
        rsp = response(reception.request, answer)
        return command_frames(reception.context_id, rsp, self._peer_max_pdu)

    def _talk(self, event: Any) -> tuple[int, None]:
        """Answer an N-ACTION or N-EVENT-REPORT of storage commitment."""
        request, (context_id, _, transfer_syntax) = event.request, event.context
        is_report = isinstance(request, N_EVENT_REPORT)
        sop_class = request.AffectedSOPClassUID if is_report else request.RequestedSOPClassUID
        instance = request.AffectedSOPInstanceUID if is_report else request.RequestedSOPInstanceUID
        content = request.EventInformation if is_report else request.ActionInformation
        command = Command(
            field=CommandField.N_EVENT_REPORT_RQ if is_report else CommandField.N_ACTION_RQ,
            message_id=request.MessageID,
            responded_to=None,
            status=None,
            sop_class_uid=str(sop_class or ""),
            sop_instance_uid=str(instance or ""),
            has_dataset=content is not None,
            type_id=request.EventTypeID if is_report else request.ActionTypeID,
        )
        taker = Conversation(self._intake, self._caller, command, str(transfer_syntax))
        reception = Reception(command, context_id, taker, self._limits.max_dataset_bytes)
        if content is not None:
            reception.feed(content.getbuffer())
        answer = reception.finish()
        if taker.report is not None:
            self._to_report = taker.report, context_id
        return int(answer.status), None


def _request_of(proposal: Proposal) -> bytes:
    """Return the A-ASSOCIATE-RQ anew, from what was read: pynetdicom gets nothing that is not understood."""
    application = ApplicationContextItem()
    application.application_context_name = APPLICATION_CONTEXT
    roles = []
    for uid, role in proposal.roles.items():
        item = SCP_SCU_RoleSelectionSubItem()
        item.sop_class_uid, item.scu_role, item.scp_role = uid, int(role.scu), int(role.scp)
        roles.append(item)
    request = A_ASSOCIATE_RQ()
    request.protocol_version = 1
    request.called_ae_title = str(proposal.called)
    request.calling_ae_title = str(proposal.calling)
    request.variable_items = [
        application,
        *map(_proposed, proposal.contexts),
        user_information(proposal.max_pdu_bytes, tuple(roles)),
    ]
    encoded: bytes = request.encode()
    return encoded


def _proposed(context: ProposedContext) -> PresentationContextItemRQ:
    abstract = AbstractSyntaxSubItem()
    abstract.abstract_syntax_name = context.abstract_syntax
    item = PresentationContextItemRQ()
    item.presentation_context_id = context.context_id
    item.abstract_transfer_syntax_sub_items = [abstract]
    for uid in context.transfer_syntaxes:
        transfer = TransferSyntaxSubItem()
        transfer._skip_validation = True
        transfer.transfer_syntax_name = uid
        item.abstract_transfer_syntax_sub_items.append(transfer)
    return item


def _unrecognized(request: Any) -> Any:
    """Return the answer to a service that we have not (PS3.7 C.4.1.3)."""
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.Status = int(StoreStatus.UNRECOGNIZED_OPERATION)
    return response


def _report_request(report: CommitmentReport, transfer_syntax: str) -> Any:
    request = N_EVENT_REPORT()
    request.MessageID = 1
    request.AffectedSOPClassUID = PUSH_MODEL
    request.AffectedSOPInstanceUID = PUSH_MODEL_INSTANCE
    request.EventTypeID = report.event_type
    request.EventInformation = BytesIO(encode_report(report, transfer_syntax))
    return request


def _contexts(proposal: Proposal, caller: Caller, intake: Intake) -> list[Any]:
    """Return the supported contexts for an association; each class with its proposed syntaxes."""
    proposed: dict[str, dict[str, None]] = {}
    for context in proposal.contexts:
        proposed.setdefault(context.abstract_syntax, {}).update(dict.fromkeys(context.transfer_syntaxes))
    return [
        # Without one that we support, one that is not proposed: the result is then "transfer
        # syntaxes not supported".
        _as_scp(uid, [one for one in syntaxes if _takes(uid, one)] or [IMPLICIT_LITTLE])
        for uid, syntaxes in proposed.items()
        if uid == VERIFICATION or intake.supports(caller, uid)
    ]


def _takes(abstract_syntax: str, transfer_syntax: str) -> bool:
    if abstract_syntax == PUSH_MODEL:
        return transfer_syntax in SYNTAXES
    return is_supported(transfer_syntax)


def _as_scp(abstract_syntax: str, transfer_syntaxes: list[str]) -> Any:
    """Return a supported context in which we are the SCP, known to pynetdicom as storage."""
    with _register:
        if uid_to_service_class(abstract_syntax) is ServiceClass:
            keyword = "Storage_" + abstract_syntax.replace(".", "_")
            register_uid(abstract_syntax, keyword, StorageServiceClass)
    context = build_context(abstract_syntax, transfer_syntaxes)
    context.scu_role = True  # what the requestor may be
    context.scp_role = abstract_syntax == PUSH_MODEL
    return context
