"""Whole files whose beginning is something else as well: programs, documents, private file meta information.

PS3.10 7.1 leaves the preamble to applications: a file can be an executable and an object at once
(CVE-2019-11687), and carry what it likes in group 0002.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tests.engine.encoded import EXPLICIT, INSTANCE

CT = "1.2.840.10008.5.1.4.1.1.2"
PLANTED = b"PLANTED"

_PREAMBLES = {
    "a Windows program": b"MZ\x90\0" + PLANTED + b"PE\0\0",
    "a Linux program": b"\x7fELF\2\1\1" + PLANTED,
    "a document": b"%PDF-1.7\n" + PLANTED,
    "a little-endian image": b"II*\0\x08\0\0\0" + PLANTED,
    "a big-endian image": b"MM\0*\0\0\0\x08" + PLANTED,
}
_METAS = {
    "plain": b"",
    "with private information": EXPLICIT.element(0x00020100, "UI", b"1.2.3")
    + EXPLICIT.element(0x00020102, "OB", PLANTED * 3),
    "with its sources": EXPLICIT.element(0x00020016, "AE", PLANTED)
    + EXPLICIT.element(0x00020017, "AE", PLANTED)
    + EXPLICIT.element(0x00020018, "AE", PLANTED),
    "with an unknown element": EXPLICIT.element(0x00020099, "LO", PLANTED),
}


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of twenty files."""
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00100020, "LO", b"P1"), sop_class_uid=CT, sop_instance_uid=INSTANCE
    )
    for (start, preamble), (more, extra) in product(_PREAMBLES.items(), _METAS.items()):
        meta = b"".join(
            (
                EXPLICIT.element(0x00020001, "OB", b"\0\1"),
                EXPLICIT.element(0x00020002, "UI", CT.encode()),
                EXPLICIT.element(0x00020003, "UI", INSTANCE.encode()),
                EXPLICIT.element(0x00020010, "UI", EXPLICIT.transfer_syntax_uid.encode()),
                extra,
            )
        )
        length = EXPLICIT.element(0x00020000, "UL", EXPLICIT.long(len(meta)))
        yield f"{start}, {more}", preamble.ljust(128, b"\0") + b"DICM" + length + meta + dataset
