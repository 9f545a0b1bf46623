"""PS3.3 information object definitions: which attribute stands where, in which module, of which Type.

Conditions are not known: Type 1C counts as 1 and 2C as 2 for an attribute that is there. Content
Sequence is expanded once; the items below it have the attributes of the first level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Final

from deid_node.standard.rows import read_rows, read_text

TYPES: Final = ("1", "1C", "2", "2C", "3")
"""The Types of PS3.3 section 5, strictest first."""

_TAG_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Module:
    """A module of an IOD; `usage` is M (mandatory), C (conditional) or U (user optional)."""

    key: str
    usage: str


@dataclass(frozen=True, slots=True)
class Use:
    """One place where an IOD defines an attribute: the module, its usage, and the Type there."""

    module: str
    usage: str
    type: str


@dataclass(frozen=True, slots=True)
class ItemKind:
    """A set of attributes: of a module, or of the items of a sequence.

    `types` maps tag to Type; `items` maps the tag of a sequence to the number of its items' kind.
    """

    types: Mapping[int, str]
    items: Mapping[int, int]


class Level:
    """The attributes at one place of an IOD: its top, or the items of one sequence.

    Several modules may define the same place, so a level is made of one or more kinds.
    """

    def __init__(self, kinds: frozenset[int]) -> None:
        self.kinds = kinds

    @cached_property
    def types(self) -> Mapping[int, str]:
        """Tag to its strictest Type at this place."""
        strictest: dict[int, str] = {}
        for number in self.kinds:
            for tag, type_ in item_kind(number).types.items():
                known = strictest.get(tag)
                if known is None or TYPES.index(type_) < TYPES.index(known):
                    strictest[tag] = type_
        return strictest

    @cached_property
    def items(self) -> Mapping[int, Level]:
        """Tag of a sequence to the level of its items."""
        below: dict[int, set[int]] = {}
        for number in self.kinds:
            for tag, child in item_kind(number).items.items():
                below.setdefault(tag, set()).add(child)
        return {tag: level(frozenset(numbers)) for tag, numbers in below.items()}


@cache
def level(kinds: frozenset[int]) -> Level:
    """Return the level of these kinds; the same one for the same kinds."""
    return Level(kinds)


@cache
def _lines() -> list[str]:
    return read_text("item_kinds.txt").splitlines()


@cache
def item_kind(number: int) -> ItemKind:
    """Return one kind by its number, from 1."""
    types: dict[int, str] = {}
    items: dict[int, int] = {}
    line = _lines()[number - 1]
    for cell in line.split("\t") if line else ():
        tag = int(cell[:_TAG_DIGITS], 16)
        type_, _, child = cell[_TAG_DIGITS:].partition(">")
        types[tag] = type_
        if child:
            items[tag] = int(child)
    return ItemKind(MappingProxyType(types), MappingProxyType(items))


@cache
def _module_kinds() -> Mapping[str, int]:
    return {row["module"]: int(row["kind"]) for row in read_rows("modules.tsv")}


@cache
def _module_texts() -> Mapping[str, str]:
    return {row["iod"]: row["modules"] for row in read_rows("iods.tsv")}


@cache
def modules(iod_key: str) -> tuple[Module, ...]:
    """Return the modules of an IOD in the order of its module table."""
    pairs = (entry.rsplit(":", 1) for entry in _module_texts()[iod_key].split(" "))
    return tuple(Module(key, usage) for key, usage in pairs)


def top(iod_key: str) -> Level:
    """Return the attributes of an IOD that are not in a sequence."""
    return level(frozenset(_module_kinds()[module.key] for module in modules(iod_key)))


def uses(iod_key: str, tag: int, path: Iterable[int] = ()) -> tuple[Use, ...]:
    """Return every module of the IOD that defines the attribute in the items of `path`."""
    found = []
    for module in modules(iod_key):
        number: int | None = _module_kinds()[module.key]
        for sequence in path:
            number = item_kind(number).items.get(sequence) if number is not None else None
        type_ = item_kind(number).types.get(tag) if number is not None else None
        if type_ is not None:
            found.append(Use(module.key, module.usage, type_))
    return tuple(found)


def mandatory_types(iod_key: str) -> dict[int, set[str]]:
    """Return, by tag, its Types in the mandatory modules of an IOD, outside of sequences."""
    types: dict[int, set[str]] = {}
    for module in modules(iod_key):
        if module.usage == "M":
            for tag, type_ in item_kind(_module_kinds()[module.key]).types.items():
                types.setdefault(tag, set()).add(type_)
    return types


@cache
def all_tags() -> frozenset[int]:
    """Return every tag that some IOD has at some place."""
    return frozenset(tag for number in range(1, len(_lines()) + 1) for tag in item_kind(number).types)


@cache
def _types_below(number: int) -> Mapping[int, frozenset[str]]:
    """Return tag to its Types in a kind and in all items below."""
    kind = item_kind(number)
    types = {tag: {type_} for tag, type_ in kind.types.items()}
    for child in kind.items.values():
        for tag, below in _types_below(child).items():
            types.setdefault(tag, set()).update(below)
    return {tag: frozenset(found) for tag, found in types.items()}


@cache
def uses_anywhere(iod_key: str) -> Mapping[int, tuple[Use, ...]]:
    """Return, by tag, every module that defines the attribute at any path, once for each Type."""
    found: dict[int, list[Use]] = {}
    for module in modules(iod_key):
        for tag, types in _types_below(_module_kinds()[module.key]).items():
            uses = (Use(module.key, module.usage, type_) for type_ in sorted(types, key=TYPES.index))
            found.setdefault(tag, []).extend(uses)
    return MappingProxyType({tag: tuple(found[tag]) for tag in sorted(found)})
