"""First match wins, said in a language in which the more specific row wins.

Rules that an earlier one covers are never reached and leave. Where an earlier, wider rule and a later,
more specific one meet, a row for each common attribute says what the earlier one says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deid_node.profile.layers import even, matched
from deid_node.profile.selector import Kind, Selector, Step
from deid_node.standard import dictionary

_EVERY_BLOCK = 0x0000FF00
_ODD_GROUP = 0x00010000


@dataclass(frozen=True, slots=True)
class Order:
    """What becomes of a list of selectors, by their numbers in it.

    `unreached` pairs a selector with the earlier one that covers it. `exceptions` are attributes for
    which the earlier, wider selector has to be repeated. `apart` pairs a VR with a later mask: of
    attributes that no dictionary knows, the mask decides.
    """

    unreached: tuple[tuple[int, int], ...]
    exceptions: tuple[tuple[int, int], ...]
    apart: tuple[tuple[int, int], ...]


def first_wins(selectors: Sequence[Selector]) -> Order:
    """Return what has to be done so that the most specific row is the first one."""
    steps = [selector.last for selector in selectors]
    unreached = tuple(_unreached(steps))
    hidden = {later for later, _ in unreached}
    left = [(number, step) for number, step in enumerate(steps) if number not in hidden]
    wide = [(number, step) for number, step in left if step.is_wide]
    named = {step.tag for _, step in left if step.tag is not None}
    return Order(unreached, tuple(_exceptions(wide, selectors, named)), tuple(_apart(wide)))


def _unreached(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    tags: dict[int, int] = {}
    wide: list[tuple[int, Step]] = []
    for number, step in enumerate(steps):
        first = tags.get(step.tag) if step.tag is not None else None
        if first is None:
            first = next((earlier for earlier, other in wide if _covers(other, step)), None)
        if first is not None:
            yield number, first
        elif step.tag is not None:
            tags[step.tag] = number
        elif step.is_wide or step.kind is Kind.PRIVATE:
            wide.append((number, step))


def _covers(wide: Step, step: Step) -> bool:
    """Tell whether everything that a step means is meant by a wider or equal one."""
    if wide.kind is Kind.ANY:
        return True
    if wide.kind is Kind.PRIVATE or step.kind is Kind.PRIVATE:
        return _covers_private(wide, step)
    if wide.kind is Kind.MASK and step.kind in (Kind.MASK, Kind.TAG):
        return step.mask & wide.mask == wide.mask and step.value & wide.mask == wide.value
    if wide.kind is Kind.MASK:
        return wide.mask == 0
    if step.tag is not None:
        return wide.matches(step.tag, dictionary.vr_of(step.tag))
    return wide.kind is step.kind and (wide.vr, wide.pattern) == (step.vr, step.pattern)


def _covers_private(wide: Step, step: Step) -> bool:
    if step.private is None:
        return False
    if wide.private is not None:
        return wide.private == step.private
    if wide.kind is not Kind.MASK or wide.mask & _EVERY_BLOCK:
        return wide.kind is Kind.MASK and wide.mask == 0
    tag = step.private[0] << 16 | step.private[2]
    return tag & wide.mask == wide.value


def _exceptions(
    wide: Sequence[tuple[int, Step]], selectors: Sequence[Selector], named: set[int]
) -> Iterator[tuple[int, int]]:
    """Yield (tag, number of the rule that has to be repeated for it)."""
    if len(wide) < 2:
        return
    means = {number: matched(step) for number, step in wide}
    for tag in sorted(frozenset().union(*means.values()) - named):
        meant = [number for number, _ in wide if tag in means[number]]
        ours = max(meant, key=lambda number: (selectors[number].specificity, -number))
        if ours != meant[0]:
            yield tag, meant[0]


def _apart(wide: Sequence[tuple[int, Step]]) -> Iterator[tuple[int, int]]:
    for number, step in wide:
        for later, other in wide:
            reaches_private = other.kind is Kind.MASK and not _is_even(other)
            if later > number and step.kind is Kind.VR and reaches_private:
                yield number, later
                break


def _is_even(step: Step) -> bool:
    mask, value = even(step.mask, step.value)
    return bool(mask & _ODD_GROUP) and not value & _ODD_GROUP
