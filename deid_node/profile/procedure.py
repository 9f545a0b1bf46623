"""The compiled procedure: what to do with every attribute of every SOP class.

Everything a profile can say is resolved into these frozen tables when it is loaded; at run time a
table answers one question, tag to rule. Operations are described here and applied in `engine`.
Action codes: PS3.15 Table E.1-1a, and R of the Grand-Challenge procedure schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import SOPClassNotSupported

if TYPE_CHECKING:
    from deid_node.profile.conditions import Condition


class Action(StrEnum):
    """What is done with an attribute."""

    D = "D"  # a dummy that is valid for the VR and the VM
    Z = "Z"  # empty
    X = "X"  # absent
    K = "K"  # kept; a sequence keeps its items, each through the table
    C = "C"  # cleaned: identifiers leave a text, a date moves by the patient's shift
    U = "U"  # a new UID, the same for the same key
    R = "R"  # the object is rejected


class Dummies(StrEnum):
    """Which values stand in for an original under D and Z."""

    STANDARD = "standard"  # ours: valid for VR and VM; Z is zero length
    GRAND_CHALLENGE = "grand-challenge"  # rows GC-5, GC-6, GC-9: constants; Z of most VRs is a dummy
    DICOM_CURATE = "dicom-curate"  # row DC-10: its constants, ours where it has none; Z is zero length


class DateChange(StrEnum):
    """Longitudinal Temporal Information Modified (0028,0303), PS3.3 C.12.1.1.7."""

    REMOVED = "REMOVED"
    MODIFIED = "MODIFIED"
    UNMODIFIED = "UNMODIFIED"


class Level(StrEnum):
    """How serious a finding is."""

    REJECT = "reject"  # the object is rejected
    WARN = "warn"  # something may be left that identifies
    NOTE = "note"  # an oddity


Apply = Callable[[str, Mapping[str, object], Any], str | None]
"""What a plug-in does: value, parameters and context to the new value, or None to remove the attribute."""


@dataclass(frozen=True, slots=True)
class Call:
    """A named function with its parameters, described here and applied by the engine.

    `apply` is the code of a plug-in; the built-in functions are found by their name.
    """

    name: str
    params: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    apply: Apply | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SetValue:
    """A value that is written last, also where the attribute is absent.

    `when` asks for a condition on the original object; with `only_absent` an attribute that is there
    follows its row.
    """

    call: Call
    when: Condition | None = None
    only_absent: bool = False

    @property
    def is_certain(self) -> bool:
        """It is written into every object."""
        return self.when is None and not self.only_absent


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table: the action, why, and who decided it.

    `because` is the justification for a person; `decided_by` names the place that decided
    ("PS3.15 E.1-1 Basic X/D, Type 1", "ct-research.toml line 14"). `call` makes the value where the
    action's own default does not (a template, a hash). `items` is the table for the items of this
    sequence when a path row asks for another one than the enclosing table. `needs_value` says that the
    IOD asks for a value: where cleaning leaves nothing, the dummy of the VR stands.
    """

    action: Action
    because: str = ""
    decided_by: str = ""
    call: Call | None = None
    items: Table | None = None
    needs_value: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The rules for one SOP class, or for the items of one sequence.

    `rules` has an entry for every public tag (0xGGGGEEEE) that could be named when the profile was
    compiled. `private` is keyed by (group, private creator, low byte of the element). `masks` holds
    (mask, value, rule) with the most specific first: a tag matches when `tag & mask == value`.
    `vrs` decides by VR what nothing before decided. `unlisted` decides the rest.
    """

    rules: Mapping[int, Rule]
    unlisted: Rule
    private: Mapping[tuple[int, str, int], Rule] = field(default_factory=lambda: MappingProxyType({}))
    masks: tuple[tuple[int, int, Rule], ...] = ()
    vrs: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))

    def rule_for(self, tag: int, vr: str, creator: str | None = None) -> Rule:
        """Return the one rule for an element.

        Args:
            tag: 0xGGGGEEEE.
            vr: the VR in the stream (explicit) or of the dictionary (implicit), "UN" if unknown.
            creator: private creator of the element's block, None for a public tag or without one.
        """
        if creator is not None:
            private = self.private.get((tag >> 16, creator, tag & 0xFF))
            if private is not None:
                return private
        listed = self.rules.get(tag)
        if listed is not None:
            return listed
        for mask, value, rule in self.masks:
            if tag & mask == value:
                return rule
        return self.vrs.get(vr, self.unlisted)


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition under which an object is rejected or excluded, and the reason given."""

    when: Condition
    because: str


