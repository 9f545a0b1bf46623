"""Read the structure of a dataset: where each element lies. No value is looked at.

Iterative inside one level and bounded in depth; every byte is accounted for. PS3.5 sections 7.1
(elements), 7.5 (sequences and items), A.4 (encapsulated Pixel Data).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from deid_node.engine.encoding import (
    DELIMITER,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG,
    ODD,
    SEQUENCE_END,
    UN_SEQUENCE,
    UNDEFINED,
    Encoding,
    code_of,
    known_place,
    vr_in,
)
from deid_node.errors import LimitExceeded, Malformed
from deid_node.standard.repairs import DEFAULT_REPAIRS, REPAIRS, Repair

# (code, start of the element, start of the value, end of the element)
Element = tuple[int, int, int, int]

_UN = code_of(0, "UN")
_TO_UN_SEQUENCE = code_of(0, UN_SEQUENCE) - _UN
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_BYTES = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one object may ask for. Bytes, counts and levels."""

    header_bytes: int = 64 << 20  # buffered before the patient is known
    window_bytes: int = 1 << 20  # a longer element or item is streamed, not buffered
    depth: int = 32
    elements: int = 5_000_000
    level_elements: int = 100_000  # of one dataset or item, which is held as a whole
    items: int = 2_000_000
    dataset_bytes: int = 8 << 30
    searched: int = 400_000_000  # characters of texts, times what is looked for in them
    needles: int = 1000  # names and IDs of the patient that are looked for in what is kept
    inflated_ratio: int = 50  # of deflated datasets, beyond the first 64 MiB
    repairs: frozenset[Repair] = DEFAULT_REPAIRS  # what may be put right


@dataclass(slots=True)
class Budget:
    """What one object has used of its limits, and ends of sequences that were found on the way.

    `repairs` are the names of what was wrong with it and was put right.
    """

    limits: Limits
    elements: int = 0
    items: int = 0
    repairs: set[Repair] = field(default_factory=set)
    searched: int = 0
    ends: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def noting(self) -> Iterator[set[Repair]]:
        """Give the repairs that are made meanwhile; they count for the object, too."""
        before, self.repairs = self.repairs, set()
        try:
            yield self.repairs
        finally:
            before |= self.repairs  # the same set: who notes around this has it
            self.repairs = before

    def check_repairs(self) -> None:
        """Refuse an object that needed what is not to be put right.

        Raises:
            Malformed: so it was.
        """
        for name in sorted(self.repairs - self.limits.repairs):
            raise Malformed(f"not to be put right here: {REPAIRS[name]}", code=name)

    def spend(self, elements: int, items: int = 0) -> None:
        """Count elements and items that were read.

        Raises:
            LimitExceeded: there are more than the node grants.
        """
        self.elements += elements
        self.items += items
        if self.elements > self.limits.elements:
            raise LimitExceeded(f"more than {self.limits.elements} elements")
        if self.items > self.limits.items:
            raise LimitExceeded(f"more than {self.limits.items} items")

    def search(self, characters: int, sought: int) -> None:
        """Count a text that is searched for so many identifiers.

        Raises:
            LimitExceeded: there is more to search than the node grants.
        """
        self.searched += characters * sought
        if self.searched > self.limits.searched:
            raise LimitExceeded("more texts and identifiers than can be searched")


def too_many_elements(limits: Limits) -> LimitExceeded:
    """Return the refusal of a dataset or item with too many elements."""
    return LimitExceeded(f"more than {limits.level_elements} elements in one dataset or item")


class Incomplete(Exception):
    """The bytes end inside an element. `code` is 0 when not even its header is there.

    `start` is where the element begins, `value` where its value begins, `end` where it ends:
    UNDEFINED lengths have end None.
    """

    def __init__(self, code: int, start: int, value: int, end: int | None) -> None:
        super().__init__("the dataset ends inside an element")
        self.code = code
        self.start = start
        self.value = value
        self.end = end


class Level(NamedTuple):
    """The elements of one dataset or item, where reading stopped, and at what.

    `stop` is ITEM_END when an item delimiter was met, otherwise 0. `missing` describes the element
    that could not be read to its end.
    """

    elements: list[Element]
    position: int
    stop: int
    missing: Incomplete | None


def scan(
    b: bytes | bytearray, p: int, end: int, encoding: Encoding, budget: Budget, depth: int, after: int = -1
) -> Level:
    """Return the elements of one level between `p` and `end`.

    Args:
        b: the buffer; p, end: where the level begins and where the known bytes end.
        depth: 0 for the dataset itself.
        after: code of the last element before `p`, as `code | 0xFFFF`; -1 at the beginning.

    Raises:
        Malformed: unknown VR, elements out of order or twice, a delimiter that does not belong.
    """
    elements: list[Element] = []
    add = elements.append
    header, shapes = encoding.header, encoding.shapes
    stop = lengths = 0
    missing: Incomplete | None = None
    try:
        for _ in range(budget.limits.level_elements + 1):
            if p >= end:
                break
            head, n = header(b, p)
            try:
                code, kind = shapes[head]
            except KeyError:
                code, kind = encoding.shape(head)
            v = p + 8
            if kind:
                if kind == DELIMITER:
                    if v > end:
                        raise Incomplete(0, p, p, None)
                    stop = code >> 16
                    break
                if kind == LONG:
                    (n,) = encoding.long(b, v)
                    v = p + 12
                if n == UNDEFINED:
                    if code <= after:
                        raise _disorder(code, after)
                    code, q = _undefined(b, code, p, v, end, encoding, budget, depth)
                else:
                    q = v + n
                    lengths |= n
            else:
                q = v + n
                lengths |= n
            if code <= after:
                raise _disorder(code, after)
            if q > end:
                raise Incomplete(code, p, v, q)
            after = code | 0xFFFF
            add((code, p, v, q))
            p = q
        else:
            raise too_many_elements(budget.limits)
    except struct.error:
        missing = Incomplete(0, p, p, None)
    except Incomplete as short:
        # Kept as a value. Its traceback would hold this frame, and with it every buffer in sight.
        missing = short.with_traceback(None)
    if lengths & 1:
        budget.repairs.add("odd-length")
        elements = [
            (code | ODD if q - v & 1 and b[v - 4 : v] != _UNDEFINED_BYTES else code, p_, v, q)
            for code, p_, v, q in elements
        ]
    budget.spend(len(elements))
    return Level(elements, p, stop, missing)


