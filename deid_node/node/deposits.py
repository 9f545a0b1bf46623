"""How objects get into the store of sealed originals: all of a route, or those that the profile holds."""

from __future__ import annotations

import time
from typing import Final

import structlog

from deid_node.node.conversion import Way
from deid_node.node.refusals import uid_digest
from deid_node.spool.sealed import Deposit, Said, SealedStore
from deid_node.spool.sealed_rows import Why

_LOG: Final = structlog.get_logger(__name__)


class Depositor:
    """Starts deposits of objects, and says whether one has to wait behind another."""

    def __init__(self, store: SealedStore) -> None:
        self._store = store

    def begin(self, way: Way) -> Deposit:
        """Begin to seal an object.

        Raises:
            SpoolError, OSError: it cannot be kept now.
        """
        caller, request = way.caller, way.request
        said = Said(
            route=way.route.name,
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            calling=str(caller.calling),
            called=str(caller.called),
            address=caller.address,
            association=caller.association,
            at=time.time(),
            uid_digest=uid_digest(way.route, request).hex(),
        )
        return self._store.begin(said)

    def must_wait(self, way: Way) -> bool:
        """Tell whether an object of the same UID came before and waits: the newest is delivered last."""
        return self._store.is_waiting(way.route.name, uid_digest(way.route, way.request))


def tell_sealed(way: Way, number: int, why: Why | None = None) -> None:
    """Write down that an original is kept; `number` 0 is one that was kept before."""
    way.records.tell(
        "object-sealed" if number else "object-sealed-again",
        way.caller,
        route=way.route.name,
        original=number or None,
        code=why.code if why is not None else None,
        path=why.path if why is not None else None,
        digest=uid_digest(way.route, way.request)[:8].hex(),
    )
    if why is not None:
        _LOG.warning(
            "node.object_held",
            association=way.caller.association,
            route=way.route.name,
            code=why.code,
            reason=why.reason,
            path=why.path,
        )
