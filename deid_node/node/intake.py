"""What the network may do with the node: who is let in, and the way of one object into the spool.

Implements the protocols of `dimse.association`. An object goes one way: engine, draft, commit; it is
answered with Success when it is durable, and with a status and a fixed comment otherwise.
"""

from __future__ import annotations

import logging
import math
import time
from datetime import date
from typing import Final, Protocol

import structlog

from deid_node.dimse.association import (
    AssociationRejection,
    Caller,
    CommitmentAnswer,
    ObjectIntake,
    StoreAnswer,
    StoreRequest,
)
from deid_node.dimse.commitment import PUSH_MODEL, CommitmentReport, CommitmentRequest
from deid_node.dimse.reception import Swallowed
from deid_node.dimse.status import StoreStatus
from deid_node.engine.rewrite import Rewrite
from deid_node.errors import (
    Excluded,
    Fault,
    LimitExceeded,
    Malformed,
    Mismatch,
    ObjectRefused,
    Rejected,
    SOPClassNotSupported,
    SpoolError,
)
from deid_node.log import describe, is_told
from deid_node.node.commitment import Commitment
from deid_node.node.memory import MemoryBudget, Share, default_budget
from deid_node.node.peers import Peers
from deid_node.node.records import Records
from deid_node.node.routes import Route, Routes
from deid_node.node.through import NotForwarded, Passage
from deid_node.settings import OnReject
from deid_node.spool.deadline import Deadline
from deid_node.spool.draft import Draft
from deid_node.spool.entry import Origin, Refusal
from deid_node.spool.spool import Spool
from deid_node.standard.values import is_uid

_LOG: Final = structlog.get_logger(__name__)

_INFLATES: Final = 8  # what a byte of a deflated header is counted for

_SUCCESS: Final = StoreAnswer(StoreStatus.SUCCESS)
_NOT_AUTHORIZED: Final = StoreAnswer(StoreStatus.NOT_AUTHORIZED, "This AE may not store on this route")
_NO_ROUTE: Final = StoreAnswer(StoreStatus.NO_ROUTE, "No route for this called AE title")
_NO_RESOURCES: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The object cannot be kept now; send it again"
)
_TOO_LATE: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The object could not be kept in time; send it again"
)
_OUR_FAULT: Final = StoreAnswer(StoreStatus.PROCESSING_FAILURE, "Internal error; nothing was kept")

# The most special first. Comments are fixed: a rule's reason or an attribute path is in the ledger.
_ANSWERS: Final[tuple[tuple[type[ObjectRefused], StoreAnswer], ...]] = (
    (Excluded, _SUCCESS),
    (
        SOPClassNotSupported,
        StoreAnswer(StoreStatus.SOP_CLASS_NOT_SUPPORTED, "The profile has no table for this SOP class"),
    ),
    (Rejected, StoreAnswer(StoreStatus.REJECTED, "Rejected by a rule of the profile")),
    (Mismatch, StoreAnswer(StoreStatus.DATASET_MISMATCH, "Dataset and request name different objects")),
    (Malformed, StoreAnswer(StoreStatus.MALFORMED, "Not a dataset in the negotiated transfer syntax")),
    (LimitExceeded, StoreAnswer(StoreStatus.LIMIT_EXCEEDED, "More depth, elements or bytes than allowed")),
    (Fault, StoreAnswer(StoreStatus.NOT_DECIDED, "A rule of the profile could not be applied")),
)


_NO_IDENTITY: Final = StoreAnswer(
    StoreStatus.DATASET_MISMATCH, "The dataset has no SOP class or no SOP instance"
)
_HELD: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "Held: a lookup table lacks a row; send it again later"
)
# Of what the acceptor answers by itself.
_CODES: Final = {
    StoreStatus.DATASET_MISMATCH: Mismatch.code,
    StoreStatus.INVALID_INSTANCE: "no-sop-instance",
    StoreStatus.CANNOT_UNDERSTAND: "no-dataset",
    StoreStatus.LIMIT_EXCEEDED: LimitExceeded.code,
    StoreStatus.PROCESSING_FAILURE: "fault-of-node",
}
_BY_CODE: Final = {"no-sop-class": _NO_IDENTITY, "no-sop-instance": _NO_IDENTITY, "held": _HELD}


def answer_for(refusal: ObjectRefused) -> StoreAnswer:
    """Return the answer to an object that is refused."""
    if refusal.code in _BY_CODE:
        return _BY_CODE[refusal.code]
    for kind, answer in _ANSWERS:
        if isinstance(refusal, kind):
            return answer
    return StoreAnswer(StoreStatus.CANNOT_UNDERSTAND)


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


