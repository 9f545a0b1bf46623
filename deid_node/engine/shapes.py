"""Know the shapes of items that stay as they are: thousands of frames alike.

The items of a functional groups sequence repeat their structure: the same attributes with values of the
same lengths. Once an item of such a shape was rewritten and every decision in it was to keep the bytes
whatever they are, further items are recognized by their element headers alone, and copied in runs
(`alike`). No value decides anything, exactly as it did not the first time; the search for known
identifiers is the caller's and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

from deid_node.engine.encoding import ODD, Encoding
from deid_node.engine.nested import encoding_within, is_sequence, items
from deid_node.engine.place import Place
from deid_node.engine.scan import Budget, Element

Entries = Mapping[int, object]

FEW: Final = 8
"""So many items are recognized one by one before more is put up to compare them in one go."""

_LONGEST_ITEM: Final = 4096
_OFTEN: Final = 3
_MOST_BYTES: Final = 64 * _LONGEST_ITEM  # of all shapes of a plan; a pattern takes eight times as many
_MOST_CANDIDATES: Final = 512
# Fixed bytes, or how many bytes of a value: an item from its header to its end.
_Parts = list[bytes | int]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Items of one structure.

    `length` is that of one with its header and delimiter, `elements` and `items` what it holds, itself
    counted, `values` where its values stand, `few` finds up to FEW of them. `differing` are the numbers
    of the values that differed between items of earlier objects.
    """

    length: int
    elements: int
    items: int
    values: tuple[tuple[int, int], ...]
    few: re.Pattern[bytes]
    differing: set[int] = field(default_factory=set)


class Shapes:
    """The shapes that one plan keeps; shared by the objects of all threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[Shape]] = {}
        self._bytes = 0
        self._candidates: dict[tuple[bytes | int, ...], int] = {}

    def few_at(self, b: bytes | bytearray | memoryview, p: int, end: int) -> tuple[Shape, int] | None:
        """Return the shape of the items at a position and where they end, after FEW at the latest.

        Args:
            end: how far they may go.
        """
        for shape in self._known.get(bytes(b[p : p + 8]), ()):
            found = shape.few.match(b, p, end)
            if found is not None:
                return shape, found.end()
        return None

    def learn(self, place: Place, entries: Entries, head: int, end: int, following: int) -> None:
        """Take note of an item that was rewritten and did not change.

        Args:
            place: the item. entries: what is done with its elements. head: where its header begins.
            end: of its elements. following: where the next item begins.
        """
        if following - head > _LONGEST_ITEM or self._bytes >= _MOST_BYTES:
            return
        if self.few_at(place.b, head, following) is not None:
            return  # known, but an identifier may have stood in it
        budget = Budget(place.subject.budget.limits)  # what is read twice counts once
        parts: _Parts = []
        counts = _structure(place.b, place.elements, entries, place.encoding, budget, place.depth, parts)
        if counts is None or budget.repairs:
            return
        parts = [place.b[head : head + 8], *parts, place.b[end:following]]
        gates = place.subject.gates
        fixed = b"".join(part for part in parts if isinstance(part, bytes))
        if gates is not None and gates.concern(fixed, place.encoding):
            return  # a gate looks at the values of such items
        key = tuple(parts)
        seen = self._candidates.get(key, 0) + 1
        if len(self._candidates) >= _MOST_CANDIDATES:
            self._candidates.clear()
        self._candidates[key] = seen
        if seen == _OFTEN:
            self._bytes += following - head
            shape = _shape(parts, counts[0], counts[1] + 1)
            self._known.setdefault(place.b[head : head + 8], []).append(shape)


def _structure(
    b: bytes,
    elements: list[Element],
    entries: Entries,
    encoding: Encoding,
    budget: Budget,
    depth: int,
    parts: _Parts,
) -> tuple[int, int] | None:
    """Append the fixed bytes and the lengths of the values of an item's elements to `parts`.

    Returns:
        How many elements and items there are, None when something in it is not kept whatever it is.
    """
    count, inside = len(elements), 0
    for element in elements:
        code, p, v, q = element
        entry = entries.get(code)
        if code >> 32 & 1 or code & ODD:
            return None
        parts.append(b[p:v])
        if not is_sequence(code):
            if entry is not True:
                return None
            parts.append(q - v)
            continue
        below = getattr(entry, "plan", None)
        if below is None:
            return None
        within = encoding_within(code, encoding)
        at = v
        for head, level, stop, following in items(b, element, within, budget, depth + 1):
            parts.append(b[head : head + 8])
            found = _structure(b, level.elements, below.entries, within, budget, depth + 1, parts)
            if found is None:
                return None
            parts.append(b[stop:following])
            count, inside, at = count + found[0], inside + 1 + found[1], following
        parts.append(b[at:q])
    return count, inside


def _shape(parts: _Parts, elements: int, items: int) -> Shape:
    lengths = [part if isinstance(part, int) else len(part) for part in parts]
    places = pairwise(accumulate(lengths, initial=0))
    values = tuple(place for part, place in zip(parts, places, strict=True) if isinstance(part, int) and part)
    one = b"".join(
        re.escape(part) if isinstance(part, bytes) else b".{%d}" % part if part else b"" for part in parts
    )
    few = re.compile(b"(?>" + one + b"){1,%d}+" % FEW, re.DOTALL)
    return Shape(sum(lengths), elements, items, values, few)
