"""PS3.15 Table E.3.10-1: private attributes that are known to hold no identity.

Safe does not mean done: a sequence among them is kept with its items cleaned, a UID is mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from deid_node.standard.rows import read_rows

PrivateKey = tuple[int, str, int]
"""Group, private creator, low byte of the element."""


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """One row of the table. `vr` may be "OW/OB", and is "" where none is printed."""

    group: int
    creator: str
    element: int
    vr: str
    vm: str
    meaning: str


@cache
def safe_private() -> Mapping[PrivateKey, SafePrivate]:
    """Return all rows by group, private creator and low byte of the element."""
    known = (
        SafePrivate(
            int(row["group"], 16),
            row["private_creator"],
            int(row["element"], 16),
            row["vr"],
            row["vm"],
            row["meaning"],
        )
        for row in read_rows("safe_private.tsv")
    )
    return MappingProxyType({(row.group, row.creator, row.element): row for row in known})
