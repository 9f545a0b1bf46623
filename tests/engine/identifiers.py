"""Identifiers that occur nowhere by chance, and the search for them in bytes.

Each identifier is made for one place, so that a leak names the place. The search knows the usual
encodings of a text: character sets, UTF-16 and UTF-32, hexadecimal, Base64, percent-encoding, and the
usual ways to write a date or a phone number.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_SYLLABLES = [first + second for first in _CONSONANTS for second in _VOWELS]
_CODECS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "iso8859_5", "gb18030")
_CODECS += ("iso2022_jp", "euc_kr", "cp037")


@dataclass(frozen=True, slots=True)
class Plant:
    """One place and the texts that were planted there; `raw` are byte values (numbers)."""

    place: str
    secrets: tuple[str, ...] = ()
    raw: tuple[bytes, ...] = ()


class Planter:
    """Makes identifiers, each once, and remembers where each went."""

    def __init__(self, start: int = 0) -> None:
        self.plants: list[Plant] = []
        self._next = start

    def _number(self) -> int:
        self._next += 1
        return self._next

    def word(self) -> str:
        """Return a word like a surname: ten letters, never a part of another."""
        number = self._number() * 1_000_000_007 % len(_SYLLABLES) ** 5
        syllables = []
        for _ in range(5):
            number, index = divmod(number, len(_SYLLABLES))
            syllables.append(_SYLLABLES[index])
        return "".join(syllables).capitalize()

    def plant(self, place: str, *secrets: str, raw: tuple[bytes, ...] = ()) -> None:
        """Remember what was planted where."""
        self.plants.append(Plant(place, secrets, raw))

    def value(self, vr: str, place: str) -> object | None:
        """Return a value of a VR and remember it; None where the VR cannot carry an identifier."""
        maker = getattr(self, f"_{vr.lower()}", None)
        return maker(place) if maker is not None else None

    def _text(self, place: str, form: str) -> str:
        word = self.word()
        self.plant(place, word)
        return form.format(word)

    def _pn(self, place: str) -> str:
        last, first = self.word(), self.word()
        self.plant(place, last, first)
        return f"{last}^{first}"

    def _lo(self, place: str) -> str:
        return self._text(place, "Mrs {} of ward 3")

    def _sh(self, place: str) -> str:
        return self._text(place, "{}")

    _ae = _sh

    def _cs(self, place: str) -> str:
        return self._text(place, "{}").upper()

    def _st(self, place: str) -> str:
        return self._text(place, "Seen by {} at home,\r\n12 Example Street")

    _lt = _ut = _uc = _st

    def _ur(self, place: str) -> str:
        return self._text(place, "http://{}.example/record").lower()

    def _da(self, place: str) -> str:
        day = date(1931, 1, 1) + timedelta(days=7 * self._number())
        self.plant(place, day.strftime("%Y%m%d"))
        return day.strftime("%Y%m%d")

    def _tm(self, place: str) -> str:
        fraction = f"{self._number() * 7919 % 1000000:06d}"
        value = f"{self._next % 24:02d}{self._next % 60:02d}17.{fraction}"
        self.plant(place, value)
        return value

    def _dt(self, place: str) -> str:
        day = date(1931, 1, 1) + timedelta(days=7 * self._number())
        value = f"{day:%Y%m%d}{self._next % 24:02d}3141.{self._next * 7919 % 1000000:06d}"
        self.plant(place, value[:14], value)
        return value

    def _ui(self, place: str) -> str:
        value = f"1.3.6.1.4.1.99999.{self._number() * 7919 + 1000003}.7"
        self.plant(place, value)
        return value

    def _is(self, place: str) -> str:
        value = str(1_300_000_000 + self._number() * 7919)
        self.plant(place, value)
        return value

    def _ds(self, place: str) -> str:
        value = f"{1_300_000_000 + self._number() * 7919}.5"
        self.plant(place, value)
        return value

    def _ob(self, place: str) -> bytes:
        word = self.word()
        self.plant(place, word)
        return f"\0\1{word}\2\3".encode()

    _un = _ob

    def _ow(self, place: str) -> bytes:
        return self._ob(place)

    def mrn(self) -> str:
        """Return a record number."""
        return f"MR{self._number() * 7919 + 40_000_000}"

    def phone(self) -> str:
        """Return a telephone number."""
        number = f"{self._number() * 7919 + 5_000_000:08d}"
        return f"+43 664 {number[:4]} {number[4:]}"

    def email(self) -> str:
        """Return a mail address."""
        return f"{self.word()}@{self.word()}.example".lower()


def _forms_of(secret: str) -> set[str]:
    """The ways in which people and programs write the same thing."""
    forms = {secret}
    if secret.isdigit() and len(secret) == 8 and secret[:2] in {"19", "20"}:
        year, month, day = secret[:4], secret[4:6], secret[6:]
        forms |= {
            f"{year}-{month}-{day}",
            f"{day}.{month}.{year}",
            f"{month}/{day}/{year}",
            f"{year}.{month}.{day}",
        }
    if secret.startswith("+"):
        digits = "".join(c for c in secret if c.isdigit())
        forms |= {digits, digits[2:], secret[1:].replace(" ", "-"), secret[4:]}
    if "@" in secret:
        forms.add(secret.split("@")[0])
    return forms


def needles(secret: str) -> set[bytes]:
    """Return the byte strings, in lower case, that would give a secret away."""
    found: set[bytes] = set()
    for form in _forms_of(secret):
        for text in {form, form.lower(), form.upper()}:
            for codec in _CODECS:
                try:
                    found.add(text.encode(codec).lower())
                except UnicodeEncodeError:
                    continue
            coded = text.encode()
            found.add(coded.hex().encode())
            found.add(quote(text).lower().encode())
            found.add(coded[::-1].lower())
    return found


def _base64_needles(secret: str) -> set[bytes]:
    """The inner characters of Base64 at each of the three alignments, in their own case."""
    coded = secret.encode()
    found = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + coded)
        first = {0: 0, 1: 2, 2: 3}[shift]
        last = len(text) - {0: 0, 1: 3, 2: 2}[(shift + len(coded)) % 3]
        found.add(text[first:last])
    return found


# New UIDs are numbers of up to 39 digits, in which any date may be found.
_NEW_UIDS = re.compile(rb"2\.25\.[0-9]+")


def leaks(output: bytes, plants: Iterable[Plant], *, unless: frozenset[str] = frozenset()) -> list[str]:
    """Return the places whose identifiers occur in bytes, in any usual encoding."""
    output = _NEW_UIDS.sub(b"2.25.0", output)
    folded = output.lower()
    found = []
    for plant in plants:
        for secret in plant.secrets:
            if secret in unless:
                continue
            hit = any(needle in folded for needle in needles(secret))
            if not hit and len(secret) >= 8:
                hit = any(needle in output for needle in _base64_needles(secret))
            if hit:
                found.append(plant.place)
        found += [plant.place for raw in plant.raw if raw in output]
    return found


def dataset_bytes(file: bytes, transfer_syntax_uid: str, dataset_start: int) -> bytes:
    """Return meta and dataset of a file as they are to be searched: deflated ones inflated."""
    if transfer_syntax_uid != "1.2.840.10008.1.2.1.99":
        return file
    return file[:dataset_start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(file[dataset_start:])
