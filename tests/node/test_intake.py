"""Answers to objects that are not taken: one status for each cause, and comments without values."""

from __future__ import annotations

import pytest

from deid_node.dimse.association import MAX_COMMENT
from deid_node.errors import (
    Excluded,
    Fault,
    LimitExceeded,
    Malformed,
    Mismatch,
    ObjectRefused,
    Rejected,
    SOPClassNotSupported,
)
from deid_node.node.answers import answer_for


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Excluded("x"), "0000"),
        (SOPClassNotSupported("x"), "0122"),
        (Rejected("x"), "C107"),
        (Rejected("x", code="no-sop-class"), "A900"),
        (Rejected("x", code="no-sop-instance"), "A900"),
        (Mismatch("x"), "A900"),
        (Malformed("x"), "C101"),
        (LimitExceeded("x"), "C102"),
        (Fault("x"), "C103"),
        (ObjectRefused("x"), "C000"),
    ],
)
def test_each_cause_has_its_status(refusal: ObjectRefused, status: str) -> None:
    assert answer_for(refusal).status.code == status


@pytest.mark.parametrize("kind", [Rejected, Malformed, Mismatch, Fault, LimitExceeded, SOPClassNotSupported])
def test_a_comment_is_fixed_and_fits(kind: type[ObjectRefused]) -> None:
    answer = answer_for(kind("Doe^Jane is not allowed", path="PatientName"))

    assert 0 < len(answer.comment) <= MAX_COMMENT
    assert "Doe" not in answer.comment
    assert answer.comment.isascii()
