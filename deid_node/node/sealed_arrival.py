"""Objects that are kept as they came, sealed, and acknowledged before they are de-identified.

All objects of a route with `intake = "sealed"`. What becomes of them is the business of `sealed_lane`.
"""

from __future__ import annotations

from typing import Final

import structlog

from deid_node.dimse.association import StoreAnswer
from deid_node.errors import ObjectRefused, SpoolError
from deid_node.node.answers import CODES, NO_RESOURCES, OUR_FAULT, SUCCESS
from deid_node.node.arrival import Promise
from deid_node.node.conversion import Way
from deid_node.node.deposits import Depositor, tell_sealed
from deid_node.spool.deadline import Deadline
from deid_node.spool.sealed import Deposit

_LOG: Final = structlog.get_logger(__name__)


class SealedArrival(Promise):
    """An object of a route that seals everything."""

    def __init__(self, way: Way, depositor: Depositor, answer_s: float) -> None:
        super().__init__(way, answer_s)
        self._answer: StoreAnswer | None = None
        self._deposit: Deposit | None = None
        try:
            self._deposit = depositor.begin(way)
        except Exception as error:
            self._stop(error)

    def feed(self, piece: memoryview) -> None:
        """Seal the next bytes."""
        if self._deposit is not None:
            try:
                self._deposit.feed(piece)
            except Exception as error:
                self._stop(error)

    def finish(self) -> StoreAnswer:
        """Make the object durable and say so, or say why not."""
        self._deadline = Deadline(self._answer_s)
        if self._deposit is not None:
            try:
                number = self._deposit.commit(deadline=self._deadline)
                tell_sealed(self._way, number)
                self._answer = SUCCESS
            except Exception as error:
                self._stop(error)
        assert self._answer is not None
        return self._answer

    def refuse(self, answer: StoreAnswer) -> None:
        """Forget the object and write down why."""
        self._drop()
        self._record_refusal(ObjectRefused(answer.comment, code=CODES.get(answer.status, "fault")), answer)

    def abort(self) -> None:
        """Forget the object: the sender heard nothing and keeps it."""
        self._drop()
        self._count("interrupted", "the association ended before the object did")
        _LOG.info("node.object_aborted", **self._log)

    def _stop(self, error: Exception) -> None:
        if isinstance(error, SpoolError | OSError | MemoryError):
            self._answer = NO_RESOURCES
            self._tell("node.object_not_kept", error)
            self._count("not-kept", "out of memory, disk or descriptors; the sender was asked to wait")
        else:
            self._answer = OUR_FAULT
            self._tell("node.fault", error)
            self._count("fault-of-node", "an error of the program")
        self._drop()

    def _drop(self) -> None:
        deposit, self._deposit = self._deposit, None
        if deposit is not None:
            deposit.discard()
