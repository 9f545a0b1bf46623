"""PS3.15 Table E.1-1: what the basic profile and every option do with an attribute.

The codes stay as printed ("X/Z/D"); `profile.basic` resolves them against an IOD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.standard.dictionary import parse_mask
from deid_node.standard.rows import read_rows

EDITION: Final = "2026d"
ATTRIBUTION: Final = "DICOM PS3.15 2026d, © NEMA"

OPTION_COLUMNS: Final = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_id",
    "retain_institution_id",
    "retain_patient_chars",
    "retain_long_full",
    "retain_long_modified",
    "clean_desc",
    "clean_struct_cont",
    "clean_graph",
)


@dataclass(frozen=True, slots=True)
class Confidentiality:
    """One row of the table. `options` maps a column of `OPTION_COLUMNS` to "K" or "C"."""

    tag: str
    keyword: str
    name: str
    vr: str
    retired: bool
    in_standard_iod: bool
    basic: str
    options: Mapping[str, str]


@cache
def rows() -> tuple[Confidentiality, ...]:
    """Return all rows in the order of their tags, masked and private ones included."""
    return tuple(
        Confidentiality(
            tag=row["tag"],
            keyword=row["keyword"],
            name=row["name"],
            vr=row["vr"],
            retired=row["retired"] == "Y",
            in_standard_iod=row["in_std_iod"] == "Y",
            basic=row["basic"],
            options=MappingProxyType({column: row[column] for column in OPTION_COLUMNS if row[column]}),
        )
        for row in read_rows("confidentiality.tsv")
    )


@cache
def by_tag() -> Mapping[int, Confidentiality]:
    """Return the rows that speak of one tag, by tag."""
    return MappingProxyType({parse_mask(_digits(row))[1]: row for row in rows() if _is_plain(row)})


@cache
def by_mask() -> tuple[tuple[int, int, Confidentiality], ...]:
    """Return (mask, value, row) of the rows for repeating groups: 60xx elements before all of 50xx."""
    masked = [
        (*parse_mask(_digits(row)), row)
        for row in rows()
        if "x" in row.tag and len(row.tag) == len("(50xx,xxxx)")
    ]
    return tuple(sorted(masked, key=lambda entry: -entry[0].bit_count()))


def _digits(row: Confidentiality) -> str:
    return row.tag[1:5] + row.tag[6:10]


def _is_plain(row: Confidentiality) -> bool:
    return len(row.tag) == len("(0010,0010)") and "x" not in row.tag
