"""Store statuses: those we answer with, and how one received from a downstream is classed.

PS3.4 Table B.2-1 (storage), PS3.7 Annex C (general). C101 to C107 are ours, inside the range
"cannot understand", and are listed in the conformance statement.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

_MAX_STATUS: Final = 0xFFFF


class StoreStatus(IntEnum):
    """The value of Status (0000,0900).

    Every 16-bit value is a status: one that is not listed here becomes a nameless member, because a
    downstream may answer anything.
    """

    SUCCESS = 0x0000

    # PS3.4 Table B.2-1
    OUT_OF_RESOURCES = 0xA700
    DATASET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    COERCED = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    DATASET_MISMATCH_WARNING = 0xB007

    # ours: one code per cause
    MALFORMED = 0xC101  # not a dataset in the negotiated transfer syntax
    LIMIT_EXCEEDED = 0xC102  # more depth, elements, bytes than the node grants
    NOT_DECIDED = 0xC103  # a rule could not be applied
    PIXELS_NOT_CLEANED = 0xC104  # a compressed frame in which comments may be left
    NO_ROUTE = 0xC106  # nothing says where the object goes
    REJECTED = 0xC107  # a rule of the procedure rejects the object

    # PS3.7 Annex C
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    NO_SUCH_INSTANCE = 0x0112
    NO_SUCH_EVENT = 0x0113
    INVALID_ARGUMENT = 0x0115
    INVALID_INSTANCE = 0x0117
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    DUPLICATE_TRANSACTION = 0x0131
    DUPLICATE_INVOCATION = 0x0210
    UNRECOGNIZED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    RESOURCE_LIMITATION = 0x0213

    @classmethod
    def _missing_(cls, value: object) -> StoreStatus | None:
        if not isinstance(value, int) or not 0 <= value <= _MAX_STATUS:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"STATUS_{value:04X}"
        member._value_ = value
        return member

    @property
    def code(self) -> str:
        """Return the four hexadecimal digits in which the standard writes a status."""
        return f"{self.value:04X}"


class StatusClass(StrEnum):
    """What a downstream's status means for the delivery of the object."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    REFUSED = "refused"


WARNINGS: Final = frozenset(
    (StoreStatus.COERCED, StoreStatus.ELEMENTS_DISCARDED, StoreStatus.DATASET_MISMATCH_WARNING)
)
"""Statuses of an object that was stored, with a remark that an operator should see."""

_DELIVERED: Final = WARNINGS | {StoreStatus.SUCCESS, StoreStatus.DUPLICATE_INSTANCE}
_DEFERRED: Final = frozenset(
    (
        StoreStatus.PROCESSING_FAILURE,
        StoreStatus.DUPLICATE_INVOCATION,
        StoreStatus.RESOURCE_LIMITATION,
    )
)
_OUT_OF_RESOURCES_RANGE: Final = range(0xA700, 0xA800)


def class_of(status: int) -> StatusClass:
    """Class a C-STORE status received from a downstream.

    Delivered: success, the warnings B000, B006 and B007, and 0111: the object is there, most often
    because an earlier answer was lost. Deferred: what passes with time (A7xx, 0110, 0210, 0213).
    Everything else, also a status nobody has heard of, is refused: sending it again cannot help.
    """
    if status in _DELIVERED:
        return StatusClass.DELIVERED
    if status in _DEFERRED or status in _OUT_OF_RESOURCES_RANGE:
        return StatusClass.DEFERRED
    return StatusClass.REFUSED
