"""The data dictionary and the UID registry: tag, keyword, VR, VM, retired, registered UIDs.

PS3.6 tables 6-1 to 9-1 and A-1 as pydicom carries them, with the attributes that are newer than it.
Those are also given to pydicom on import, as an implicit VR object would carry them as UN otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import add_dict_entries

from deid_node.standard.rows import read_rows

_FULL_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the data dictionary.

    `tag` of a repeating group is the one that was asked for. `vr` and `vm` are as printed, so `vr`
    may be "US or SS" and `vm` "1-n".
    """

    tag: int
    keyword: str
    name: str
    vr: str
    vm: str
    retired: bool

    @property
    def vrs(self) -> tuple[str, ...]:
        """The VRs the attribute may have, one for nearly all."""
        return tuple(self.vr.split(" or ")) if self.vr else ("UN",)

    @property
    def min_vm(self) -> int:
        """The smallest number of values: 2 of "2-2n", 1 of "1-n"."""
        return int(self.vm.split("-")[0]) if self.vm else 1


def _overlay() -> dict[int, Attribute]:
    """Return the attributes of the standard that pydicom lacks or does not know to be retired."""
    return {
        (tag := int(row["tag"], 16)): Attribute(
            tag, row["keyword"], row["name"], row["vr"], row["vm"], row["retired"] == "Y"
        )
        for row in read_rows("newer_attributes.tsv")
    }


_OVERLAY: Final = _overlay()
add_dict_entries(
    {
        tag: (new.vr, new.vm, new.name, "Retired" if new.retired else "", new.keyword)
        for tag, new in _OVERLAY.items()
        if tag not in DicomDictionary
    }
)


@cache
def attributes() -> Mapping[int, Attribute]:
    """Return every attribute with a tag of its own, by tag; repeating groups are in `repeating`."""
    known = {
        tag: Attribute(tag, keyword, name, _vr(vr), vm, bool(retired))
        for tag, (vr, vm, name, retired, keyword) in DicomDictionary.items()
    }
    known.update(_OVERLAY)
    return MappingProxyType(known)


@cache
def repeating() -> tuple[tuple[int, int, Attribute], ...]:
    """Return (mask, value, attribute) of the repeating groups: (50xx,...), (60xx,...) and older ones.

    A tag belongs to the row when `tag & mask == value`; the attribute's own tag is `value`.
    """
    rows = []
    for text, (vr, vm, name, retired, keyword) in RepeatersDictionary.items():
        mask, value = parse_mask(text)
        rows.append((mask, value, Attribute(value, keyword, name, _vr(vr), vm, bool(retired))))
    return tuple(rows)


def parse_mask(text: str) -> tuple[int, int]:
    """Return (mask, value) of eight hexadecimal digits in which "x" is any digit."""
    mask = int("".join("0" if digit in "xX" else "F" for digit in text), 16)
    return mask, int(text.replace("x", "0").replace("X", "0"), 16)


def attribute(tag: int) -> Attribute | None:
    """Return the row of a public tag (0xGGGGEEEE), also in a repeating group; None when unknown."""
    known = attributes().get(tag)
    if known is not None:
        return known
    for mask, value, row in repeating():
        # (50xx,xxxx) and (60xx,xxxx) repeat in even groups only (PS3.5 7.6).
        if tag & mask == value and not tag & 0x10000:
            return Attribute(tag, row.keyword, row.name, row.vr, row.vm, row.retired)
    return None


@cache
def _tags() -> Mapping[str, int]:
    tags = {row.keyword: tag for tag, row in attributes().items() if row.keyword}
    for _, value, row in repeating():
        tags.setdefault(row.keyword, value)
    return MappingProxyType(tags)


def keywords() -> Mapping[str, int]:
    """Return keyword to tag for the whole dictionary; of a repeating group the first tag."""
    return _tags()


def tag_of(keyword: str) -> int | None:
    """Return the tag of a keyword, None when there is none."""
    return _tags().get(keyword)


def keyword_of(tag: int) -> str:
    """Return the keyword of a tag, "" when there is none."""
    row = attribute(tag)
    return row.keyword if row is not None else ""


def vr_of(tag: int) -> str:
    """Return the VR to assume for a tag in implicit VR, "UN" when unknown.

    Of "US or SS" the first; of "OB or OW" OW (PS3.5 A.1 says OW where the VR is not explicit).
    """
    row = attribute(tag)
    if row is None:
        return "UN"
    return "OW" if "OW" in row.vrs else row.vrs[0]


def written_vr(tag: int) -> str:
    """Return the VR in which a text is written into an attribute: LO for a private one (PS3.5 7.8)."""
    vr = vr_of(tag)
    return "LO" if vr == "UN" and tag >> 16 & 1 else vr


def tag_text(tag: int) -> str:
    """Return a tag as the standard prints it: (0010,0020)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def _registered_uids() -> frozenset[str]:
    newer = {row["uid"] for row in read_rows("sop_classes.tsv")}
    return frozenset(UID_dictionary) | newer


def is_registered_uid(uid: str) -> bool:
    """Tell whether PS3.6 table A-1 registers the UID; such a UID identifies nobody."""
    return uid in _registered_uids()


def _vr(text: str) -> str:
    """Return a VR as printed; delimiters and the like have none."""
    return "" if text in ("NONE", "OB or OW or NONE") else text
