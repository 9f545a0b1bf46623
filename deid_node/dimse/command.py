"""Command sets: group 0000, implicit VR little endian (PS3.7 section 6.3 and Annex E)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, error
from typing import Final, NamedTuple

from deid_node.dimse.association import MAX_COMMENT, StoreAnswer
from deid_node.dimse.pdu import AbortReason, ProtocolViolation
from deid_node.dimse.status import StoreStatus
from deid_node.standard.values import MAX_UID

_ELEM: Final = Struct("<HHI")
_US: Final = Struct("<HHIH")

_AFFECTED_SOP_CLASS: Final = 0x0002
_REQUESTED_SOP_CLASS: Final = 0x0003
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED_TO: Final = 0x0120
_PRIORITY: Final = 0x0700
_DATASET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE: Final = 0x1000
_REQUESTED_SOP_INSTANCE: Final = 0x1001
_EVENT_TYPE: Final = 0x1002
_ACTION_TYPE: Final = 0x1008

_NO_DATASET: Final = 0x0101
_DATASET: Final = 0x0001
_RESPONSE: Final = 0x8000
_MEDIUM: Final = 0x0000


class CommandField(IntEnum):
    """Command Field (0000,0100), PS3.7 E.1-1; only what this program tells apart."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130


_EVENTS: Final = frozenset((CommandField.N_EVENT_REPORT_RQ, CommandField.N_EVENT_REPORT_RSP))


class Command(NamedTuple):
    """A command set as it came; UIDs are text without padding, empty when absent.

    SOP class and instance are the affected or the requested ones; `type_id` is the Action or Event
    Type ID.
    """

    field: int
    message_id: int | None
    responded_to: int | None
    status: int | None
    sop_class_uid: str
    sop_instance_uid: str
    has_dataset: bool
    type_id: int | None = None
    comment: str = ""

    @property
    def is_request(self) -> bool:
        """Whether the other side waits for an answer."""
        return not self.field & _RESPONSE and self.field != CommandField.C_CANCEL_RQ


def read_command(raw: bytes | bytearray) -> Command:
    """Read a whole command set.

    Raises:
        ProtocolViolation: not a command set, or without a command field.
    """
    values: dict[int, bytes] = {}
    raw, size, offset = bytes(raw), len(raw), 0
    try:
        while offset < size:
            group, elem, length = _ELEM.unpack_from(raw, offset)
            begin = offset + 8
            offset = begin + length
            if group or elem in values or offset > size:
                raise ProtocolViolation("command-set", AbortReason.USER)
            values[elem] = raw[begin:offset]
    except error:
        raise ProtocolViolation("command-cut", AbortReason.USER) from None
    command_field = _number(values, _COMMAND_FIELD)
    if command_field is None:
        raise ProtocolViolation("command-field", AbortReason.USER)
    return Command(
        field=command_field,
        message_id=_number(values, _MESSAGE_ID),
        responded_to=_number(values, _MESSAGE_ID_RESPONDED_TO),
        status=_number(values, _STATUS),
        sop_class_uid=_text(values, _AFFECTED_SOP_CLASS) or _text(values, _REQUESTED_SOP_CLASS),
        sop_instance_uid=_text(values, _AFFECTED_SOP_INSTANCE) or _text(values, _REQUESTED_SOP_INSTANCE),
        has_dataset=_number(values, _DATASET_TYPE) not in (None, _NO_DATASET),
        type_id=_number(values, _EVENT_TYPE if command_field in _EVENTS else _ACTION_TYPE),
        comment=_said(values.get(_ERROR_COMMENT, b"")),
    )


def store_request(sop_class_uid: str, sop_instance_uid: str, message_id: int) -> bytes:
    """Return a C-STORE-RQ (PS3.7 Table 9.3-1)."""
    return _command_set(
        _uid(_AFFECTED_SOP_CLASS, sop_class_uid),
        _us(_COMMAND_FIELD, CommandField.C_STORE_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_PRIORITY, _MEDIUM),
        _us(_DATASET_TYPE, _DATASET),
        _uid(_AFFECTED_SOP_INSTANCE, sop_instance_uid),
    )


def echo_request(sop_class_uid: str, message_id: int) -> bytes:
    """Return a C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    return _command_set(
        _uid(_AFFECTED_SOP_CLASS, sop_class_uid),
        _us(_COMMAND_FIELD, CommandField.C_ECHO_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_DATASET_TYPE, _NO_DATASET),
    )


def event_report_request(
    sop_class_uid: str, sop_instance_uid: str, message_id: int, event_type: int
) -> bytes:
    """Return an N-EVENT-REPORT-RQ (PS3.7 Table 10.3-1)."""
    return _command_set(
        _uid(_AFFECTED_SOP_CLASS, sop_class_uid),
        _us(_COMMAND_FIELD, CommandField.N_EVENT_REPORT_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_DATASET_TYPE, _DATASET),
        _uid(_AFFECTED_SOP_INSTANCE, sop_instance_uid),
        _us(_EVENT_TYPE, event_type),
    )


def response(request: Command, answer: StoreAnswer) -> bytes:
    """Return the response to a request, without a dataset (PS3.7 Table 9.3-2 and its like)."""
    return _command_set(
        _uid(_AFFECTED_SOP_CLASS, request.sop_class_uid),
        _us(_COMMAND_FIELD, request.field | _RESPONSE),
        _us(_MESSAGE_ID_RESPONDED_TO, request.message_id or 0),
        _us(_DATASET_TYPE, _NO_DATASET),
        _us(_STATUS, answer.status),
        _lo(_ERROR_COMMENT, answer.comment if answer.status != StoreStatus.SUCCESS else ""),
        _uid(_AFFECTED_SOP_INSTANCE, request.sop_instance_uid),
    )


def _number(values: dict[int, bytes], elem: int) -> int | None:
    raw = values.get(elem)
    if raw is None:
        return None
    if len(raw) != 2:
        raise ProtocolViolation("command-value", AbortReason.USER)
    return int.from_bytes(raw, "little")


def _text(values: dict[int, bytes], elem: int) -> str:
    """Return a UID; bytes outside ASCII become a character that no UID has."""
    return values.get(elem, b"").strip(b"\0 ").decode("ascii", errors="replace")


def _said(comment: bytes) -> str:
    """Return what a peer remarked, fit for a terminal: of at most 64 printable characters."""
    text = comment[:MAX_COMMENT].strip(b"\0 ").decode("ascii", errors="replace")
    return "".join(char if char.isprintable() else "?" for char in text)


def _command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return _ELEM.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body


def _us(elem: int, value: int) -> bytes:
    return _US.pack(0, elem, 2, value)


def _uid(elem: int, uid: str) -> bytes:
    """Return an element with a UID, nothing when there is none or it cannot be echoed."""
    if not 0 < len(uid) <= MAX_UID or not uid.isascii():
        return b""
    return _padded(elem, uid.encode("ascii"), b"\0")


def _lo(elem: int, text: str) -> bytes:
    if not text:
        return b""
    return _padded(elem, text[:MAX_COMMENT].encode("ascii", errors="replace"), b" ")


def _padded(elem: int, value: bytes, padding: bytes) -> bytes:
    if len(value) & 1:
        value += padding
    return _ELEM.pack(0, elem, len(value)) + value
