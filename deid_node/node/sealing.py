"""Sealed streams: anyone with the public key can write one, only the private key reads it.

X25519 with a fresh key for every stream, HKDF-SHA-256, and the pieces of `spool.pieces`.

Layout: magic, ephemeral public key (32 bytes), then pieces of ciphertext with a tag of 16 bytes each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deid_node.errors import ConfigurationError
from deid_node.node.secret_file import UnguardedError, read_secret_file
from deid_node.spool.pieces import PieceWriter, SealError, read_pieces

MAGIC: Final = b"deid_node sealed 1\n"
_KEY: Final = 32
_MAX_KEY_BYTES: Final = 65536


class Seal(PieceWriter):
    """Seals a stream while it is written."""

    def __init__(self, stream: BinaryIO, recipient: X25519PublicKey) -> None:
        """Begin a sealed stream. Raises OSError."""
        ephemeral = X25519PrivateKey.generate()
        public = _raw(ephemeral.public_key())
        stream.write(MAGIC + public)
        super().__init__(stream, _key(ephemeral.exchange(recipient), public, _raw(recipient)))


def unseal(stream: BinaryIO, private: X25519PrivateKey) -> Iterator[bytes]:
    """Yield the pieces of a sealed stream; nothing of it is to be used before the end was reached.

    Raises:
        SealError: not sealed to this key, damaged, or cut.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise SealError("It is no sealed file.")
    ephemeral = stream.read(_KEY)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    except ValueError:
        raise SealError("It is no sealed file.") from None
    yield from read_pieces(stream, _key(shared, ephemeral, _raw(private.public_key())))


def read_public_key(path: Path) -> X25519PublicKey:
    """Return the public key in a PEM file. Raises ConfigurationError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: the public key cannot be read ({error.strerror}).") from None
    except ValueError:
        key = None
    if not isinstance(key, X25519PublicKey):
        raise ConfigurationError(f"{path}: is no X25519 public key in PEM; `quarantine keys` makes one.")
    return key


def read_private_key(path: Path) -> X25519PrivateKey:
    """Return the private key in a PEM file. Raises ConfigurationError."""
    try:
        content = read_secret_file(path, _MAX_KEY_BYTES)
        key = serialization.load_pem_private_key(content, password=None)
    except UnguardedError as error:
        raise ConfigurationError(f"{path}: the private key {error}.") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: the private key cannot be read ({error.strerror}).") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise ConfigurationError(f"{path}: is no X25519 private key in PEM without a password.")
    return key


def make_key_pair(private: Path, public: Path) -> None:
    """Write a new key pair; files that are there are not replaced. Raises OSError."""
    key = X25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content, mode in (
        (private, pem, 0o600),
        (
            public,
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            0o644,
        ),
    ):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)


def _key(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=ephemeral + recipient, info=b"deid_node/quarantine")
    return kdf.derive(shared)


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
