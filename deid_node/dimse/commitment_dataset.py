"""The datasets of storage commitment, in implicit and explicit VR little endian (PS3.4 Tables J.3-1, J.3-2).

Two attributes an instance, for thousands of instances: pydicom takes a quarter of a millisecond for
each, and reads what is nested without a limit. Attributes that are not asked for are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from struct import Struct, error
from typing import Final

from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest, Instance
from deid_node.dimse.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from deid_node.standard.values import MAX_UID

SYNTAXES: Final = (IMPLICIT_LITTLE, EXPLICIT_LITTLE)
"""Transfer syntaxes that can be read and written."""

MAX_BYTES: Final = 4 << 20
"""Bytes of the dataset of a request or a report: some 40,000 instances."""

_TRANSACTION: Final = 0x00081195
_REFERENCED_CLASS: Final = 0x00081150
_REFERENCED_INSTANCE: Final = 0x00081155
_FAILURE_REASON: Final = 0x00081197
_FAILED: Final = 0x00081198
_REFERENCED: Final = 0x00081199

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_DEEPEST: Final = 16
_LONG_VRS: Final = frozenset(
    vr.encode() for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)

_IMPLICIT: Final = Struct("<HHI")
_EXPLICIT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<I")
_UID: Final = re.compile(rb"[0-9.]+")

Values = dict[int, bytes]


class CommitmentError(Exception):
    """The dataset of a request or a report does not say what it has to."""


def encode_request(request: CommitmentRequest, transfer_syntax_uid: str) -> bytes:
    """Return the action information of an N-ACTION-RQ."""
    writer = _Writer(transfer_syntax_uid)
    items = (writer.instance(one) for one in request.instances)
    return writer.uid(_TRANSACTION, request.transaction_uid) + writer.sequence(_REFERENCED, items)


def encode_report(report: CommitmentReport, transfer_syntax_uid: str) -> bytes:
    """Return the event information of an N-EVENT-REPORT-RQ; sequences without items are absent."""
    writer = _Writer(transfer_syntax_uid)
    encoded = writer.uid(_TRANSACTION, report.transaction_uid)
    if report.failed:
        failed = (writer.instance(one) + writer.reason(reason) for one, reason in report.failed)
        encoded += writer.sequence(_FAILED, failed)
    if report.committed:
        encoded += writer.sequence(_REFERENCED, (writer.instance(one) for one in report.committed))
    return encoded


def decode_request(content: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read the action information of an N-ACTION-RQ. Raises CommitmentError."""
    values, sequences = _Reader(content, transfer_syntax_uid).read()
    instances = tuple(map(_instance, sequences.get(_REFERENCED, ())))
    if not instances:
        raise CommitmentError("no instances")
    return CommitmentRequest(_uid(values, _TRANSACTION), instances)


def decode_report(content: bytes, transfer_syntax_uid: str) -> CommitmentReport:
    """Read the event information of an N-EVENT-REPORT-RQ. Raises CommitmentError."""
    values, sequences = _Reader(content, transfer_syntax_uid).read()
    return CommitmentReport(
        _uid(values, _TRANSACTION),
        tuple(map(_instance, sequences.get(_REFERENCED, ()))),
        tuple((_instance(item), _reason(item)) for item in sequences.get(_FAILED, ())),
    )


class _Writer:
    def __init__(self, transfer_syntax_uid: str) -> None:
        self._is_explicit = transfer_syntax_uid == EXPLICIT_LITTLE

    def uid(self, tag: int, uid: str) -> bytes:
        value = uid.encode("ascii")
        return self._element(tag, b"UI", value + b"\0" * (len(value) & 1))

    def reason(self, reason: int) -> bytes:
        return self._element(_FAILURE_REASON, b"US", reason.to_bytes(2, "little"))

    def instance(self, instance: Instance) -> bytes:
        sop_class = self.uid(_REFERENCED_CLASS, instance.sop_class_uid)
        return sop_class + self.uid(_REFERENCED_INSTANCE, instance.sop_instance_uid)

    def sequence(self, tag: int, items: Iterable[bytes]) -> bytes:
        content = b"".join(_IMPLICIT.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(item)) + item for item in items)
        if self._is_explicit:
            return _EXPLICIT.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0) + _LONG.pack(len(content)) + content
        return self._element(tag, b"SQ", content)

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if self._is_explicit:
            return _EXPLICIT.pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value
        return _IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value


class _Reader:
    """Reads the values of the top level, and those of the items of the two sequences that count."""

    def __init__(self, content: bytes, transfer_syntax_uid: str) -> None:
        if transfer_syntax_uid not in SYNTAXES:
            raise CommitmentError("transfer syntax")
        self._content = content
        self._is_explicit = transfer_syntax_uid == EXPLICIT_LITTLE

    def read(self) -> tuple[Values, dict[int, list[Values]]]:
        sequences: dict[int, list[Values]] = {}
        try:
            values, _ = self._dataset(0, len(self._content), 0, sequences)
        except error:
            raise CommitmentError("cut") from None
        return values, sequences

    def _dataset(
        self, at: int, end: int, depth: int, sequences: dict[int, list[Values]] | None
    ) -> tuple[Values, int]:
        """Read elements up to `end` or the delimiter of their item; return them and where they ended."""
        values: Values = {}
        while at < end:
            tag, length, at = self._header(at, end)
            if tag == _ITEM_END:
                return values, at
            if tag in values or (sequences is not None and tag in sequences):
                raise CommitmentError("twice")
            if sequences is not None and tag in (_REFERENCED, _FAILED):
                sequences[tag], at = self._items(at, end, length, depth)
            elif length == _UNDEFINED:
                _, at = self._items(at, end, length, depth)
            else:
                values[tag] = self._content[at : at + length]
                at += length
        return values, at

    def _items(self, at: int, end: int, length: int, depth: int) -> tuple[list[Values], int]:
        if depth == _DEEPEST:
            raise CommitmentError("too deep")
        stop = end if length == _UNDEFINED else at + length
        items: list[Values] = []
        while at < stop:
            tag, item_length, at = self._header(at, stop)
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return items, at
            if tag != _ITEM:
                raise CommitmentError("no item")
            item_end = stop if item_length == _UNDEFINED else at + item_length
            item, at = self._dataset(at, item_end, depth + 1, None)
            items.append(item)
        if length == _UNDEFINED:
            raise CommitmentError("cut")
        return items, at

    def _header(self, at: int, end: int) -> tuple[int, int, int]:
        """Return tag, length, and where the value begins."""
        group, elem, length = _IMPLICIT.unpack_from(self._content, at)
        tag = group << 16 | elem
        after = at + _IMPLICIT.size
        if self._is_explicit and group != _ITEM >> 16:
            _, _, vr, length = _EXPLICIT.unpack_from(self._content, at)
            if vr in _LONG_VRS:
                (length,) = _LONG.unpack_from(self._content, after)
                after += _LONG.size
        if after > end or (length != _UNDEFINED and after + length > end):
            raise CommitmentError("cut")
        return tag, length, after


def _instance(values: Values) -> Instance:
    return Instance(_uid(values, _REFERENCED_CLASS), _uid(values, _REFERENCED_INSTANCE))


def _reason(values: Values) -> int:
    raw = values.get(_FAILURE_REASON, b"")
    if len(raw) != 2:
        raise CommitmentError("failure reason")
    return int.from_bytes(raw, "little")


def _uid(values: Values, tag: int) -> str:
    uid = values.get(tag, b"").rstrip(b"\0 ")
    if len(uid) > MAX_UID or _UID.fullmatch(uid) is None:
        raise CommitmentError("uid")
    return uid.decode("ascii")
