"""One message under way: the request, who takes its dataset, and the answer at the end.

Guards the intake's promise: `finish` or `abort` is called, once, and an exception of the intake is
answered with 0110 instead of ending the association.
"""

from __future__ import annotations

import re
from typing import Final

import structlog

from deid_node.dimse.association import Caller, Intake, ObjectIntake, StoreAnswer, StoreRequest
from deid_node.dimse.command import Command, CommandField
from deid_node.dimse.commitment import (
    ACTION_REQUEST,
    EVENT_FAILURES,
    EVENT_SUCCESS,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
)
from deid_node.dimse.commitment_dataset import MAX_BYTES, CommitmentError, decode_report, decode_request
from deid_node.dimse.pdu import AbortReason, ProtocolViolation
from deid_node.dimse.status import StoreStatus
from deid_node.standard.values import MAX_UID

_LOG: Final = structlog.get_logger(__name__)

# Components with leading zeros are sent by real devices; what cannot stand in a UID at all is not.
_UID_CHARACTERS: Final = re.compile(r"[0-9.]+")

_ECHOED: Final = StoreAnswer(StoreStatus.SUCCESS)
FAULT: Final = StoreAnswer(StoreStatus.PROCESSING_FAILURE, "Internal fault, see the log of the node")
_TOO_LONG: Final = StoreAnswer(StoreStatus.LIMIT_EXCEEDED, "Dataset exceeds the size limit")
_NO_DATASET: Final = StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, "C-STORE without a dataset")
_MISMATCH: Final = StoreAnswer(
    StoreStatus.DATASET_MISMATCH, "SOP class differs from the presentation context"
)
_INVALID_UID: Final = StoreAnswer(StoreStatus.INVALID_INSTANCE, "SOP Instance UID is missing or not a UID")
_UNRECOGNIZED: Final = StoreAnswer(StoreStatus.UNRECOGNIZED_OPERATION, "Only C-STORE and C-ECHO")


class Swallowed:
    """An object that is read to its end and not kept; the answer is known beforehand."""

    def __init__(self, answer: StoreAnswer) -> None:
        self._answer = answer

    def feed(self, piece: memoryview) -> None:
        """Ignore the bytes."""

    def finish(self) -> StoreAnswer:
        """Return the answer."""
        return self._answer

    def give_up(self) -> StoreAnswer | None:
        """Nothing takes time here."""
        return None

    def refuse(self, answer: StoreAnswer) -> None:
        """There is nothing to forget, and it is noted already."""

    def abort(self) -> None:
        """There is nothing to forget."""


class Reception:
    """The dataset of one request, while it arrives."""

    def __init__(self, request: Command, context_id: int, intake: ObjectIntake, max_bytes: int) -> None:
        self.request = request
        self.context_id = context_id
        self._intake = intake
        self._finishing = intake
        self._max_bytes = max_bytes
        self._bytes = 0

    def feed(self, piece: memoryview) -> None:
        """Hand on the next bytes of the dataset.

        A dataset over the limit is forgotten, but read on for as much again, so that a sender
        that is not hostile gets a status and not an abort, which it would take for a reason to retry.
        """
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            if self._bytes > 2 * self._max_bytes:
                raise ProtocolViolation("dataset-too-long", AbortReason.USER)
            self._refuse(_TOO_LONG)
        try:
            self._intake.feed(piece)
        except Exception as error:
            _report("feed", error)
            self._refuse(FAULT)

    def finish(self) -> StoreAnswer:
        """Return the answer for the complete dataset."""
        intake, self._intake = self._intake, Swallowed(FAULT)
        self._finishing = intake
        try:
            return intake.finish()
        except Exception as error:
            _report("finish", error)
            return FAULT

    def give_up(self) -> StoreAnswer | None:
        """Return what is answered in the place of `finish`, which still runs in another thread."""
        try:
            return self._finishing.give_up()
        except Exception as error:
            _report("give-up", error)
            return None

    def abort(self) -> None:
        """Forget the object, unless it was finished."""
        intake, self._intake = self._intake, Swallowed(FAULT)
        try:
            intake.abort()
        except Exception as error:
            _report("abort", error)

    def _refuse(self, answer: StoreAnswer) -> None:
        """Let the intake forget the object, and swallow the rest of it; the first answer counts."""
        if isinstance(self._intake, Swallowed):
            return
        intake, self._intake = self._intake, Swallowed(answer)
        try:
            intake.refuse(answer)
        except Exception as error:
            _report("refuse", error)


