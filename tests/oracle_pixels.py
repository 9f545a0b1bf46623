"""What the oracle does to pixels, plainly: everything is in memory, and a frame is one string of bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Literal

_SAMPLE_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
_STAYS = {0xE0: ({b"JFIF\0": 14}), 0xE8: {b"SPIFF\0": 30, b"mrfx": 5, b"\0\0\0\1": 6}, 0xEE: {b"Adobe": 12}}


def cut(value: bytes, tag: int, tree: Mapping[int, bytes], order: Literal["little", "big"]) -> bytes:
    """Return native pixels without what follows the last frame."""
    if tag not in (*_SAMPLE_BITS, 0x7FE00010):
        return value
    try:
        rows, columns = (int.from_bytes(tree[known], order) for known in (0x00280010, 0x00280011))
        bits = _SAMPLE_BITS.get(tag) or int.from_bytes(tree[0x00280100], order)
    except KeyError:
        return value
    samples = int.from_bytes(
        tree.get(0x00280002) or struct.pack("=H", 1), order if 0x00280002 in tree else "little"
    )
    frames = int(tree.get(0x00280008, b"").strip(b" \0") or 1) or 1
    size = math.ceil(rows * columns * samples * bits * frames / 8)
    if not size or len(value) <= size + 1:
        return value
    return value[:size]


def without_comments(value: bytes) -> bytes:
    """Return encapsulated pixels without comments; a frame begins with a fragment."""
    out = bytearray(value)
    at = 0
    first = True
    while at + 8 <= len(value):
        (length,) = struct.unpack_from("<I", value, at + 4)
        if not first:
            for start, count, fill in comments(value[at + 8 : at + 8 + length]):
                out[at + 8 + start : at + 8 + start + count] = fill * count
        first = False
        at += 8 + length
    return bytes(out)


def comments(frame: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, length and fill of what is blanked in the header of a frame."""
    if frame[:2] not in (b"\xff\xd8", b"\xff\x4f") or frame[2:3] != b"\xff":
        return
    jpeg = frame[1] == 0xD8
    at = 2
    while True:
        marker = frame[at + 1]
        if marker == (0xDA if jpeg else 0x90):
            return
        if marker == 0xFF or (jpeg and marker == 0xD8):
            at += 1 + (marker == 0xD8)
            continue
        (length,) = struct.unpack_from(">H", frame, at + 2)
        payload = frame[at + 4 : at + 2 + length]
        stays = 2 if marker == 0x64 and not jpeg else None
        if jpeg and (marker == 0xFE or 0xE0 <= marker <= 0xEF):
            known = [kept for magic, kept in _STAYS.get(marker, {}).items() if payload.startswith(magic)]
            stays = known[0] if known else 0
        if stays is not None and stays < len(payload):
            yield at + 4 + stays, len(payload) - stays, b" " if marker in (0xFE, 0x64) else b"\0"
        at += 2 + length
