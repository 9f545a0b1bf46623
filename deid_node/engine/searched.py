"""Rewrite elements and search what came out for the names and IDs of the object: the residual check.

Used behind the header, where elements come in pieces; pixels among them are not searched.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Final

from deid_node.engine.place import Place
from deid_node.engine.plan import Plan
from deid_node.engine.scan import Element

_PIXEL_GROUP: Final = 0x7FE0
# The first code of the pixels and the first behind them, as elements are compared.
_PIXELS: Final = (_PIXEL_GROUP << 32,)
_TAIL: Final = (_PIXEL_GROUP + 1 << 32,)


def rewrite_searched(
    plan: Plan, place: Place, elements: list[Element], start: int, end: int
) -> list[bytes] | None:
    """Rewrite elements; if a known identifier is still there, once more with guarded copies.

    The residual check: kept attributes are searched for the names and IDs of this object. Pixels are
    not, as three letters are found in any image.
    """
    first, last = bisect_left(elements, _PIXELS), bisect_left(elements, _TAIL)
    if first == last:
        return _rewrite_part(plan, place, elements, start, end)
    pixels, tail = elements[first][1], elements[last - 1][3]
    out: list[bytes] = []
    for part, p, q in (
        (elements[:first], start, pixels),
        (elements[first:last], pixels, tail),
        (elements[last:], tail, end),
    ):
        if part:
            rewrite = plan.rewrite if p == pixels else partial(_rewrite_part, plan)
            new = rewrite(place, part, p, q)
            out += [place.b[p:q]] if new is None else new
    return out


def _rewrite_part(
    plan: Plan, place: Place, elements: list[Element], start: int, end: int
) -> list[bytes] | None:
    subject = place.subject
    before = subject.kept, subject.changed, subject.removed, subject.cleaned
    new = plan.rewrite(place, elements, start, end)
    if subject.search.finds([place.b[start:end]] if new is None else new):
        subject.kept, subject.changed, subject.removed, subject.cleaned = before
        guarded = plan.plans.plan(plan.table, plan.encoding, guard=True)
        return guarded.rewrite(place, elements, start, end)
    return new
