"""File meta information made new, and the stamps that say what was done.

PS3.10 section 7.1: preamble of zeros, DICM, group 0002 with nothing of the original in it. PS3.3
C.12.1.1.7 and PS3.15 E.1.1 for the stamps.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from deid_node.engine.deidentified import Heading
from deid_node.engine.encoding import EXPLICIT_LITTLE, Encoding
from deid_node.profile.procedure import Procedure
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deid_node.standard.method_codes import method_codes

PATIENT_IDENTITY_REMOVED: Final = 0x00120062
DEIDENTIFICATION_METHOD: Final = 0x00120063
DEIDENTIFICATION_METHOD_CODES: Final = 0x00120064
LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: Final = 0x00280303

_LONGEST_LO: Final = 64
# 128 zeros, DICM, and the header of the group length (0002,0000).
_PREAMBLE: Final = bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0"


def heading_of(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Heading:
    """Return the heading of a de-identified object, all of its bytes before the dataset included."""
    before, after = _constant_meta(sop_class_uid, transfer_syntax_uid)
    group = before + EXPLICIT_LITTLE.element(0x00020003, "UI", sop_instance_uid.encode()) + after
    return Heading(sop_class_uid, sop_instance_uid, transfer_syntax_uid, b"".join((
        _PREAMBLE, len(group).to_bytes(4, "little"), group
    )))  # fmt: skip


@lru_cache(maxsize=256)
def _constant_meta(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """Return the elements of group 0002 before and after Media Storage SOP Instance UID."""
    element = EXPLICIT_LITTLE.element
    before = element(0x00020001, "OB", b"\0\1") + element(0x00020002, "UI", sop_class_uid.encode())
    after = (
        element(0x00020010, "UI", transfer_syntax_uid.encode())
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode())
        + element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode())
    )
    return before, after


def stamps(procedure: Procedure, encoding: Encoding, former_methods: tuple[str, ...]) -> dict[int, bytes]:
    """Return the stamps as whole elements by tag; none for a procedure that keeps the identity.

    Args:
        former_methods: the values of De-identification Method that the table leaves.
    """
    if not procedure.identity_removed:
        return {}
    methods = (*former_methods, procedure.method[:_LONGEST_LO])
    stamped = {
        PATIENT_IDENTITY_REMOVED: encoding.element(PATIENT_IDENTITY_REMOVED, "CS", b"YES"),
        DEIDENTIFICATION_METHOD: encoding.element(
            DEIDENTIFICATION_METHOD, "LO", "\\".join(methods).encode("ascii", "replace")
        ),
    }
    if procedure.codes:
        items = b"".join(_code_item(encoding, code) for code in procedure.codes)
        tag = DEIDENTIFICATION_METHOD_CODES
        stamped[tag] = encoding.sequence_header(tag, len(items)) + items
    if procedure.dates is not None:
        tag = LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED
        stamped[tag] = encoding.element(tag, "CS", procedure.dates.value.encode())
    return stamped


def _code_item(encoding: Encoding, code: str) -> bytes:
    return encoding.item(
        encoding.element(0x00080100, "SH", code.encode())
        + encoding.element(0x00080102, "SH", b"DCM")
        + encoding.element(0x00080104, "LO", method_codes()[code].meaning.encode())
    )
