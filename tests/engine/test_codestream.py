"""Comments of compressed frames are blanked in place, wherever the bytes are cut."""

from __future__ import annotations

import struct

import pytest

from deid_node.engine.codestream import Comments
from deid_node.errors import Malformed

_SECRET = b"Secret^Name 19700101"
_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda\0\x08\1\1\0\0\x3f\0"
_SCAN = b"\x12\xff\0\x34\xff\xd1\x56\xff\xd9"
_JFIF = b"JFIF\0\1\2\0\0\1\0\1\0\0"
_ADOBE = b"Adobe\0\x64\0\0\0\0\1"
_SIZ = b"\0\0" + struct.pack(">8I", 8, 8, 0, 0, 8, 8, 0, 0) + b"\0\1\7\1\1"
_SOC = b"\xff\x4f"
_SOT = b"\xff\x90\0\x0a\0\0\0\0\0\x20\0\1\xff\x93"
_PACKETS = bytes(range(18))  # what is left of the 32 bytes of the tile-part
_EOC = b"\xff\xd9"


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

    tile = _SOT + _PACKETS

    (new,) = _clean(
        _SOC + _segment(0x51, _SIZ) + text + coding + text + tile + tile + _EOC, piece_bytes=piece_bytes
    )

    assert new == _SOC + _segment(0x51, _SIZ) + blank + coding + blank + tile + tile + _EOC


@pytest.mark.parametrize("at", range(1, 40))
def test_a_header_goes_on_in_the_next_fragment(at: int) -> None:
    frame = _SOI + _segment(0xFE, _SECRET) + _segment(0xC0, bytes(9)) + _SOS + _SCAN

    first, second = _clean(frame[:at], frame[at:])

    assert first + second == frame.replace(_SECRET, b" " * len(_SECRET), 1)


def _tile(packets: bytes, header: bytes = b"", *, length: int | None = None) -> bytes:
    whole = 12 + len(header) + 2 + len(packets) if length is None else length
    return b"\xff\x90\0\x0a\0\0" + struct.pack(">I", whole) + b"\0\1" + header + b"\xff\x93" + packets


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 1000])
def test_comments_between_scans_go(piece_bytes: int) -> None:
    text, blank = _segment(0xFE, _SECRET), _segment(0xFE, b" " * len(_SECRET))
    tables = _segment(0xC4, bytes(20))
    scan = _SOS + b"\1\xff\0\xff\xd0\2"

    (new,) = _clean(_SOI + scan + b"\xff" + text + tables + scan + text + _EOI, piece_bytes=piece_bytes)

    assert new == _SOI + scan + b"\xff" + blank + tables + scan + blank + _EOI


@pytest.mark.parametrize("piece_bytes", [1, 2, 5, 1000])
def test_comments_in_the_headers_of_tile_parts_go(piece_bytes: int) -> None:
    text, blank = _segment(0x64, b"\0\1" + _SECRET), _segment(0x64, b"\0\1" + b" " * len(_SECRET))
    head = _SOC + _segment(0x51, _SIZ)
    packets = b"\xff\x64" + _SECRET  # what looks like a comment there is image

    (new,) = _clean(
        head + _tile(packets, text) + _tile(packets, _segment(0x58, bytes(3)) + text) + _EOC,
        piece_bytes=piece_bytes,
    )

    assert new == head + _tile(packets, blank) + _tile(packets, _segment(0x58, bytes(3)) + blank) + _EOC


@pytest.mark.parametrize("piece_bytes", [1, 2, 1000])
def test_the_last_tile_part_may_reach_to_the_end(piece_bytes: int) -> None:
    frame = _SOC + _segment(0x51, _SIZ) + _tile(bytes(5)) + _tile(b"\xff\x8f\xff\0", length=0) + _EOC

    (new,) = _clean(frame + _SECRET, piece_bytes=piece_bytes)

    assert new == frame + bytes(len(_SECRET))


_JPEG = _SOI + _segment(0xC0, bytes(9)) + _SOS + _SCAN
_J2K = _SOC + _segment(0x51, _SIZ) + _tile(bytes(9)) + _EOC


@pytest.mark.parametrize("frame", [_JPEG, _J2K])
@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 1000])
def test_what_follows_the_end_of_an_image_goes(frame: bytes, piece_bytes: int) -> None:
    fragments = [frame + _SECRET, frame + b"\0", frame, _SECRET, b"", frame + frame]

    new = _clean(*fragments, piece_bytes=piece_bytes)

    rest = bytes(len(_SECRET))
    assert new == [frame + rest, frame + b"\0", frame, rest, b"", frame + bytes(len(frame))]


@pytest.mark.parametrize("frame", [_JPEG, _J2K])
@pytest.mark.parametrize("at", range(1, 48))
def test_a_frame_goes_on_in_the_next_fragment(frame: bytes, at: int) -> None:
    first, second = _clean(frame[:at], frame[at:] + _SECRET, piece_bytes=3)

    assert first + second == frame + bytes(len(_SECRET))


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("cut", "comment"),
    [
        (_JPEG[:-3], _SOI + _segment(0xFE, _SECRET) + _JPEG[2:]),
        (_J2K[:-6], _J2K[:2] + _segment(0x51, _SIZ) + _segment(0x64, b"\0\1" + _SECRET) + _tile(b"") + _EOC),
        (
            _SOC + _segment(0x51, _SIZ) + _tile(bytes(4), length=0),
            _J2K[:2] + _segment(0x51, _SIZ) + _segment(0x64, b"\0\1" + _SECRET) + _tile(b"") + _EOC,
        ),
    ],
)
def test_a_frame_that_was_cut_hides_nothing_of_the_next(cut: bytes, comment: bytes, piece_bytes: int) -> None:
    first, second = _clean(cut, comment, piece_bytes=piece_bytes)

    assert first == cut
    assert second == comment.replace(_SECRET, b" " * len(_SECRET))


@pytest.mark.parametrize("going_on", [_SOC + b"\xff", b"\xff\x4f\xff\x50", b"\xff", b"\xff\xff\x4f"])
def test_packets_that_look_like_another_frame_are_packets(going_on: bytes) -> None:
    packets = b"abc" + going_on + b"def"
    frame = _SOC + _segment(0x51, _SIZ) + _tile(packets) + _EOC
    at = frame.index(b"abc") + 3

    first, second = _clean(frame[:at], frame[at:] + _SECRET)

    assert first + second == frame + bytes(len(_SECRET))


@pytest.mark.parametrize(
    "frame",
    [
        _SOI + _SOS + b"\1\xff\xd8\2" + _EOI,
        _SOI + _SOS + b"\1\xff\x90\2" + _EOI,
        _SOI + _SOS + b"\1\xff\xfe\0\1",
        _SOC + _segment(0x51, _SIZ) + _tile(b"", length=13),
        _SOC + _segment(0x51, _SIZ) + _tile(bytes(5)) + b"\x12",
        _SOC + _segment(0x51, _SIZ) + b"\xff\x90\0\x04\0\0",
        _SOC + _segment(0x51, _SIZ) + _tile(b"")[:-2] + _tile(b""),
        _SOC + _segment(0x51, _SIZ) + b"\xff\x93",
    ],
)
def test_a_frame_that_cannot_be_read_behind_its_header_is_refused(frame: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        _clean(frame)

    assert refusal.value.code == "frame-header"


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
