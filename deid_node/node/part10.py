"""Where the dataset of a DICOM file begins and how it is encoded (PS3.10 section 7.1).

Reads what devices really write: no preamble, no file meta information, a wrong group length, no
Transfer Syntax UID, a dataset that is implicit although the file meta says explicit. Says so in
`oddities`; what it cannot recognize is no DICOM file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from deid_node.errors import Malformed

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"

# 12 bytes before the value length of these (PS3.5 section 7.1.2); only they occur in group 0002.
_LONG_VRS: Final = frozenset((b"OB", b"UN", b"OW", b"UT"))
_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW "
    b"PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_PREAMBLE: Final = 132
_MAX_META_BYTES: Final = 1 << 20
_TRANSFER_SYNTAX: Final = 0x0010
_MEDIA_SOP_CLASS: Final = 0x0002
_MEDIA_SOP_INSTANCE: Final = 0x0003
_ASKED_FOR: Final = frozenset((_TRANSFER_SYNTAX, _MEDIA_SOP_CLASS, _MEDIA_SOP_INSTANCE))
_ELEMENT: Final = struct.Struct("<2xH2sH")
_PLAUSIBLE_LENGTH: Final = 1 << 20
_UNDEFINED: Final = 0xFFFFFFFF


class NotDicom(Malformed):
    """The file is not a DICOM file, or one that holds no SOP instance."""

    code = "not-dicom"


@dataclass(frozen=True, slots=True)
class Part10:
    """The dataset begins at `offset` of the file and is in `transfer_syntax_uid`.

    The UIDs of SOP class and instance are those of the file meta information, "" where it has none.
    """

    offset: int
    transfer_syntax_uid: str
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    oddities: tuple[str, ...] = ()


def read_part10(stream: BinaryIO) -> Part10:
    """Look at the beginning of a file; leaves the stream somewhere in it.

    Raises:
        NotDicom: no DICOM file, or a DICOMDIR.
        Malformed: the file meta information cannot be read.
    """
    head = stream.read(_PREAMBLE)
    if head[128:132] == b"DICM":
        start, oddities = _PREAMBLE, []
    elif head[:2] == b"\x02\x00" or _looks_like_dataset(head):
        start, oddities = 0, ["no preamble"]
    else:
        raise NotDicom("is not a DICOM file")
    stream.seek(start)
    meta, length = _read_meta(stream)
    if not length and not start:
        oddities = ["no file meta information"]
    if meta.get(_MEDIA_SOP_CLASS) == MEDIA_DIRECTORY:
        raise NotDicom(
            "is a DICOMDIR; its records name patients and no object is made from it", code="dicomdir"
        )
    offset = start + length
    stream.seek(offset)
    beginning = stream.read(16)
    if not beginning:
        raise Malformed("has no dataset")
    syntax = meta.get(_TRANSFER_SYNTAX, "")
    guessed = _guess(beginning)
    if not syntax:
        if guessed is None:
            raise Malformed("names no transfer syntax, and its dataset is in none that can be recognized")
        syntax = guessed
        oddities.append("no Transfer Syntax UID")
    elif {syntax, guessed} == {EXPLICIT_LITTLE, IMPLICIT_LITTLE}:
        syntax = str(guessed)
        oddities.append("not in the transfer syntax that it names")
    sop_class_uid, sop_instance_uid = meta.get(_MEDIA_SOP_CLASS, ""), meta.get(_MEDIA_SOP_INSTANCE, "")
    return Part10(offset, syntax, sop_class_uid, sop_instance_uid, tuple(oddities))


def _read_meta(stream: BinaryIO) -> tuple[dict[int, str], int]:
    """Return the UIDs of group 0002 that are asked for and its length, whatever (0002,0000) says."""
    found: dict[int, str] = {}
    length = 0
    while True:
        header = stream.read(8)
        if len(header) < 8 or header[:2] != b"\x02\x00":
            return found, length
        element, vr, size = _ELEMENT.unpack(header)
        length += 8
        if vr in _LONG_VRS:
            size = int.from_bytes(_exactly(stream, 4), "little")
            length += 4
        elif vr not in _VRS:  # implicit, against PS3.10 7.1, but seen
            size = int.from_bytes(header[4:8], "little")
        if length + size > _MAX_META_BYTES:
            raise Malformed("file meta information of an impossible length", path=f"(0002,{element:04X})")
        value = _exactly(stream, size)
        length += size
        if element in _ASKED_FOR:
            found[element] = value.rstrip(b"\0 ").decode("ascii", errors="replace")


def _exactly(stream: BinaryIO, count: int) -> bytes:
    value = stream.read(count)
    if len(value) < count:
        raise Malformed("ends inside its file meta information")
    return value


def _looks_like_dataset(head: bytes) -> bool:
    """Tell whether bytes begin a dataset without anything before it: an element of group 0008."""
    return len(head) >= 8 and head[:2] in (b"\x08\x00", b"\x00\x08") and _guess(head) is not None


def _guess(head: bytes) -> str | None:
    """Return the uncompressed transfer syntax that the first element is plausible in.

    A dataset begins with a group below 0x0100 (0008, or 0004 of a directory), which tells the byte
    order; two letters after the tag that are a VR tell the rest.
    """
    if len(head) < 8:
        return None
    little, big = head[0] and not head[1], head[1] and not head[0]
    if head[4:6] in _VRS:
        return EXPLICIT_LITTLE if little else EXPLICIT_BIG if big else None
    (length,) = struct.unpack("<I", head[4:8])
    return IMPLICIT_LITTLE if little and (length <= _PLAUSIBLE_LENGTH or length == _UNDEFINED) else None