def receive(
    intake: Intake, caller: Caller, request: Command, abstract_syntax: str, transfer_syntax: str
) -> ObjectIntake:
    """Return who takes the dataset of a C-STORE-RQ: the intake, or a refusal (PS3.7 9.1.1, PS3.4 B.2.3)."""
    refusal = _refusal(request, abstract_syntax)
    asked = StoreRequest(
        sop_class_uid=request.sop_class_uid,
        sop_instance_uid=request.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax,
        message_id=request.message_id or 0,
    )
    if refusal is not None:
        _LOG.info(
            "dimse.store_refused",
            association=caller.association,
            status=refusal.status.code,
            reason=refusal.comment,
        )
        try:
            intake.refused(caller, asked, refusal)
        except Exception as error:
            _report("refused", error)
        return Swallowed(refusal)
    try:
        return intake.begin(caller, asked)
    except Exception as error:
        _report("begin", error)
        return Swallowed(FAULT)


def echoed() -> ObjectIntake:
    """Return who answers a C-ECHO-RQ."""
    return Swallowed(_ECHOED)


def unrecognized() -> ObjectIntake:
    """Return who takes the dataset of a request that is neither C-STORE nor C-ECHO (PS3.7 C.4.1.3)."""
    return Swallowed(_UNRECOGNIZED)


class Conversation:
    """An N-ACTION or N-EVENT-REPORT of storage commitment, whose dataset is gathered and answered whole.

    `report` is what is to be told right after the answer, on the same association.
    """

    def __init__(self, intake: Intake, caller: Caller, request: Command, transfer_syntax: str) -> None:
        self.report: CommitmentReport | None = None
        self._intake = intake
        self._caller = caller
        self._request = request
        self._transfer_syntax = transfer_syntax
        self._content = bytearray()

    def feed(self, piece: memoryview) -> None:
        """Take the next bytes; what is too long is not kept."""
        if len(self._content) <= MAX_BYTES:
            self._content += piece

    def finish(self) -> StoreAnswer:
        """Understand the dataset and return the answer."""
        request = self._request
        is_report = request.field == CommandField.N_EVENT_REPORT_RQ
        if request.sop_class_uid != PUSH_MODEL or request.sop_instance_uid != PUSH_MODEL_INSTANCE:
            return StoreAnswer(StoreStatus.NO_SUCH_INSTANCE)
        if not is_report and request.type_id != ACTION_REQUEST:
            return StoreAnswer(StoreStatus.NO_SUCH_ACTION)
        if is_report and request.type_id not in (EVENT_SUCCESS, EVENT_FAILURES):
            return StoreAnswer(StoreStatus.NO_SUCH_EVENT)
        if len(self._content) > MAX_BYTES:
            return StoreAnswer(StoreStatus.RESOURCE_LIMITATION)
        try:
            content = bytes(self._content)
            if is_report:
                report = decode_report(content, self._transfer_syntax)
                status = self._intake.commitment_reported(self._caller, report)
            else:
                asked = decode_request(content, self._transfer_syntax)
                answer = self._intake.commitment_asked(self._caller, asked)
                status, self.report = answer.status, answer.report
        except CommitmentError:
            status = StoreStatus.INVALID_ARGUMENT
        return StoreAnswer(status)

    def give_up(self) -> StoreAnswer | None:
        """Nothing is promised here that could be too late."""
        return None

    def refuse(self, answer: StoreAnswer) -> None:
        """What is answered is not understood."""

    def abort(self) -> None:
        """There is nothing to forget."""


def _refusal(request: Command, abstract_syntax: str) -> StoreAnswer | None:
    if request.sop_class_uid != abstract_syntax:
        return _MISMATCH
    uid = request.sop_instance_uid
    if len(uid) > MAX_UID or _UID_CHARACTERS.fullmatch(uid) is None:
        return _INVALID_UID
    if not request.has_dataset:
        return _NO_DATASET
    return None


def _report(step: str, error: Exception) -> None:
    # The class alone: the text of a foreign exception can hold a value.
    _LOG.error("dimse.intake_fault", step=step, error=type(error).__name__)
