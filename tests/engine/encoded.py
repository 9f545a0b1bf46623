"""Datasets written by hand, byte for byte, and whole datasets through the engine.

Independent of the engine's own writer: a test that states bytes must not learn them from what it tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deid_node.engine.deidentified import Deidentified, Summary
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.profile.procedure import Action, Procedure, Rule, Table
from tests.rewriting import pseudonyms

UNDEFINED = 0xFFFFFFFF
_LONG = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SPACE_PADDED = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split())

SC = "1.2.840.10008.5.1.4.1.1.7"
INSTANCE = "1.2.3.4.5"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a dataset: transfer syntax, explicit VR or not, byte order."""

    name: str
    transfer_syntax_uid: str
    explicit: bool
    order: str

    def tag(self, tag: int) -> bytes:
        """Return the four bytes of a tag."""
        return struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)

    def long(self, number: int) -> bytes:
        """Return a 32 bit length."""
        return struct.pack(self.order + "I", number)

    def element(self, tag: int, vr: str, value: bytes = b"", *, length: int | None = None) -> bytes:
        """Return an element; padded unless `length` says what its header claims."""
        if length is None:
            if len(value) % 2:
                value += b" " if vr in _SPACE_PADDED else b"\0"
            length = len(value)
        if not self.explicit:
            return self.tag(tag) + self.long(length) + value
        if vr in _LONG:
            return self.tag(tag) + vr.encode() + b"\0\0" + self.long(length) + value
        return self.tag(tag) + vr.encode() + struct.pack(self.order + "H", length) + value

    def item(self, *elements: bytes, undefined: bool = False) -> bytes:
        """Return an item."""
        content = b"".join(elements)
        if undefined:
            return self.tag(0xFFFEE000) + self.long(UNDEFINED) + content + self.tag(0xFFFEE00D) + self.long(0)
        return self.tag(0xFFFEE000) + self.long(len(content)) + content

    def sequence(self, tag: int, *items: bytes, undefined: bool = False, vr: str = "SQ") -> bytes:
        """Return a sequence of whole items."""
        content = b"".join(items)
        if undefined:
            end = self.tag(0xFFFEE0DD) + self.long(0)
            return self.element(tag, vr, content + end, length=UNDEFINED)
        return self.element(tag, vr, content, length=len(content))

    def us(self, *numbers: int) -> bytes:
        """Return values of VR US."""
        return struct.pack(self.order + f"{len(numbers)}H", *numbers)

    def dataset(self, *elements: bytes, sop_class_uid: str = SC, sop_instance_uid: str = INSTANCE) -> bytes:
        """Return a dataset: the elements in the order given, the two SOP UIDs where they belong."""
        uids = (
            self.element(0x00080016, "UI", sop_class_uid.encode()),
            self.element(0x00080018, "UI", sop_instance_uid.encode()),
        )
        before = [element for element in elements if self._precedes_uids(element)]
        return b"".join((*before, *uids, *elements[len(before) :]))

    def _precedes_uids(self, element: bytes) -> bool:
        group, low = struct.unpack_from(self.order + "HH", element)
        return bool(group << 16 | low < 0x00080016)


EXPLICIT = Form("explicit", "1.2.840.10008.1.2.1", explicit=True, order="<")
IMPLICIT = Form("implicit", "1.2.840.10008.1.2", explicit=False, order="<")
BIG = Form("big-endian", "1.2.840.10008.1.2.2", explicit=True, order=">")
FORMS = (EXPLICIT, IMPLICIT, BIG)


def procedure(
    rules: Mapping[int, Rule | Action] | None = None, *, unlisted: Action = Action.X, **changes: object
) -> Procedure:
    """Return a procedure with one table for all SOP classes, which keeps the SOP UIDs and stamps nothing."""
    listed = {0x00080016: Rule(Action.K), 0x00080018: Rule(Action.K), 0x00080005: Rule(Action.K)}
    for tag, rule in (rules or {}).items():
        listed[tag] = Rule(rule) if isinstance(rule, Action) else rule
    parts = {name: changes.pop(name) for name in ("private", "masks", "vrs") if name in changes}
    table = Table(rules=MappingProxyType(listed), unlisted=Rule(unlisted), **parts)  # type: ignore[arg-type]
    settings: dict[str, object] = {"identity_removed": False, "method": "deid_node test", **changes}
    return Procedure("test", "1", MappingProxyType({}), table, **settings)  # type: ignore[arg-type]


def run(
    deidentifier: Procedure | Deidentifier,
    dataset: bytes,
    form: Form = EXPLICIT,
    *,
    piece_bytes: int | None = None,
    limits: Limits | None = None,
    transfer_syntax_uid: str = "",
) -> bytes:
    """Return the new dataset."""
    return run_with_summary(
        deidentifier,
        dataset,
        form,
        piece_bytes=piece_bytes,
        limits=limits,
        transfer_syntax_uid=transfer_syntax_uid,
    )[0]


def run_with_summary(
    deidentifier: Procedure | Deidentifier,
    dataset: bytes,
    form: Form = EXPLICIT,
    *,
    piece_bytes: int | None = None,
    limits: Limits | None = None,
    transfer_syntax_uid: str = "",
    capture: Iterable[int] = (),
) -> tuple[bytes, Summary]:
    """Return the new dataset and what the engine says of it; `piece_bytes` None feeds all at once."""
    if isinstance(deidentifier, Procedure):
        deidentifier = Deidentifier(deidentifier, pseudonyms(), limits=limits, capture=frozenset(capture))
    rewrite = deidentifier.begin(transfer_syntax_uid=transfer_syntax_uid or form.transfer_syntax_uid)
    out = bytearray()

    def take(new: Deidentified | None) -> None:
        for buffer in new.buffers if new is not None else ():
            out.extend(buffer)

    step = piece_bytes or max(len(dataset), 1)
    for start in range(0, len(dataset), step):
        take(rewrite.feed(memoryview(dataset)[start : start + step]))
    last, summary = rewrite.finish()
    take(last)
    return bytes(out), summary
