"""Lay the rows of profiles over base tables: one SOP class, its dataset and the items of its sequences.

A path row holds only inside its sequences, so an item may need a table of its own. What is known of
the way into an item is a `State`: the longest end of the sequences around it with which a path row
begins. Tables are made per base table and state, and refer to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import Final

from deid_node.profile.language import Row, Scope
from deid_node.profile.layers import Layer, Ranked, State, Symbol, layer, path_of
from deid_node.profile.procedure import Action, Rule, Table
from deid_node.profile.protected import PROTECTED, cannot_apply_to, empties
from deid_node.standard import dictionary, iod
from deid_node.standard.iod import TYPES

TOP: Final[State] = ()
_INSIDE: Final[State] = ((0, "inside any sequence", 0),)
_ITEMS_STAY: Final = frozenset((Action.K, Action.C, Action.U))
NEEDED: Final = MappingProxyType(
    {
        tag: Rule(Action.K, "needed to read the object", "deid_node: protected attribute")
        for tag in sorted(PROTECTED)
    }
)
_MUST_HAVE_VALUE: Final = ("1", "1C")


class Types:
    """The Types of attributes in one IOD, as far as they forbid to leave no value (PS3.5 7.4)."""

    def __init__(self, iod_key: str | None) -> None:
        self._key = iod_key

    @cached_property
    def _top(self) -> Mapping[int, str]:
        return iod.top(self._key).types if self._key else {}

    @cached_property
    def _below(self) -> Mapping[int, str]:
        """The strictest Type in the items of any sequence."""
        below: dict[int, str] = {}
        waiting = [iod.top(self._key)] if self._key else []
        seen = set(waiting)
        while waiting:
            for items in waiting.pop().items.values():
                if items in seen:
                    continue
                seen.add(items)
                waiting.append(items)
                for tag, type_ in items.types.items():
                    if tag not in below or TYPES.index(type_) < TYPES.index(below[tag]):
                        below[tag] = type_
        return below

    def type_of(self, tag: int, *, on_top: bool) -> str:
        """Return the Type of an attribute, empty when the IOD does not define it."""
        if on_top and tag in self._top:
            return self._top[tag]
        return self._below.get(tag, "")

    def must_be_there(self, tag: int, *, on_top: bool, below: bool) -> bool:
        """Tell whether an object without the attribute would lack a Type 1 of a mandatory module.

        Args:
            below: whether Type 1 in the items of a sequence counts as well.
        """
        if self._key is None or self.type_of(tag, on_top=on_top) != "1":
            return False
        if not on_top or tag not in self._top:
            return below
        return any(use.usage == "M" and use.type == "1" for use in iod.uses(self._key, tag))


NO_TYPES: Final = Types(None)


def _may_empty(row: Row) -> bool:
    """Tell whether nothing may be left of a value: always, or when all of it identifies."""
    return row.action in (Action.C, Action.K) or row.call is not None or empties(row.action, row.call)


class Overlay:
    """The tables of one SOP class under the rows that apply to it."""

    def __init__(self, rows: Sequence[Ranked], types: Types, base: Table) -> None:
        self._rows = rows
        self._types = types
        # Rows for one depth need a table for all items that no path leads into.
        self._inside = _INSIDE if any(entry.row.scope is not Scope.ALL for entry in rows) else TOP
        self._top = base
        self._made: dict[tuple[int, State], Table] = {}
        self._bases: list[Table] = []  # keeps the ids of `_made` from being used again
        self._layers: dict[State, Layer] = {}
        self._rules: dict[tuple[int, bool, int], Rule] = {}

    @cached_property
    def _prefixes(self) -> frozenset[State]:
        paths = {path_of(entry.row) for entry in self._rows}
        return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))

    def _next(self, state: State, into: Symbol) -> State:
        way = (*state, into)
        while way and way not in self._prefixes:
            way = way[1:]
        return way or self._inside

    def _layer(self, state: State) -> Layer:
        if state not in self._layers:
            depth = Scope.ROOT if state == TOP else Scope.NESTED
            self._layers[state] = layer(
                entry
                for entry in self._rows
                if _ends_with(state, path_of(entry.row)) and self._is_at(entry.row, depth)
            )
        return self._layers[state]

    def _is_at(self, row: Row, depth: Scope) -> bool:
        return row.scope in (Scope.ALL, depth)

    def table(self) -> Table:
        """Return the table for the dataset; those for items hang below it."""
        return self._table(self._top, TOP) if self._rows else self._top

    def _table(self, base: Table, state: State) -> Table:
        key = (id(base), state)
        outside = self._table(base, self._inside) if state != self._inside else None
        made = self._made.get(key)
        if made is not None:
            return made
        rows = self._layer(state)
        on_top = base is self._top
        ground = base if rows.rest is None else Table(NEEDED, self._rule(rows.rest, 0, on_top))
        rules: dict[int, Rule] = {}
        private: dict[tuple[int, str, int], Rule] = {}
        table = Table(
            MappingProxyType(rules),
            _within(ground.unlisted, outside),
            MappingProxyType(private),
            self._masks(ground, rows, on_top, outside),
            {
                **{vr: _within(rule, outside) for vr, rule in ground.vrs.items()},
                **{vr: _within(self._rule(row, 0, on_top), outside) for vr, row in rows.vrs.items()},
            },
        )
        self._bases.append(base)
        self._made[key] = table
        rules.update(ground.rules)
        rules.update(self._by_tag(ground, rows, on_top))
        private.update(ground.private)
        private.update({place: self._rule(row, 0, on_top) for place, row in rows.private.items()})
        self._place_items(_Spot(base, ground, state, table), rules, private)
        return table

    def _masks(
        self, base: Table, rows: Layer, on_top: bool, outside: Table | None
    ) -> tuple[tuple[int, int, Rule], ...]:
        new = ((mask, value, self._rule(row, 0, on_top)) for mask, value, row in rows.masks)
        return tuple((mask, value, _within(rule, outside)) for mask, value, rule in (*new, *base.masks))

    def _by_tag(self, base: Table, rows: Layer, on_top: bool) -> dict[int, Rule]:
        found: dict[int, Rule] = {}
        for tag, row in rows.tags.items():
            if tag in PROTECTED and row.action not in (Action.K, Action.R):
                continue
            unfit = cannot_apply_to(tag, row.action, row.call)
            if not unfit:
                found[tag] = self._rule(row, tag, on_top)
            elif tag in _sequences():
                found[tag] = base.rule_for(tag, "SQ")  # named here, as a mask would reach it otherwise
            else:
                found[tag] = Rule(Action.X, f"{unfit}: removed", str(row.place))
        unknown = (tag for tag in base.rules if tag not in rows.tags)
        for tag in unknown if rows.masks else ():
            masked = rows.row_for(tag)
            if masked is not None:
                found[tag] = self._rule(masked, tag, on_top)
        return found

    def _rule(self, row: Row, tag: int, on_top: bool) -> Rule:
        key = (id(row), on_top, tag if _may_empty(row) else 0)
        rule = self._rules.get(key)
        if rule is None:
            rule = self._rules[key] = self._make_rule(row, key[2], on_top)
        return rule

    def _make_rule(self, row: Row, tag: int, on_top: bool) -> Rule:
        because, decided_by = row.because, str(row.place)
        if tag and empties(row.action, row.call) and self._needs_value(row, tag, on_top):
            type_ = self._types.type_of(tag, on_top=on_top)
            return Rule(Action.D, because, f"{decided_by}: {row.action}, and Type {type_} needs a value")
        # A function that removes may do so where a condition of the IOD can fall away with the value.
        types = _MUST_HAVE_VALUE if row.call is None else _MUST_HAVE_VALUE[:1]
        needs_value = tag != 0 and self._types.type_of(tag, on_top=on_top) in types
        return Rule(row.action, because, decided_by, row.call, needs_value=needs_value)

    def _needs_value(self, row: Row, tag: int, on_top: bool) -> bool:
        if row.action is Action.X:
            return self._types.must_be_there(tag, on_top=on_top, below=row.selector.last.is_wide)
        return self._types.type_of(tag, on_top=on_top) in _MUST_HAVE_VALUE

    def _place_items(
        self, spot: _Spot, rules: dict[int, Rule], private: dict[tuple[int, str, int], Rule]
    ) -> None:
        """Give every sequence the table of its items, where that is not the enclosing one."""
        for tag in _sequences() & rules.keys():
            rules[tag] = self._with_items(spot, tag, rules[tag], spot.ground.rules.get(tag))
        for place, rule in list(private.items()):
            private[place] = self._with_items(spot, place, rule, spot.ground.private.get(place))
        for way in self._prefixes:
            into = way[-1]
            if way == _INSIDE or self._next(spot.state, into) != way:
                continue
            if isinstance(into, tuple):
                if into not in private:
                    rule = spot.table.rule_for(into[0] << 16 | 0x1000 | into[2], "SQ")
                    private[into] = self._with_items(spot, into, rule, None)
            elif into not in rules:
                rules[into] = self._with_items(spot, into, spot.table.rule_for(into, "SQ"), None)

    def _with_items(self, spot: _Spot, into: Symbol, rule: Rule, below: Rule | None) -> Rule:
        if rule.action not in _ITEMS_STAY or rule.call is not None:
            return rule
        base = spot.base
        if below is not None and below.action in _ITEMS_STAY and below.items is not None:
            base = below.items
        after = self._next(spot.state, into)
        if base is spot.base and after == spot.state == self._inside:
            return rule if rule.items is None else replace(rule, items=None)
        return replace(rule, items=self._table(base, after))


@dataclass(frozen=True, slots=True)
class _Spot:
    """One table that is made: the base and state it is for, and what lies under its rows."""

    base: Table
    ground: Table
    state: State
    table: Table


@cache
def _sequences() -> frozenset[int]:
    return frozenset(tag for tag, row in dictionary.attributes().items() if row.vrs[0] in ("SQ", "UN"))


def _ends_with(state: State, path: State) -> bool:
    return not path or state[-len(path) :] == path


def _within(rule: Rule, outside: Table | None) -> Rule:
    """Return a rule for an item: a sequence in it leads back to the table outside the path."""
    if outside is None or rule.action not in _ITEMS_STAY:
        return rule
    return replace(rule, items=rule.items or outside)
