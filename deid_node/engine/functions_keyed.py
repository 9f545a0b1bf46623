"""Functions under a key: hash, encryption, UIDs and date shifts; and named algorithms of other tools.

An algorithm of another tool (md5, dicom-curate, radiopaedia, microsoft, aes-cbc) exists only to repeat that
tool's output; what is not keyed can be guessed from the value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from deid_node.engine.dates import (
    Duration,
    hashed_offset,
    shift_and_drop_time,
    shift_by_days,
    shift_by_duration,
)
from deid_node.engine.functions_context import Context, Outcome, Params, Result
from deid_node.engine.keys import Pseudonyms
from deid_node.errors import ConfigurationError, Rejected
from deid_node.standard.dictionary import is_registered_uid

_PATIENT_ID: Final = 0x00100020
_LONGEST: Final = {"AE": 16, "CS": 16, "LO": 64, "PN": 64, "SH": 16}
_DECIMAL_VRS: Final = {"IS": 9, "DS": 15}
_FIRST_DAY: Final = date(1900, 1, 1)
_DAYS_OF_A_CENTURY: Final = 36524
_MATCHED_DIGITS: Final = 18
_NONCE_BYTES: Final = 12
_BLOCK_BYTES: Final = 16
_ASSOCIATED: Final = b"deid_node"
_CURATE_NAMESPACE: Final = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8").bytes
_CURATE_BYTES: Final = 19
_RADIOPAEDIA_ROOT: Final = "1.2.826.0.1.3680043.10.341.512."
_MICROSOFT_DAYS: Final = 50


def secret_of(context: Context, name: str, purpose: str) -> bytes:
    """Return the bytes of a named secret, or a key of the project for a purpose.

    Raises:
        ConfigurationError: the node has no secret of that name.
    """
    if not name:
        return derived_secret(context.pseudonyms, purpose)
    secret = context.secrets.get(name)
    if secret is None:
        raise ConfigurationError(f"The secret {name!r} that a profile names is not set.")
    return secret


def derived_secret(pseudonyms: Pseudonyms, purpose: str) -> bytes:
    """Return the key of a project for a purpose of functions."""
    return pseudonyms.digest("function/" + purpose, b"")


def hashed(value: str, params: Params, context: Context) -> Result:
    """Return the keyed hash of a value in a form that its VR can hold."""
    algorithm = str(params.get("algorithm", "sha256"))
    length = int(str(params.get("length", 0)))
    if algorithm == "md5":
        digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
    else:
        digest = hmac.digest(
            secret_of(context, str(params.get("key", "")), "hash"), value.encode(), algorithm
        )
    if params.get("match_length"):
        return matched_digits(digest, len(value))
    typed = _typed(digest, context.vr)
    if typed is not None:
        return typed
    text = _spelled(digest, str(params.get("alphabet", "hex")), context.vr)
    return text[: length or _LONGEST.get(context.vr, len(text))]


def hashed_bytes(value: bytes, params: Params, context: Context) -> bytes:
    """Return the keyed hash of the bytes of an OB or UN value, as bytes."""
    key = secret_of(context, str(params.get("key", "")), "hash")
    return hmac.digest(key, value, str(params.get("algorithm", "sha256")))


def _spelled(digest: bytes, alphabet: str, vr: str) -> str:
    number = int.from_bytes(digest, "big")
    if vr in _DECIMAL_VRS:
        return str(number)[: _DECIMAL_VRS[vr]].lstrip("0") or "0"
    if alphabet == "decimal":
        return str(number)
    if alphabet == "base32":
        return base64.b32encode(digest).decode().rstrip("=")
    return digest.hex().upper() if vr == "CS" else digest.hex()


def _typed(digest: bytes, vr: str) -> str | None:
    """Return a valid value for a VR that no string of digits is valid in, None for other VRs."""
    number = int.from_bytes(digest[:8], "big")
    day = (_FIRST_DAY + timedelta(days=number % _DAYS_OF_A_CENTURY)).strftime("%Y%m%d")
    seconds = int.from_bytes(digest[8:12], "big") % 86_400
    time = f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"
    if vr == "UI":
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"
    return {"DA": day, "DT": day + time, "TM": time, "AS": f"{number % 90:03}Y"}.get(vr)


def matched_digits(digest: bytes, length: int) -> str:
    """Return as many decimal digits as asked for (row MS-11), computed in single precision as there."""
    if length <= 0:
        return ""
    if length > _MATCHED_DIGITS:
        return str(int.from_bytes(digest, "big")).zfill(length)[:length]
    single = float(int.from_bytes(digest[:4], "little")) / float(2**32 - 1)
    low = 0 if length == 1 else 10 ** (length - 1)
    high = 10**length - 1
    return str(int(_single(_single(single) * _single(high - low))) + low)


def _single(number: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded


def encrypted(value: str, params: Params, context: Context) -> Result:
    """Return a value encrypted and in Base64; equal values give equal results under one key."""
    name = str(params.get("key", ""))
    return encrypt(
        value,
        str(params.get("algorithm", "aes-siv")),
        secret_of(context, name, "encrypt"),
        is_named=bool(name),
    )


def encrypt(text: str, algorithm: str, secret: bytes, *, is_named: bool = True) -> str:
    """Encrypt a text.

    Args:
        text: the value.
        algorithm: aes-siv (RFC 5297), aes-gcm, or aes-cbc as Microsoft's tool (row MS-12). The nonces
            of the last two are keyed hashes of the text, for want of randomness.
        secret: key material; aes-cbc takes it as it is.
        is_named: False for a derived key, which has always 32 bytes.

    Raises:
        ConfigurationError: a named key for aes-cbc that has not 16, 24 or 32 bytes.
    """
    plain = text.encode()
    if algorithm == "aes-siv":
        return base64.b64encode(AESSIV(_stretched(secret, 64)).encrypt(plain, [_ASSOCIATED])).decode()
    nonce = hmac.digest(_stretched(secret, 32), plain, "sha256")
    if algorithm == "aes-gcm":
        nonce = nonce[:_NONCE_BYTES]
        sealed = AESGCM(_stretched(secret, 32)).encrypt(nonce, plain, _ASSOCIATED)
        return base64.b64encode(nonce + sealed).decode()
    if is_named and len(secret) not in {16, 24, 32}:
        raise ConfigurationError("A key for aes-cbc has 16, 24 or 32 bytes.")
    padder = PKCS7(_BLOCK_BYTES * 8).padder()
    encryptor = Cipher(AES(secret), CBC(nonce[:_BLOCK_BYTES])).encryptor()
    padded = padder.update(plain) + padder.finalize()
    return base64.b64encode(nonce[:_BLOCK_BYTES] + encryptor.update(padded) + encryptor.finalize()).decode()


def decrypt(text: str, algorithm: str, secret: bytes) -> str:
    """Return the original of an encrypted value.

    Raises:
        ValueError: not a value that was encrypted so under this key.
    """
    try:
        sealed = base64.b64decode(text, validate=True)
        if algorithm == "aes-siv":
            return AESSIV(_stretched(secret, 64)).decrypt(sealed, [_ASSOCIATED]).decode()
        if algorithm == "aes-gcm":
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return AESGCM(_stretched(secret, 32)).decrypt(nonce, rest, _ASSOCIATED).decode()
        if len(sealed) < 2 * _BLOCK_BYTES:
            raise ValueError("too short")
        decryptor = Cipher(AES(secret), CBC(sealed[:_BLOCK_BYTES])).decryptor()
        unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
        padded = decryptor.update(sealed[_BLOCK_BYTES:]) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except (ValueError, InvalidTag):
        raise ValueError(f"not a value that {algorithm} encrypted under this key") from None


@lru_cache(maxsize=64)
def _stretched(secret: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"deid_node/encrypt").derive(secret)


def mapped_uid(value: str, params: Params, context: Context) -> Result:
    """Return the UID that stands for a UID; one that PS3.6 registers identifies nobody and stays."""
    if is_registered_uid(value):
        return value
    algorithm = str(params.get("algorithm", "keyed"))
    if algorithm == "dicom-curate":
        return dicom_curate_uid(value)
    if algorithm == "radiopaedia":
        return radiopaedia_uid(value)
    return context.pseudonyms.uid(value.encode("ascii", "replace")).decode("ascii")


def dicom_curate_uid(uid: str) -> str:
    """Return dicom-curate's UID for a UID (row DC-19): unkeyed SHA-256, 19 bytes as decimals."""
    digest = hashlib.sha256(_CURATE_NAMESPACE + uid.encode()).digest()
    return "2.25." + "".join(f"{byte:03}" for byte in digest[:_CURATE_BYTES]).lstrip("0")


