"""Objects that are kept as they came, sealed, and acknowledged before they are de-identified.

All objects of a route with `intake = "sealed"`. What becomes of them is the business of `sealed_lane`.
"""

from __future__ import annotations

from deid_node.dimse.association import StoreAnswer
from deid_node.node.answers import SUCCESS
from deid_node.node.arrival import Promise
from deid_node.node.conversion import Way
from deid_node.node.deposits import Depositor, tell_sealed
from deid_node.spool.deadline import Deadline
from deid_node.spool.sealed import Deposit


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

    def _stop(self, error: Exception) -> None:
        self._answer = self._failed(error)
        self._drop()

    def _drop(self) -> None:
        deposit, self._deposit = self._deposit, None
        if deposit is not None:
            deposit.discard()
