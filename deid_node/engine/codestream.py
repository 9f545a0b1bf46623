"""Blank what compressed frames say besides their image: comments and application data, length kept.

A frame of JPEG or JPEG-LS is marker segments up to SOS, a scan, more of both, and EOI (ISO/IEC 10918-1 B.2,
14495-1 C.1); one of JPEG 2000 or HTJ2K a main header, tile-parts, each with a header of its own, and EOC
(15444-1 Annex A). COM, and application segments but for what decoders need (JFIF, SPIFF, colour transforms),
are overwritten in place wherever they stand, and so is what follows EOI or EOC in a fragment, so that no
offset changes. Every byte is looked at once, when it is seen; nothing is held back.
"""

from __future__ import annotations

import re
from typing import Final

from deid_node.engine.deidentified import Buffers
from deid_node.errors import Malformed

# How a payload may begin, and how many bytes of it then stay.
_Forms = tuple[tuple[bytes, int], ...]

_WHOLE: Final[_Forms] = ((b"", 1 << 16),)
_NOTHING: Final[_Forms] = ((b"", 0),)
# Where a byte stands: in the start of a frame, a marker, the length of a segment; in a scan, or behind 0xFF
# there; in the packets of a tile-part, of known length or up to EOC; behind the frame; in no frame we know.
_START, _SECOND, _MARKER, _CODE, _HIGH, _LOW = range(6)
_SCAN, _SCAN_CODE, _PACKETS, _TO_END, _TO_END_CODE, _BEHIND, _IDLE = range(6, 13)
_SPACE, _ZERO = b" ", b"\0"

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_ALONE: Final = frozenset((0x01, _SOI, *range(0xD0, 0xD8)))
# SOFn, DHT, DAC; DQT, DNL, DRI, DHP, EXP; those of JPEG-LS: SOF55, LSE.
_CODING: Final = frozenset((*range(0xC0, 0xD0), *range(0xDB, 0xE0), 0xF7, 0xF8))
_APPLICATION: Final[dict[int, _Forms]] = {
    0xE0: ((b"JFIF\0", 14),),  # ISO/IEC 10918-5 10.1, without the thumbnail
    # SPIFF header and end of directory (10918-3 F.1), colour transform of JPEG-LS as HP writes it
    0xE8: ((b"SPIFF\0", 30), (b"mrfx", 5), (b"\0\0\0\1", 6)),
    0xEE: ((b"Adobe", 12),),
}
# What may stand between scans; anything else there is no scan that we can read.
_BETWEEN_SCANS: Final = _CODING | {_SOS, _COM, *range(0xE0, 0xF0)}
# A marker in a scan: 0xFF is stuffed with a zero byte, in JPEG-LS with a zero bit; restarts are no end of it.
_IN_SCAN: Final = re.compile(rb"\xff[^\x00-\x7f\xd0-\xd7\xff]")

_SOC, _SIZ, _SOT, _SOD, _EOC, _J2K_COM = 0x4F, 0x51, 0x90, 0x93, 0xD9, 0x64
_J2K_ALONE: Final = frozenset(range(0x30, 0x40))
# CAP to CRG of parts 1 and 15, DCO to ATK of part 2.
_J2K_CODING: Final = frozenset((*range(0x50, 0x62), 0x63, *range(0x72, 0x7A)))
_REGISTRATION: Final[_Forms] = ((b"", 2),)  # Rcom
_SOT_BYTES: Final = 12  # marker, length, tile, length of the tile-part, its number, their number (A.4.2)
_END: Final = re.compile(rb"\xff\xd9")  # packets have no code above 0xFF8F
_J2K_START: Final = bytes((0xFF, _SOC, 0xFF, _SIZ))


