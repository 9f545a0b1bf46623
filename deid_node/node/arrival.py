"""One object on its way from the network, and what its sender hears.

It is answered with Success when it is durable, and with a status and a fixed comment otherwise.
"""

from __future__ import annotations

import logging
import math
import time
from datetime import datetime
from typing import Final, Protocol

import structlog

from deid_node.dimse.association import Caller, StoreAnswer, StoreRequest
from deid_node.dimse.memory import Share
from deid_node.dimse.status import StoreStatus
from deid_node.errors import Excluded, ObjectRefused, SpoolError
from deid_node.log import describe, is_told
from deid_node.node.answers import CODES, NO_RESOURCES, OUR_FAULT, SUCCESS, TOO_LATE, answer_for
from deid_node.node.conversion import Conversion, Way
from deid_node.node.deposits import Depositor, tell_sealed
from deid_node.node.refusals import origin_of, record, refusal_of
from deid_node.node.through import NotForwarded
from deid_node.spool.deadline import Deadline
from deid_node.spool.entry import Refusal
from deid_node.spool.sealed import Deposit
from deid_node.spool.sealed_rows import Cause, Why

_LOG: Final = structlog.get_logger(__name__)


class Sealed(Protocol):
    """A quarantine that takes the original while it arrives, sealed (see `quarantine`)."""

    def feed(self, piece: memoryview) -> None:
        """Seal and write the next bytes. Raises OSError."""

    def keep(self, refusal: ObjectRefused) -> None:
        """Make the sealed original durable. Raises OSError."""

    def discard(self) -> None:
        """Remove it, also after `keep`."""


class Sealer(Protocol):
    """Starts sealed originals."""

    def begin(self, caller: Caller, request: StoreRequest, route: str) -> Sealed:
        """Start one."""
        ...


