"""PS3.16 CID 7050: the codes for De-identification Method Code Sequence (0012,0064)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.standard.rows import read_rows

BASIC_PROFILE: Final = "113100"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8): value, scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@cache
def method_codes() -> Mapping[str, Code]:
    """Return the codes of the context group by code value."""
    return MappingProxyType(
        {
            row["value"]: Code(row["value"], row["scheme"], row["meaning"])
            for row in read_rows("method_codes.tsv")
        }
    )
