"""What the oracle does to pixels, plainly: everything is in memory, and a frame is one string of bytes."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Literal

_SAMPLE_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
_APPLICATION = {
    0xE0: {b"JFIF\0": 14},
    0xE8: {b"SPIFF\0": 30, b"mrfx": 5, b"\0\0\0\1": 6},
    0xEE: {b"Adobe": 12},
}
_CODING = {
    b"\xff\xd8": {*range(0xC0, 0xD0), *range(0xDB, 0xE0), 0xF7, 0xF8},
    b"\xff\x4f": {*range(0x50, 0x62), 0x63, *range(0x72, 0x7A)},
}
_HEADS = {b"\xff\xd8": 0xDA, b"\xff\x4f": 0x90}
_BEGINS = {b"\xff\xd8": b"\xff\xd8\xff", b"\xff\x4f": b"\xff\x4f\xff\x51"}
_IN_SCAN = re.compile(rb"\xff[^\x00-\x7f\xd0-\xd7\xff]")
_ALONE = {b"\xff\xd8": {0x01, *range(0xD0, 0xD9)}, b"\xff\x4f": set(range(0x30, 0x40))}


def cut(value: bytes, tag: int, tree: Mapping[int, bytes], order: Literal["little", "big"]) -> bytes:
    """Return native pixels without what follows the last frame."""
    frames = tree.get(0x00280008, b"").strip(b" \0") or b"1"
    numbers = [tree.get(known, b"") for known in (0x00280010, 0x00280011, 0x00280100)]
    numbers.append(tree.get(0x00280002) or (1).to_bytes(2, order))
    if tag not in (*_SAMPLE_BITS, 0x7FE00010) or not frames.isdigit() or len(frames) > 12:
        return value
    rows, columns, bits, samples = (int.from_bytes(number, order) * (len(number) == 2) for number in numbers)
    frame = rows * columns * samples * _SAMPLE_BITS.get(tag, bits)
    sizes = [math.ceil(frame * (int(frames) or 1) / 8), math.ceil(frame / 8) * (int(frames) or 1)]
    photometric = tree.get(0x00280004, b"").strip(b" \0")
    if samples == 3 and photometric.endswith(b"_422"):
        sizes[0] = sizes[0] * 2 // 3
    if samples == 3 and photometric.endswith(b"_420"):
        sizes[0] = sizes[0] // 2
    if not frame or any(size <= len(value) <= size + size % 2 for size in sizes):
        return value
    return value[: sizes[1] if len(value) > sizes[1] else sizes[0]]


def without_comments(value: bytes) -> bytes:
    """Return encapsulated pixels without comments; a frame begins with a fragment.

    What cannot be read is returned as it is: such an object is refused.
    """
    out = bytearray(value)
    start = b""
    frames: list[list[range]] = []
    try:
        (at,) = struct.unpack_from("<I", value, 4)
        at += 8  # behind the offset table
        while at + 8 <= len(value):
            (length,) = struct.unpack_from("<I", value, at + 4)
            place = range(at + 8, at + 8 + length)
            fragment = value[place.start : place.stop]
            start = start or (fragment[:2] if fragment[2:3] == b"\xff" else b"no frame")
            if not frames or fragment[: len(_BEGINS.get(start, b"-"))] == _BEGINS.get(start):
                frames.append([])
            frames[-1].append(place)
            at += 8 + length
        for places in frames if start in _BEGINS else ():
            offsets = [offset for place in places for offset in place]
            frame = bytes(value[offset] for offset in offsets)
            for first, count, fill in comments(frame):
                for offset in offsets[first : first + count]:
                    out[offset : offset + 1] = fill
    except (struct.error, IndexError):
        return value
    return bytes(out)


def comments(frame: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, length and fill of what is blanked in a frame."""
    start = frame[:2]
    if start not in _CODING or frame[2:3] != b"\xff" or (start == b"\xff\x4f" and frame[3:4] != b"\x51"):
        return
    at, tile = 2, None
    while at < len(frame):
        if start == b"\xff\x4f" and frame[at] == 0:  # padding, where EOC should be
            yield at, len(frame) - at, b"\0"
            return
        marker = frame[at + 1]
        if marker == 0xD9:
            yield at + 2, len(frame) - at - 2, b"\0"
            return
        if start == b"\xff\x4f" and marker == 0x93 and tile is not None:
            at = tile or frame.find(b"\xff\xd9", at) % (len(frame) + 1)
            tile = None
            continue
        if marker == 0xFF or marker in _ALONE[start]:
            at += 1 + (marker != 0xFF)
            continue
        (length,) = struct.unpack_from(">H", frame, at + 2)
        if start == b"\xff\x4f" and marker == 0x90:
            (part,) = struct.unpack_from(">I", frame, at + 6)
            tile = at + part if part else 0
        yield from _of_segment(start, marker, frame[at + 4 : at + 2 + length], at + 4)
        at += 2 + length
        if start == b"\xff\xd8" and marker == 0xDA:
            found = _IN_SCAN.search(frame, at)
            at = found.start() if found else len(frame)


def _of_segment(start: bytes, marker: int, payload: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    stays = len(payload) if marker in _CODING[start] or marker == _HEADS[start] else 0
    if start == b"\xff\xd8":
        for magic, kept in _APPLICATION.get(marker, {}).items():
            same = next(
                (at for at, byte in enumerate(magic) if payload[at : at + 1] != bytes((byte,))),
                len(magic),
            )
            stays = max(stays, kept if same == len(magic) else same)
    elif marker == 0x64:
        stays = 2
    if stays < len(payload):
        yield at + stays, len(payload) - stays, b" " if marker in (0xFE, 0x64) else b"\0"
