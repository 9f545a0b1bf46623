"""Apply a table to the elements of a dataset: copy, drop, or make new bytes.

A `Plan` is a table seen through one encoding. It remembers for every code (tag and VR) what to do, so
that an element seen before costs one dictionary look-up. Unchanged runs of elements are copied as they
are; the output is built from what the table allows, in every item of every sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from deid_node.engine.encoding import ODD, UN_SEQUENCE, Encoding, vr_in
from deid_node.engine.nested import encoding_within
from deid_node.engine.place import Place
from deid_node.engine.scan import Element
from deid_node.engine.shapes import Shapes
from deid_node.profile.procedure import Action, Procedure, Rule, Table
from deid_node.standard.dictionary import vr_of
from deid_node.standard.private_dictionary import private_vr

_REMEMBERED: Final = 50_000
_LONGEST_CREATOR: Final = 64  # VR LO
_TEXT_VRS: Final = ("LO", "SH", "ST", "LT", "UT", "UC", "PN", "UR", "AE")


class Decision(Protocol):
    """What a plan does with an element, when it is not plainly kept or replaced by constant bytes."""

    def apply(self, element: Element, place: Place) -> bytes | None:
        """Return the whole new element, b"" for none, None to keep the bytes as they are."""


# KEEP copies the bytes; bytes are written instead of the element (b"" removes it).
KEEP: Final = True
Entry = bool | bytes | Decision
Compile = Callable[["Plan", int, str, Rule], Entry]
Observe = Callable[["Plan", int, Rule, Entry], Entry]


class Plan:
    """A table through one encoding.

    `plans` finds the plans for other tables and encodings; `guard` asks that kept text is searched
    for known identifiers.
    """

    def __init__(self, table: Table, encoding: Encoding, plans: Plans, *, guard: bool) -> None:
        self.table = table
        self.encoding = encoding
        self.plans = plans
        self.guard = guard
        self.entries: dict[int, Entry] = {}
        self.shapes = Shapes()
        self.creators: frozenset[tuple[int, str]] = frozenset(
            (group, creator) for group, creator, _ in table.private
        )
        self.asks_creators = bool(self.creators) or plans.is_observed
        drops = table.unlisted.action is Action.X and not table.vrs and not plans.is_observed
        self.drops_unlisted = drops and all(rule.action is Action.X for _, _, rule in table.masks)
        self.private_element = _PrivateElement(self)

    @property
    def procedure(self) -> Procedure:
        """The procedure this plan belongs to."""
        return self.plans.procedure

    def entry(self, code: int) -> Entry:
        """Return what to do with elements of a code, and remember it."""
        table = self.table
        # Where private attributes have rows, the creator decides.
        asks_creator = code >> 32 & 1 and table.private
        unlisted = self.drops_unlisted and not asks_creator and code >> 16 not in table.rules
        entry = b"" if unlisted else self.plans.decide(self, code)
        number = len(self.entries)
        if number >= _REMEMBERED:
            if unlisted:
                return entry  # decided in no time: a hundred thousand private codes must not drive out others
            if number >= 2 * _REMEMBERED:
                self.entries.clear()
        self.entries[code] = entry
        return entry

    def lists(self, code: int, creator: str | None) -> bool:
        """Tell whether the table may have a row for a private attribute of a creator."""
        return (code >> 32, creator) in self.creators or code >> 16 in self.table.rules

    def entry_at(self, code: int, place: Place) -> Entry:
        """Return what to do with an element at a place, its private creator considered."""
        entry = self.entries.get(code)
        if entry is None:
            entry = self.entry(code)
        return entry.entry_at(code, place) if isinstance(entry, _PrivateElement) else entry

    def made(self, place: Place, element: Element) -> bytes:
        """Return the new bytes of one element of a place, b"" when it is removed."""
        entry = self.entries.get(element[0])
        if entry is None:
            entry = self.entry(element[0])
        new = entry if isinstance(entry, bytes | bool) else entry.apply(element, place)
        subject = place.subject
        if new is None or new is KEEP:
            subject.kept += 1
            return place.b[element[1] : element[3]]
        assert isinstance(new, bytes)
        if new:
            subject.changed += 1
        else:
            subject.removed += 1
        return new

    def rewrite(self, place: Place, elements: list[Element], start: int, end: int) -> list[bytes] | None:
        """Return the new bytes of elements of a place, None when nothing changes.

        Args:
            elements: lie between `start` and `end` of the place's buffer without gaps.
        """
        b, get = place.b, self.entries.get
        out: list[bytes] = []
        add = out.append
        run = start
        changed = removed = 0
        for element in elements:
            entry = get(element[0])
            if entry is KEEP:
                continue
            if entry is None:
                entry = self.entry(element[0])
                if entry is KEEP:
                    continue
            if entry.__class__ is bytes:
                new = entry
            else:
                made = entry.apply(element, place)  # type: ignore[union-attr]
                if made is None:
                    continue
                new = made
            if run < element[1]:
                add(b[run : element[1]])
            if new:
                changed += 1
                add(new)
            else:
                removed += 1
            run = element[3]
        subject = place.subject
        subject.kept += len(elements) - changed - removed
        if not changed and not removed:
            return None
        subject.changed += changed
        subject.removed += removed
        if run < end:
            add(b[run:end])
        return out


class Plans:
    """All plans of one procedure, made when first needed and shared by all objects."""

    def __init__(self, procedure: Procedure, compile_rule: Compile, observe: Observe | None = None) -> None:
        """Compile with `compile_rule`; `observe` may wrap each entry, to explain what is done."""
        self.procedure = procedure
        self._compile = compile_rule
        self._observe = observe
        self._plans: dict[tuple[int, int, bool], Plan] = {}
        self._tables: list[Table] = []  # keeps the identities in the keys alive

    @property
    def is_observed(self) -> bool:
        """Whether somebody watches what is decided."""
        return self._observe is not None

    def anew(self) -> Plans:
        """Return the same without what was made so far."""
        return Plans(self.procedure, self._compile, self._observe)

    def plan(self, table: Table, encoding: Encoding, *, guard: bool = False) -> Plan:
        """Return the plan of a table through an encoding."""
        key = (id(table), id(encoding), guard)
        plan = self._plans.get(key)
        if plan is None:
            plan = Plan(table, encoding, self, guard=guard)
            self._tables.append(table)
            self._plans[key] = plan
        return plan

    def within(self, plan: Plan, code: int, rule: Rule) -> Plan:
        """Return the plan for the items of a sequence that a rule keeps."""
        table = rule.items if rule.items is not None else plan.table
        return self.plan(table, encoding_within(code, plan.encoding), guard=plan.guard)

    def decide(self, plan: Plan, code: int) -> Entry:
        """Return the entry for a code that no creator decides."""
        from_creator = private_decision(plan, code)
        if isinstance(from_creator, PrivateCreator) and self._observe is not None:
            return self._observe(plan, code, plan.table.unlisted, from_creator)
        if from_creator is not None:
            return from_creator
        vr = meant_vr(code)
        return self.entry_for(plan, code, vr, plan.table.rule_for(code >> 16, vr))

    def entry_for(self, plan: Plan, code: int, vr: str, rule: Rule) -> Entry:
        """Return the entry for a code under a rule; `vr` is what the element is, however coded."""
        entry = self._compile(plan, code, vr, rule)
        return entry if self._observe is None else self._observe(plan, code, rule, entry)


class PrivateCreator:
    """A private creator: kept when the table keeps something of its blocks, otherwise absent."""

    __slots__ = ("plan",)

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def apply(self, element: Element, place: Place) -> bytes | None:
        tag = element[0] >> 16
        creator = place.creators.get((tag >> 16) << 8 | tag & 0xFF)
        kept = (tag >> 16, creator) in self.plan.creators
        if not kept and self.plan.table.rule_for(tag, "LO").action is not Action.K:
            return b""
        if not element[0] & ODD:
            return None
        return place.encoding.element(tag, vr_in(element[0]), place.b[element[2] : element[3]])


class _PrivateElement:
    """The elements of private blocks: their creators decide (PS3.5 7.8.1)."""

    __slots__ = ("entries", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries: dict[tuple[int, str | None], Entry] = {}

    def entry_at(self, code: int, place: Place) -> Entry:
        """Return the entry that the creator of the element's block asks for."""
        creator = place.creators.get((code >> 32) << 8 | code >> 24 & 0xFF)
        entry = self.entries.get((code, creator))
        if entry is None:
            plan = self.plan
            if plan.drops_unlisted and not plan.lists(code, creator):
                return b""  # decided in no time
            vr = meant_vr(code, creator)
            rule = self.plan.table.rule_for(code >> 16, vr, creator)
            if rule.action is Action.K and creator is not None and _is_disguised(code, vr, creator):
                rule = replace(rule, action=Action.C)
            entry = self.plan.plans.entry_for(self.plan, code, vr, rule)
            if creator is None or len(creator) <= _LONGEST_CREATOR:  # else a peer could fill the memory
                if len(self.entries) >= _REMEMBERED:
                    self.entries.clear()
                self.entries[code, creator] = entry
        return entry

    def apply(self, element: Element, place: Place) -> bytes | None:
        entry = self.entry_at(element[0], place)
        if entry is KEEP:
            return None
        if isinstance(entry, bytes):
            return entry
        assert not isinstance(entry, bool)
        return entry.apply(element, place)


def _is_disguised(code: int, vr: str, creator: str) -> bool:
    """Tell whether an element that dictionaries know as a number holds a text here."""
    return vr in _TEXT_VRS and private_vr(code >> 16, creator) not in (*_TEXT_VRS, "UN")


def meant_vr(code: int, creator: str | None = None) -> str:
    """Return the VR that an element has in the dictionaries where it is coded as UN.

    Implicit VR codes all private elements so. "UN" when no dictionary knows the element.
    """
    vr = vr_in(code)
    if vr == UN_SEQUENCE:
        return "SQ"
    if vr != "UN":
        return vr
    if creator is not None:
        return private_vr(code >> 16, creator)
    return vr_of(code >> 16)


def private_decision(plan: Plan, code: int) -> Entry | None:
    """Return how an element of an odd group is decided by its creator, None when it is not."""
    if not code >> 32 & 1 or code >> 32 == 0xFFFF or not plan.table.private:
        return None
    element = code >> 16 & 0xFFFF
    if 0x10 <= element <= 0xFF:
        return PrivateCreator(plan)
    return plan.private_element if element >= 0x1000 else None


__all__ = ["KEEP", "Decision", "Entry", "Place", "Plan", "Plans", "PrivateCreator"]
