"""Keyed pseudonyms: everything that must be equal on every node and for years is a keyed function.

HMAC-SHA-256 under keys derived from one project key by HKDF (RFC 5869), one per purpose, so that a
pseudonym of one kind says nothing about another. PS3.5 B.2: a UID under 2.25 is a 128-bit integer.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deid_node.errors import ConfigurationError

MIN_KEY_BYTES: Final = 32
_CACHED_UIDS: Final = 100_000


class Key:
    """Secret bytes that never print themselves."""

    __slots__ = ("_bytes",)

    def __init__(self, secret: bytes) -> None:
        """Take the project key, at least 32 bytes.

        Raises:
            ConfigurationError: the key is too short.
        """
        if len(secret) < MIN_KEY_BYTES:
            raise ConfigurationError(
                f"The project key has {len(secret)} bytes; at least {MIN_KEY_BYTES} are needed."
            )
        self._bytes = secret

    def __repr__(self) -> str:
        return "Key(...)"

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that belong to one purpose (RFC 5869, SHA-256, no salt)."""
        info = b"deid_node/" + purpose.encode()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._bytes)


class Pseudonyms:
    """The keyed functions of one project. Same key and input, same output, on every node."""

    def __init__(self, key: Key) -> None:
        self._uid_key = key.derive("uid")
        self._patient_key = key.derive("patient")
        self._date_key = key.derive("date")
        self._purposes: dict[str, bytes] = {}
        self._key = key
        self._uids: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    def uid(self, original: bytes) -> bytes:
        """Return the UID that stands for `original` (ASCII, without padding): 2.25.<128 bits>."""
        known = self._uids.get(original)
        if known is None:
            digest = hmac.digest(self._uid_key, original, "sha256")
            known = b"2.25.%d" % int.from_bytes(digest[:16], "big")
            if len(self._uids) >= _CACHED_UIDS:
                self._uids.clear()
            self._uids[original] = known
        return known

    def patient(self, patient_id: str) -> str:
        """Return the pseudonym of a patient: 16 characters A-Z 2-7, valid in LO, SH, CS and PN."""
        digest = hmac.digest(self._patient_key, patient_id.encode(), "sha256")
        return _base32(digest[:10])

    def days(self, scope: str, longest: int) -> int:
        """Return the date shift of a patient (or other scope) in whole days, never 0.

        Args:
            scope: what shares a shift, normally the Patient ID.
            longest: the shift lies in -longest..-1, so that no date moves into the future.
        """
        digest = hmac.digest(self._date_key, scope.encode(), "sha256")
        return -1 - int.from_bytes(digest[:8], "big") % max(longest, 1)

    def digest(self, purpose: str, value: bytes) -> bytes:
        """Return 32 bytes that stand for `value` under a purpose of its own ("duplicate", ...)."""
        key = self._purposes.get(purpose)
        if key is None:
            key = self._purposes[purpose] = self._key.derive(purpose)
        return hmac.digest(key, value, "sha256")


def _base32(data: bytes) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    number = int.from_bytes(data, "big")
    return "".join(alphabet[(number >> shift) & 31] for shift in range(len(data) * 8 - 5, -1, -5))
