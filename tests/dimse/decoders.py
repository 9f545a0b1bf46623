"""The decoders of what a peer sends: each with what it promises to raise, and with what it reads well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from deid_node.dimse.command import read_command
from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest, Instance
from deid_node.dimse.commitment_dataset import (
    SYNTAXES,
    CommitmentError,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import answer_contexts, associate_ac
from deid_node.dimse.pdu import ProtocolViolation
from deid_node.dimse.proposal import ProposalRejected, read_proposal
from deid_node.dimse.pynetdicom_frames import Frames
from deid_node.dimse.request import read_associate_ac
from deid_node.errors import AssociationError
from tests.dimse.raw import (
    CT,
    EXPLICIT,
    IMPLICIT,
    MR,
    context,
    echo_rq,
    item,
    pdata,
    request,
    role,
    store_rq,
    user_information,
)

_LIMITS = AssociationLimits()
_REQUESTS = (
    request(),
    request([context(n, CT, EXPLICIT, IMPLICIT) for n in range(1, 256, 2)]),
    request(user=user_information(role(CT, 1, 1), item(0x53, b"\0\4\0\4"), item(0x55, b"VERSION"))),
)
_PROPOSAL = read_proposal(_REQUESTS[0], _LIMITS)
_ANSWER = associate_ac(_PROPOSAL, answer_contexts(_PROPOSAL, lambda uid: True), 16384)
_ONE = Instance(CT, "1.2.3")
_ASKED = CommitmentRequest("1.9", (_ONE, Instance(MR, "1.2.4")))
_TOLD = CommitmentReport("1.9", (_ONE,), ((Instance(MR, "1.2.4"), 0x112),))


class Anywhere:
    """A presentation context for every id."""

    _accepted_cx = dict.fromkeys(range(256))


def _request_pdu(content: bytes) -> None:
    with suppress(ProtocolViolation, ProposalRejected):
        read_proposal(content, _LIMITS)


def _command(content: bytes) -> None:
    with suppress(ProtocolViolation):
        read_command(content)


def _frames(content: bytes) -> None:
    with suppress(ProtocolViolation):
        Frames(Anywhere(), _LIMITS).look_at(bytearray(content))


def _accept(content: bytes) -> None:
    with suppress(AssociationError):
        read_associate_ac(content, [(CT, EXPLICIT)])


def _asked(content: bytes) -> None:
    for syntax in SYNTAXES:
        with suppress(CommitmentError):
            decode_request(content, syntax)


def _told(content: bytes) -> None:
    for syntax in SYNTAXES:
        with suppress(CommitmentError):
            decode_report(content, syntax)


DECODERS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "A-ASSOCIATE-RQ": (_request_pdu, _REQUESTS),
    "A-ASSOCIATE-AC": (_accept, (_ANSWER,)),
    "command set": (_command, (store_rq(), echo_rq())),
    "P-DATA": (_frames, (pdata(1, 3, store_rq())[6:], pdata(1, 3, echo_rq())[6:] * 2)),
    "commitment request": (_asked, tuple(encode_request(_ASKED, syntax) for syntax in SYNTAXES)),
    "commitment report": (_told, tuple(encode_report(_TOLD, syntax) for syntax in SYNTAXES)),
}
