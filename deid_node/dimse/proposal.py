"""Reads A-ASSOCIATE-RQ (PS3.8 Table 9-11, PS3.7 Annex D.3.3) within limits, in one pass.

This is what a stranger sends first, so it is read by our own decoder: pynetdicom's decodes 128
contexts of 64 syntaxes in 0.2 s, logs each odd UID, and answers bad input with five kinds of
exception. Tests hold that both read the same from what is well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from deid_node.dimse.association import AssociationRejection
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.pdu import HEADER_BYTES, SMALLEST_PEER_PDU, ProtocolViolation
from deid_node.standard.values import AETitle

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

_FIXED: Final = Struct(">H2x16s16s32x")
_ITEM: Final = Struct(">BxH")
_AE_TITLE: Final = re.compile(r"[A-Za-z0-9_. -]{1,16}")
_UID: Final = re.compile(rb"[0-9.]{1,64}")

_APPLICATION_CONTEXT: Final = 0x10
_PRESENTATION_CONTEXT: Final = 0x20
_USER_INFORMATION: Final = 0x50
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40
_MAXIMUM_LENGTH: Final = 0x51
_ROLE_SELECTION: Final = 0x54


class ProposalRejected(Exception):
    """The request is well formed but cannot be let in; it is answered with A-ASSOCIATE-RJ."""

    def __init__(self, rejection: AssociationRejection) -> None:
        super().__init__(rejection.word)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context as proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection of one SOP class, as the requestor proposes it for itself."""

    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an association requestor proposes. `max_pdu_bytes` 0 means that it sets no limit."""

    called: AETitle
    calling: AETitle
    contexts: tuple[ProposedContext, ...]
    max_pdu_bytes: int
    roles: dict[str, Role] = field(default_factory=dict)


def read_proposal(pdu: bytes, limits: AssociationLimits) -> Proposal:
    """Read a whole A-ASSOCIATE-RQ PDU.

    Raises:
        ProtocolViolation: it is not well formed, or passes a limit: abort.
        ProposalRejected: version, application context or AE titles are not acceptable: reject.
    """
    if len(pdu) < HEADER_BYTES + _FIXED.size:
        raise ProtocolViolation("short-request")
    version, called, calling = _FIXED.unpack_from(pdu, HEADER_BYTES)
    application_context = ""
    contexts: dict[int, ProposedContext] = {}
    user_items: list[tuple[int, bytes]] = []
    for kind, body in _items(pdu[HEADER_BYTES + _FIXED.size :]):
        if kind == _PRESENTATION_CONTEXT:
            context = _context(body, limits)
            if context.context_id in contexts:
                raise ProtocolViolation("context-id-twice")
            contexts[context.context_id] = context
            if len(contexts) > limits.max_contexts:
                raise ProtocolViolation("too-many-contexts")
        elif kind == _APPLICATION_CONTEXT:
            application_context = _uid(body)
        elif kind == _USER_INFORMATION:
            user_items += _user_items(body, limits.max_user_items - len(user_items))
    if not version & 1:
        raise ProposalRejected(AssociationRejection.PROTOCOL_VERSION_NOT_SUPPORTED)
    if application_context != APPLICATION_CONTEXT:
        raise ProposalRejected(AssociationRejection.APPLICATION_CONTEXT_NOT_SUPPORTED)
    if not contexts:
        raise ProposalRejected(AssociationRejection.NO_REASON)
    return Proposal(
        called=acceptable_ae_title(called, AssociationRejection.CALLED_AE_NOT_RECOGNIZED),
        calling=acceptable_ae_title(calling, AssociationRejection.CALLING_AE_NOT_RECOGNIZED),
        contexts=tuple(contexts.values()),
        max_pdu_bytes=_max_pdu(user_items),
        roles=dict(_role(body) for kind, body in user_items if kind == _ROLE_SELECTION),
    )


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each item; every byte belongs to one."""
    offset = 0
    while offset < len(body):
        if offset + _ITEM.size > len(body):
            raise ProtocolViolation("item-cut")
        kind, length = _ITEM.unpack_from(body, offset)
        offset += _ITEM.size
        if offset + length > len(body):
            raise ProtocolViolation("item-past-the-end")
        yield kind, body[offset : offset + length]
        offset += length


def _context(body: bytes, limits: AssociationLimits) -> ProposedContext:
    if len(body) < 4:
        raise ProtocolViolation("item-cut")
    context_id = body[0]
    if not context_id & 1:
        raise ProtocolViolation("context-id-even")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, content in _items(body[4:]):
        if kind == _ABSTRACT_SYNTAX and not abstract_syntax:
            abstract_syntax = _uid(content)
        elif kind == _TRANSFER_SYNTAX:
            transfer_syntaxes.append(_uid(content))
            if len(transfer_syntaxes) > limits.max_transfer_syntaxes:
                raise ProtocolViolation("too-many-transfer-syntaxes")
        else:
            raise ProtocolViolation("context-item")
    if not abstract_syntax or not transfer_syntaxes:
        raise ProtocolViolation("context-without-syntax")
    return ProposedContext(context_id, abstract_syntax, tuple(transfer_syntaxes))


def _user_items(body: bytes, room: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    for item in _items(body):
        found.append(item)
        if len(found) > room:
            raise ProtocolViolation("too-many-user-items")
    return found


def _max_pdu(user_items: list[tuple[int, bytes]]) -> int:
    """Return the maximum length received (PS3.8 D.1); without the item there is no limit."""
    for kind, body in user_items:
        if kind == _MAXIMUM_LENGTH:
            if len(body) != 4:
                raise ProtocolViolation("maximum-length-item")
            length = int.from_bytes(body, "big")
            if 0 < length < SMALLEST_PEER_PDU:
                raise ProtocolViolation("maximum-length-too-small")
            return length
    return 0


def _role(body: bytes) -> tuple[str, Role]:
    """Read SCP/SCU role selection: UID length, UID, SCU role, SCP role (PS3.7 Table D.3-9)."""
    length = int.from_bytes(body[:2], "big")
    if len(body) != length + 4:
        raise ProtocolViolation("role-selection-item")
    scu, scp = body[2 + length :]
    return _uid(body[2 : 2 + length]), Role(scu == 1, scp == 1)


def _uid(body: bytes) -> str:
    """Read a UID; a padding NUL or space, which PS3.8 Annex F forbids and senders write, is taken off."""
    stripped = body.rstrip(b"\0 ")
    if _UID.fullmatch(stripped) is None:
        raise ProtocolViolation("uid")
    return stripped.decode("ascii")


def acceptable_ae_title(raw: bytes, otherwise: AssociationRejection) -> AETitle:
    """Return the AE title, or raise ProposalRejected; stricter than PS3.5, since titles name routes."""
    text = raw.strip(b"\0 ").decode("ascii", errors="replace")  # some senders pad with NUL
    if _AE_TITLE.fullmatch(text) is None:
        raise ProposalRejected(otherwise)
    return AETitle(text)
