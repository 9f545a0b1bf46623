"""The one way of an original: through the engine into a draft, and into the ledger.

What arrives from the network and what was sealed before go it alike; who is answered, and what becomes of
an original that is refused, is the business of `arrival` and `sealed_lane`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from deid_node.dimse.association import Caller, StoreRequest
from deid_node.dimse.memory import Share
from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Rewrite
from deid_node.node.records import Records
from deid_node.node.refusals import origin_of
from deid_node.node.routes import Route
from deid_node.spool.deadline import Deadline
from deid_node.spool.entry import Commit
from deid_node.spool.spool import Spool

_INFLATES: Final = 8  # what a byte of a deflated header is counted for


class Way(NamedTuple):
    """Where an original comes from, and where it goes."""

    spool: Spool
    route: Route
    caller: Caller
    request: StoreRequest
    records: Records


def rewrite_of(way: Way, at: datetime) -> Rewrite:
    """Begin to de-identify an original that came at some time. Raises ObjectRefused."""
    caller, request = way.caller, way.request
    return way.route.deidentifier.begin(
        transfer_syntax_uid=request.transfer_syntax_uid,
        sop_class_uid=request.sop_class_uid,
        sop_instance_uid=request.sop_instance_uid,
        origin={
            "calling_ae": caller.calling,
            "called_ae": caller.called,
            "address": caller.address,
        },
        today=at.date(),
        time_of_day=at.time(),
    )


class Conversion:
    """One original under way. Used by one thread; ends with `commit` or `discard`."""

    def __init__(self, way: Way, memory: Share, at: datetime) -> None:
        """Begin.

        Raises:
            ObjectRefused: of a kind, for the SOP class or transfer syntax.
            SpoolError: the spool takes nothing now.
        """
        spool, route = way.spool, way.route
        self._way = way
        self._memory = memory
        self._draft = spool.draft() if route.through is None else route.through.draft(spool)
        self._rewrite = rewrite_of(way, at)

    def feed(self, piece: bytes | memoryview) -> None:
        """De-identify the next bytes and write what comes out of them.

        Raises:
            ObjectRefused: it cannot or may not be de-identified.
            SpoolError, NotForwarded: what comes out cannot be kept or passed on.
            MemoryError: the header has no room in the memory.
        """
        rewrite = self._rewrite
        part = rewrite.feed(piece)
        if rewrite.heading is None:
            self._memory.hold(len(piece) * (_INFLATES if rewrite.is_deflated else 1))
        else:
            self._memory.release()
        if part is not None:
            assert rewrite.heading is not None
            self._draft.write(rewrite.heading, part)

    def commit(
        self,
        *,
        original: int = 0,
        deadline: Deadline | None = None,
        decided: Callable[[], None] = lambda: None,
    ) -> tuple[Commit, Summary]:
        """End the original, make what came out durable, and write down what has to be known of it.

        Args:
            original: number of the sealed original that this ends.
            deadline: after which nothing is kept.
            decided: called when the engine is done, before anything is kept; what it raises is raised.

        Raises:
            As `feed`, and TooLate.
        """
        way, records = self._way, self._way.records
        last, summary = self._rewrite.finish()
        decided()
        self._draft.write(summary.heading, last)
        patient = records.keep(self._rewrite, summary)
        commit = self._draft.commit(
            summary,
            route=way.route.name,
            destinations=way.route.destinations,
            origin=origin_of(way.caller),
            profile=way.route.procedure.digest,
            epoch=records.pseudonyms.epoch,
            original=original,
            deadline=deadline,
        )
        self._memory.release()
        records.stored(way.caller, way.route.name, commit, summary, way.route.procedure.digest, patient)
        return commit, summary

    def discard(self) -> None:
        """Forget it; also after `commit`, to no effect."""
        self._memory.release()
        self._draft.discard()