class NodeIntake:
    """The intake of a running node. Called by acceptors, from many threads."""

    def __init__(
        self,
        *,
        peers: Peers,
        routes: Routes,
        spool: Spool,
        sealer: Sealer | None = None,
        memory: MemoryBudget | None = None,
        records: Records,
        commitment: Commitment | None = None,
        answer_s: float = math.inf,
    ) -> None:
        self._answer_s = answer_s
        self._gates = peers, routes
        self._commitment = commitment
        self._records = records
        self._spool = spool
        self._sealer = sealer
        self._memory = memory or MemoryBudget(default_budget())

    def replace_gates(self, peers: Peers, routes: Routes) -> None:
        """Decide by other peers and routes from now on; objects under way end as they began."""
        self._gates = peers, routes

    def may_connect(self, address: str) -> bool:
        """Let in addresses of listed peers and this machine."""
        return self._gates[0].may_connect(address)

    def admit(self, caller: Caller) -> AssociationRejection | None:
        """Let in listed peers and callers of this machine, to AE titles that a route has."""
        peers, routes = self._gates
        if not peers.names_of(caller):
            rejection = AssociationRejection.CALLING_AE_NOT_RECOGNIZED
        elif routes.called(caller.called) is None and not self._may_report(caller):
            rejection = AssociationRejection.CALLED_AE_NOT_RECOGNIZED
        elif self._spool.turns_away and not self._needs_no_room(caller):
            rejection = AssociationRejection.LOCAL_LIMIT_EXCEEDED
        else:
            self._records.tell("association-accepted", caller)
            return None
        self._records.tell("association-rejected", caller, reason=rejection.word)
        _LOG.warning(
            "node.peer_rejected",
            association=caller.association,
            calling=caller.calling,
            called=caller.called,
            address=caller.address,
            reason=rejection.word,
        )
        return rejection

    def supports(self, caller: Caller, abstract_syntax: str) -> bool:
        """Tell whether the route of the caller takes objects of a SOP class."""
        route = self._gates[1].called(caller.called)
        if abstract_syntax == PUSH_MODEL:
            return self._commitment is not None and self._commitment.is_taken(caller, route)
        return route is not None and route.takes(abstract_syntax)

    def refused(self, caller: Caller, request: StoreRequest, answer: StoreAnswer) -> None:
        """Write down an object that is refused for what its request says."""
        self._write_down(caller, request, answer, _CODES.get(answer.status, "refused"))

    def _write_down(self, caller: Caller, request: StoreRequest, answer: StoreAnswer, code: str) -> None:
        route = self._gates[1].called(caller.called)
        refusal = _refusal_of(route, caller, request, code, answer.comment)
        _record(self._spool, refusal)
        self._records.tell(
            "object-refused", caller, route=refusal.route, code=code, status=answer.status.code
        )

    def commitment_asked(self, caller: Caller, request: CommitmentRequest) -> CommitmentAnswer:
        """Answer a caller that asks for storage commitment, as its route says."""
        peers, routes = self._gates
        route = routes.called(caller.called)
        if self._commitment is None or route is None:
            return CommitmentAnswer(StoreStatus.SOP_CLASS_NOT_SUPPORTED)
        if not route.is_open_to(peers.names_of(caller)):
            return CommitmentAnswer(StoreStatus.NOT_AUTHORIZED)
        return self._commitment.asked(caller, route, request, peers.settings_of(caller))

    def commitment_reported(self, caller: Caller, report: CommitmentReport) -> StoreStatus:
        """Take the report of a destination."""
        if self._commitment is None:
            return StoreStatus.INVALID_ARGUMENT
        return self._commitment.reported(caller, report)

    def _may_report(self, caller: Caller) -> bool:
        return self._commitment is not None and self._commitment.may_report(caller)

    def _needs_no_room(self, caller: Caller) -> bool:
        """Whether a caller comes through to a destination, or with a report after which files may go."""
        route = self._gates[1].called(caller.called)
        return (route is not None and route.through is not None) or self._may_report(caller)

    def begin(self, caller: Caller, request: StoreRequest) -> ObjectIntake:
        """Start one object."""
        peers, routes = self._gates
        route = routes.called(caller.called)
        if route is None:
            self._write_down(caller, request, _NO_ROUTE, "no-route")
            return Swallowed(_NO_ROUTE)
        if not route.is_open_to(peers.names_of(caller)):
            self._write_down(caller, request, _NOT_AUTHORIZED, "not-authorized")
            return Swallowed(_NOT_AUTHORIZED)
        sealer = self._sealer if route.on_reject is OnReject.QUARANTINE else None
        return _Arrival(
            self._spool,
            route,
            caller,
            request,
            sealer,
            self._memory.share(),
            self._records,
            self._answer_s if route.through is None else math.inf,
        )


