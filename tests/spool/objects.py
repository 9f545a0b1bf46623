"""Made-up de-identified objects for tests of the spool and of delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from deid_node.engine.deidentified import Deidentified, Heading, Summary
from deid_node.spool import Commit, Origin, Spool
from deid_node.spool.deadline import Deadline

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
META = b"\0" * 128 + b"DICM" + b"meta" * 16
ORIGIN = Origin("MODALITY", "NODE", "192.0.2.7", "a1b2c3")


def heading(number: int, sop_class_uid: str = CT, transfer_syntax_uid: str = EXPLICIT) -> Heading:
    return Heading(sop_class_uid, f"2.25.{1000 + number}", transfer_syntax_uid, META)


def dataset(number: int, size: int = 5000) -> bytes:
    """Bytes that are the same for the same number, of even length."""
    seed = hashlib.sha256(str(number).encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def summary(
    number: int, head: Heading | None = None, attributes: Mapping[int, str] = {}, digest: bytes | None = None
) -> Summary:
    values = {0x0020000D: "2.25.77", 0x0020000E: "2.25.78", 0x00100020: "PSEUDO", 0x00200013: str(number)}
    known = hashlib.sha256(f"uid {number}".encode()).digest() if digest is None else digest
    return Summary(head or heading(number), {**values, **attributes}, known, 10, 3, 2, 1)


def put(
    spool: Spool,
    number: int,
    *,
    content: bytes | None = None,
    destinations: Sequence[str] = ("a",),
    route: str = "r",
    digest: bytes | None = None,
    attributes: Mapping[int, str] = {},
    head: Heading | None = None,
    deadline: Deadline | None = None,
) -> Commit:
    """Bring one object into the spool, as the intake does."""
    head = head or heading(number)
    draft = spool.draft()
    draft.write(head, Deidentified([dataset(number) if content is None else content]))
    return draft.commit(
        summary(number, head, attributes, digest),
        route=route,
        destinations=destinations,
        origin=ORIGIN,
        deadline=deadline,
    )


def objects_in(folder: Path) -> list[Path]:
    """The object files of a spool, and nothing unfinished."""
    assert not list((folder / "incoming").iterdir())
    return sorted((folder / "objects").glob("*/*"))
