"""What a sender is answered: one status for each cause, and fixed comments without values.

A rule's reason and an attribute path are in the ledger. PS3.4 Table B.2-1, PS3.7 Annex C.
"""

from __future__ import annotations

from typing import Final

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.status import StoreStatus
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

SUCCESS: Final = StoreAnswer(StoreStatus.SUCCESS)
NOT_AUTHORIZED: Final = StoreAnswer(StoreStatus.NOT_AUTHORIZED, "This AE may not store on this route")
NO_ROUTE: Final = StoreAnswer(StoreStatus.NO_ROUTE, "No route for this called AE title")
NO_RESOURCES: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The object cannot be kept now; send it again"
)
TOO_LATE: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The object could not be kept in time; send it again"
)
POISON: Final = StoreAnswer(StoreStatus.MALFORMED, "The node died over it twice; it is not taken for a day")
OUR_FAULT: Final = StoreAnswer(StoreStatus.PROCESSING_FAILURE, "Internal error; nothing was kept")

# The most special first.
_ANSWERS: Final[tuple[tuple[type[ObjectRefused], StoreAnswer], ...]] = (
    (Excluded, SUCCESS),
    (
        SOPClassNotSupported,
        StoreAnswer(StoreStatus.SOP_CLASS_NOT_SUPPORTED, "The profile has no table for this SOP class"),
    ),
    (Rejected, StoreAnswer(StoreStatus.REJECTED, "Rejected by a rule of the profile")),
    (Mismatch, StoreAnswer(StoreStatus.DATASET_MISMATCH, "Dataset and request name different objects")),
    (Malformed, StoreAnswer(StoreStatus.MALFORMED, "Not a dataset in the negotiated transfer syntax")),
    (LimitExceeded, StoreAnswer(StoreStatus.LIMIT_EXCEEDED, "More depth, elements or bytes than allowed")),
    (Fault, StoreAnswer(StoreStatus.NOT_DECIDED, "A rule of the profile could not be applied")),
)
_NO_IDENTITY: Final = StoreAnswer(
    StoreStatus.DATASET_MISMATCH, "The dataset has no SOP class or no SOP instance"
)
_NO_UIDS: Final = StoreAnswer(
    StoreStatus.DATASET_MISMATCH, "SOP class or instance is named by what is no UID"
)
_CHARACTER_SET: Final = StoreAnswer(StoreStatus.MALFORMED, "A character set that DICOM does not define")
_FRAME_HEADER: Final = StoreAnswer(
    StoreStatus.PIXELS_NOT_CLEANED, "A compressed frame has a header that cannot be read"
)
_HELD: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "Held: the profile cannot decide it yet; send it again later"
)
CODES: Final = {
    StoreStatus.DATASET_MISMATCH: Mismatch.code,
    StoreStatus.INVALID_INSTANCE: "no-sop-instance",
    StoreStatus.CANNOT_UNDERSTAND: "no-dataset",
    StoreStatus.LIMIT_EXCEEDED: LimitExceeded.code,
    StoreStatus.PROCESSING_FAILURE: "fault-of-node",
}
"""The words under which what the acceptor answers by itself is counted."""
_BY_CODE: Final = {
    "no-sop-class": _NO_IDENTITY,
    "no-sop-instance": _NO_IDENTITY,
    "invalid-uid": _NO_UIDS,
    "character-set": _CHARACTER_SET,
    "frame-header": _FRAME_HEADER,
    "held": _HELD,
}


def answer_for(refusal: ObjectRefused) -> StoreAnswer:
    """Return the answer to an object that is refused."""
    if refusal.code in _BY_CODE:
        return _BY_CODE[refusal.code]
    for kind, answer in _ANSWERS:
        if isinstance(refusal, kind):
            return answer
    return StoreAnswer(StoreStatus.CANNOT_UNDERSTAND)
