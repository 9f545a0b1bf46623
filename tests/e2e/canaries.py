"""Objects in which every identifying attribute has a value that occurs nowhere else, and the search for it.

Every value has one of a few marks, by VR, so that a search for the marks in every form finds any value.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.standard.confidentiality import by_tag
from tests.engine.objects import SAMPLES

WORD = "QZXWJV"  # in every text, and in every value of bytes
DIGITS = "77345091"  # in every number that is a text and every UID
TIME = "134719.77345"
UID_ROOT = f"1.2.826.0.1.3680043.10.{DIGITS}"
_FIRST_DAY = date(1597, 1, 1)
DOUBLE = 773450.77345091
INTEGERS = (0x4B1D, 0x5E2C, 0x3F7A, 0x6A93)

VRS = (
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
).split()
_LONG = ("UC", "UT", "UR", "LT", "ST")
# What says what the object is, and what the object would be malformed without.
_LEFT_AS_IT_IS = {0x00080016, 0x00020003}


@dataclass
class Planted:
    """A dataset with canaries; `count` of them, `vrs` are those that have one."""

    ds: Dataset
    count: int = 0
    vrs: set[str] = field(default_factory=set)


class Planter:
    """Makes values; each is made once."""

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._numbers = count(1)
        self.planted = 0
        self.vrs: set[str] = set()

    def value(self, vr: str) -> object:
        """Return a value of a VR that nothing else has."""
        self.planted += 1
        self.vrs.add(vr)
        number = next(self._numbers)
        word = f"{WORD}{self._letter}{number:04d}"
        if vr == "SQ":
            item = Dataset()
            item.PatientName = self.value("PN")
            item.add_new(0x00100020, "LO", self.value("LO"))
            return Sequence([item])
        day = _FIRST_DAY + timedelta(days=number)
        made = {
            "AS": "773Y",
            "DA": f"{day:%Y%m%d}",
            "DS": f"{DIGITS}.{number}",
            "DT": f"{day:%Y%m%d}{TIME}0",
            "IS": f"{DIGITS}{number}",
            "PN": f"{word}^{WORD}{self._letter}=={WORD}",
            "TM": f"{TIME}0",
            "UI": f"{UID_ROOT}.{ord(self._letter)}.{number}",
            "AT": [part << 16 | part for part in INTEGERS],
            "FD": [DOUBLE],
            "FL": [DOUBLE, DOUBLE],
            "SS": list(INTEGERS),
            "US": list(INTEGERS),
            "SL": [part << 16 | part for part in INTEGERS],
            "UL": [part << 16 | part for part in INTEGERS],
            "SV": [part << 32 | part for part in INTEGERS],
            "UV": [part << 32 | part for part in INTEGERS],
        }
        if vr in made:
            return made[vr]
        if vr in ("OB", "OW", "OF", "OL", "OD", "OV", "UN"):
            return (word.encode() * 8)[:80]
        return word + (f" und {word} im Text" if vr in _LONG[3:] else "")


def object_with_canaries(letter: str, kind: str = "ct") -> Planted:
    """Return an object with a canary in every attribute of Table E.1-1, and of every VR in private ones."""
    ds = SAMPLES[kind]().ds
    planter = Planter(letter)
    for tag in sorted(by_tag()):
        if tag in _LEFT_AS_IT_IS or tag >> 16 < 8:
            continue
        vr = dictionary_VR(tag).split(" or ")[0]
        ds.add_new(tag, vr, planter.value(vr))
    ds.BurnedInAnnotation = "NO"
    for group in (0x0009, 0x0029, 0x7FE1):
        _plant_private(ds, group, planter)
    item = Dataset()
    _plant_private(item, 0x0021, planter)
    ds.RequestAttributesSequence = Sequence([item])
    ds.add_new(0xFFFCFFFC, "OB", planter.value("OB"))
    return Planted(ds, planter.planted, planter.vrs)


def _plant_private(ds: Dataset, group: int, planter: Planter) -> None:
    ds.add_new(group << 16 | 0x10, "LO", planter.value("LO"))
    for number, vr in enumerate(VRS):
        ds.add_new(group << 16 | 0x1000 | number, vr, planter.value(vr))


# --- search -----------------------------------------------------------------------------------------------


def _marks() -> dict[str, bytes]:
    return {
        "text": WORD.encode(),
        "small letters": WORD.lower().encode(),
        "number": DIGITS.encode(),
        "time": TIME.encode(),
        "date": b"1597",
        "FD": struct.pack("<d", DOUBLE),
        "FD, big endian": struct.pack(">d", DOUBLE),
        "FL": struct.pack("<2f", DOUBLE, DOUBLE),
        "FL, big endian": struct.pack(">2f", DOUBLE, DOUBLE),
        "US": struct.pack("<4H", *INTEGERS),
        "US, big endian": struct.pack(">4H", *INTEGERS),
        "UL": struct.pack("<2I", *(part << 16 | part for part in INTEGERS[:2])),
        "UV": struct.pack("<2Q", *(part << 32 | part for part in INTEGERS[:2])),
        "FD as text": repr(DOUBLE).encode(),
        "US as text": str(INTEGERS[0]).encode() + b", " + str(INTEGERS[1]).encode(),
    }


def _forms(mark: bytes) -> Iterator[tuple[str, bytes]]:
    yield "raw", mark
    yield "reversed", mark[::-1]
    yield "hex", mark.hex().encode()
    yield "HEX", mark.hex().upper().encode()
    yield "UTF-16", mark.decode("latin-1").encode("utf-16-le")
    yield "UTF-16, big endian", mark.decode("latin-1").encode("utf-16-be")
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + mark)
        end = len(coded) - (4 if (shift + len(mark)) % 3 else 0)
        yield f"base64 at {shift}", coded[-(-shift * 4 // 3) : end]


NEEDLES: dict[str, bytes] = {
    f"{name}, {form}": needle
    for name, mark in _marks().items()
    for form, needle in _forms(mark)
    if len(needle) >= 6 or (form == "raw" and len(needle) >= 5)
}
_DATE = b"1597"


def found_in(content: bytes) -> list[str]:
    """Return which canaries are in some bytes, by VR and form."""
    found = [name for name, needle in NEEDLES.items() if needle in content]
    if b"773Y" in content and b"773Y" in content.replace(b'"', b" ").split():
        found.append("AS")
    at = content.find(_DATE)
    while at >= 0:  # a year alone is any number: with month and day it is a date of ours
        rest = content[at + 4 : at + 8]
        if rest.isdigit() and 1 <= int(rest[:2]) <= 12 and 1 <= int(rest[2:]) <= 31:
            before = content[at - 1 : at]
            if not before.isdigit() and before != b".":
                found.append("date")
                break
        at = content.find(_DATE, at + 1)
    return found
