"""Pass over items of a shape that is known to stay as it is: thousands of frames alike.

The items of a functional groups sequence repeat their structure: the same attributes with values of the
same lengths. Once an item of such a shape was rewritten and every decision in it was to keep the bytes
whatever they are, further items are recognized by their element headers alone, as one pattern, and
copied in runs. Their values are not looked at, exactly as they were not the first time; the search for
known identifiers is the caller's and stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.engine.encoding import ODD, Encoding
from deid_node.engine.nested import encoding_within, is_sequence, items
from deid_node.engine.scan import Budget, Element

if TYPE_CHECKING:
    from deid_node.engine.plan import Place, Plan

_LONGEST_ITEM: Final = 4096
_OFTEN: Final = 3
_MOST_SHAPES: Final = 64
_MOST_CANDIDATES: Final = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """Items of one structure: how long one is, with its header, what it holds, and how to find a run."""

    length: int
    elements: int
    items: int
    run: re.Pattern[bytes]


class Shapes:
    """The shapes that one plan keeps; shared by the objects of all threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[Shape]] = {}
        self._count = 0
        self._candidates: dict[tuple[bytes | int, ...], int] = {}

    def run_at(self, buffer: bytearray, end: int) -> tuple[Shape, int] | None:
        """Return the shape of the items at the start of a buffer and where their run ends.

        Args:
            end: how far the run may go.
        """
        shapes = self._known.get(bytes(buffer[:8]))
        if shapes is not None:
            for shape in shapes:
                found = shape.run.match(buffer, 0, end)
                if found is not None:
                    return shape, found.end()
        return None

    def learn(self, place: Place, plan: Plan, length: int, budget: Budget) -> None:
        """Take note of an item that was rewritten and did not change.

        Args:
            place: the item; it begins at the start of the place's buffer.
            length: of the item with its header, which has a defined length.
        """
        if length > _LONGEST_ITEM or self._count >= _MOST_SHAPES:
            return
        parts: list[bytes | int] = []
        counts = _structure(
            place.b, 0, 8, length, place.elements, plan, place.encoding, budget, place.depth, parts
        )
        if counts is None:
            return
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
            self._count += 1
            shape = Shape(length, counts[0], counts[1] + 1, _pattern(parts))
            self._known.setdefault(bytes(place.b[:8]), []).append(shape)


def _structure(
    b: bytes,
    head: int,
    start: int,
    end: int,
    elements: list[Element],
    plan: Plan,
    encoding: Encoding,
    budget: Budget,
    depth: int,
    parts: list[bytes | int],
) -> tuple[int, int] | None:
    """Append the fixed bytes and the lengths of the values of an item to `parts`.

    Returns:
        How many elements and items it holds, None when something in it is not kept whatever it is.
    """
    parts.append(b[head:start])
    count, inside = len(elements), 0
    for element in elements:
        code, p, v, q = element
        entry = plan.entries.get(code)
        if code >> 32 & 1 or code & ODD:
            return None
        parts.append(b[p:v])
        if not is_sequence(code):
            if entry is not True:
                return None
            parts.append(q - v)
            continue
        below = getattr(entry, "plan", None)
        if below is None or b[v - 4 : v] == b"\xff\xff\xff\xff":
            return None
        within = encoding_within(code, encoding)
        for at, level, stop, following in items(b, element, within, budget, depth + 1):
            if following != stop:
                return None
            found = _structure(b, at, at + 8, stop, level.elements, below, within, budget, depth + 1, parts)
            if found is None:
                return None
            count, inside = count + found[0], inside + 1 + found[1]
    return count, inside


def _pattern(parts: list[bytes | int]) -> re.Pattern[bytes]:
    """Return a pattern for a run of items: fixed bytes, and any bytes where values stand."""
    one = b"".join(
        re.escape(part) if isinstance(part, bytes) else b".{%d}" % part if part else b"" for part in parts
    )
    return re.compile(b"(?>" + one + b")++", re.DOTALL)