class Comments:
    """Blanks the comments in the fragments of one Pixel Data element.

    Call `begin` at each fragment, `clean` with its bytes while `reads` is true, then `end`. `blanked` says
    whether anything was overwritten. Which code it is is known by the first fragment; fragments of
    others (RLE, MPEG) are left as they are.
    """

    __slots__ = (
        *("blanked", "_state", "_soi", "_ended", "_code", "_high", "_next", "_tile", "_sot", "_packets"),
        *("_left", "_keep", "_index", "_forms", "_fill", "_at", "_guess"),
    )

    def __init__(self) -> None:
        self.blanked = False
        self._state = _IDLE
        self._soi: int | None = None  # second byte of the frames: SOI or SOC; -1 for neither
        self._ended = False  # whether a header was read to its end
        self._code = self._high = 0
        self._next = _MARKER  # the state behind a segment
        self._left = self._keep = self._index = 0
        self._forms: _Forms = ()
        self._fill = _ZERO
        self._tile: int | None = None  # bytes of the tile-part whose header is read that are still to come
        self._sot: bytearray | None = None  # what there is of a SOT segment
        self._packets = 0  # bytes of packets to come
        self._at = 0  # offset in the fragment
        self._guess = -1  # bytes that may begin another frame of JPEG 2000, in the middle of one

    @property
    def reads(self) -> bool:
        """Whether the next bytes belong to a frame that we know, or may begin one."""
        return self._state != _IDLE

    def begin(self) -> None:
        """Start a fragment: a frame that has not ended goes on in it, or was cut and another one begins."""
        self._at = 0
        if self._state == _BEHIND or (self._state == _IDLE and self._soi != -1):
            self._state = _START
        elif self._state in (_PACKETS, _TO_END, _TO_END_CODE):
            self._guess = 0

    def end(self) -> None:
        """End the pixels.

        Raises:
            Malformed: a header has not ended, so that its lengths lie.
        """
        between = self._state == _MARKER and self._soi == _SOC and self._ended and self._tile is None
        if self._state < _SCAN and self._state != _START and not between:
            self._broken()

    def clean(self, piece: memoryview) -> Buffers:
        """Return as many bytes, with comments overwritten.

        Raises:
            Malformed: a frame cannot be read, so that a comment may stand in it.
        """
        out: Buffers = []
        at = start = 0
        length = len(piece)
        while at < length and self._state != _IDLE:
            if not self._left and self._state != _BEHIND:
                at = self._pass(piece, at)
                continue
            n, blanks = self._segment(piece, at)
            if blanks and piece[at : at + n] != (blank := self._fill * n):
                out += (piece[start:at], blank)
                start = at + n
                self.blanked = True
            at += n
        self._at += length
        out.append(piece[start:])
        return out

    def _segment(self, piece: memoryview, at: int) -> tuple[int, bool]:
        """Take bytes of a payload, or of what is behind a frame; return how many, and whether they go."""
        if self._state == _BEHIND:
            self._fill = _ZERO
            return len(piece) - at, True
        if self._forms:
            self._recognize(piece[at])
        n = min(self._left, len(piece) - at)
        blanks = False
        if self._sot is not None:
            self._sot += piece[at : at + n]
        elif self._forms:
            n = 1
        elif self._keep:
            n = min(n, self._keep)
            self._keep -= n
        else:
            blanks = True
        self._left -= n
        if not self._left and self._sot is not None:
            self._open_tile(self._sot)
        return n, blanks

    def _recognize(self, byte: int) -> None:
        """Compare the beginning of a payload with what may stay."""
        index = self._index
        whole = [keep for magic, keep in self._forms if len(magic) == index]
        self._forms = tuple(form for form in self._forms if form[0][index : index + 1] == bytes((byte,)))
        if whole or not self._forms:
            self._keep = whole[0] - index if whole else 0
            self._forms = ()
        self._index += 1

    def _pass(self, piece: memoryview, at: int) -> int:
        """Take bytes that stay: of the image, or of a marker; return where the next ones are."""
        state = self._state
        if self._guess >= 0:
            return at + self._guess_start(piece[at])
        if state == _SCAN:
            found = _IN_SCAN.search(piece, at)
            if found is None:
                self._state = _SCAN_CODE if piece[-1] == 0xFF else _SCAN
                return len(piece)
            self._end_scan(piece[found.end() - 1], self._at + found.end())
            return found.end()
        if state == _SCAN_CODE:
            if (code := piece[at]) < 0x80 or 0xD0 <= code <= 0xD7:
                self._state = _SCAN
            elif code != 0xFF:
                self._end_scan(code, self._at + at + 1)
        elif state == _PACKETS:
            n = min(self._packets, len(piece) - at)
            self._packets -= n
            if not self._packets:
                self._state = _MARKER
            return at + n
        elif state == _TO_END:
            found = _END.search(piece, at)
            if found is None:
                self._state = _TO_END_CODE if piece[-1] == 0xFF else _TO_END
                return len(piece)
            self._state = _BEHIND
            return found.end()
        elif state == _TO_END_CODE:
            code = piece[at]
            self._state = _BEHIND if code == _EOC else _TO_END_CODE if code == 0xFF else _TO_END
        elif state == _START and self._ended and piece[at] != 0xFF and self._soi != -1:
            self._no_start()
            return at
        else:
            self._read(piece[at])
        return at + 1

    def _guess_start(self, byte: int) -> int:
        """Tell whether a fragment in the middle of packets begins another frame; return the bytes taken."""
        if byte == _J2K_START[self._guess]:
            self._guess += 1
            if self._guess == len(_J2K_START):
                self._guess, self._code, self._tile = -1, 0, None
                self._mark(_SIZ)
            return 1
        taken, self._guess = self._guess, -1
        if self._state == _PACKETS:
            if taken >= self._packets:
                self._broken()
            self._packets -= taken
        elif taken in (1, 3):
            self._state = _TO_END_CODE
        return 0

    def _end_scan(self, code: int, at: int) -> None:
        """Go on behind a marker in a scan, whose last byte is the one before `at` of the fragment."""
        if code == _EOI:
            self._state = _BEHIND
        elif code == _SOI and at == 2:
            self._state, self._code = _MARKER, 0  # the frame before it was cut
        elif code in _BETWEEN_SCANS:
            self._mark(code)
        else:
            self._broken()

    def _read(self, byte: int) -> None:
        """Take in a byte of a marker or of the length of its segment (B.1.1)."""
        state = self._state
        if state == _START:
            self._state = _SECOND
            if byte != 0xFF:
                self._no_start()
        elif state == _SECOND:
            if byte not in (_SOI, _SOC) or self._soi not in (None, byte):
                self._no_start()
                return
            self._state, self._soi, self._tile = _MARKER, byte, None
            self._code = 0
        elif state == _MARKER:
            self._state = _CODE
            if byte != 0xFF and not self._code:
                self._no_start()  # two bytes that happen to be those of SOI or SOC
            elif byte == 0 and self._soi == _SOC and self._ended and self._tile is None:
                self._state = _BEHIND  # padding, where EOC should be
            elif byte != 0xFF:
                self._broken()
        elif state == _CODE:
            self._mark(byte)
        elif state == _HIGH:
            self._state, self._high = _LOW, byte
        else:
            length = self._high << 8 | byte
            self._state, self._left = self._next, length - 2
            if self._tile is not None:
                self._tile -= length
            if self._left < 0:
                self._broken()

    def _mark(self, code: int) -> None:
        """Decide over the segment that a marker begins."""
        self._state, self._index, self._keep, self._fill = _HIGH, 0, 0, _ZERO
        self._next = _MARKER
        if self._soi == _SOC:
            self._mark_j2k(code)
        elif code == 0xFF:
            self._state = _CODE  # fill bytes
        elif code in _ALONE:
            self._state = _MARKER
        elif code == _SOS:
            self._forms, self._next, self._ended = _WHOLE, _SCAN, True
        elif code == _EOI and self._ended:
            self._state = _BEHIND
        elif code in (0x00, _EOI):
            self._broken()
        else:
            self._forms = _WHOLE if code in _CODING else _APPLICATION.get(code, _NOTHING)
            self._fill = _SPACE if code == _COM else _ZERO
        self._code = code

    def _mark_j2k(self, code: int) -> None:
        if self._tile is not None:
            self._tile -= 2
        if not self._code and code != _SIZ:
            self._no_start()  # packets may hold the bytes of SOC by chance
        elif code == _EOC and self._ended and self._tile is None:
            self._state = _BEHIND
        elif code == _SOD and self._tile is not None:
            self._begin_packets(self._tile)
        elif code in (0xFF, _SOC, _SOD, _EOC) or (code == _SOT and self._tile is not None):
            self._broken()
        elif code in _J2K_ALONE:
            self._state = _MARKER
        elif code == _SOT:
            self._sot, self._ended = bytearray(), True
        elif code == _J2K_COM:
            self._forms, self._fill = _REGISTRATION, _SPACE
        else:
            self._forms = _WHOLE if code in _J2K_CODING else _NOTHING

    def _open_tile(self, sot: bytearray) -> None:
        """Take in a SOT segment; a tile-part without a length reaches to EOC (A.4.2)."""
        self._sot = None
        if len(sot) != _SOT_BYTES - 4:
            self._broken()
        length = int.from_bytes(sot[2:6], "big")
        self._tile = length - _SOT_BYTES if length else 1 << 62

    def _begin_packets(self, left: int) -> None:
        self._tile = None
        if left < 0:
            self._broken()
        self._packets = left
        self._state = _TO_END if left > 1 << 32 else _PACKETS if left else _MARKER

    def _no_start(self) -> None:
        """Leave a fragment as it is: it is of another code, or there was no header yet that has an end.

        Behind a frame nothing is left that a decoder would read.
        """
        self._state = _BEHIND if self._ended else _IDLE
        if not self._ended:
            self._soi = -1

    @staticmethod
    def _broken() -> None:
        raise Malformed("a compressed frame begins with a header that cannot be read", code="frame-header")
