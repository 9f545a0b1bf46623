"""Find the values of one attribute at every depth of a buffered header.

Used for the gates (a Burned In Annotation may stand in any item) and for the identifiers of an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deid_node.engine.charset import decode, terms_in
from deid_node.engine.encoding import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UN_SEQUENCE,
    UNDEFINED,
    Encoding,
    code_of,
    vr_in,
)
from deid_node.engine.scan import Budget, Element, Level, scan
from deid_node.errors import LimitExceeded, Malformed
from deid_node.standard.dictionary import vr_of

_SPECIFIC_CHARACTER_SET = 0x00080005
_SEQUENCE_VRS = frozenset(code_of(0, vr) & 0xFF7F for vr in ("SQ", UN_SEQUENCE))
_UN = code_of(0, "UN")
# (element, its value, the character sets in force, the tags of the sequences above it)
Found = tuple[Element, bytes, tuple[str, ...]]
# (start of the item's header, its level, end of its content, start of the next item)
Item = tuple[int, Level, int, int]


def items(b: bytes, element: Element, encoding: Encoding, budget: Budget, depth: int) -> Iterator[Item]:
    """Yield (start of the item's header, its level, end of its content, start of the next item).

    Args:
        element: a sequence that lies in `b` as a whole.
        encoding: of the items, not of the element's own header.
        depth: of the items; 1 for those of a top-level sequence.

    Raises:
        Malformed: the items do not fill the sequence exactly. LimitExceeded: nested too deep.
    """
    p, end = span_of_items(b, element)
    while (found := item_at(b, p, end, encoding, budget, depth)) is not None:
        yield found
        p = found[3]


def span_of_items(b: bytes, element: Element) -> tuple[int, int]:
    """Return where the items of a sequence begin, and where they end: before its delimiter."""
    _, start, p, end = element
    if p - start >= 8 and b[p - 4 : p] == b"\xff\xff\xff\xff":
        end -= 8
    return p, end


def item_at(b: bytes, p: int, end: int, encoding: Encoding, budget: Budget, depth: int) -> Item | None:
    """Return the item at a position, as `items` does; None at the end of the sequence.

    Args:
        end: where the items of the sequence end.

    Raises:
        Malformed, LimitExceeded: as `items` does.
    """
    if depth > budget.limits.depth:
        raise LimitExceeded(f"sequences nested deeper than {budget.limits.depth}")
    if p >= end:
        return None
    if end - p < 8:
        raise Malformed("a sequence ends inside an item header")
    group, low, n = encoding.item_header(b, p)
    if group << 16 | low != ITEM:
        if group << 16 | low == SEQUENCE_END and p + 8 == end:
            budget.repairs.add("sequence-delimiter")
            return None  # left over where a length was put in for an undefined one
        raise Malformed("no item where a sequence has one")
    first = p + 8
    stop = end if n == UNDEFINED else first + n
    if stop > end:
        raise Malformed("an item reaches past the end of its sequence")
    level = scan(b, first, stop, encoding, budget, depth)
    if level.missing is not None:
        raise Malformed("an element reaches past the end of its item")
    if n == UNDEFINED:
        if level.stop != ITEM_END:
            raise Malformed("an item of undefined length has no delimiter")
        stop, following = level.position, level.position + 8
    else:
        if level.stop or level.position != stop:
            raise Malformed("a delimiter in an item of defined length")
        following = stop
    budget.spend(0, 1)
    return p, level, stop, following


def is_sequence(code: int) -> bool:
    """Tell whether an element holds items: SQ, UN of undefined length, or UN that is known as SQ."""
    vr = code & 0xFF7F
    if vr in _SEQUENCE_VRS:
        return True
    return vr == _UN and vr_of(code >> 16) == "SQ"


def encoding_within(code: int, encoding: Encoding) -> Encoding:
    """Return the encoding of a sequence's items: implicit where the sequence is coded as UN."""
    return encoding if vr_in(code) == "SQ" else IMPLICIT_LITTLE


def walk(
    b: bytes,
    elements: list[Element],
    encoding: Encoding,
    budget: Budget,
    charsets: tuple[str, ...],
    wanted: Callable[[int], bool],
    depth: int = 0,
) -> Iterator[Found]:
    """Yield the elements whose code is wanted, at every depth, with value and character sets."""
    for element in elements:
        code = element[0]
        vr = code & 0xFF7F
        if vr in _SEQUENCE_VRS or (vr == _UN and is_sequence(code)):
            within = encoding_within(code, encoding)
            for _, level, _, _ in items(b, element, within, budget, depth + 1):
                own = _charsets(b, level.elements, charsets)
                yield from walk(b, level.elements, within, budget, own, wanted, depth + 1)
        elif wanted(code):
            yield element, b[element[2] : element[3]], charsets


def values_below(
    b: bytes,
    elements: list[Element],
    tag: int,
    encoding: Encoding,
    budget: Budget,
    charsets: tuple[str, ...],
) -> list[str]:
    """Return the values of an attribute at every depth as text, undecodable ones as Latin-1."""
    top = next((element for element in elements if element[0] >> 16 == tag), None)
    places = {b.find(encoding.tag_bytes(tag)), b.rfind(encoding.tag_bytes(tag))}
    if encoding is not IMPLICIT_LITTLE:
        places |= {b.find(IMPLICIT_LITTLE.tag_bytes(tag)), b.rfind(IMPLICIT_LITTLE.tag_bytes(tag))}
    places.discard(-1)
    if top is not None:
        places.discard(top[1])
    if not places:
        return [] if top is None else [_text(b[top[2] : top[3]], charsets, vr_in(top[0]))]
    fresh = Budget(budget.limits)
    found = walk(b, elements, encoding, fresh, charsets, lambda code: code >> 16 == tag)
    return [_text(value, own, vr_in(element[0])) for element, value, own in found]


def _text(value: bytes, charsets: tuple[str, ...], vr: str) -> str:
    decoded = decode(value, charsets, vr)
    return value.decode("latin-1") if decoded is None else decoded


def _charsets(b: bytes, elements: list[Element], outer: tuple[str, ...]) -> tuple[str, ...]:
    for code, _, v, q in elements:
        if code >> 16 >= _SPECIFIC_CHARACTER_SET:
            if code >> 16 == _SPECIFIC_CHARACTER_SET:
                return terms_in(b[v:q]) or outer
            break
    return outer
