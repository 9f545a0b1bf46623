"""The PDUs of PS3.8 section 9.3 that have a fixed form, and the frames of P-DATA-TF.

A-ASSOCIATE is in `proposal` and `negotiation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final

from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ

HEADER_BYTES: Final = 6
SHORT_BYTES: Final = 4  # what follows the header of A-RELEASE and A-ABORT
PDV_HEADER_BYTES: Final = 6  # item length, presentation context id, message control header
HEADER: Final = Struct(">BxI")
PDV_HEADER: Final = Struct(">IBB")
DATA_HEADER: Final = Struct(">BxIIBB")  # a P-DATA-TF with one PDV

COMMAND: Final = 1  # message control header, PS3.8 E.2
LAST: Final = 2

MAX_EMPTY_FRAGMENTS: Final = 1000
"""In a row: they weigh nothing in any other limit, and would go on for ever."""

SMALLEST_PEER_PDU: Final = 128
"""Below this announced maximum length no command fits into a sensible number of fragments."""


class PduType(IntEnum):
    """PDU type, PS3.8 Tables 9-11 to 9-26."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Reason of an A-ABORT by the service-provider, PS3.8 Table 9-26; USER stands for the service-user."""

    USER = -1
    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class ProtocolViolation(Exception):
    """The peer broke PS3.7 or PS3.8, or passed a limit; the association is aborted.

    `word` is fixed, for counting and logging.
    """

    def __init__(self, word: str, reason: AbortReason = AbortReason.INVALID_PARAMETER) -> None:
        super().__init__(word)
        self.word = word
        self.reason = reason


def _released(kind: type[A_RELEASE_RQ | A_RELEASE_RP]) -> bytes:
    encoded: bytes = kind().encode()
    return encoded


RELEASE_RQ: Final = _released(A_RELEASE_RQ)
RELEASE_RP: Final = _released(A_RELEASE_RP)


def abort(reason: AbortReason) -> bytes:
    """Return an A-ABORT PDU."""
    pdu = A_ABORT_RQ()
    pdu.source = 0 if reason is AbortReason.USER else 2
    pdu.reason_diagnostic = max(reason, 0)
    encoded: bytes = pdu.encode()
    return encoded


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ PDU."""
    pdu = A_ASSOCIATE_RJ()
    pdu.result = result
    pdu.source = source
    pdu.reason_diagnostic = reason
    encoded: bytes = pdu.encode()
    return encoded


def fragment_bytes(peer_max_pdu: int, own_max: int = 128 * 1024) -> int:
    """Return the largest even fragment that fits one PDU of the peer; its 0 means no limit."""
    largest = min(peer_max_pdu or own_max, own_max)
    return (largest - PDV_HEADER_BYTES) & ~1


def data_header(context_id: int, length: int, control: int) -> bytes:
    """Return the header of a P-DATA-TF that carries one PDV of `length` bytes."""
    return DATA_HEADER.pack(PduType.DATA, length + PDV_HEADER_BYTES, length + 2, context_id, control)


def command_frames(context_id: int, command: bytes, peer_max_pdu: int) -> bytes:
    """Return the P-DATA-TF PDUs that carry a command set."""
    return b"".join(_frames(context_id, command, fragment_bytes(peer_max_pdu), COMMAND))


def dataset_frames(context_id: int, content: bytes, peer_max_pdu: int) -> bytes:
    """Return the P-DATA-TF PDUs that carry a small dataset."""
    return b"".join(_frames(context_id, content, fragment_bytes(peer_max_pdu), 0))


def _frames(context_id: int, content: bytes, largest: int, kind: int) -> Iterator[bytes]:
    for start in range(0, len(content), largest):
        fragment = content[start : start + largest]
        last = LAST if start + largest >= len(content) else 0
        yield data_header(context_id, len(fragment), kind | last) + fragment
