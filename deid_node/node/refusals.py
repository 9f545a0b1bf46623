"""Rows of the ledger for objects that are not taken."""

from __future__ import annotations

from typing import Final

import structlog
from pydicom._uid_dict import UID_dictionary

from deid_node.dimse.association import Caller, StoreRequest
from deid_node.errors import SpoolError
from deid_node.log import describe
from deid_node.node.routes import Route
from deid_node.spool.entry import Origin, Refusal
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)


def origin_of(caller: Caller) -> Origin:
    """Return what the ledger keeps of a caller."""
    return Origin(caller.calling, caller.called, caller.address, caller.association)


def uid_digest(route: Route, request: StoreRequest) -> bytes:
    """Return the keyed digest by which an object is recognized within a route."""
    uid = request.sop_instance_uid.encode("ascii", errors="replace")
    return route.deidentifier.pseudonyms.digest("duplicate", uid) if uid else b""


def refusal_of(
    route: Route | None, caller: Caller, request: StoreRequest, code: str, reason: str, *, path: str = ""
) -> Refusal:
    """Return the row of an object; of its request only a SOP class that is known here is written down."""
    digest = uid_digest(route, request) if route is not None else b""
    sop_class_uid = request.sop_class_uid
    if sop_class_uid not in UID_dictionary and not (route is not None and route.takes(sop_class_uid)):
        sop_class_uid = ""  # a request can say anything there
    name = route.name if route is not None else ""
    return Refusal(name, code, reason, path, digest, sop_class_uid, origin_of(caller))


def record(spool: Spool, refusal: Refusal, *, may_be_lost: bool = False) -> None:
    """Write a row, soon; one that cannot be written is told."""
    try:
        spool.record_refusal(refusal, may_be_lost=may_be_lost)
    except SpoolError as error:
        _LOG.error("node.refusal_not_recorded", code=refusal.code, **describe(error))