class Promise:
    """What every way of an object from the network has: a sender who is told in time, and a record."""

    def __init__(self, way: Way, answer_s: float) -> None:
        self._way = way
        self._answer_s = answer_s
        self._deadline: Deadline | None = None

    @property
    def _log(self) -> dict[str, str]:
        return {"association": self._way.caller.association, "route": self._way.route.name}

    def give_up(self) -> StoreAnswer | None:
        """Keep nothing of the object; None when it is durable already, or is kept by its destination."""
        deadline = self._deadline
        if deadline is None or self._answer_s == math.inf or not deadline.give_up():
            return None
        _LOG.warning("node.object_too_late", **self._log, limit_s=self._answer_s)
        return TOO_LATE

    def refuse(self, answer: StoreAnswer) -> None:
        """Forget the object and write down why: the acceptor found more than it may hold, or a fault."""
        self._drop()
        self._record_refusal(ObjectRefused(answer.comment, code=CODES.get(answer.status, "fault")), answer)

    def abort(self) -> None:
        """Forget the object: the sender heard nothing and keeps it."""
        self._drop()
        self._count("interrupted", "the association ended before the object did")
        _LOG.info("node.object_aborted", **self._log)

    def _drop(self) -> None:
        """Let go of what is kept of the object so far; also twice."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> StoreAnswer:
        """Write down an object that could not be kept through no fault of its own; return the answer."""
        if isinstance(error, SpoolError | OSError | MemoryError):
            self._tell("node.object_not_kept", error)
            self._count("not-kept", "out of memory, disk or descriptors; the sender was asked to wait")
            return NO_RESOURCES
        self._tell("node.fault", error)
        self._count("fault-of-node", "an error of the program")
        return OUR_FAULT

    def _record_refusal(self, refusal: ObjectRefused, answer: StoreAnswer, kept: str = "") -> None:
        """Write down an object that is not taken; `kept` says where it is all the same."""
        way = self._way
        row = refusal_of(way.route, way.caller, way.request, refusal.code, refusal.reason, path=refusal.path)
        record(way.spool, row)
        event = "excluded" if isinstance(refusal, Excluded) else "refused"
        way.records.tell(
            f"object-{kept or event}",
            way.caller,
            route=way.route.name,
            code=refusal.code,
            path=refusal.path,
            status=answer.status.code,
            sop_class_uid=row.sop_class_uid,
            digest=row.digest[:8].hex(),
        )
        _LOG.info(
            f"node.object_{event}",
            **self._log,
            code=refusal.code,
            reason=refusal.reason,
            path=refusal.path,
            status=answer.status.code,
            quarantined=bool(kept),
        )

    def _count(self, code: str, reason: str) -> None:
        """Count an object that its sender still has; which one is not kept, so that the rows stay few."""
        way = self._way
        row = Refusal(
            way.route.name,
            code,
            reason,
            sop_class_uid=way.request.sop_class_uid,
            origin=origin_of(way.caller),
        )
        record(way.spool, row, may_be_lost=True)

    def _tell(self, event: str, error: Exception) -> None:
        _LOG.error(event, **self._log, **describe(error))


class Arrival(Promise):
    """An object that is de-identified while it arrives."""

    def __init__(
        self,
        way: Way,
        memory: Share,
        quarantine: Sealer | None,
        depositor: Depositor | None,
        answer_s: float,
    ) -> None:
        """Begin.

        Args:
            quarantine: where the original goes if it is refused; None forgets it.
            depositor: where it goes if the profile holds it; None takes it for refused.
            answer_s: after which nothing is kept.
        """
        super().__init__(way, answer_s)
        self._started = time.monotonic()
        self._answer: StoreAnswer | None = None
        self._refused: ObjectRefused | None = None
        self._conversion: Conversion | None = None
        self._sealed: Sealed | None = None
        self._depositor = depositor
        self._deposit: Deposit | None = None
        try:
            if depositor is not None:
                self._deposit = depositor.begin(way)
            if quarantine is not None:
                self._sealed = quarantine.begin(way.caller, way.request, way.route.name)
            self._conversion = Conversion(way, memory, datetime.now())
        except Exception as error:
            self._stop(error)

    def feed(self, piece: memoryview) -> None:
        """De-identify the next bytes and write what comes out of them."""
        try:
            if self._sealed is not None:
                self._sealed.feed(piece)
            if self._deposit is not None:
                self._deposit.feed(piece)
            if self._answer is None:
                assert self._conversion is not None
                self._conversion.feed(piece)
        except Exception as error:
            self._stop(error)

    def finish(self) -> StoreAnswer:
        """Make the object durable and say so, or say why not."""
        self._deadline = Deadline(self._answer_s)
        if self._answer is None:
            try:
                if self._depositor is not None and self._depositor.must_wait(self._way):
                    return self._keep(self._deadline)
                return self._commit(self._deadline)
            except Exception as error:
                self._stop(error)
        assert self._answer is not None
        refused, kept = self._refused, False
        if self._deposit is not None and refused is not None and refused.code == Cause.HELD:
            try:
                why = Why(refused.code, refused.reason, refused.path)
                return self._keep(self._deadline, why)
            except Exception as error:
                self._stop(error)
            assert self._answer is not None
        elif refused is not None:
            if self._sealed is not None and not isinstance(refused, Excluded):
                self._answer = self._quarantine(self._sealed, refused, self._deadline)
                kept = self._answer is SUCCESS
            self._record_refusal(refused, self._answer, "quarantined" if kept else "")
        self._drop()
        return self._answer

    def _commit(self, deadline: Deadline) -> StoreAnswer:
        assert self._conversion is not None
        commit, summary = self._conversion.commit(deadline=deadline)
        self._drop()
        if is_told(logging.DEBUG):
            _LOG.debug(
                "node.object_stored",
                **self._log,
                kind=commit.kind,
                item=commit.item,
                sop_class=summary.heading.sop_class_uid,
                warnings=len(summary.warnings),
                repairs=list(summary.repairs),
                duration_s=round(time.monotonic() - self._started, 4),
            )
        return SUCCESS

    def _keep(self, deadline: Deadline, why: Why | None = None) -> StoreAnswer:
        """Keep the original, sealed. Raises SpoolError."""
        assert self._deposit is not None
        number = self._deposit.commit(deadline=deadline, why=why)
        tell_sealed(self._way, number, why)
        self._drop()
        return SUCCESS

    def _stop(self, error: Exception) -> None:
        """Settle what is answered. The first error counts; a sealed original still takes the rest."""
        if self._answer is None:
            if isinstance(error, ObjectRefused):
                self._refused = error
                self._answer = answer_for(error)
            elif isinstance(error, NotForwarded):
                self._answer = error.answer
                self._tell_not_forwarded(error)
                if error.answer.status == StoreStatus.OUT_OF_RESOURCES:
                    self._count("not-forwarded", "not taken by the destination; the sender was asked to wait")
            else:
                self._answer = self._failed(error)
        elif self._refused is not None:  # it could not be kept as it came
            self._refused, self._answer = None, NO_RESOURCES
            self._tell("node.object_not_kept", error)
            self._count("not-kept", "the original cannot be kept; the sender was asked to wait")
        if self._refused is None:
            self._drop()
            return
        if self._conversion is not None:
            self._conversion.discard()
        if self._deposit is not None and self._refused.code != Cause.HELD:
            self._deposit.discard()
            self._deposit = None

    def _quarantine(self, sealed: Sealed, refusal: ObjectRefused, deadline: Deadline) -> StoreAnswer:
        try:
            sealed.keep(refusal)
        except OSError as error:
            self._tell("node.object_not_kept", error)
            return NO_RESOURCES
        if not deadline.keep():
            return TOO_LATE
        self._sealed = None
        return SUCCESS

    def _tell_not_forwarded(self, error: NotForwarded) -> None:
        _LOG.warning(
            "node.object_not_forwarded", **self._log, status=error.answer.status.code, reason=error.why
        )

    def _drop(self) -> None:
        conversion, self._conversion = self._conversion, None
        sealed, self._sealed = self._sealed, None
        deposit, self._deposit = self._deposit, None
        if deposit is not None:
            deposit.discard()
        if conversion is not None:
            conversion.discard()
        if sealed is not None:
            sealed.discard()
