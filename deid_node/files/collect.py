"""The first of two passes: collect the original values that a lookup table must cover.

Row DC-28: pass one lists, a person fills in, pass two looks up. The values are original ones; they are
returned to whoever asked and go nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from deid_node.errors import SOPClassNotSupported
from deid_node.files.input import Input, Stream
from deid_node.profile.lookup import joined_key
from deid_node.profile.params import attributes_of
from deid_node.profile.procedure import Action, Procedure, Table
from deid_node.profile.template import Field, Template

_HEADER_BYTES: Final = 64 << 20
_SOP_CLASS_UID: Final = 0x00080016
_PATIENT_ID: Final = 0x00100020


@dataclass(slots=True)
class Collected:
    """What a pass found: the values, and the inputs that could not be read, each with why."""

    values: set[str] = field(default_factory=set, repr=False)
    read: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attributes are collected: at every depth, or only at the top of the object.

    `joined` are attributes at the top that are one key together.

    Nothing is looked up inside a sequence that all of `tables` remove or empty.
    """

    anywhere: frozenset[int] = frozenset()
    on_top: frozenset[int] = frozenset()
    tables: tuple[Table, ...] = ()
    joined: frozenset[tuple[int, ...]] = frozenset()

    def opens(self, tag: int) -> bool:
        """Tell whether the items of a sequence may be looked into; those of private ones always are."""
        if tag >> 16 & 1 or not self.tables:
            return True
        return any(table.rule_for(tag, "SQ").action not in (Action.X, Action.Z) for table in self.tables)


def collect(inputs: Iterable[Input], wanted: Wanted | Procedure, table: str = "") -> Collected:
    """Read the headers of all inputs and collect values.

    Args:
        wanted: the attributes, or a procedure: then those that its rows look up in `table`.
    """
    found = Collected()
    by_class: dict[str, Wanted] = {}
    for one in inputs:
        try:
            with closing(one.open()) as stream:
                content = BytesIO(_read(stream))
            ds = dcmread(content, stop_before_pixels=True, force=False)
            asked = wanted
            if isinstance(asked, Procedure):
                uid = str(ds.get("SOPClassUID", ""))
                if uid not in by_class:
                    by_class[uid] = looked_up(asked, uid, table)
                asked = by_class[uid]
            found.values.update(_values(ds, asked))
            found.values.update(_keys(ds, asked))
            found.read += 1
        except Exception as error:  # pydicom raises what it likes; its texts may quote values
            found.failed.append((str(one.shown), type(error).__name__))
    found.values.discard("")
    return found


def _read(stream: Stream) -> bytes:
    """Read the beginning of an object; a stream may return fewer bytes at a time."""
    pieces: list[bytes] = []
    left = _HEADER_BYTES
    while left > 0 and (piece := stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def looked_up(procedure: Procedure, sop_class_uid: str, table: str) -> Wanted:
    """Return the attributes whose values a procedure looks up in a table, for one SOP class."""
    anywhere: set[int] = set()
    on_top: set[int] = set()
    tables = _tables(procedure, sop_class_uid)
    calls = [(tag, rule.call) for table in tables for tag, rule in table.rules.items() if rule.call]
    calls += [(tag, value.call) for tag, values in procedure.set_values.items() for value in values]
    joined: set[tuple[int, ...]] = set()
    for tag, call in calls:
        if call.name in ("lookup", "date_interval", "date_shift") and call.params.get("table") == table:
            by = attributes_of(call.params.get("by"))
            by = by or ((_PATIENT_ID,) if call.name == "date_shift" else ())
            if len(by) > 1:
                joined.add(by)
            else:
                (on_top if by else anywhere).update(by or (tag,))
        template = call.params.get("template")
        for part in template.parts if isinstance(template, Template) else ():
            if isinstance(part, Field) and part.name in ("lookup", "interval") and part.argument == table:
                on_top.update({part.by or part.tag or 0} - {0})
    return Wanted(frozenset(anywhere), frozenset(on_top), tables, frozenset(joined))


def _tables(procedure: Procedure, sop_class_uid: str) -> tuple[Table, ...]:
    """Return every table that an object of a SOP class may go through, those of items as well."""
    found: dict[int, Table] = {}
    for holding in (frozenset[int](), *(frozenset((at,)) for at in range(len(procedure.conditions)))):
        try:
            waiting = [procedure.table_for(sop_class_uid, holding)]
        except SOPClassNotSupported:
            break
        while waiting:
            table = waiting.pop()
            if id(table) not in found:
                found[id(table)] = table
                waiting += [rule.items for rule in table.rules.values() if rule.items is not None]
    return tuple(found.values())


def _values(ds: Dataset, wanted: Wanted, depth: int = 0) -> Iterator[str]:
    for elem in ds:
        tag = int(elem.tag)
        if elem.VR == "SQ":
            for item in (elem.value or ()) if wanted.opens(tag) else ():
                yield from _values(item, wanted, depth + 1)
        elif depth == 0 and tag in wanted.on_top:
            yield "\\".join(_texts(elem.value))
        elif tag in wanted.anywhere:
            yield from _texts(elem.value)


def _keys(ds: Dataset, wanted: Wanted) -> Iterator[str]:
    """Yield the keys of several attributes; what lacks one of them has no row."""
    for tags in wanted.joined:
        texts = ["\\".join(_texts(ds[tag].value)) if tag in ds else "" for tag in tags]
        if all(texts):
            yield joined_key(texts)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    many = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [str(one).strip(" \0") for one in many]
