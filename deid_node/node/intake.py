"""What the network may do with the node: who is let in, and which way an object goes.

Implements `Intake` of `dimse.association`; what becomes of one object is in `arrival`.
"""

from __future__ import annotations

import math
from typing import Final
from weakref import WeakKeyDictionary

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
from deid_node.dimse.memory import MemoryBudget, default_budget
from deid_node.dimse.reception import Swallowed
from deid_node.dimse.status import StoreStatus
from deid_node.node.answers import CODES, NO_ROUTE, NOT_AUTHORIZED, POISON
from deid_node.node.arrival import Arrival, Sealer
from deid_node.node.commitment import Commitment
from deid_node.node.conversion import Way
from deid_node.node.deposits import Depositor
from deid_node.node.peers import Peers
from deid_node.node.records import Records
from deid_node.node.refusals import record, refusal_of, uid_digest
from deid_node.node.routes import Route, Routes
from deid_node.node.sealed_arrival import SealedArrival
from deid_node.node.suspects import Suspects
from deid_node.settings.routes import IntakeKind, OnHold, OnReject
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)


class NodeIntake:
    """The intake of a running node. Called by acceptors, from many threads."""

    def __init__(
        self,
        *,
        peers: Peers,
        routes: Routes,
        spool: Spool,
        sealer: Sealer | None = None,
        depositor: Depositor | None = None,
        memory: MemoryBudget | None = None,
        records: Records,
        commitment: Commitment | None = None,
        answer_s: float = math.inf,
        suspects: Suspects | None = None,
    ) -> None:
        self._suspects = suspects
        self._answer_s = answer_s
        self._gates = peers, routes
        self._gates_of: WeakKeyDictionary[Caller, tuple[Peers, Routes]] = WeakKeyDictionary()
        self._commitment = commitment
        self._records = records
        self._spool = spool
        self._sealer = sealer
        self._depositor = depositor
        self._memory = memory or MemoryBudget(default_budget())

    def replace_gates(self, peers: Peers, routes: Routes) -> None:
        """Decide by other peers and routes from now on; running associations keep those they began with."""
        self._gates = peers, routes

    def may_connect(self, address: str) -> bool:
        """Let in addresses of listed peers and this machine."""
        return self._gates[0].may_connect(address)

    def handshake_failed(self, address: str, reason: str) -> None:
        """Write down that TLS could not be agreed on; equal failures are counted."""
        self._records.handshakes.add(address, reason)

    def admit(self, caller: Caller) -> AssociationRejection | None:
        """Let in listed peers and callers of this machine, to AE titles that a route has."""
        peers, routes = self._gates_of[caller] = self._gates
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
        route = self._gates_for(caller)[1].called(caller.called)
        if abstract_syntax == PUSH_MODEL:
            return self._commitment is not None and self._commitment.is_taken(caller, route)
        return route is not None and route.takes(abstract_syntax)

    def refused(self, caller: Caller, request: StoreRequest, answer: StoreAnswer) -> None:
        """Write down an object that is refused for what its request says."""
        self._write_down(caller, request, answer, CODES.get(answer.status, "refused"))

    def _write_down(self, caller: Caller, request: StoreRequest, answer: StoreAnswer, code: str) -> None:
        route = self._gates_for(caller)[1].called(caller.called)
        refusal = refusal_of(route, caller, request, code, answer.comment)
        record(self._spool, refusal)
        self._records.tell(
            "object-refused",
            caller,
            route=refusal.route,
            code=code,
            status=answer.status.code,
            sop_class_uid=refusal.sop_class_uid,
            digest=refusal.digest[:8].hex(),
        )

    def commitment_asked(self, caller: Caller, request: CommitmentRequest) -> CommitmentAnswer:
        """Answer a caller that asks for storage commitment, as its route says."""
        peers, routes = self._gates_for(caller)
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

    def _gates_for(self, caller: Caller) -> tuple[Peers, Routes]:
        return self._gates_of.get(caller, self._gates)

    def _may_report(self, caller: Caller) -> bool:
        return self._commitment is not None and self._commitment.may_report(caller)

    def _needs_no_room(self, caller: Caller) -> bool:
        """Whether a caller comes through to a destination, or with a report after which files may go."""
        route = self._gates_for(caller)[1].called(caller.called)
        return (route is not None and route.through is not None) or self._may_report(caller)

    def begin(self, caller: Caller, request: StoreRequest) -> ObjectIntake:
        """Start one object."""
        peers, routes = self._gates_for(caller)
        route = routes.called(caller.called)
        if route is not None and not route.is_open_to(peers.names_of(caller)):
            self._write_down(caller, request, NOT_AUTHORIZED, "not-authorized")
            return Swallowed(NOT_AUTHORIZED)
        return self._begin(route, caller, request)

    def begin_again(self, caller: Caller, request: StoreRequest) -> ObjectIntake:
        """Start one object that was let in before, and that the operator of this machine gives again."""
        return self._begin(self._gates[1].called(caller.called), caller, request)

    def _begin(self, route: Route | None, caller: Caller, request: StoreRequest) -> ObjectIntake:
        if route is None:
            self._write_down(caller, request, NO_ROUTE, "no-route")
            return Swallowed(NO_ROUTE)
        if self._suspects is None:
            return self._take(route, caller, request)
        digest = uid_digest(route, request)
        if self._suspects.is_poison(digest):
            self._write_down(caller, request, POISON, "poison")
            return Swallowed(POISON)
        return self._suspects.watch(digest, self._take(route, caller, request))

    def _take(self, route: Route, caller: Caller, request: StoreRequest) -> ObjectIntake:
        answer_s = self._answer_s if route.through is None else math.inf
        way = Way(self._spool, route, caller, request, self._records)
        if route.intake is IntakeKind.SEALED:
            assert self._depositor is not None  # the settings see to it
            return SealedArrival(way, self._depositor, answer_s)
        quarantine = self._sealer if route.on_reject is OnReject.QUARANTINE else None
        depositor = self._depositor if route.on_hold is OnHold.SEAL else None
        return Arrival(way, self._memory.share(), quarantine, depositor, answer_s)
