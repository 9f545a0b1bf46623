"""Apply a table to the items of a sequence that lies in the buffer as a whole.

A sequence that is longer than the window is written item by item while it arrives, by `body`.
"""

from __future__ import annotations

from typing import Final

from deid_node.engine.encoding import IMPLICIT_LITTLE, UN_SEQUENCE, vr_in
from deid_node.engine.nested import items
from deid_node.engine.plan import Place, Plan
from deid_node.engine.scan import Element

_LONGEST_KNOWN: Final = 2048
_KNOWN_SEQUENCES: Final = 256


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
        b, subject, plan = place.b, place.subject, self.plan
        encoding = plan.encoding
        out: list[bytes] = []
        changed = False
        found = items(b, element, encoding, subject.budget, place.depth + 1)
        for number, (head, level, stop, following) in enumerate(found):
            inner = Place(b, level.elements, encoding, subject, place, code >> 16, number)
            new = plan.rewrite(inner, level.elements, head + 8, stop)
            if new is None:
                out.append(b[head:following])
            else:
                changed = True
                out.append(encoding.item(b"".join(new)))
        if not changed:
            return None
        content = b"".join(out)
        if vr_in(code) == "SQ":
            return place.encoding.sequence_header(code >> 16, len(content)) + content
        if vr_in(code) == UN_SEQUENCE:
            return b[p:v] + content + IMPLICIT_LITTLE.sequence_end
        return place.encoding.element(code >> 16, "UN", content)


__all__ = ["Sequence"]
