"""Whether what came out is right: all of it, with the same pixels, and without identity.

A fast wrong answer is no result, so every run is checked and a failed check ends the benchmark.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pydicom

from benchmarks.workloads import IDENTIFIERS

_PIXEL_DATA = 0x7FE00010


class WrongOutput(Exception):
    """A contender lost, changed or leaked something."""


def pixel_digest(path: Path) -> str:
    """Return the digest of the encoded Pixel Data of a file."""
    ds = pydicom.dcmread(path, force=True)
    raw = ds.get_item(_PIXEL_DATA)
    assert raw is not None
    return hashlib.sha256(raw.value).hexdigest()  # type: ignore[arg-type]


def outputs(folder: Path) -> list[Path]:
    """Return the files of an output folder that are complete (no hidden or temporary names)."""
    return [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and not name.endswith((".part", ".tmp"))
    ]


def check(contender: str, sources: Iterable[str], written: list[Path], *, deidentified: bool) -> None:
    """Compare count and pixels with the sources, and look for identifiers.

    Args:
        sources: pixel digests of what was sent.

    Raises:
        WrongOutput: something is not right.
    """
    sent, got = Counter(sources), Counter(pixel_digest(path) for path in written)
    if sent != got:
        raise WrongOutput(
            f"{contender}: {sum(sent.values())} objects in, {sum(got.values())} out, "
            f"{sum((sent - got).values())} of them with other pixels"
        )
    for path in written if deidentified else []:
        with path.open("rb") as file:
            content = file.read(1 << 20)  # identifiers stand in the header
        for text in IDENTIFIERS:
            if text.encode() in content:
                raise WrongOutput(f"{contender}: an identifier is left in an output")
