"""Our decoder of A-ASSOCIATE-RQ reads what pynetdicom reads, and fails in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.negotiation import ContextResult, answer_contexts, associate_ac
from deid_node.dimse.pdu import ProtocolViolation
from deid_node.dimse.peer import Peer
from deid_node.dimse.proposal import ProposalRejected, Role, read_proposal
from deid_node.dimse.request import associate_rq, read_associate_ac
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.dimse.raw import CT, EXPLICIT, IMPLICIT, MR, context, request, role, user_information

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")

LIMITS = AssociationLimits()

_UIDS = st.lists(st.integers(1, 9999), min_size=2, max_size=8).map(
    lambda parts: "1.2." + ".".join(map(str, parts))
)
_CONTEXTS = st.lists(st.tuples(_UIDS, st.lists(_UIDS, min_size=1, max_size=5)), min_size=1, max_size=20)
_TITLES = st.from_regex(r"[A-Za-z0-9_.-]{1,16}", fullmatch=True)


@settings(deadline=None)
@given(_CONTEXTS, _TITLES, _TITLES, st.sampled_from([0, 128, 16384, 2**32 - 1]))
def test_it_reads_what_pynetdicom_reads(
    contexts: list[tuple[str, list[str]]], called: str, calling: str, max_pdu: int
) -> None:
    encoded = request(
        [context(2 * n + 1, abstract, *transfer) for n, (abstract, transfer) in enumerate(contexts)],
        called=called.encode(),
        calling=calling.encode(),
        user=user_information(role(contexts[0][0], 1, 0), max_pdu=max_pdu),
    )
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encoded)

    ours = read_proposal(encoded, LIMITS)

    assert (ours.called, ours.calling) == (theirs.called_ae_title, theirs.calling_ae_title)
    assert [(cx.context_id, cx.abstract_syntax, list(cx.transfer_syntaxes)) for cx in ours.contexts] == [
        (cx.presentation_context_id, cx.abstract_syntax, cx.transfer_syntax)
        for cx in theirs.presentation_context
    ]
    assert ours.max_pdu_bytes == theirs.user_information.maximum_length
    assert ours.roles == {contexts[0][0]: Role(True, False)}


_SEED = request(
    [context(1, CT, EXPLICIT, IMPLICIT), context(3, MR, IMPLICIT)],
    user=user_information(role(CT, 1, 1)),
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_request_fails_in_one_way_only(data: st.DataObject) -> None:
    damaged = bytearray(_SEED)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(6, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(6, len(damaged)))

    try:
        read_proposal(bytes(damaged[:cut]), LIMITS)
    except (ProtocolViolation, ProposalRejected) as refusal:
        assert refusal.args


def test_pynetdicom_reads_our_answer() -> None:
    proposal = read_proposal(_SEED, LIMITS)
    contexts = answer_contexts(proposal, lambda uid: uid == CT)

    theirs = A_ASSOCIATE_AC()
    theirs.decode(associate_ac(proposal, contexts, 131072))

    assert [(cx.context_id, cx.result) for cx in theirs.presentation_context] == [
        (1, ContextResult.ACCEPTED),
        (3, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),
    ]
    assert theirs.presentation_context[0].transfer_syntax == EXPLICIT
    assert theirs.user_information.maximum_length == 131072
    assert [(item.scu, item.scp) for item in theirs.user_information.role_selection.values()] == [(1, 0)]


_PAIRS = [(CT, EXPLICIT), (MR, IMPLICIT)]
_ANSWER = associate_ac(
    read_proposal(associate_rq(Peer("peer", 104, AETitle("A"), AETitle("B")), _PAIRS), LIMITS),
    answer_contexts(
        read_proposal(associate_rq(Peer("peer", 104, AETitle("A"), AETitle("B")), _PAIRS), LIMITS),
        lambda uid: True,
    ),
    16384,
)


def test_a_requestor_reads_which_contexts_were_accepted() -> None:
    accepted = read_associate_ac(_ANSWER, _PAIRS)

    assert accepted.ids == {(CT, EXPLICIT): 1, (MR, IMPLICIT): 3}
    assert accepted.max_pdu_bytes == 16384


def test_a_context_in_another_syntax_than_proposed_is_not_usable() -> None:
    accepted = read_associate_ac(_ANSWER, [(CT, EXPLICIT), (MR, EXPLICIT)])

    assert set(accepted.ids) == {(CT, EXPLICIT)}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_answer_is_an_association_error_or_understood(data: st.DataObject) -> None:
    damaged = bytearray(_ANSWER)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(6, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(6, len(damaged)))

    try:
        accepted = read_associate_ac(bytes(damaged[:cut]), _PAIRS)
    except AssociationError:
        return
    assert set(accepted.ids) <= set(_PAIRS)
