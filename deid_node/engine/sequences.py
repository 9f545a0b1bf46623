"""Apply a table to the items of a sequence that lies in the buffer as a whole.

A sequence that is longer than the window is written item by item while it arrives, by `body`.
"""

from __future__ import annotations

from typing import Final

from deid_node.engine.alike import Alike
from deid_node.engine.encoding import IMPLICIT_LITTLE, UN_SEQUENCE, vr_in
from deid_node.engine.nested import item_at, span_of_items
from deid_node.engine.place import Place
from deid_node.engine.plan import Plan
from deid_node.engine.scan import Element

_LONGEST_KNOWN: Final = 2048
_KNOWN_SEQUENCES: Final = 256
# After so many items whose shape is not known, a sequence is taken for one in which they differ.
_MOST_LEARNED: Final = 32


class Sequence:
    """Keep a sequence, and put every item through a table.

    The objects of a series repeat most of their sequences byte for byte. What a sequence became is
    remembered (in memory only) unless something that belongs to one patient had a part in it.
    """

    __slots__ = ("known", "plan")

    def __init__(self, plan: Plan) -> None:
        """Use `plan` for the items; its encoding is that of the items."""
        self.plan = plan
        self.known: dict[tuple[int, bytes], tuple[bytes | None, int, int, int]] = {}

    def apply(self, element: Element, place: Place) -> bytes | None:
        """Return the sequence with its items rewritten, None when none of them changes."""
        _, p, _, q = element
        if q - p > _LONGEST_KNOWN:
            return self._rewritten(element, place)
        subject = place.subject
        raw = place.b[p:q]
        key = (place.depth, raw)  # the depth for its limit
        known = self.known.get(key)
        if known is not None:
            new, kept, changed, removed = known
            subject.kept += kept
            subject.changed += changed
            subject.removed += removed
            return new
        before = (subject.personal, subject.kept, subject.changed, subject.removed)
        with subject.budget.noting() as repairs:
            new = self._rewritten(element, place)
        if subject.personal == before[0] and not repairs:
            if len(self.known) >= _KNOWN_SEQUENCES:
                self.known.clear()
            counts = (subject.kept - before[1], subject.changed - before[2], subject.removed - before[3])
            self.known[key] = (new, *counts)
        return new

    def _rewritten(self, element: Element, place: Place) -> bytes | None:
        code, p, v, _ = element
        out = self._items(element, place)
        if out is None:
            return None
        content = b"".join(out)
        if vr_in(code) == "SQ":
            return place.encoding.sequence_header(code >> 16, len(content)) + content
        if vr_in(code) == UN_SEQUENCE:
            return place.b[p:v] + content + IMPLICIT_LITTLE.sequence_end
        return place.encoding.element(code >> 16, "UN", content)

    def _items(self, element: Element, place: Place) -> list[bytes | memoryview] | None:
        """Return the new items, None when none of them changes."""
        b, subject, plan = place.b, place.subject, self.plan
        position, end = span_of_items(b, element)
        # Few items are not worth it. What is written is searched by the caller as a whole.
        alike = Alike(plan.shapes, 0) if end - position > _LONGEST_KNOWN else None
        view = memoryview(b)
        out: list[bytes | memoryview] = []
        changed = False
        number = unknown = 0
        while True:
            if alike is not None:
                run = alike.run_at(view[position:end], end - position)
                subject.budget.spend(run.elements, run.items)
                subject.kept += run.elements
                out.append(view[position : position + run.end])
                number += run.own_items
                position += run.end
            found = item_at(b, position, end, plan.encoding, subject.budget, place.depth + 1)
            if found is None:
                return out if changed else None
            head, level, stop, position = found
            inner = Place(b, level.elements, plan.encoding, subject, place, element[0] >> 16, number)
            number += 1
            new = plan.rewrite(inner, level.elements, head + 8, stop)
            if new is not None:
                changed = True
                out.append(plan.encoding.item(b"".join(new)))
                continue
            out.append(view[head:position])
            if alike is not None and unknown < _MOST_LEARNED:
                unknown += 1
                plan.shapes.learn(inner, plan.entries, head, stop, position)


__all__ = ["Sequence"]
