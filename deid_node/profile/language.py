"""The words of a profile file, and what a file says once it is read.

`reading` makes a `Description` of a TOML text, `compile` a `Procedure` of a chain of descriptions.
The reference for a person is profiles/README.md; a test holds that every key here is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from deid_node.profile.conditions import Condition
from deid_node.profile.lookup import LookupSource
from deid_node.profile.places import Place
from deid_node.profile.procedure import (
    Action,
    Call,
    Checks,
    DateChange,
    Dummies,
    Level,
    SetValue,
    UnknownWords,
)
from deid_node.profile.selector import Selector


class Base(StrEnum):
    """What lies under the rows of a chain of profiles; a path of a procedure JSON may stand instead."""

    STANDARD = "PS3.15"
    GRAND_CHALLENGE = "grand-challenge"
    NONE = "none"


class Ties(StrEnum):
    """What happens when two rows of one file are equally specific for an attribute."""

    ERROR = "error"
    FIRST = "first"
    LAST = "last"


class UnlistedClass(StrEnum):
    """What happens to a SOP class without a table."""

    REJECT = "R"
    KEEP = "K"
    CATCH_ALL = "catch-all"


class UnlistedPrivate(StrEnum):
    """What happens to a private attribute without a row."""

    REMOVE = "X"
    KEEP = "K"
    REJECT = "R"
    SAFE = "safe"  # what PS3.15 Table E.3.10-1 lists stays, the rest goes


class Scope(StrEnum):
    """At which depth a row holds."""

    ALL = "all"
    ROOT = "root"
    NESTED = "nested"


class Stage(StrEnum):
    """Which object a condition looks at."""

    ORIGINAL = "original"
    RESULT = "result"


KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "name": "name of the profile, as other profiles and the stamps call it",
        "version": "version of the profile, as the stamps say it",
        "description": "what the profile is for, for people",
        "extends": "profiles that lie under this one: names of shipped ones, or paths",
        "base": "what lies under all rows: PS3.15, grand-challenge, none, or a path of a procedure JSON",
        "options": "options of PS3.15 that are applied",
        "without_options": "options of the profiles below that are not applied",
        "unlisted": "what happens to what has no row",
        "reject": "gates: objects that are rejected",
        "exclude": "gates: objects that are acknowledged and go nowhere",
        "validate": "what should not be: objects are rejected, or a finding is noted",
        "checks": "what is looked for in every result",
        "clean": "what action C does with words that it does not know",
        "inherit_gates": "false: the gates of the profiles below do not count",
        "attributes": "rows for every SOP class",
        "sop_class": "rows for one SOP class",
        "set": "values written last, also where the attribute was absent",
        "forced_uids": "UIDs that replace what the table made",
        "tables": "lookup tables: CSV files beside the profile",
        "same_value": "attributes whose value must be the same in all objects of one run",
        "dates": "how far dates move",
        "dummies": "which set of dummy values is written",
        "stamps": "what the object says about its de-identification",
        "ties": "which of two equally specific rows of this file wins",
        "identity": "removed, or kept by a profile that only routes",
    }
)
UNLISTED_KEYS: Final = ("sop_class", "attribute", "private", "because")
GATE_KEYS: Final = ("when", "because", "stage")
CHECK_KEYS: Final = tuple(one.name for one in fields(Checks))
VALIDATE_KEYS: Final = ("when", "message", "level", "stage")
CLEAN_KEYS: Final = ("unknown", "words")
DATE_KEYS: Final = ("longest_shift_days",)
STAMP_KEYS: Final = ("method", "dates", "codes")
FORCED_UID_KEYS: Final = ("root", "suffix")
TABLE_KEYS: Final = ("file", "key", "value")
SET_KEYS: Final = ("value", "fit", "do", "when", "only_absent")
ROW_KEYS: Final = ("action", "value", "do", "because", "when", "scope")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: which attributes, what is done, why, and where it stands.

    `sop_class` is the UID of the SOP class the row is for, empty for all. `when` asks for a condition on
    the original object, `scope` for a depth.
    """

    selector: Selector
    action: Action
    place: Place
    call: Call | None = None
    because: str = ""
    sop_class: str = ""
    when: Condition | None = None
    scope: Scope = Scope.ALL


@dataclass(frozen=True, slots=True)
class ValidateRow:
    """One [[validate]]."""

    when: Condition
    message: str
    level: Level
    stage: Stage


@dataclass(frozen=True, slots=True)
class GateRow:
    """One [[reject]] or [[exclude]]."""

    when: Condition
    because: str
    stage: Stage
    place: Place


@dataclass(frozen=True, slots=True)
class Unlisted:
    """[unlisted]; None is what the profiles below say."""

    sop_class: UnlistedClass | None = None
    attribute: Action | None = None
    private: UnlistedPrivate | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What one profile file says, read and checked by itself; None is what the profiles below say."""

    name: str
    place: Place
    version: str = ""
    description: str = ""
    extends: tuple[str, ...] = ()
    base: str | None = None
    options: tuple[str, ...] = ()
    without_options: tuple[str, ...] = ()
    unlisted: Unlisted = Unlisted()
    rejects: tuple[GateRow, ...] = ()
    excludes: tuple[GateRow, ...] = ()
    validations: tuple[ValidateRow, ...] = ()
    checks: Mapping[str, Level | None] = field(default_factory=lambda: MappingProxyType({}))
    unknown_words: UnknownWords | None = None
    known_words: tuple[str, ...] = ()
    inherit_gates: bool = True
    rows: tuple[Row, ...] = ()
    sop_classes: frozenset[str] = frozenset()
    set_values: Mapping[int, tuple[SetValue, ...]] = field(default_factory=lambda: MappingProxyType({}))
    forced_uids: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    tables: Mapping[str, LookupSource] = field(default_factory=lambda: MappingProxyType({}))
    same_value: tuple[int, ...] = ()
    longest_shift_days: int | None = None
    dummies: Dummies | None = None
    method: str | None = None
    codes: tuple[str, ...] = ()
    date_change: DateChange | None = None
    identity_removed: bool | None = None
    ties: Ties = Ties.ERROR
    text: str = field(default="", repr=False)
    places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}), repr=False)