@dataclass(frozen=True, slots=True)
class Validation:
    """A condition that should not hold, how serious it is, and what is said then."""

    when: Condition
    message: str
    level: Level


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked for in every result, and how serious a hit is; None looks for nothing.

    `values`: a value that is none of its VR (PS3.5 6.2). `names`, `dates`: a person name, a date or
    moment of the original that is still there. `identifiers`: a name or ID of the patient inside another
    value. `required`: an attribute of Type 1 or 2 in a mandatory module that lacks.
    """

    values: Level | None = None
    names: Level | None = None
    dates: Level | None = None
    identifiers: Level | None = None
    required: Level | None = None

    @property
    def any(self) -> bool:
        """Something is looked for."""
        return any((self.values, self.names, self.dates, self.identifiers, self.required))


NO_CHECKS: Final = Checks()


class UnknownWords(StrEnum):
    """What action C does with a text in which words are left that it cannot judge."""

    KEEP = "keep"
    DROP = "drop"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How action C cleans texts: what becomes of words that no list knows, and which it knows besides."""

    unknown: UnknownWords = UnknownWords.KEEP
    words: frozenset[str] = frozenset()


DEFAULT_CLEANING: Final = Cleaning()


@dataclass(frozen=True, slots=True)
class Procedure:
    """All resolved tables and the decisions around them: one de-identification profile, compiled.

    `unlisted_sop_class` is a rule (R: rejected, K: everything kept) or a catch-all table.
    `codes` are the CID 7050 code values of what is applied, for (0012,0064); `method` is the text
    for (0012,0063); `dates` is what (0028,0303) says, None when nothing is said.
    `identity_removed` is False only for routing profiles, which stamp nothing.
    `set_values` are written last, by tag, also when absent from the original: the first of which the
    condition holds;
    `forced_uids` replace UIDs after that. `same_value` are tags whose value must be equal in all
    objects of one run (row GC-12). `shift_days` is the largest distance of the keyed date shift.
    `validations` look at the original, `validations_result` at the result; `checks` are done on every
    result. `conditions` are those of rows, and `variant` makes the table of a SOP class for the numbers
    of the conditions that hold. `lookups` are the lookup tables by name, original value to new value, and
    `lookup_files` the paths of their files; `secrets` the names of the keys that functions ask for. `digest`
    identifies the compiled content without the lookup tables.
    """

    name: str
    version: str
    tables: Mapping[str, Table]
    unlisted_sop_class: Rule | Table
    codes: tuple[str, ...] = ()
    method: str = ""
    dates: DateChange | None = None
    identity_removed: bool = True
    dummies: Dummies = Dummies.STANDARD
    rejects: tuple[Gate, ...] = ()
    excludes: tuple[Gate, ...] = ()
    excludes_result: tuple[Gate, ...] = ()
    validations: tuple[Validation, ...] = ()
    validations_result: tuple[Validation, ...] = ()
    checks: Checks = NO_CHECKS
    cleaning: Cleaning = DEFAULT_CLEANING
    conditions: tuple[Condition, ...] = ()
    variant: Callable[[str, frozenset[int]], Table] | None = field(default=None, repr=False, compare=False)
    set_values: Mapping[int, tuple[SetValue, ...]] = field(default_factory=lambda: MappingProxyType({}))
    forced_uids: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    same_value: tuple[int, ...] = ()
    shift_days: int = 365
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    lookup_files: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    digest: str = ""

    def table_for(self, sop_class_uid: str, holding: frozenset[int] = frozenset()) -> Table:
        """Return the table of a SOP class.

        Args:
            holding: the numbers of the `conditions` that hold for the object. Tables for some are made
                anew each time; whoever asks for them keeps them.

        Raises:
            SOPClassNotSupported: the procedure rejects SOP classes without a table.
        """
        if holding and self.variant is not None and self._has_rows(sop_class_uid):
            return self.variant(sop_class_uid, holding)
        table = self.tables.get(sop_class_uid)
        if table is not None:
            return table
        if isinstance(self.unlisted_sop_class, Table):
            return self.unlisted_sop_class
        if self.unlisted_sop_class.action is Action.K:
            return _keeping_all(self.unlisted_sop_class.because, self.unlisted_sop_class.decided_by)
        raise SOPClassNotSupported(self.unlisted_sop_class.because or "SOP class has no table")

    def _has_rows(self, sop_class_uid: str) -> bool:
        return sop_class_uid in self.tables or isinstance(self.unlisted_sop_class, Table)


@cache
def _keeping_all(because: str, decided_by: str) -> Table:
    """Return the one table that keeps everything for a reason; tables are known by their identity."""
    return Table(rules=MappingProxyType({}), unlisted=Rule(Action.K, because, decided_by))
