"""Realistic texts of requests and protocols: what identifies goes, clinical words stay.

The lines of texts.txt are `text => what is left`; a line without an arrow stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deid_node.engine.rewrite import Deidentifier
from tests.engine.checks import Check, deidentified, read
from tests.engine.objects import SAMPLES

_PATIENT = "Fernsbyx^Alowen"
_RECORD_NUMBER = "QX771203"


def texts() -> list[tuple[str, str]]:
    """Return pairs of a text and what has to be left of it."""
    lines = (Path(__file__).parent / "texts.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" =>") for line in lines if line and not line.startswith("#"))
    return [(text, left.strip() if arrow else text) for text, arrow, left in pairs]


def text_checks(deid: Deidentifier) -> Iterator[Check]:
    """Yield two checks for every text: nothing identifying is left, and nothing clinical is lost."""
    for text, left in texts():
        ds = SAMPLES["ct"]().ds
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName, ds.PatientID = _PATIENT, _RECORD_NUMBER
        ds.ImageComments = text
        out = str(read(deidentified(deid, ds)).get("ImageComments", ""))
        kept, wanted = out.split(), left.split()
        yield Check("free text: identifiers go", text, not set(kept) - set(wanted))
        yield Check("free text: clinical words stay", text, not set(wanted) - set(kept))
