"""Keep pixels, and nothing that hides behind or between them.

Native pixels are cut to what the image attributes describe (PS3.3 C.7.6.3, C.7.6.24, PS3.5 8.1.1);
the headers of compressed frames lose their comments (`codestream`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deid_node.engine.codestream import Comments
from deid_node.engine.encoding import SEQUENCE_END, Encoding, vr_in
from deid_node.engine.place import Place
from deid_node.engine.plan import KEEP, Entry
from deid_node.engine.scan import Element
from deid_node.errors import Malformed
from deid_node.standard.dictionary import keyword_of

PIXEL_DATA: Final = 0x7FE00010
# Float, Double Float, and Pixel Data: bits of a sample, None where Bits Allocated says so.
PIXEL_TAGS: Final[dict[int, int | None]] = {0x7FE00008: 32, 0x7FE00009: 64, PIXEL_DATA: None}

_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_ROWS, _COLUMNS, _BITS = 0x00280010, 0x00280011, 0x00280100
DESCRIBING: Final = frozenset((_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS, _BITS))
_UNDEFINED: Final = b"\xff\xff\xff\xff"
_MOST_DIGITS: Final = 12  # of an IS


class KeptPixels:
    """The entry of Pixel Data that a table keeps."""

    __slots__ = ()

    def apply(self, element: Element, place: Place) -> bytes | None:
        """Return the element without what is no pixel, None when there is nothing of that kind.

        Raises:
            Malformed: there are fewer pixels than described, or a frame cannot be read.
        """
        code, p, v, q = element
        if place.b[v - 4 : v] == _UNDEFINED and v - p >= 8:
            return _without_comments(element, place)
        length = self.kept_bytes(code >> 16, q - v, place)
        if length == q - v:
            return None
        return place.encoding.element(code >> 16, vr_in(code), place.b[v : v + length])

    def kept_bytes(self, tag: int, length: int, place: Place) -> int:
        """Return how many bytes of native pixels are pixels.

        Raises:
            Malformed: fewer are there than described.
        """
        described = described_bytes(place.raw, tag, place.encoding)
        if described is None or not length:
            return length
        least, most = described
        if length < least:
            raise Malformed("fewer pixels than its image attributes describe", path=keyword_of(tag))
        for size in (least, most):
            if length in (size, size + size % 2):
                return length
        place.subject.budget.repairs.add("surplus-pixels")
        return most if length > most else least


def is_kept(entry: Entry) -> bool:
    """Tell whether an entry keeps an element whose value need not be seen as a whole."""
    return entry is KEEP or isinstance(entry, KeptPixels)


def described_bytes(
    raw: Callable[[int], bytes | None], tag: int, encoding: Encoding
) -> tuple[int, int] | None:
    """Return how many bytes native pixels have, the least and the most; None when nothing says it.

    They differ where chrominance is subsampled (C.7.6.3.1.2), which devices also write in full, and where
    frames of single bits are padded to bytes, which PS3.5 8.1.1 forbids.

    Args:
        raw: the value bytes of an attribute beside the pixels, None when absent.
    """

    def number(asked: int, otherwise: int = 0) -> int:
        value = raw(asked)
        if not value:
            return otherwise
        return int(encoding.short(value)[0]) if len(value) == 2 else 0

    frames = _frames(raw(_FRAMES))
    bits = PIXEL_TAGS[tag] or number(_BITS)
    samples = number(_SAMPLES, 1)
    frame_bits = number(_ROWS) * number(_COLUMNS) * samples * bits
    if not frame_bits or not frames:
        return None
    least, most = (frame_bits * frames + 7) // 8, (frame_bits + 7) // 8 * frames
    photometric = (raw(_PHOTOMETRIC) or b"").strip(b" \0")
    if samples == 3 and photometric.endswith((b"_422", b"_420")):
        least = least * 2 // 3 if photometric.endswith(b"2") else least // 2
    return least, most


def _frames(value: bytes | None) -> int:
    """Return Number of Frames; devices write none or 0 for one frame. 0 when it is no number."""
    text = (value or b"").strip(b" \0")
    if not text:
        return 1
    return (int(text) or 1) if text.isdigit() and len(text) <= _MOST_DIGITS else 0


def _without_comments(element: Element, place: Place) -> bytes | None:
    _, start, p, end = element
    b, encoding, comments = place.b, place.encoding, Comments()
    out = [memoryview(b)[start:p]]
    table = True
    while True:
        group, low, n = encoding.item_header(b, p)
        if group << 16 | low == SEQUENCE_END:
            break
        out.append(memoryview(b)[p : p + 8])
        p += 8
        fragment = memoryview(b)[p : p + n]
        if not table:
            comments.begin()
        table = False
        out += map(memoryview, comments.clean(fragment)) if comments.reads else (fragment,)
        p += n
    comments.end()
    if not comments.blanked:
        return None
    place.subject.budget.repairs.add("frame-comments")
    return b"".join((*out, b[p:end]))
