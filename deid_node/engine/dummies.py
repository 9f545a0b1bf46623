"""Dummy and empty values per VR, encoded and padded, for actions D and Z.

Sets: ours (valid for the VR and easy to recognize), that of the Grand-Challenge procedure (rows GC-5,
GC-6, GC-9) and that of dicom-curate (row DC-10). VR rules: PS3.5 Table 6.2-1. The items of a sequence
are the walker's business.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from deid_node.profile.procedure import Dummies

DEIDENTIFIED: Final = "DEIDENTIFIED"

REDACTED: Final = "REDACTED"

_TEXTS: Final[dict[Dummies, dict[str, str]]] = {
    Dummies.STANDARD: {
        "AE": DEIDENTIFIED,
        "AS": "000Y",
        "CS": DEIDENTIFIED,
        "DA": "19000101",
        "DS": "0",
        "DT": "19000101000000",
        "IS": "0",
        "LO": DEIDENTIFIED,
        "LT": DEIDENTIFIED,
        "PN": "Deidentified^",
        "SH": DEIDENTIFIED,
        "ST": DEIDENTIFIED,
        "TM": "000000",
        "UC": DEIDENTIFIED,
        "UI": "2.25.0",
        "UR": "urn:uuid:00000000-0000-0000-0000-000000000000",
        "UT": DEIDENTIFIED,
    },
    Dummies.GRAND_CHALLENGE: {
        "AE": "DUMMY_AE",
        "AS": "030Y",
        "CS": "DUMMY",
        "DA": "20000101",
        "DS": "0.0",
        "DT": "20000101120000.000000",
        "IS": "0",
        "LO": "DUMMY_LONG_STRING",
        "LT": "DUMMY LONG TEXT",
        "PN": "DUMMY^PATIENT^^^",
        "SH": "DUMMY",
        "ST": "DUMMY SHORT TEXT",
        "TM": "120000.000000",
        "UC": "DUMMY UNLIMITED CHARACTERS",
        "UI": "1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0",
        "UR": "http://dummy.example.test",
        "UT": "DUMMY UNLIMITED TEXT",
    },
}
_TEXTS[Dummies.DICOM_CURATE] = {
    **_TEXTS[Dummies.STANDARD],
    **dict.fromkeys(("CS", "LO", "LT", "SH", "ST", "UC", "UT"), REDACTED),
    "AE": "INVALID_AE",
    "DA": "99991231",
    "DT": "99991231235959.999999",
    "PN": f"{REDACTED}^{REDACTED}",
    "TM": "235959.999999",
    "UR": "https://invalid.invalid",
}
_NUMBERS: Final = {
    "FL": "f",
    "FD": "d",
    "SL": "i",
    "SS": "h",
    "SV": "q",
    "UL": "I",
    "US": "H",
    "UV": "Q",
    "AT": "HH",
}
_BULK_BYTES: Final = {"OB": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8, "UN": 1}
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "UR", "OB", "OW", "OF", "OL", "OD", "OV", "UN"})
_EMPTY_IN_GRAND_CHALLENGE: Final = frozenset({"SQ", "CS", "LO", "LT", "SH", "ST", "UC", "UT"})


@lru_cache(maxsize=1024)
def dummy(vr: str, dummies: Dummies, *, little_endian: bool, vm: int = 1) -> bytes:
    """Return the encoded value field of a dummy, padded to even length; a sequence has no items.

    Args:
        vr: a VR of PS3.5 Table 6.2-1.
        dummies: which set.
        little_endian: byte order of binary values.
        vm: number of values; VRs that hold one value hold one (PS3.5 6.4).

    Raises:
        ValueError: no such VR.
    """
    count = 1 if vr in _ONE_VALUE else max(vm, 1)
    text = _TEXTS[dummies].get(vr)
    if text is not None:
        value = "\\".join([text] * count).encode("ascii")
        return value if len(value) % 2 == 0 else value + (b"\0" if vr == "UI" else b" ")
    if vr in _NUMBERS:
        codes = _NUMBERS[vr] * count
        return struct.pack(("<" if little_endian else ">") + codes, *[0] * len(codes))
    if vr in _BULK_BYTES:
        size = _BULK_BYTES[vr]
        return bytes(size + size % 2)
    if vr == "SQ":
        return b""
    raise ValueError(f"no dummy value for VR {vr!r}")


def empty(vr: str, dummies: Dummies, *, little_endian: bool) -> bytes:
    """Return the encoded value field of an emptied element (action Z).

    Ours is zero length; Grand-Challenge's is a dummy for most VRs (row GC-6).
    """
    if dummies is not Dummies.GRAND_CHALLENGE or vr in _EMPTY_IN_GRAND_CHALLENGE:
        return b""
    return dummy(vr, dummies, little_endian=little_endian)
