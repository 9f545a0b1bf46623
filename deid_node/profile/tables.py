"""The tables of a compiled profile: one per SOP class, made when it is asked for first.

Under the rows of the chain lies the base: PS3.15 Table E.1-1 resolved per SOP class, a procedure JSON,
or nothing, each with what [unlisted] says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.profile.basic import LazyTables
from deid_node.profile.basic_private import private_rules
from deid_node.profile.basic_rules import decide
from deid_node.profile.conditions import Condition
from deid_node.profile.grand_challenge import JSONProcedure
from deid_node.profile.language import UnlistedPrivate
from deid_node.profile.layers import Ranked
from deid_node.profile.options import Option
from deid_node.profile.overlay import NEEDED, NO_TYPES, Overlay, Types
from deid_node.profile.procedure import Action, Rule, Table
from deid_node.standard import dictionary, iod
from deid_node.standard.iod import TYPES
from deid_node.standard.sop_classes import storage_sop_classes

_NOT_LISTED: Final = "no row of the profile is about it"
_ODD_GROUP: Final = 0x00010000


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under the rows: the base with what [unlisted] says."""

    standard: bool
    options: frozenset[Option]
    json: JSONProcedure | None
    attribute: Action | None
    private: UnlistedPrivate | None

    def sop_classes(self) -> frozenset[str]:
        """Return the SOP classes that the base has tables for."""
        if self.standard:
            return frozenset(storage_sop_classes())
        return frozenset(self.json.tables) if self.json else frozenset()

    def table(self, sop_class: str) -> Table:
        """Return the base table of a SOP class."""
        if self.standard and sop_class in storage_sop_classes():
            return self._with_unlisted(LazyTables(self.options)[sop_class])
        if self.json and sop_class in self.json.tables:
            return self._with_unlisted(self.json.tables[sop_class])
        return self.for_unknown()

    def for_unknown(self) -> Table:
        """Return the base table of a SOP class that the base does not know."""
        if self.standard:
            rules = {
                tag: decide(tag, type_ or None, self.options) for tag, type_ in _types_anywhere().items()
            }
            known = LazyTables(self.options)[_ANY_SOP_CLASS]
            return self._with_unlisted(
                Table(MappingProxyType({**rules, **NEEDED}), known.unlisted, known.private, known.masks)
            )
        return self._with_unlisted(Table(NEEDED, Rule(Action.X, _NOT_LISTED, "unlisted attribute")))

    def _with_unlisted(self, table: Table) -> Table:
        if self.attribute is None and self.private is None:
            return table
        attribute, private = table.unlisted, Rule(Action.X, _NOT_LISTED, "unlisted private")
        if self.attribute is not None:
            attribute = Rule(self.attribute, _NOT_LISTED, "unlisted attribute")
        if self.private is UnlistedPrivate.SAFE:
            safe = private_rules(self.options | {Option.RETAIN_SAFE_PRIVATE})
            table = replace(table, private=MappingProxyType({**safe, **table.private}))
        elif self.private is not None:
            private = Rule(Action(self.private), _NOT_LISTED, "unlisted private")
        # Of the two, what leaves more goes where VR rows are asked first: they must reach all that is kept.
        if private.action is Action.K and attribute.action is not Action.K:
            masks = (*table.masks, (_ODD_GROUP, 0, attribute))
            return Table(table.rules, private, table.private, masks, table.vrs)
        masks = table.masks
        if private.action is not attribute.action:
            masks = (*masks, (_ODD_GROUP, _ODD_GROUP, private))
        return Table(table.rules, attribute, table.private, masks, table.vrs)


_ANY_SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"


@cache
def _types_anywhere() -> Mapping[int, str]:
    """Return the strictest Type of every attribute over all IODs; "" of those in none."""
    types = dict.fromkeys(dictionary.attributes(), "")
    for key in {sop_class.iod_key for sop_class in storage_sop_classes().values()}:
        for tag, type_ in iod.top(key).types.items():
            if not types.get(tag) or TYPES.index(type_) < TYPES.index(types[tag]):
                types[tag] = type_
    return types


class Tables(Mapping[str, Table]):
    """The tables of all SOP classes by UID, each made when it is asked for first."""

    def __init__(
        self,
        ground: Ground,
        rows: Sequence[Ranked],
        classes: frozenset[str],
        *,
        every: bool,
        conditions: Sequence[Condition] = (),
    ) -> None:
        """Take the rows of the chain; `conditions` are those of rows, `every` storage class has a table."""
        self._ground = ground
        self._rows = rows
        self._conditions = conditions
        self._classes = (
            ground.sop_classes() | classes | (frozenset(storage_sop_classes()) if every else frozenset())
        )
        self._made: dict[str, Table] = {}

    def __getitem__(self, sop_class_uid: str) -> Table:
        made = self._made.get(sop_class_uid)
        if made is None:
            if sop_class_uid not in self._classes:
                raise KeyError(sop_class_uid)
            made = self._made.setdefault(sop_class_uid, self._make(sop_class_uid))
        return made

    def _make(self, sop_class_uid: str) -> Table:
        return self.variant(sop_class_uid, frozenset())

    def variant(self, sop_class_uid: str, holding: frozenset[int]) -> Table:
        """Make the table of a SOP class for an object for which these conditions hold, by their numbers."""
        rows = [
            entry
            for entry in self._rows
            if entry.row.sop_class in ("", sop_class_uid) and self._holds(entry.row.when, holding)
        ]
        if sop_class_uid not in self._classes:
            return Overlay(rows, NO_TYPES, self._ground.for_unknown()).table()
        base = self._ground.table(sop_class_uid)
        known = storage_sop_classes().get(sop_class_uid)
        types = Types(known.iod_key) if known is not None and rows else NO_TYPES
        return Overlay(rows, types, base).table()

    def _holds(self, when: Condition | None, holding: frozenset[int]) -> bool:
        return when is None or self._conditions.index(when) in holding

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, sop_class_uid: object) -> bool:
        return sop_class_uid in self._classes