def element_at(b: bytes | bytearray, p: int, end: int, encoding: Encoding, budget: Budget) -> Element:
    """Return the top-level element at a position.

    Raises:
        Incomplete: it does not end before `end`. Malformed: it is none.
    """
    try:
        head, n = encoding.header(b, p)
        code, kind = encoding.shapes.get(head) or encoding.shape(head)
        v = p + 8
        if kind == DELIMITER:
            raise Malformed("a delimiter that belongs to nothing")
        if kind == LONG:
            (n,) = encoding.long(b, v)
            v = p + 12
    except struct.error:
        raise Incomplete(0, p, p, None) from None
    if n == UNDEFINED:
        code, q = _undefined(b, code, p, v, end, encoding, budget, 0)
        return code, p, v, q
    if v + n > end:
        raise Incomplete(code, p, v, v + n)
    if n & 1:
        budget.repairs.add("odd-length")
        code |= ODD
    return code, p, v, v + n


def _undefined(
    b: bytes | bytearray, code: int, p: int, v: int, end: int, encoding: Encoding, budget: Budget, depth: int
) -> tuple[int, int]:
    """Return (code, end) of an element of undefined length; the code of a UN changes its VR."""
    vr = vr_in(code)
    inner = encoding
    if vr == "UN":
        inner = IMPLICIT_LITTLE
        code += _TO_UN_SEQUENCE
    elif vr != "SQ" and code >> 16 != _PIXEL_DATA:
        raise Malformed("undefined length where only a sequence may have it", path=known_place(code >> 16))
    try:
        if vr not in ("SQ", "UN"):
            return code, _fragments_end(b, v, end, encoding)
        return code, sequence_end(b, v, end, inner, budget, depth + 1)
    except Incomplete:
        raise Incomplete(code, p, v, None) from None


def sequence_end(
    b: bytes | bytearray, p: int, end: int, encoding: Encoding, budget: Budget, depth: int
) -> int:
    """Return the position after the sequence delimiter of a sequence whose first item is at `p`.

    Raises:
        Incomplete: the bytes end before it.
        Malformed: what stands there is not an item. LimitExceeded: nested too deep.
    """
    known = budget.ends.get(p)
    if known is not None and known <= end:
        return known
    if depth > budget.limits.depth:
        raise LimitExceeded(f"sequences nested deeper than {budget.limits.depth}")
    first = p
    while True:
        if end - p < 8:
            raise Incomplete(0, p, p, None)
        group, element, n = encoding.item_header(b, p)
        tag = group << 16 | element
        p += 8
        if tag == SEQUENCE_END:
            budget.ends[first] = p
            return p
        if tag != ITEM:
            raise Malformed("no item where a sequence has one")
        if n != UNDEFINED:
            p += n
            if p > end:
                raise Incomplete(0, p, p, None)
            continue
        p = item_end(b, p, end, encoding, budget, depth)


def _fragments_end(b: bytes | bytearray, p: int, end: int, encoding: Encoding) -> int:
    """Return the position after encapsulated Pixel Data, whose fragments have defined lengths."""
    while True:
        if end - p < 8:
            raise Incomplete(0, p, p, None)
        group, element, n = encoding.item_header(b, p)
        p += 8
        if group << 16 | element == SEQUENCE_END:
            return p
        if group << 16 | element != ITEM or n == UNDEFINED:
            raise Malformed("no fragment where encapsulated Pixel Data has one")
        p += n


def item_end(b: bytes | bytearray, p: int, end: int, encoding: Encoding, budget: Budget, depth: int) -> int:
    """Return the position after the item delimiter of an item of undefined length."""
    header, known = encoding.header, encoding.shapes.get
    while True:
        if end - p < 8:
            raise Incomplete(0, p, p, None)
        head, n = header(b, p)
        code, kind = known(head) or encoding.shape(head)
        if kind == DELIMITER:
            if code >> 16 != ITEM_END:
                raise Malformed("an item ends without its delimiter")
            return p + 8
        if kind:
            if kind == LONG:
                if end - p < 12:
                    raise Incomplete(0, p, p, None)
                (n,) = encoding.long(b, p + 8)
                p += 12
            else:
                p += 8
            if n == UNDEFINED:
                inner = IMPLICIT_LITTLE if vr_in(code) == "UN" else encoding
                p = sequence_end(b, p, end, inner, budget, depth + 1)
                continue
        else:
            p += 8
        p += n


def _disorder(code: int, after: int) -> Malformed:
    word = "twice" if code >> 16 == after >> 16 else "out of order"
    return Malformed(f"an element stands {word}", path=known_place(code >> 16))
