"""Keyed pseudonyms: everything that must be equal on every node and for years is a keyed function.

HMAC-SHA-256 under keys derived from one project key by HKDF (RFC 5869), one per purpose, so that a
pseudonym of one kind says nothing about another. PS3.5 B.2: a UID under 2.25 is a 128-bit integer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deid_node.errors import ConfigurationError, SpoolError

MIN_KEY_BYTES: Final = 32
_CACHED_UIDS: Final = 20_000
_LONGEST_UID: Final = 64
_BLOCK_BYTES: Final = 64  # of SHA-256


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

    @property
    def epoch(self) -> str:
        """The name of the time in which this key is used: 8 characters that tell nothing about it."""
        return _base32(self.derive("epoch")[:5])


class _Keyed:
    """HMAC-SHA-256 (RFC 2104) under one key, whose two inner states are made once.

    `hmac.digest` would let go of the interpreter lock for every short value, and wait to get it back.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, value: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()


class Pseudonyms:
    """The keyed functions of one project. Same key and input, same output, on every node."""

    def __init__(self, key: Key) -> None:
        self.epoch = key.epoch
        self._uid_key = _Keyed(key.derive("uid"))
        self._patient_key = _Keyed(key.derive("patient"))
        self._date_key = _Keyed(key.derive("date"))
        self._purposes: dict[str, _Keyed] = {}
        self._key = key
        self._uids: dict[bytes, bytes] = {}
        self._last_digest = "", b"", b""  # each object is asked for twice: by its request, and at its end

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    def _remember(self, original: bytes, made: bytes) -> None:
        if len(original) > _LONGEST_UID:
            return  # a peer could fill the memory with what is none
        if len(self._uids) >= _CACHED_UIDS:
            self._uids.clear()
        self._uids[original] = made

    def uid(self, original: bytes) -> bytes:
        """Return the UID that stands for `original` (ASCII, without padding): 2.25.<128 bits>."""
        known = self._uids.get(original)
        if known is None:
            digest = self._uid_key.digest(original)
            known = b"2.25.%d" % int.from_bytes(digest[:16], "big")
            self._remember(original, known)
        return known

    def patient(self, patient_id: str) -> str:
        """Return the pseudonym of a patient: 16 characters A-Z 2-7, valid in LO, SH, CS and PN."""
        digest = self._patient_key.digest(patient_id.encode())
        return _base32(digest[:10])

    def days(self, scope: str, longest: int) -> int:
        """Return the date shift of a patient (or other scope) in whole days, never 0.

        Args:
            scope: what shares a shift, normally the Patient ID.
            longest: the shift lies in -longest..-1, so that no date moves into the future.
        """
        digest = self._date_key.digest(scope.encode())
        return -1 - int.from_bytes(digest[:8], "big") % max(longest, 1)

    def digest(self, purpose: str, value: bytes) -> bytes:
        """Return 32 bytes that stand for `value` under a purpose of its own ("duplicate", ...)."""
        of, known, digest = self._last_digest
        if known == value and of == purpose:
            return digest
        key = self._purposes.get(purpose)
        if key is None:
            key = self._purposes[purpose] = _Keyed(self._key.derive(purpose))
        digest = key.digest(value)
        if len(value) <= _LONGEST_UID:
            self._last_digest = purpose, value, digest
        return digest

    def keep(self) -> None:
        """Make durable what was given out since the last time; called before an object is acknowledged."""


class CodeTable(Protocol):
    """Keeps random codes: whoever asks again, on any day, gets the code of the first time."""

    def code(self, kind: str, original: str, make: Callable[[bytes], str]) -> str:
        """Return the code of `original`; a new one is made of 32 random bytes."""
        ...

    def keep(self) -> None:
        """Make new codes durable."""
        ...


class RandomPseudonyms(Pseudonyms):
    """Codes that are not derived from the person: drawn at random once, then looked up in a table.

    For those whose rules forbid derived codes (45 CFR 164.514(c)). The key only guards the table and
    recognizes resent objects. Functions of a profile that hash or encrypt stay what they are.
    """

    def __init__(self, key: Key, table: CodeTable) -> None:
        """Take codes from a table that is used by this project alone."""
        super().__init__(key)
        self._table = table

    def uid(self, original: bytes) -> bytes:
        """Return the UID that was drawn for `original`."""
        known = self._uids.get(original)
        if known is None:
            known = self._table.code("uid", original.decode("latin-1"), _uid_of).encode("ascii")
            self._remember(original, known)
        return known

    def patient(self, patient_id: str) -> str:
        """Return the pseudonym that was drawn for a patient."""
        return self._table.code("patient", patient_id, _patient_of)

    def days(self, scope: str, longest: int) -> int:
        """Return the date shift that was drawn for a scope; one that was imported is negative there."""
        number = int(self._table.code("days", scope, _number_of))
        return number if number < 0 else -1 - number % max(longest, 1)

    def digest(self, purpose: str, value: bytes) -> bytes:
        """Return 32 bytes that stand for `value`; those that recognize a resent object stay keyed."""
        if purpose == "duplicate":
            return super().digest(purpose, value)
        return bytes.fromhex(self._table.code(f"digest/{purpose}", value.decode("latin-1"), bytes.hex))

    def keep(self) -> None:
        """Make new codes durable.

        Raises:
            SpoolError: they are not; objects that were made with them must not be acknowledged.
        """
        try:
            self._table.keep()
        except SpoolError:
            self._uids.clear()
            raise


def _uid_of(drawn: bytes) -> str:
    return f"2.25.{int.from_bytes(drawn[:16], 'big')}"


def _patient_of(drawn: bytes) -> str:
    return _base32(drawn[:10])


def _number_of(drawn: bytes) -> str:
    return str(int.from_bytes(drawn[:8], "big"))


def _base32(data: bytes) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    number = int.from_bytes(data, "big")
    return "".join(alphabet[(number >> shift) & 31] for shift in range(len(data) * 8 - 5, -1, -5))
