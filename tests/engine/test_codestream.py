"""Comments of compressed frames are blanked in place, wherever the bytes are cut."""

from __future__ import annotations

import struct

import pytest

from deid_node.engine.codestream import Comments
from deid_node.errors import Malformed

_SECRET = b"Secret^Name 19700101"
_SOI, _SOS = b"\xff\xd8", b"\xff\xda\0\x08\1\1\0\0\x3f\0"
_SCAN = b"\x12\xff\0\x34\xff\xfe" + _SECRET + b"\xff\xd9"
_JFIF = b"JFIF\0\1\2\0\0\1\0\1\0\0"
_ADOBE = b"Adobe\0\x64\0\0\0\0\1"
_SIZ = b"\0\0" + struct.pack(">8I", 8, 8, 0, 0, 8, 8, 0, 0) + b"\0\1\7\1\1"
_SOC = b"\xff\x4f"
_SOT = b"\xff\x90\0\x0a\0\0\0\0\0\x20\0\1\xff\x93"


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _clean(*fragments: bytes, piece_bytes: int = 1 << 20) -> list[bytes]:
    comments = Comments()
    out = []
    for fragment in fragments:
        comments.begin()
        new = b""
        for at in range(0, len(fragment), piece_bytes):
            piece = memoryview(fragment)[at : at + piece_bytes]
            new += b"".join(comments.clean(piece) if comments.reads else [piece])
        out.append(new)
    comments.end()
    return out


@pytest.mark.parametrize(
    ("segment", "becomes"),
    [
        (_segment(0xFE, _SECRET), _segment(0xFE, b" " * len(_SECRET))),
        (_segment(0xE1, b"Exif\0\0" + _SECRET), _segment(0xE1, bytes(6 + len(_SECRET)))),
        (_segment(0xE0, _JFIF + _SECRET), _segment(0xE0, _JFIF + bytes(len(_SECRET)))),
        (_segment(0xE0, b"JFXX\0" + _SECRET), _segment(0xE0, b"JF" + bytes(3 + len(_SECRET)))),
        (_segment(0xEE, _ADOBE + _SECRET), _segment(0xEE, _ADOBE + bytes(len(_SECRET)))),
        (_segment(0xE8, b"mrfx\1" + _SECRET), _segment(0xE8, b"mrfx\1" + bytes(len(_SECRET)))),
        (_segment(0xE8, _SECRET), _segment(0xE8, _SECRET[:1] + bytes(len(_SECRET) - 1))),
        (_segment(0x02, _SECRET), _segment(0x02, bytes(len(_SECRET)))),
        (b"\xff\xff" + _segment(0xFE, b""), b"\xff\xff" + _segment(0xFE, b"")),
        (_segment(0xDB, bytes(65)), _segment(0xDB, bytes(65))),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 1000])
def test_a_jpeg_header_says_nothing_but_its_image(segment: bytes, becomes: bytes, piece_bytes: int) -> None:
    frame = _SOI + segment + _segment(0xC0, bytes(9)) + segment + _SOS + _SCAN

    (new,) = _clean(frame, piece_bytes=piece_bytes)

    assert new == _SOI + becomes + _segment(0xC0, bytes(9)) + becomes + _SOS + _SCAN


@pytest.mark.parametrize("piece_bytes", [1, 3, 1000])
def test_a_jpeg_2000_header_says_nothing_but_its_image(piece_bytes: int) -> None:
    text = _segment(0x64, b"\0\1" + _SECRET)
    blank = _segment(0x64, b"\0\1" + b" " * len(_SECRET))
    coding = _segment(0x52, bytes(10)) + _segment(0x5C, bytes(4))

    (new,) = _clean(_SOC + _segment(0x51, _SIZ) + text + coding + text + _SOT + text, piece_bytes=piece_bytes)

    assert new == _SOC + _segment(0x51, _SIZ) + blank + coding + blank + _SOT + text


@pytest.mark.parametrize("at", range(1, 40))
def test_a_header_goes_on_in_the_next_fragment(at: int) -> None:
    frame = _SOI + _segment(0xFE, _SECRET) + _segment(0xC0, bytes(9)) + _SOS + _SCAN

    first, second = _clean(frame[:at], frame[at:])

    assert first + second == frame.replace(_SECRET, b" " * len(_SECRET), 1)


def test_a_fragment_that_goes_on_with_a_frame_stays_as_it_is() -> None:
    jpeg = _SOI + _segment(0xFE, b"") + _SOS
    j2k = _SOC + _segment(0x51, _SIZ) + _SOT
    going_on = [_SCAN, _segment(0xFE, _SECRET), b"\xff", b"", _SOC + _segment(0x64, _SECRET)]

    assert _clean(jpeg, *going_on) == [jpeg, *going_on]
    assert _clean(j2k, *going_on, _SOI + _segment(0xFE, _SECRET)) == [
        j2k,
        *going_on,
        _SOI + _segment(0xFE, _SECRET),
    ]


def test_every_frame_is_cleaned() -> None:
    frame = _SOI + _segment(0xFE, _SECRET) + _SOS + _SCAN
    blank = frame.replace(_SECRET, b" " * len(_SECRET), 1)

    assert _clean(frame, frame, frame) == [blank, blank, blank]


def test_fragments_of_another_code_stay_as_they_are() -> None:
    fragments = [b"\0\0\1\xb3" + _SECRET, _SOI + _segment(0xFE, _SECRET), _SOC]

    assert _clean(*fragments) == fragments


def test_two_bytes_that_only_happen_to_be_those_of_soi_begin_no_frame() -> None:
    assert _clean(_SOI + bytes(64)) == [_SOI + bytes(64)]


@pytest.mark.parametrize(
    "header",
    [
        _SOI + b"\xff\xfe\0\1" + _SECRET,
        _SOI + b"\xff\xd9" + _SECRET,
        _SOI + _segment(0xFE, b"") + b"\xff\0",
        _SOI + b"\xff\xfe\xff\xff" + _SECRET,
        _SOC + _segment(0x51, _SIZ) + _SECRET,
        _SOC + _segment(0x51, _SIZ) + b"\xff\xd9",
    ],
)
def test_a_header_that_cannot_be_read_is_refused(header: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        _clean(header)

    assert refusal.value.code == "frame-header"
