"""Who has the output and not the key tries every patient ID, and UIDs that are known from elsewhere.

usage: python -m tests.engine.dictionary_attack FILE... : attacks files with all IDs of up to seven digits
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

_TOKEN: Final = re.compile(rb"[0-9A-Za-z]{10,}")
_SHORTEST: Final = 10  # shorter ones meet by chance

Guess = Callable[[bytes], bytes]


def _of_site(secret: bytes) -> bytes:
    return hashlib.md5(b"[site]" + secret).digest()  # what is attacked


GUESSES: tuple[Guess, ...] = (
    lambda secret: hashlib.md5(secret).digest(),
    _of_site,
    lambda secret: hashlib.sha1(secret).digest(),
    lambda secret: hashlib.sha256(secret).digest(),
    lambda secret: hashlib.blake2b(secret, digest_size=32).digest(),
    lambda secret: hmac.digest(b"", secret, "sha256"),
    lambda secret: hmac.digest(bytes(32), secret, "sha256"),
)
"""What gateways use, and what a key that is empty or all zero would make."""


def tokens(contents: Iterable[bytes]) -> set[str]:
    """Return every word of the output that could be a code, in lower case."""
    return {found.decode().lower() for content in contents for found in _TOKEN.findall(content)}


def spellings(digest: bytes, lengths: Iterable[int]) -> Iterator[str]:
    """Yield a digest as codes are written: hexadecimal or decimal, whole or cut."""
    for text in (digest.hex(), str(int.from_bytes(digest, "big")), str(int.from_bytes(digest[:16], "big"))):
        for length in lengths:
            yield text[:length]


def recovered(contents: Iterable[bytes], candidates: Iterable[bytes]) -> set[bytes]:
    """Return the candidates of which a code stands in the output."""
    words = tokens(contents)
    lengths = sorted({len(word) for word in words if len(word) >= _SHORTEST})
    return {
        candidate
        for candidate in candidates
        for guess in GUESSES
        if not words.isdisjoint(spellings(guess(candidate), lengths))
    }


def main(files: list[str]) -> None:
    """Attack files, and say what was found."""
    found = recovered((Path(file).read_bytes() for file in files), (b"%07d" % one for one in range(10**7)))
    print(f"{len(found)} of 10,000,000 IDs recovered")


if __name__ == "__main__":
    main(sys.argv[1:])
