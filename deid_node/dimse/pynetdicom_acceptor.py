"""The second acceptor: a plain pynetdicom AE, for comparison and as a way out.

It holds each object in memory, polls, and has none of the deadlines of the first one; a site behind
a firewall that meets a peer with which the first one cannot talk may choose it. What is decided about
contexts and objects is decided by the same functions.
"""

from __future__ import annotations

import secrets
import ssl
import sys
import threading
from time import monotonic, sleep
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class

from deid_node.dimse.association import AssociationRejection, Caller, Intake, StoreAnswer
from deid_node.dimse.certificate import read_certificate
from deid_node.dimse.command import Command, CommandField
from deid_node.dimse.commitment import PUSH_MODEL
from deid_node.dimse.implementation import silence_libraries
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.listening import cannot_listen, plain_address
from deid_node.dimse.negotiation import VERIFICATION
from deid_node.dimse.proposal import ProposalRejected, acceptable_ae_title
from deid_node.dimse.reception import FAULT, Reception, receive
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.syntaxes import IMPLICIT_LITTLE, is_supported
from deid_node.dimse.wire import prompt
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_LOG: Final = structlog.get_logger(__name__)
_POLL_S: Final = 0.02
_register: Final = threading.Lock()


class PynetdicomAcceptor:
    """An acceptor whose every byte is handled by pynetdicom."""

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
        self._callers: WeakKeyDictionary[Any, Caller] = WeakKeyDictionary()
        self._server: Any = None
        self._ae = AE()
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._ae.maximum_pdu_size = self._limits.max_pdu_bytes
        self._ae.maximum_associations = self._limits.associations
        self._ae.acse_timeout = self._limits.request_s
        self._ae.network_timeout = self._limits.idle_s
        self._ae.dimse_timeout = self._limits.idle_s

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
        _config.LOG_HANDLER_LEVEL = "none"  # its handlers write datasets to the log
        _config.STORE_RECV_CHUNKED_DATASET = False  # it writes identified bytes to the disk
        try:
            self._server = self._ae.start_server(
                self._address,
                block=False,
                ssl_context=self._tls,
                contexts=[build_context(VERIFICATION, IMPLICIT_LITTLE)],
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._opened),
                    (evt.EVT_REQUESTED, self._requested),
                    (evt.EVT_DIMSE_RECV, self._message),
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_RELEASED, self._ended, ["released"]),
                    (evt.EVT_ABORTED, self._ended, ["aborted"]),
                ],
            )
        except (OSError, OverflowError) as error:
            raise cannot_listen(*self._address, error) from None
        self._server.handle_error = _tell_error  # the one of socketserver prints a traceback
        self._address = (self._address[0], self._server.socket.getsockname()[1])

    def stop(self, grace_s: float) -> None:
        """Take no new association, let running ones finish for `grace_s`, abort the rest, return."""
        if self._server is None:
            return
        self._server.shutdown()
        end = monotonic() + grace_s
        while self._server.active_associations and monotonic() < end:
            sleep(_POLL_S)
        self._ae.shutdown()
        self._server = None

    # --- events of pynetdicom -------------------------------------------------------------------

    def _opened(self, event: Any) -> None:
        prompt(event.assoc.dul.socket.socket)

    def _requested(self, event: Any) -> None:
        """Let the association in and say which contexts it can have, or reject it."""
        try:
            caller = self._caller(event.assoc)
            rejection = self._intake.admit(caller)
            if rejection is None:
                self._callers[event.assoc] = caller
                event.assoc.acceptor.supported_contexts = self._contexts(event.assoc, caller)
                _LOG.info("dimse.association_accepted", association=caller.association)
                return
        except ProposalRejected as answer:
            rejection = answer.rejection
        except Exception as error:
            _LOG.error("dimse.intake_fault", step="admit", error=type(error).__name__)
            rejection = AssociationRejection.TEMPORARY_CONGESTION
        _LOG.info("dimse.association_rejected", reason=rejection.word)
        event.assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        event.assoc.kill()

    def _message(self, event: Any) -> None:
        """Abort on a C-STORE-RQ that pynetdicom would not answer at all."""
        message = event.message
        if type(message).__name__ != "C_STORE_RQ":
            return
        command = message.command_set
        complete = all(
            command.get(keyword) not in (None, "")
            for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID", "MessageID", "Priority")
        )
        if not complete or not message.data_set.getbuffer().nbytes:
            _LOG.info("dimse.association_aborted", by="node", reason="command-not-answerable")
            event.assoc.abort()

    def _store(self, event: Any) -> Dataset:
        try:
            answer = self._answer(event)
        except Exception as error:
            _LOG.error("dimse.intake_fault", step="store", error=type(error).__name__)
            answer = FAULT
        status = Dataset()
        status.Status = int(answer.status)
        if answer.comment and answer.status != StoreStatus.SUCCESS:
            status.ErrorComment = answer.comment
        return status

    def _ended(self, event: Any, word: str) -> None:
        caller = self._callers.pop(event.assoc, None)
        _LOG.info(f"dimse.association_{word}", association=caller.association if caller else None)

    # --- steps ----------------------------------------------------------------------------------

    def _answer(self, event: Any) -> StoreAnswer:
        request = event.request
        content = request.DataSet.getbuffer()
        command = Command(
            field=CommandField.C_STORE_RQ,
            message_id=request.MessageID,
            responded_to=None,
            status=None,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            has_dataset=bool(content),
        )
        context_id, abstract_syntax, transfer_syntax = event.context
        taker = receive(
            self._intake, self._callers[event.assoc], command, str(abstract_syntax), str(transfer_syntax)
        )
        reception = Reception(command, context_id, taker, self._limits.max_dataset_bytes)
        reception.feed(content)
        return reception.finish()

    def _caller(self, assoc: Any) -> Caller:
        primitive = assoc.requestor.primitive
        sock = assoc.dul.socket.socket
        der = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        return Caller(
            calling=acceptable_ae_title(
                primitive.calling_ae_title.encode(), AssociationRejection.CALLING_AE_NOT_RECOGNIZED
            ),
            called=acceptable_ae_title(
                primitive.called_ae_title.encode(), AssociationRejection.CALLED_AE_NOT_RECOGNIZED
            ),
            address=plain_address(assoc.requestor.address),
            port=assoc.requestor.port,
            association=secrets.token_hex(4),
            certificate=read_certificate(der) if der else None,
        )

    def _contexts(self, assoc: Any, caller: Caller) -> list[Any]:
        """Return the supported contexts for this association; each class with its proposed syntaxes."""
        proposed: dict[str, dict[str, None]] = {}
        for context in assoc.requestor.primitive.presentation_context_definition_list:
            syntaxes = proposed.setdefault(str(context.abstract_syntax), {})
            syntaxes.update(dict.fromkeys(filter(is_supported, map(str, context.transfer_syntax))))
        return [
            # Without one that we support, one that is not proposed: the result is then "transfer
            # syntaxes not supported".
            _as_scp(abstract_syntax, list(syntaxes) or [IMPLICIT_LITTLE])
            for abstract_syntax, syntaxes in proposed.items()
            if abstract_syntax == VERIFICATION
            or (abstract_syntax != PUSH_MODEL and self._intake.supports(caller, abstract_syntax))
        ]


def _tell_error(_request: object, _address: object) -> None:
    """Stand for `socketserver`'s own, which prints a traceback with the text of the exception."""
    error = sys.exc_info()[0]
    _LOG.error("dimse.intake_fault", step="connection", error="" if error is None else error.__name__)


def _as_scp(abstract_syntax: str, transfer_syntaxes: list[str]) -> Any:
    """Return a supported context in which we are the SCP, known to pynetdicom as storage."""
    with _register:
        if uid_to_service_class(abstract_syntax) is ServiceClass:
            keyword = "Storage_" + abstract_syntax.replace(".", "_")
            register_uid(abstract_syntax, keyword, StorageServiceClass)
    context = build_context(abstract_syntax, transfer_syntaxes)
    context.scu_role = True  # what the requestor may be
    context.scp_role = False
    return context
