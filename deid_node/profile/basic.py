"""The basic profile with its options, resolved for every storage SOP class (PS3.15 Annex E).

For each SOP class one table, in which every attribute of the dictionary has one action with its reason.
Rules go by tag; a sequence gets a table of its own only where its items need another rule than the same
attribute elsewhere (another Type, or a code that names a person).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile.basic_private import private_rules
from deid_node.profile.basic_rules import CODE_TRIPLET, MASKS, NEEDS_VALUE, code_dummy, decide
from deid_node.profile.options import Option, method_code_values, problems
from deid_node.profile.procedure import Action, Call, DateChange, Procedure, Rule, Table
from deid_node.standard import confidentiality, iod
from deid_node.standard.dictionary import attributes, keyword_of, keywords, vr_of
from deid_node.standard.iod import TYPES, Level
from deid_node.standard.sop_classes import storage_sop_classes

NO_OPTIONS: Final[frozenset[Option]] = frozenset()

# Documents that open and say nothing, by IOD: one dummy byte would break every viewer.
_DOCUMENTS: Final = {
    "encapsulated-pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\n"
    "xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n0000000101 00000 n \n"
    "trailer<</Size 4/Root 1 0 R>>\nstartxref\n162\n%%EOF\n",
    "encapsulated-cda": '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "encapsulated-stl": "solid deidentified\nendsolid deidentified\n",
    "encapsulated-obj": "# deidentified\n",
    "encapsulated-mtl": "# deidentified\n",
}

_UNKNOWN: Final = Rule(Action.X, "not an attribute of the standard", "deid_node: unknown tag")
# How much a rule leaves: an item needs a table of its own when the rule elsewhere leaves less.
_LEAVES: Final = {Action.X: 0, Action.Z: 1}
_LEAVES_A_VALUE: Final = 2

_ITEMS_STAY: Final = frozenset((Action.D, Action.K, Action.C))


def resolve(sop_class_uid: str, options: frozenset[Option] = NO_OPTIONS) -> Table:
    """Return the table of a storage SOP class.

    Raises:
        ProfileError: the options cannot be applied together.
        KeyError: not a storage SOP class of the standard.
    """
    found = problems(options)
    if found:
        raise ProfileError(*found)
    return _resolve_iod(storage_sop_classes()[sop_class_uid].iod_key, options)


@cache
def _everywhere(options: frozenset[Option]) -> Mapping[int, Rule]:
    """Return the rule of every attribute where no IOD defines it."""
    return {tag: decide(tag, None, options) for tag in attributes()}


@cache
def _resolve_iod(iod_key: str, options: frozenset[Option]) -> Table:
    top = iod.top(iod_key)
    rules = {**_everywhere(options), **_by_tag(top, options), **_document(iod_key)}
    for tag in _needing_values(top, options):
        if rules[tag].action in (Action.C, Action.K) and not rules[tag].needs_value:
            rules[tag] = replace(rules[tag], needs_value=True)
    items = _ItemTables(rules, options)
    items.place(rules, top)
    return items.on_top(top)


def _by_tag(top: Level, options: frozenset[Option]) -> dict[int, Rule]:
    """Return the rules by tag: by the Type on top, else by the strictest Type in any kept sequence."""
    types: dict[int, str] = {}
    for level in _kept_levels(top, options):
        for tag, type_ in level.types.items():
            if tag not in types or TYPES.index(type_) < TYPES.index(types[tag]):
                types[tag] = type_
    types.update(top.types)
    return {tag: decide(tag, type_, options) for tag, type_ in types.items()}


def _needing_values(top: Level, options: frozenset[Option]) -> set[int]:
    """Return the tags that need a value at some level; the dummy does no harm at the others."""
    return {
        tag
        for level in (top, *_kept_levels(top, options))
        for tag, type_ in level.types.items()
        if type_ in NEEDS_VALUE
    }


def _document(iod_key: str) -> dict[int, Rule]:
    """Return the rule for Encapsulated Document (0042,0011), which a dummy of its kind replaces."""
    text = _DOCUMENTS.get(iod_key)
    if text is None:
        return {}
    call = Call("substitute", {"with": text, "fit": "fail"})
    because = "the document is about the patient; an empty one of its kind stands for it"
    return {keywords()["EncapsulatedDocument"]: Rule(Action.D, because, "PS3.15 E.1-1 D; Type 1: D", call)}


def _kept_levels(top: Level, options: frozenset[Option]) -> list[Level]:
    """Return the levels that can be reached through sequences whose items stay."""
    found: dict[Level, None] = {}
    waiting = [top]
    while waiting:
        level = waiting.pop()
        for tag, items in level.items.items():
            stays = decide(tag, level.types[tag], options).action in _ITEMS_STAY
            if stays and items not in found:
                found[items] = None
                waiting.append(items)
    return list(found)


class _ItemTables:
    """Makes the tables for items of sequences; `base` is the one for the dataset and most items."""

    def __init__(self, rules: dict[int, Rule], options: frozenset[Option]) -> None:
        self._rules = rules
        self._options = options
        self._made: dict[Level, Table | None] = {}
        self.base = self._table(rules)
        named: dict[int, Rule] = {}
        self._named_codes = self._table(named)
        for tag, rule in rules.items():
            if rule.action is Action.D and vr_of(tag) == "SQ":
                rules[tag] = self._with_dummies(tag, rule)
        named.update(rules | {tag: code_dummy(tag) for tag in CODE_TRIPLET})

    def place(self, rules: dict[int, Rule], level: Level) -> None:
        """Give the sequences of a level the tables that their items need."""
        for tag, items in level.items.items():
            if rules[tag].action in _ITEMS_STAY and rules[tag].items is None:
                own = self._own(items)
                if own is not None or rules is not self._rules:
                    rules[tag] = replace(rules[tag], items=own or self.base)

    def on_top(self, top: Level) -> Table:
        """Return the table for the dataset: what only items need goes there, when it may."""
        stray = {
            tag: rule
            for tag in confidentiality.by_tag()
            if tag not in top.types
            and _leaves(rule := decide(tag, None, self._options)) < _leaves(self._rules[tag])
        }
        if not stray:
            return self.base
        rules = self._rules | stray
        for tag, rule in rules.items():
            if rule.action in _ITEMS_STAY and rule.items is None and vr_of(tag) == "SQ":
                rules[tag] = replace(rule, items=self.base)
        return self._table(rules)

    def _own(self, level: Level) -> Table | None:
        """Return the table for items of a level, None when that of the dataset does."""
        if level not in self._made:
            self._made[level] = self._make(level)
        return self._made[level]

    def _make(self, level: Level) -> Table | None:
        needed: dict[int, Rule] = {}
        for tag, type_ in level.types.items():
            rule = decide(tag, type_, self._options)
            if _leaves(self._rules[tag]) < _leaves(rule):
                needed[tag] = self._with_dummies(tag, rule) if vr_of(tag) == "SQ" else rule
        if not needed and not any(
            self._own(items) for tag, items in level.items.items() if self._rules[tag].action in _ITEMS_STAY
        ):
            return None
        rules = self._rules | needed
        self.place(rules, level)
        return self._table(rules)

    def _with_dummies(self, tag: int, rule: Rule) -> Rule:
        """Return D for a sequence: its items stay, what identifies in them becomes a dummy."""
        if rule.action is not Action.D:
            return rule
        names_somebody = keyword_of(tag).endswith("CodeSequence")
        return replace(rule, action=Action.K, items=self._named_codes if names_somebody else None)

    def _table(self, rules: dict[int, Rule]) -> Table:
        return Table(MappingProxyType(rules), _UNKNOWN, private_rules(self._options), MASKS)


def _leaves(rule: Rule) -> int:
    return _LEAVES.get(rule.action, _LEAVES_A_VALUE)


class LazyTables(Mapping[str, Table]):
    """The tables of all storage SOP classes by UID, each resolved when it is asked for first."""

    def __init__(self, options: frozenset[Option]) -> None:
        self._options = options

    def __getitem__(self, sop_class_uid: str) -> Table:
        return resolve(sop_class_uid, self._options)

    def __iter__(self) -> Iterator[str]:
        return iter(storage_sop_classes())

    def __len__(self) -> int:
        return len(storage_sop_classes())

    def __contains__(self, sop_class_uid: object) -> bool:
        return sop_class_uid in storage_sop_classes()


def date_change(options: frozenset[Option]) -> DateChange:
    """Return what (0028,0303) says under these options."""
    if Option.RETAIN_LONGITUDINAL_FULL in options:
        return DateChange.UNMODIFIED
    if Option.RETAIN_LONGITUDINAL_MODIFIED in options:
        return DateChange.MODIFIED
    return DateChange.REMOVED


def method_text(options: frozenset[Option]) -> str:
    """Return the text for De-identification Method (0012,0063), at most 64 characters (LO)."""
    edition = f"deid_node: PS3.15 {confidentiality.EDITION} Basic Profile"
    return edition if not options else f"{edition}, {len(options)} options"


def basic_procedure(
    options: frozenset[Option] = NO_OPTIONS, name: str = "basic", version: str = confidentiality.EDITION
) -> Procedure:
    """Return the procedure that is the basic profile with these options, for every storage SOP class.

    Raises:
        ProfileError: the options cannot be applied together.
    """
    found = problems(options)
    if found:
        raise ProfileError(*found)
    digest = hashlib.sha256("\n".join([name, version, *sorted(map(str, options))]).encode()).hexdigest()
    return Procedure(
        name=name,
        version=version,
        tables=LazyTables(options),
        unlisted_sop_class=Rule(Action.R, "SOP class has no table in the procedure", "deid_node"),
        codes=method_code_values(options),
        method=method_text(options),
        dates=date_change(options),
        digest=digest,
    )
