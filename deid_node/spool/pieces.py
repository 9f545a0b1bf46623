"""Encrypted streams: AES-256-GCM over pieces of 1 MiB, under a key that serves for one stream only.

The nonce is the number of the piece and whether it is the last, so that a stream that was cut, reordered
or joined with another does not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár,
2015). Whoever has the key of the stream is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deid_node.errors import DeidNodeError

PIECE: Final = 1 << 20
TAG: Final = 16
_MAX_LABEL_BYTES: Final = 65536


class SealError(DeidNodeError):
    """A sealed file cannot be opened: damaged, cut, or sealed to another key."""


class PieceWriter:
    """Encrypts a stream while it is written."""

    def __init__(self, stream: BinaryIO, key: bytes) -> None:
        """Begin, where the stream stands now, under a key of 32 bytes that was never used before."""
        self._stream = stream
        self._cipher = AESGCM(key)
        self._buffer = bytearray()
        self._number = 0

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt more bytes. Raises OSError."""
        self._buffer += data
        while len(self._buffer) > PIECE:  # the last piece is known only at the end
            self._seal(bytes(self._buffer[:PIECE]), last=False)
            del self._buffer[:PIECE]

    def finish(self) -> None:
        """Encrypt the last piece. Raises OSError."""
        self._seal(bytes(self._buffer), last=True)
        self._buffer.clear()

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._stream.write(self._cipher.encrypt(_nonce(self._number, last), piece, None))
        self._number += 1


def read_pieces(stream: BinaryIO, key: bytes) -> Iterator[bytes]:
    """Yield the pieces of a stream; nothing of it is to be relied on before the end was reached.

    Raises:
        SealError: written with another key, damaged, or cut.
    """
    cipher = AESGCM(key)
    number = 0
    piece = stream.read(PIECE + TAG)
    while True:
        following = stream.read(PIECE + TAG)
        try:
            yield cipher.decrypt(_nonce(number, not following), piece, None)
        except InvalidTag:
            raise SealError("It was sealed to another key, or it is damaged.") from None
        if not following:
            return
        piece = following
        number += 1


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def label(content: Mapping[str, Any]) -> bytes:
    """Return what a stream says of itself, to be written before everything else."""
    text = json.dumps(content).encode()
    return len(text).to_bytes(4, "big") + text


def split_label(first: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what the first piece of a stream says of the stream, and the rest of that piece.

    Raises:
        SealError: it says nothing.
    """
    length = int.from_bytes(first[:4], "big")
    if not 0 < length <= min(_MAX_LABEL_BYTES, len(first) - 4):
        raise SealError("It is damaged.")
    content: dict[str, Any] = json.loads(first[4 : 4 + length])
    return content, first[4 + length :]
