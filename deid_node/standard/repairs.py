"""What devices write although the standard forbids it, and the reader puts right: a name for each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

Repair = Literal[
    "odd-length",
    "sequence-delimiter",
    "deflate-trailer",
    "character-set-spelling",
    "uid-leading-zeros",
    "surplus-pixels",
    "frame-comments",
]

REPAIRS: Final = MappingProxyType[Repair, str](
    {
        "odd-length": "a value of odd length was padded or left out",  # PS3.5 7.1.1
        "sequence-delimiter": "a sequence delimiter in a sequence with a length was left out",  # 7.5
        "deflate-trailer": "bytes behind a deflated dataset were left out",  # PS3.5 A.5
        "character-set-spelling": "a misspelled character set was read as the one that can be meant",
        "uid-leading-zeros": "a UID with leading zeros was taken",  # PS3.5 9.1
        "surplus-pixels": "bytes behind the last native frame were cut",  # PS3.5 8.1.1
        "frame-comments": "comments in compressed frames were blanked",
    }
)
ALL_REPAIRS: Final = frozenset(REPAIRS)