class _Arrival:
    """One object on its way from the network into the spool."""

    def __init__(
        self,
        spool: Spool,
        route: Route,
        caller: Caller,
        request: StoreRequest,
        sealer: Sealer | None,
        memory: Share,
        records: Records,
        answer_s: float,
    ) -> None:
        self._answer_s = answer_s
        self._deadline: Deadline | None = None
        self._spool = spool
        self._records = records
        self._route = route
        self._caller = caller
        self._request = request
        self._memory = memory
        self._started = time.monotonic()
        self._answer: StoreAnswer | None = None
        self._refused: ObjectRefused | None = None
        self._rewrite: Rewrite | None = None
        self._draft: Draft | Passage | None = None
        self._sealed: Sealed | None = None
        try:
            if sealer is not None:
                self._sealed = sealer.begin(caller, request, route.name)
            self._draft = spool.draft() if route.through is None else route.through.draft(spool)
            self._rewrite = route.deidentifier.begin(
                transfer_syntax_uid=request.transfer_syntax_uid,
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                origin={
                    "calling_ae": caller.calling,
                    "called_ae": caller.called,
                    "address": caller.address,
                },
                today=date.today(),
            )
        except Exception as error:
            self._stop(error)

    def feed(self, piece: memoryview) -> None:
        """De-identify the next bytes and write what comes out of them."""
        try:
            if self._sealed is not None:
                self._sealed.feed(piece)
            if self._answer is not None:
                return
            assert self._rewrite is not None
            assert self._draft is not None
            part = self._rewrite.feed(piece)
            if self._rewrite.heading is None:
                self._memory.hold(len(piece) * (_INFLATES if self._rewrite.is_deflated else 1))
            else:
                self._memory.release()
            if part is not None:
                assert self._rewrite.heading is not None
                self._draft.write(self._rewrite.heading, part)
        except Exception as error:
            self._stop(error)

    def finish(self) -> StoreAnswer:
        """Make the object durable and say so, or say why not."""
        self._deadline = Deadline(self._answer_s)
        if self._answer is None:
            try:
                return self._commit()
            except Exception as error:
                self._stop(error)
        assert self._answer is not None
        if self._sealed is not None and self._refused is not None and not isinstance(self._refused, Excluded):
            self._answer = self._quarantine(self._sealed, self._refused)
        if self._refused is not None:
            self._record_refusal(self._refused, self._answer)
        self._drop()
        return self._answer

    def give_up(self) -> StoreAnswer | None:
        """Keep nothing of the object; None when it is durable already, or is kept by its destination."""
        deadline = self._deadline
        if deadline is None or self._answer_s == math.inf or not deadline.give_up():
            return None
        _LOG.warning(
            "node.object_too_late",
            association=self._caller.association,
            route=self._route.name,
            limit_s=self._answer_s,
        )
        return _TOO_LATE

    def refuse(self, answer: StoreAnswer) -> None:
        """Forget the object and write down why: the acceptor found more than it may hold, or a fault."""
        self._drop()
        self._record_refusal(ObjectRefused(answer.comment, code=_CODES.get(answer.status, "fault")), answer)

    def abort(self) -> None:
        """Forget the object: the sender heard nothing and keeps it."""
        self._drop()
        self._count("interrupted", "the association ended before the object did")
        _LOG.info("node.object_aborted", association=self._caller.association, route=self._route.name)

    def _commit(self) -> StoreAnswer:
        assert self._rewrite is not None
        assert self._draft is not None
        last, summary = self._rewrite.finish()
        self._draft.write(summary.heading, last)
        patient = self._records.keep(self._rewrite, summary)
        commit = self._draft.commit(
            summary,
            route=self._route.name,
            destinations=self._route.destinations,
            origin=_origin(self._caller),
            profile=self._route.procedure.digest,
            epoch=self._records.pseudonyms.epoch,
            deadline=self._deadline,
        )
        self._drop()
        self._records.stored(
            self._caller, self._route.name, commit, summary, self._route.procedure.digest, patient
        )
        if is_told(logging.DEBUG):
            _LOG.debug(
                "node.object_stored",
                association=self._caller.association,
                route=self._route.name,
                kind=commit.kind,
                item=commit.item,
                sop_class=summary.heading.sop_class_uid,
                warnings=len(summary.warnings),
                duration_s=round(time.monotonic() - self._started, 4),
            )
        return _SUCCESS

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
            elif isinstance(error, SpoolError | OSError | MemoryError):
                self._answer = _NO_RESOURCES
                self._tell("node.object_not_kept", error)
                self._count("not-kept", "out of memory, disk or descriptors; the sender was asked to wait")
            else:
                self._answer = _OUR_FAULT
                self._tell("node.fault", error)
                self._count("fault-of-node", "an error of the program")
        elif self._refused is not None:  # the quarantine could not take it
            self._refused, self._answer = None, _NO_RESOURCES
            self._tell("node.object_not_kept", error)
            self._count("not-kept", "the quarantine cannot be written; the sender was asked to wait")
        if self._refused is None:
            self._drop()
        else:
            self._memory.release()
            if self._draft is not None:
                self._draft.discard()

    def _quarantine(self, sealed: Sealed, refusal: ObjectRefused) -> StoreAnswer:
        assert self._deadline is not None
        try:
            sealed.keep(refusal)
        except OSError as error:
            self._tell("node.object_not_kept", error)
            return _NO_RESOURCES
        if not self._deadline.keep():
            return _TOO_LATE
        self._sealed = None
        return _SUCCESS

    def _record_refusal(self, refusal: ObjectRefused, answer: StoreAnswer) -> None:
        row = _refusal_of(
            self._route, self._caller, self._request, refusal.code, refusal.reason, path=refusal.path
        )
        _record(self._spool, row)
        kept = answer is _SUCCESS and not isinstance(refusal, Excluded)
        event = "object-excluded" if isinstance(refusal, Excluded) else "object-refused"
        self._records.tell(
            "object-quarantined" if kept else event,
            self._caller,
            route=self._route.name,
            code=refusal.code,
            path=refusal.path,
            status=answer.status.code,
            sop_class_uid=self._request.sop_class_uid,
            digest=row.digest[:8].hex(),
        )
        _LOG.info(
            "node.object_excluded" if isinstance(refusal, Excluded) else "node.object_refused",
            association=self._caller.association,
            route=self._route.name,
            code=refusal.code,
            reason=refusal.reason,
            path=refusal.path,
            status=answer.status.code,
            quarantined=kept,
        )

    def _count(self, code: str, reason: str) -> None:
        """Count an object that its sender still has; which one is not kept, so that the rows stay few."""
        origin = _origin(self._caller)
        sop_class = self._request.sop_class_uid
        row = Refusal(self._route.name, code, reason, sop_class_uid=sop_class, origin=origin)
        _record(self._spool, row, may_be_lost=True)

    def _tell_not_forwarded(self, error: NotForwarded) -> None:
        _LOG.warning(
            "node.object_not_forwarded",
            association=self._caller.association,
            route=self._route.name,
            status=error.answer.status.code,
            reason=error.why,
        )

    def _tell(self, event: str, error: Exception) -> None:
        _LOG.error(event, association=self._caller.association, route=self._route.name, **describe(error))

    def _drop(self) -> None:
        draft, self._draft = self._draft, None
        sealed, self._sealed = self._sealed, None
        self._rewrite = None
        self._memory.release()
        if draft is not None:
            draft.discard()
        if sealed is not None:
            sealed.discard()


def _origin(caller: Caller) -> Origin:
    return Origin(caller.calling, caller.called, caller.address, caller.association)


def _refusal_of(
    route: Route | None, caller: Caller, request: StoreRequest, code: str, reason: str, *, path: str = ""
) -> Refusal:
    """Return the row of an object; what of its request cannot be a UID is not written down."""
    uid = request.sop_instance_uid.encode("ascii", errors="replace")
    digest = route.deidentifier.pseudonyms.digest("duplicate", uid) if route is not None and uid else b""
    sop_class_uid = request.sop_class_uid if is_uid(request.sop_class_uid) else ""
    name = route.name if route is not None else ""
    return Refusal(name, code, reason, path, digest, sop_class_uid, _origin(caller))


def _record(spool: Spool, refusal: Refusal, *, may_be_lost: bool = False) -> None:
    try:
        spool.record_refusal(refusal, may_be_lost=may_be_lost)
    except SpoolError as error:
        _LOG.error("node.refusal_not_recorded", code=refusal.code, **describe(error))
