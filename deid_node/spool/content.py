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
_PIECE: Final = 1 << 20
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
    _read_into(content, fd)
    return content.digest()


def is_content(fd: int, digest: bytes) -> bool:
    """Whether an open file has the content with this digest, of either length. Raises OSError."""
    if not is_former(digest):
        return digest_of(fd) == digest
    return former_digest_of(fd) == digest


def is_former(digest: bytes) -> bool:
    """Whether a digest is one of a ledger before version 6."""
    return len(digest) == _SHA256_BYTES


def former_digest_of(fd: int) -> bytes:
    """Return the digest of a whole open file as ledgers before version 6 have it. Raises OSError."""
    former = hashlib.sha256()
    _read_into(former, fd)
    return former.digest()


def _read_into(content: _Hash, fd: int) -> None:
    buffer: bytearray | None = getattr(_kept, "buffer", None)
    if buffer is None:
        buffer = _kept.buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    offset = 0
    while count := os.preadv(fd, [buffer], offset):
        content.update(view[:count])
        offset += count