def radiopaedia_uid(uid: str) -> str:
    """Return Radiopaedia's UID for a UID (row RP-6): unkeyed SHA-512, two signed words; idempotent."""
    if uid.startswith(_RADIOPAEDIA_ROOT):
        return uid
    first, second = struct.unpack(">ii", hashlib.sha512(uid.encode()).digest()[:8])
    return f"{_RADIOPAEDIA_ROOT}{abs(first)}.{abs(second)}"


def shifted_date(value: str, params: Params, context: Context) -> Result:
    """Return a DA, DT or TM moved by a fixed duration or by a keyed number of days."""
    raw = value.encode("ascii", "replace")
    duration = str(params.get("duration", ""))
    longest = int(str(params.get("days", 0)))
    scope = context.scope(str(params.get("per", "patient")))
    name = str(params.get("key", ""))
    if table := str(params.get("table", "")):
        moved = _moved_by_table(raw, table, params, context)
    elif duration:
        moved = shift_by_duration(raw, context.vr, _duration(duration))
    elif params.get("algorithm") == "microsoft":
        key = secret_of(context, name, "date").decode("utf-8", "replace") if name else ""
        days = hashed_offset(scope, key, longest or _MICROSOFT_DAYS)
        moved = raw if context.vr == "TM" else shift_and_drop_time(raw, context.vr, days, context.today)
    elif name:
        digest = hmac.digest(secret_of(context, name, "date"), scope.encode(), "sha256")
        days = -1 - int.from_bytes(digest[:8], "big") % (longest or context.longest_shift)
        moved = shift_by_days(raw, context.vr, days)
    else:
        days = context.pseudonyms.days(scope, longest or context.longest_shift)
        moved = shift_by_days(raw, context.vr, days)
    return Outcome.DROP if moved is None else moved.decode("ascii")


def _moved_by_table(raw: bytes, table: str, params: Params, context: Context) -> bytes | None:
    """Return a date moved by the days that a lookup table has for the patient.

    Raises:
        Rejected: it has no row.
    """
    by = int(str(params.get("by") or 0)) or _PATIENT_ID
    days = context.tables.get(table, {}).get(context.original(by))
    if days is None:
        raise Rejected(f"the lookup table {table!r} has no row for a value")
    return shift_by_days(raw, context.vr, int(days))


@lru_cache(maxsize=64)
def _duration(text: str) -> Duration:
    return Duration.parse(text)
