"""What tells the content of a file from any other: its digest, made while it is written or read.

BLAKE3, because every byte is hashed twice, on its way into the spool and on its way out, and it is
five to ten times as fast as SHA-256. Its digests have 40 bytes here; those of 32 bytes in ledgers
before version 6 are SHA-256, and stay good.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Final, Protocol

from blake3 import blake3

DIGEST_BYTES: Final = 40
_SHA256_BYTES: Final = 32
PIECE_BYTES: Final = 1 << 20
_kept = threading.local()


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...


class ContentHash:
    """The digest of content that comes piece by piece."""

    __slots__ = ("_blake3", "update")

    def __init__(self) -> None:
        self._blake3 = blake3()
        self.update = self._blake3.update

    def digest(self) -> bytes:
        """Return the digest of what came so far, 40 bytes."""
        return self._blake3.digest(length=DIGEST_BYTES)


def digest_of(fd: int) -> bytes:
    """Return the digest of a whole open file. Raises OSError."""
    content = ContentHash()
    _read_into(content, fd, _buffer())
    return content.digest()


def is_content(fd: int, digest: bytes) -> bool:
    """Whether an open file has the content with this digest, of either length. Raises OSError."""
    return read_content(fd, digest, _buffer()) >= 0


def read_content(fd: int, digest: bytes, buffer: bytearray) -> int:
    """Read a whole open file through a buffer; return its size, -1 when it is not the content.

    A file that is shorter than the buffer lies in it afterwards: the very bytes that were compared.

    Raises:
        OSError: it cannot be read.
    """
    if is_former(digest):
        former = hashlib.sha256()
        size = _read_into(former, fd, buffer)
        return size if former.digest() == digest else -1
    content = ContentHash()
    size = _read_into(content, fd, buffer)
    return size if content.digest() == digest else -1


def is_former(digest: bytes) -> bool:
    """Whether a digest is one of a ledger before version 6."""
    return len(digest) == _SHA256_BYTES


def former_digest_of(fd: int) -> bytes:
    """Return the digest of a whole open file as ledgers before version 6 have it. Raises OSError."""
    former = hashlib.sha256()
    _read_into(former, fd, _buffer())
    return former.digest()


def _buffer() -> bytearray:
    buffer: bytearray | None = getattr(_kept, "buffer", None)
    if buffer is None:
        buffer = _kept.buffer = bytearray(PIECE_BYTES)
    return buffer


def _read_into(content: _Hash, fd: int, buffer: bytearray) -> int:
    view = memoryview(buffer)
    offset = at = 0
    while count := os.preadv(fd, [view[at:]], offset):
        content.update(view[at : at + count])
        offset += count
        at = (at + count) % len(buffer)
    return offset
