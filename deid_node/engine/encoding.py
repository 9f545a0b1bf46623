"""How a dataset is encoded: VR explicit or implicit, byte order, element headers (PS3.5 section 7.1).

An `Encoding` turns the first bytes of an element into a *code*: `tag << 16 | VR`, one integer that
orders like the tag and selects a decision like tag and VR together. Codes are remembered per header
bytes, so that a header seen before costs one dictionary look-up.
"""

from __future__ import annotations

import struct
from typing import Final

from deid_node.errors import Malformed
from deid_node.standard.dictionary import attribute, vr_of

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD

# PS3.5 section 7.1.2: VRs with two reserved bytes and a 32 bit length.
LONG_VRS: Final = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SPACE_PADDED: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split())
SHORT_VRS: Final = frozenset("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

# A UN element of undefined length is a sequence in implicit VR little endian (PS3.5 6.2.2, note 2).
UN_SEQUENCE: Final = "U*"
# Set in a code when the value length is odd, which PS3.5 7.1.1 forbids and devices do all the same.
ODD: Final = 0x80

# What the reader of an element header has to do next.
SHORT, LONG, IMPLICIT, DELIMITER = range(4)

_REMEMBERED: Final = 100_000  # as many as one dataset may hold, 170 bytes each
# For the bytes of each VR: as they stand in a code, and what the reader has to do next.
_FORMS: Final = {
    vr.encode(): (int.from_bytes(vr.encode(), "big"), LONG if vr in LONG_VRS else SHORT)
    for vr in (*SHORT_VRS, *LONG_VRS)
}


def code_of(tag: int, vr: str) -> int:
    """Return the code of a tag with a VR."""
    return tag << 16 | ord(vr[0]) << 8 | ord(vr[1])


def vr_in(code: int) -> str:
    """Return the VR that a code holds."""
    return chr(code >> 8 & 0xFF) + chr(code & 0x7F)


def known_place(tag: int) -> str:
    """Return the path of an element in a dataset that is malformed, "" when no attribute has its tag.

    Where lengths lie, four bytes of a value are read as a tag, and must not be told.
    """
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})" if attribute(tag) is not None else ""


def _is_standard(tag: int, vr: str) -> bool:
    row = attribute(tag)
    return row is not None and vr in row.vrs


class Encoding:
    """One of the encodings of a dataset, with everything that depends on VR form and byte order."""

    def __init__(self, *, explicit: bool, little_endian: bool) -> None:
        order = "<" if little_endian else ">"
        self.explicit = explicit
        self.little_endian = little_endian
        self.header = struct.Struct(order + ("6sH" if explicit else "4sI")).unpack_from
        self.long = struct.Struct(order + "I").unpack_from
        self.short = struct.Struct(order + "H").unpack_from
        self.item_header = struct.Struct(order + "HHI").unpack_from
        self._tag = struct.Struct(order + "HH")
        self._pack_long = struct.Struct(order + "I").pack
        self._pack_short = struct.Struct(order + "H").pack
        self._pack_item = struct.Struct(order + "HHI").pack
        self.shapes: dict[bytes, tuple[int, int]] = {}
        self.item_end = self._pack_item(0xFFFE, 0xE00D, 0)
        self.sequence_end = self._pack_item(0xFFFE, 0xE0DD, 0)

    def shape(self, header: bytes) -> tuple[int, int]:
        """Return (code, what to do next) for the first bytes of an element, and remember it.

        Raises:
            Malformed: the VR is none of PS3.5 Table 6.2-1.
        """
        group, element = self._tag.unpack_from(header)
        tag = group << 16 | element
        if group == 0xFFFE:
            if tag not in (ITEM, ITEM_END, SEQUENCE_END):
                raise Malformed("unknown tag of group FFFE")
            shape = (code_of(tag, "  "), DELIMITER)
        elif not self.explicit:
            names_block = group & 1 and 0x10 <= element <= 0xFF  # PS3.5 7.8.1
            shape = (code_of(tag, "LO" if names_block else vr_of(tag) or "UN"), IMPLICIT)
        else:
            known = _FORMS.get(header[4:6])
            if known is None:
                raise Malformed("not a VR of PS3.5", path=known_place(tag))
            shape = (tag << 16 | known[0], known[1])
        # A dataset may have more private tags than are remembered: they must not drive out the others.
        if len(self.shapes) < _REMEMBERED or (not group & 1 and _is_standard(tag, vr_in(shape[0]))):
            self.shapes[header] = shape
        return shape

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """Return a whole element; `value` is encoded already and is padded here if odd."""
        if len(value) & 1:
            value += b" " if vr in _SPACE_PADDED else b"\0"
        head = self._tag.pack(tag >> 16, tag & 0xFFFF)
        if not self.explicit:
            return head + self._pack_long(len(value)) + value
        head += vr.encode()
        if vr in LONG_VRS:
            return head + b"\0\0" + self._pack_long(len(value)) + value
        return head + self._pack_short(len(value)) + value

    def sequence_header(self, tag: int, length: int) -> bytes:
        """Return the header of a sequence, whose length may be UNDEFINED."""
        head = self._tag.pack(tag >> 16, tag & 0xFFFF)
        if self.explicit:
            head += b"SQ\0\0"
        return head + self._pack_long(length)

    def item(self, content: bytes) -> bytes:
        """Return one item of defined length."""
        return self._pack_item(0xFFFE, 0xE000, len(content)) + content

    def item_start(self) -> bytes:
        """Return the header of an item of undefined length."""
        return self._pack_item(0xFFFE, 0xE000, UNDEFINED)

    def length(self, count: int) -> bytes:
        """Return the 32 bit length of a value."""
        return self._pack_long(count)

    def tag_bytes(self, tag: int) -> bytes:
        """Return the four bytes with which an element of this tag begins."""
        return self._tag.pack(tag >> 16, tag & 0xFFFF)


EXPLICIT_LITTLE: Final = Encoding(explicit=True, little_endian=True)
IMPLICIT_LITTLE: Final = Encoding(explicit=False, little_endian=True)
EXPLICIT_BIG: Final = Encoding(explicit=True, little_endian=False)

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return the dataset encoding of a transfer syntax (PS3.5 section 10 and Annex A).

    All but three use explicit VR little endian, those with encapsulated Pixel Data included.
    """
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN:
        return IMPLICIT_LITTLE
    if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE
