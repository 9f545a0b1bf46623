"""A-ASSOCIATE as requestor: the request, and what the acceptor answers (PS3.8 9.3.2 and 9.3.3).

pynetdicom's PDU classes encode and decode; what they raise on bad bytes becomes an AssociationError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    AbstractSyntaxSubItem,
    ApplicationContextItem,
    PresentationContextItemRQ,
    TransferSyntaxSubItem,
)

from deid_node.dimse.negotiation import ContextResult, user_information
from deid_node.dimse.pdu import SMALLEST_PEER_PDU
from deid_node.dimse.peer import Peer
from deid_node.dimse.proposal import APPLICATION_CONTEXT
from deid_node.errors import AssociationError

MAX_CONTEXTS: Final = 128
"""Odd numbers from 1 to 255, PS3.8 9.3.2.2."""

Context = tuple[str, str]
"""SOP class UID and transfer syntax UID."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the acceptor accepted: the id of each context, and its maximum length (0: no limit)."""

    ids: dict[Context, int]
    max_pdu_bytes: int


def associate_rq(peer: Peer, contexts: Sequence[Context]) -> bytes:
    """Return the A-ASSOCIATE-RQ PDU; context n gets the id 2n + 1.

    One transfer syntax a context: objects are sent as they are, so it must be known which is accepted.
    """
    application = ApplicationContextItem()
    application.application_context_name = APPLICATION_CONTEXT
    pdu = A_ASSOCIATE_RQ()
    pdu.protocol_version = 1
    pdu.called_ae_title = str(peer.called)
    pdu.calling_ae_title = str(peer.calling)
    pdu.variable_items = [
        application,
        *(_context_item(2 * n + 1, context) for n, context in enumerate(contexts)),
        user_information(peer.max_pdu_bytes),
    ]
    encoded: bytes = pdu.encode()
    return encoded


def _context_item(context_id: int, context: Context) -> PresentationContextItemRQ:
    abstract = AbstractSyntaxSubItem()
    abstract.abstract_syntax_name = context[0]
    transfer = TransferSyntaxSubItem()
    transfer.transfer_syntax_name = context[1]
    item = PresentationContextItemRQ()
    item.presentation_context_id = context_id
    item.abstract_transfer_syntax_sub_items = [abstract, transfer]
    return item


def read_associate_ac(encoded: bytes, contexts: Sequence[Context]) -> Accepted:
    """Read an A-ASSOCIATE-AC PDU that answers `associate_rq` with the same contexts.

    Raises:
        AssociationError: the answer cannot be understood.
    """
    pdu = A_ASSOCIATE_AC()
    try:
        pdu.decode(encoded)
        ids = dict(_accepted(pdu, contexts))
        information = pdu.user_information
        maximum = information.maximum_length if information else None
    except Exception as error:
        # Whatever its decoder raises: asserts, missing keys, struct errors.
        raise AssociationError(f"A-ASSOCIATE-AC cannot be read ({type(error).__name__})") from None
    if information is None:
        raise AssociationError("A-ASSOCIATE-AC is not complete")
    max_pdu_bytes = int(maximum or 0)
    if 0 < max_pdu_bytes < SMALLEST_PEER_PDU:
        raise AssociationError(f"the peer takes PDUs of {max_pdu_bytes} bytes at most, which is too little")
    return Accepted(ids, max_pdu_bytes)


def _accepted(pdu: Any, contexts: Sequence[Context]) -> list[tuple[Context, int]]:
    """Return the accepted contexts; one in another transfer syntax than proposed is not usable."""
    found = []
    for item in pdu.presentation_context:
        place, even = divmod(item.context_id - 1, 2)
        if (
            item.result == ContextResult.ACCEPTED
            and not even
            and place < len(contexts)
            and str(item.transfer_syntax) == contexts[place][1]
        ):
            found.append((contexts[place], item.context_id))
    return found
