"""Answers a proposal: which contexts are accepted, and A-ASSOCIATE-AC (PS3.8 9.3.3, PS3.7 D.3.3).

The answer is built from pynetdicom's PDU classes. pynetdicom's own negotiation is not used: it
copies every supported context for every association (10 to 86 ms), and wants the list of SOP
classes beforehand, while ours is a question to the intake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_items import (
    ApplicationContextItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PresentationContextItemAC,
    SCP_SCU_RoleSelectionSubItem,
    TransferSyntaxSubItem,
    UserInformationItem,
)

from deid_node.dimse.commitment import PUSH_MODEL
from deid_node.dimse.commitment_dataset import SYNTAXES
from deid_node.dimse.proposal import APPLICATION_CONTEXT, Proposal, ProposedContext
from deid_node.dimse.syntaxes import is_supported
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

VERIFICATION: Final = "1.2.840.10008.1.1"


class ContextResult(IntEnum):
    """Result of one presentation context, PS3.8 Table 9-18."""

    ACCEPTED = 0
    USER_REJECTION = 1
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """One presentation context as answered; the transfer syntax has a meaning only when accepted."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    result: ContextResult


def answer_contexts(proposal: Proposal, supports: Callable[[str], bool]) -> tuple[AnsweredContext, ...]:
    """Decide about each proposed context: the first proposed transfer syntax that we can take.

    We are the SCP: a context for which the requestor proposes the SCP role alone is rejected, except
    for storage commitment, whose reports come from SCPs (PS3.4 J.3.3).
    """
    known: dict[str, bool] = {VERIFICATION: True}
    for context in proposal.contexts:
        if context.abstract_syntax not in known:
            known[context.abstract_syntax] = supports(context.abstract_syntax)
    return tuple(_answer(context, proposal, known) for context in proposal.contexts)


def _answer(context: ProposedContext, proposal: Proposal, known: dict[str, bool]) -> AnsweredContext:
    takes = _takes_notices if context.abstract_syntax == PUSH_MODEL else is_supported
    syntax = next(filter(takes, context.transfer_syntaxes), None)
    role = proposal.roles.get(context.abstract_syntax)
    if not known[context.abstract_syntax]:
        result = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif role is not None and not role.scu and not (role.scp and context.abstract_syntax == PUSH_MODEL):
        result = ContextResult.USER_REJECTION
    elif syntax is None:
        result = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    else:
        result = ContextResult.ACCEPTED
    return AnsweredContext(
        context.context_id, context.abstract_syntax, syntax or context.transfer_syntaxes[0], result
    )


def _takes_notices(transfer_syntax_uid: str) -> bool:
    return transfer_syntax_uid in SYNTAXES


def associate_ac(proposal: Proposal, contexts: tuple[AnsweredContext, ...], max_pdu_bytes: int) -> bytes:
    """Return the A-ASSOCIATE-AC PDU.

    Without an asynchronous operations window the answer says 1, 1; extended negotiation and user
    identity are not answered, which refuses them (PS3.7 D.3.3.3, D.3.3.5, D.3.3.7).
    """
    application = ApplicationContextItem()
    application.application_context_name = APPLICATION_CONTEXT
    pdu = A_ASSOCIATE_AC()
    pdu.protocol_version = 1
    pdu.reserved_aet = str(proposal.called)
    pdu.reserved_aec = str(proposal.calling)
    pdu.variable_items = [
        application,
        *(_context_item(context) for context in contexts),
        user_information(max_pdu_bytes, _role_items(proposal, contexts)),
    ]
    encoded: bytes = pdu.encode()
    return encoded


def user_information(
    max_pdu_bytes: int, roles: tuple[SCP_SCU_RoleSelectionSubItem, ...] = ()
) -> UserInformationItem:
    """Return the user information of either side: maximum length, who we are, roles."""
    maximum = MaximumLengthSubItem()
    maximum.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameSubItem()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    information = UserInformationItem()
    information.user_data = [maximum, implementation, *roles, version]
    return information


def _context_item(context: AnsweredContext) -> PresentationContextItemAC:
    syntax = TransferSyntaxSubItem()
    syntax._skip_validation = True
    syntax.transfer_syntax_name = context.transfer_syntax
    item = PresentationContextItemAC()
    item.presentation_context_id = context.context_id
    item.result_reason = int(context.result)
    item.transfer_syntax_sub_item = [syntax]
    return item


def _role_items(
    proposal: Proposal, contexts: tuple[AnsweredContext, ...]
) -> tuple[SCP_SCU_RoleSelectionSubItem, ...]:
    accepted = {cx.abstract_syntax for cx in contexts if cx.result is ContextResult.ACCEPTED}
    items = []
    for sop_class_uid, role in proposal.roles.items():
        if sop_class_uid in accepted:
            item = SCP_SCU_RoleSelectionSubItem()
            item.sop_class_uid = sop_class_uid
            item.scu_role = int(role.scu)
            item.scp_role = int(role.scp and sop_class_uid == PUSH_MODEL)
            items.append(item)
    return tuple(items)
