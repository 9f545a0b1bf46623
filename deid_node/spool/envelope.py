"""The envelope of an original that waits on the disk: a key of its own, wrapped by the key of the node.

Layout of a file: magic, name of the node key (8 bytes), nonce (12) and wrapped key (48), then the pieces
of `pieces`, of which the first says what the original is. The wrapped key stands in the file and nowhere
else: once it is overwritten nobody can read the rest, and no backup of the ledger can open anything.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deid_node.engine.keys import Key
from deid_node.spool.pieces import PieceWriter, SealError, label, read_pieces, split_label

MAGIC: Final = b"deid_node original 1\n"
_NAME_BYTES: Final = 8
_NONCE: Final = 12
_KEY: Final = 32
_WRAPPED: Final = _NONCE + _KEY + 16
_WRAPPED_AT: Final = len(MAGIC) + _NAME_BYTES


class Envelopes:
    """Seals and opens originals with the key of one node."""

    def __init__(self, key: Key) -> None:
        self._name = key.derive("original-name")[:_NAME_BYTES]
        self._wrap = AESGCM(key.derive("original-wrap"))
        self._content_key = key.derive("original-content")

    def __repr__(self) -> str:
        return "Envelopes(...)"

    def seal(self, stream: BinaryIO, name: str, said: dict[str, Any]) -> PieceWriter:
        """Begin the file called `name` with what is said of the original. Raises OSError."""
        key, nonce = AESGCM.generate_key(8 * _KEY), os.urandom(_NONCE)
        stream.write(MAGIC + self._name + nonce + self._wrap.encrypt(nonce, key, name.encode()))
        writer = PieceWriter(stream, key)
        writer.write(label(said))
        return writer

    def open(self, stream: BinaryIO, name: str) -> tuple[dict[str, Any], Iterator[bytes]]:
        """Return what the file says of the original, and the pieces of its dataset.

        Raises:
            SealError: at once or with a piece: erased, damaged, cut, or sealed with another key.
        """
        if stream.read(len(MAGIC)) != MAGIC:
            raise SealError("It is no sealed original.")
        sealed_with, wrapped = stream.read(_NAME_BYTES), stream.read(_WRAPPED)
        if not any(wrapped):
            raise SealError("It was erased.")
        if sealed_with != self._name:
            raise SealError("It was sealed with another key.")
        try:
            key = self._wrap.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], name.encode())
        except InvalidTag:
            raise SealError("It is damaged.") from None
        pieces = read_pieces(stream, key)
        said, first = split_label(next(pieces))

        def dataset() -> Iterator[bytes]:
            yield first
            yield from pieces

        return said, dataset()

    def content(self, transfer_syntax_uid: str) -> hmac.HMAC:
        """Return a keyed digest to be fed with a dataset: it recognizes the same one, and says nothing."""
        return hmac.new(self._content_key, transfer_syntax_uid.encode() + b"\0", hashlib.sha256)

    def is_ours(self, stream: BinaryIO) -> bool:
        """Tell whether a file was sealed with this key, from its beginning."""
        head = stream.read(_WRAPPED_AT)
        return head == MAGIC + self._name


def erase_file(path: str, root_fd: int, *, durable: bool) -> None:
    """Overwrite the wrapped key of a sealed file, with which all that it holds is gone, and remove it.

    Raises:
        OSError: it is not there, or cannot be written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=root_fd)
    try:
        os.pwrite(fd, bytes(_WRAPPED), _WRAPPED_AT)
        if durable:
            os.fdatasync(fd)
    finally:
        os.close(fd)
    os.unlink(path, dir_fd=root_fd)
