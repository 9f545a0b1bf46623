"""Mutants of real datasets, and how long to make them.

`DEID_NODE_FUZZ_SECONDS` is the time for all fuzz tests together; every mutant follows from its number,
so that a failure can be repeated whatever the time was.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from functools import cache
from io import BytesIO

from deid_node.errors import Malformed
from deid_node.node.part10 import read_part10
from tests.wheel import wheel_files

SECONDS = float(os.environ.get("DEID_NODE_FUZZ_SECONDS", "20"))
_LARGEST = 40_000
_LENGTHS = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFE,
    0xFFFF,
    0x10000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
_VRS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
).split()
_WORDS = (
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xe0\x7f\x10\x00",
    b"\x08\x00\x05\x00",
    b"\x10\x00\x10\x00",
    b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff",
    b"\x09\x00\x10\x00LO\x04\x00ACME",
)


def numbers(share: float) -> Iterator[int]:
    """Yield 0, 1, 2 ... for a share of the time, and some in any case."""
    end = time.monotonic() + SECONDS * share
    number = 0
    while number < 50 or time.monotonic() < end:
        yield number
        number += 1


@cache
def datasets() -> tuple[tuple[str, bytes, str], ...]:
    """Return name, dataset and transfer syntax of the small files of the pydicom wheel."""
    found = []
    for path in wheel_files("*.dcm"):
        if path.stat().st_size <= _LARGEST:
            content = path.read_bytes()
            try:
                part10 = read_part10(BytesIO(content))
            except Malformed:
                continue
            found.append((path.name, content[part10.offset :], part10.transfer_syntax_uid))
    return tuple(found)


def mutant(dataset: bytes, choose: random.Random) -> bytes:
    """Return a dataset with a few things changed, mostly where elements and not pixels are."""
    data = bytearray(dataset)
    for _ in range(choose.choice((1, 1, 1, 2, 3, 8))):
        reach = min(len(data), choose.choice((200, 2000, 6000, len(data))))
        at = choose.randrange(reach) if reach else 0
        kind = choose.randrange(9)
        if kind == 0:
            data[at : at + 1] = bytes([choose.randrange(256)])
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << choose.randrange(8)
        elif kind == 2:
            del data[at : at + choose.choice((1, 2, 4, 8, 20, 100))]
        elif kind == 3:
            data[at:at] = data[at : at + choose.choice((2, 8, 16, 64))]
        elif kind == 4:
            data[at:at] = choose.choice(_WORDS)
        elif kind == 5:
            data[at : at + 4] = choose.choice(_LENGTHS).to_bytes(4, choose.choice(("little", "big")))
        elif kind == 6:
            data[at : at + 2] = (choose.choice(_LENGTHS) & 0xFFFF).to_bytes(2, "little")
        elif kind == 7:
            data[at : at + 2] = choose.choice(_VRS)
        else:
            del data[at + choose.randrange(1, 500) :]
    return bytes(data)
