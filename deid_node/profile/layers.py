"""Which row wins for which attribute: rows in order of specificity, files in order of the chain.

A SOP-class row beats a general one, a longer path a shorter, a tag a mask, a mask a regular expression,
that one a VR; then the later file. Two rows of one file that differ and are equal in all this are a tie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from deid_node.profile import names
from deid_node.profile.language import Row, Scope, Ties
from deid_node.profile.selector import Kind, Step
from deid_node.standard import dictionary

Symbol = int | tuple[int, str, int]
State = tuple[Symbol, ...]

# Repeating groups are even (PS3.5 7.6): 60xx,3000 means no private element of group 6001.
_REPEATING_GROUPS = (0x50, 0x60)
_ODD_GROUP = 0x00010000


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row with its rank in the chain of files; a larger rank wins."""

    row: Row
    file: int
    rank: tuple[int, ...]
    ties: Ties

    @property
    def says_the_same_as(self) -> tuple[object, ...]:
        """Equal for rows between which it does not matter who wins."""
        call = self.row.call
        return self.row.action, call.name if call else "", str(sorted(call.params.items())) if call else ""


@dataclass(frozen=True, slots=True)
class Layer:
    """The winners at one place: by tag, by mask (first match wins), by VR, by private element.

    `rest` is a row for everything that no other row names; with it nothing of the base is left.
    """

    tags: Mapping[int, Row]
    masks: tuple[tuple[int, int, Row], ...]
    vrs: Mapping[str, Row]
    private: Mapping[tuple[int, str, int], Row]
    rest: Row | None = None

    def row_for(self, tag: int) -> Row | None:
        """Return the row that decides a public tag, as far as its VR does not matter."""
        if tag in self.tags:
            return self.tags[tag]
        return next((row for mask, value, row in self.masks if tag & mask == value), None)


def ranked(rows: Iterable[Row], file: int, ties: Ties) -> list[Ranked]:
    """Rank the rows of one file, the number `file` of the chain."""
    found = []
    for number, row in enumerate(rows):
        order = {Ties.ERROR: 0, Ties.FIRST: -number, Ties.LAST: number}[ties]
        if row.when is not None:
            order = number if ties is Ties.LAST else -number
        where = (int(row.when is not None), int(row.scope is not Scope.ALL))
        rank = (int(bool(row.sop_class)), *row.selector.specificity, file, *where, order)
        found.append(Ranked(row, file, rank, ties))
    return found


def symbol(step: Step) -> Symbol:
    """Return what stands for a sequence on a path."""
    return step.private if step.private is not None else step.value


def path_of(row: Row) -> State:
    """Return the sequences that a row names before its last part."""
    return tuple(symbol(step) for step in row.selector.path)


@cache
def matched(step: Step) -> frozenset[int]:
    """Return every tag of the dictionary that a step means."""
    if step.tag is not None:
        return frozenset((step.tag,))
    return frozenset(tag for tag in dictionary.attributes() if step.matches(tag, dictionary.vr_of(tag)))


@cache
def masks_of(step: Step) -> tuple[tuple[int, int], ...]:
    """Return (mask, value) of the tags outside the dictionary and of repeating groups that a step means."""
    if step.kind is Kind.MASK:
        return (even(step.mask, step.value),)
    if step.kind in (Kind.VR, Kind.REGEX):
        return tuple(
            even(mask, value)
            for mask, value, attribute in dictionary.repeating()
            if _means(step, attribute.keyword, attribute.vrs)
        )
    return ()


def _means(step: Step, keyword: str, vrs: Sequence[str]) -> bool:
    if step.pattern is not None:
        return step.pattern.match(keyword) is not None
    return step.vr in vrs


def even(mask: int, value: int) -> tuple[int, int]:
    """Return a mask without the odd groups among repeating ones: 60xx is 6000, 6002 ... (PS3.5 7.6)."""
    repeats = mask >> 24 == 0xFF and value >> 24 in _REPEATING_GROUPS
    if repeats and not mask & _ODD_GROUP:
        return mask | _ODD_GROUP, value
    return mask, value


def layer(rows: Iterable[Ranked]) -> Layer:
    """Return the winners among rows that all apply at one place."""
    tags: dict[int, Row] = {}
    vrs: dict[str, Row] = {}
    private: dict[tuple[int, str, int], Row] = {}
    masks: list[tuple[int, int, Row]] = []
    rest: Row | None = None
    for entry in sorted(rows, key=lambda entry: entry.rank):
        step = entry.row.selector.last
        if step.kind is Kind.ANY:
            tags, masks, vrs, private, rest = {}, [], {}, {}, entry.row
            continue
        if step.private is not None:
            private[step.private] = entry.row
            continue
        tags.update(dict.fromkeys(matched(step), entry.row))
        masks += ((mask, value, entry.row) for mask, value in masks_of(step))
        if step.kind is Kind.VR:
            vrs[step.vr] = entry.row
    return Layer(tags, tuple(reversed(masks)), vrs, private, rest)


def ties(rows: Sequence[Ranked]) -> Iterator[tuple[Row, Row, str]]:
    """Yield (row, other row, what both mean) of one file that are equally specific and differ.

    Two spellings of one selector are a tie also when they say the same. Overlapping masks and
    regular expressions are none where a more specific row decides.
    """
    groups: dict[tuple[object, ...], list[Ranked]] = {}
    for entry in rows:
        if entry.ties is Ties.ERROR:
            key = (entry.rank, entry.row.sop_class, path_of(entry.row), entry.row.scope)
            groups.setdefault(key, []).append(entry)
    for group in groups.values():
        seen: dict[tuple[object, ...], list[Ranked]] = {}
        wide: list[Ranked] = []
        for entry in group:
            same = seen.setdefault(entry.row.selector.same_as, [])
            yield from ((entry.row, other.row, entry.row.selector.text) for other in same)
            for other in wide:
                what = _overlap(entry, other, rows) if other not in same else ""
                if what:
                    yield entry.row, other.row, what
            same.append(entry)
            if entry.row.selector.last.is_wide:
                wide.append(entry)


def _overlap(entry: Ranked, other: Ranked, rows: Sequence[Ranked]) -> str:
    """Return what two wide rows both mean without anything that decides between them."""
    one, two = entry.row.selector.last, other.row.selector.last
    if entry.says_the_same_as == other.says_the_same_as:
        return ""
    common = matched(one) & matched(two)
    for tag in sorted(common):
        if not any(_settles(third, entry, tag) for third in rows):
            return names.written(tag)
    if one.kind is Kind.MASK and not common and (one.value ^ two.value) & one.mask & two.mask == 0:
        return f"{one.value | two.value:08X}"
    return ""


def _settles(third: Ranked, entry: Ranked, tag: int) -> bool:
    same_place = third.row.sop_class in ("", entry.row.sop_class) and path_of(third.row) == path_of(entry.row)
    same_place = same_place and third.row.when is None and third.row.scope in (Scope.ALL, entry.row.scope)
    return same_place and third.rank > entry.rank and tag in matched(third.row.selector.last)
