"""Blank what compressed frames say besides their image: comments and application data, length kept.

A frame of JPEG or JPEG-LS begins with marker segments up to SOS (ISO/IEC 10918-1 B.2, 14495-1 C.1), one
of JPEG 2000 or HTJ2K with those of the main header up to SOT (15444-1 Annex A). COM, and application
segments but for what decoders need (JFIF, SPIFF, colour transforms), are overwritten in place, so that no
offset changes. Every byte is decided when it is seen, nothing is held back.
"""

from __future__ import annotations

from typing import Final

from deid_node.engine.deidentified import Buffers
from deid_node.errors import Malformed

# How a payload may begin, and how many bytes of it then stay.
_Forms = tuple[tuple[bytes, int], ...]

_WHOLE: Final[_Forms] = ((b"", 1 << 16),)
_NOTHING: Final[_Forms] = ((b"", 0),)
_START, _SECOND, _MARKER, _CODE, _HIGH, _LOW, _IDLE = range(7)
_SPACE, _ZERO = b" ", b"\0"

_SOI, _SOS, _COM = 0xD8, 0xDA, 0xFE
_ALONE: Final = frozenset((0x01, _SOI, *range(0xD0, 0xD8)))
# SOFn, DHT, DAC; DQT, DNL, DRI, DHP, EXP; those of JPEG-LS: SOF55, LSE.
_CODING: Final = frozenset((*range(0xC0, 0xD0), *range(0xDB, 0xE0), 0xF7, 0xF8))
_APPLICATION: Final[dict[int, _Forms]] = {
    0xE0: ((b"JFIF\0", 14),),  # ISO/IEC 10918-5 10.1, without the thumbnail
    # SPIFF header and end of directory (10918-3 F.1), colour transform of JPEG-LS as HP writes it
    0xE8: ((b"SPIFF\0", 30), (b"mrfx", 5), (b"\0\0\0\1", 6)),
    0xEE: ((b"Adobe", 12),),
}

_SOC, _SIZ, _SOT, _J2K_COM = 0x4F, 0x51, 0x90, 0x64
_J2K_ALONE: Final = frozenset(range(0x30, 0x40))
# CAP to CRG of parts 1 and 15, DCO to ATK of part 2.
_J2K_CODING: Final = frozenset((*range(0x50, 0x62), 0x63, *range(0x72, 0x7A)))
_REGISTRATION: Final[_Forms] = ((b"", 2),)  # Rcom


class Comments:
    """Blanks the comments in the fragments of one Pixel Data element.

    Call `begin` at each fragment, `clean` with its bytes while `reads` is true, then `end`. `blanked` says
    whether anything was overwritten. Which code it is is known by the first fragment; fragments of
    others (RLE, MPEG) are left as they are.
    """

    __slots__ = (
        *("blanked", "_state", "_soi", "_ended", "_code", "_high"),
        *("_left", "_keep", "_index", "_forms", "_fill"),
    )

    def __init__(self) -> None:
        self.blanked = False
        self._state = _IDLE
        self._soi: int | None = None  # second byte of the frames: SOI or SOC; -1 for neither
        self._ended = False  # whether a header was read to its end
        self._code = self._high = 0
        self._left = self._keep = self._index = 0
        self._forms: _Forms = ()
        self._fill = _ZERO

    @property
    def reads(self) -> bool:
        """Whether the next bytes belong to a header, or may begin one."""
        return self._state != _IDLE

    def begin(self) -> None:
        """Start a fragment: a header that has not ended goes on in it."""
        if self._state == _IDLE and self._soi != -1:
            self._state = _START

    def end(self) -> None:
        """End the pixels.

        Raises:
            Malformed: a header has not ended, so that its lengths lie.
        """
        if self._state not in (_IDLE, _START):
            self._broken()

    def clean(self, piece: memoryview) -> Buffers:
        """Return as many bytes, with comments overwritten.

        Raises:
            Malformed: the header of a frame cannot be read, so that a comment may stand in it.
        """
        out: Buffers = []
        at = start = 0
        while at < len(piece) and self._state != _IDLE:
            if not self._left:
                self._read(piece[at])
                at += 1
                continue
            if self._forms:
                self._recognize(piece[at])
            n = min(self._left, len(piece) - at)
            if self._forms:
                n = 1
            elif self._keep:
                n = min(n, self._keep)
                self._keep -= n
            else:
                blank = self._fill * n
                if piece[at : at + n] != blank:
                    out += (piece[start:at], blank)
                    start = at + n
                    self.blanked = True
            self._left -= n
            at += n
        out.append(piece[start:])
        return out

    def _recognize(self, byte: int) -> None:
        """Compare the beginning of a payload with what may stay."""
        index = self._index
        whole = [keep for magic, keep in self._forms if len(magic) == index]
        self._forms = tuple(form for form in self._forms if form[0][index : index + 1] == bytes((byte,)))
        if whole or not self._forms:
            self._keep = whole[0] - index if whole else 0
            self._forms = ()
        self._index += 1

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
            self._state, self._soi = _MARKER, byte
            self._code = 0
        elif state == _MARKER:
            self._state = _CODE
            if byte != 0xFF and not self._code:
                self._no_start()  # two bytes that happen to be those of SOI or SOC
            elif byte != 0xFF:
                self._broken()
        elif state == _CODE:
            self._mark(byte)
        elif state == _HIGH:
            self._state, self._high = _LOW, byte
        else:
            self._state = _MARKER
            self._left = (self._high << 8 | byte) - 2
            if self._left < 0:
                self._broken()

    def _mark(self, code: int) -> None:
        """Decide over the segment that a marker begins."""
        self._state, self._index, self._keep, self._fill = _HIGH, 0, 0, _ZERO
        if self._soi == _SOC:
            self._mark_j2k(code)
        elif code == 0xFF:
            self._state = _CODE  # fill bytes
        elif code in _ALONE:
            self._state = _MARKER
        elif code == _SOS:
            self._state, self._ended = _IDLE, True
        elif code in (0x00, 0xD9):
            self._broken()
        else:
            self._forms = _WHOLE if code in _CODING else _APPLICATION.get(code, _NOTHING)
            self._fill = _SPACE if code == _COM else _ZERO
        self._code = code

    def _mark_j2k(self, code: int) -> None:
        if not self._code and code != _SIZ:
            self._no_start()  # packets may hold the bytes of SOC by chance
        elif code in (0xFF, _SOC, 0x93, 0xD9):
            self._broken()
        elif code in _J2K_ALONE:
            self._state = _MARKER
        elif code == _SOT:
            self._state, self._ended = _IDLE, True
        elif code == _J2K_COM:
            self._forms, self._fill = _REGISTRATION, _SPACE
        else:
            self._forms = _WHOLE if code in _J2K_CODING else _NOTHING

    def _no_start(self) -> None:
        """Leave a fragment as it is: it goes on with a frame, or is of another code."""
        self._state = _IDLE
        if not self._ended:
            self._soi = -1

    @staticmethod
    def _broken() -> None:
        raise Malformed("a compressed frame begins with a header that cannot be read", code="frame-header")
