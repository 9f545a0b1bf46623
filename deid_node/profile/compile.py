"""Make a `Procedure` of a chain of profiles: rows over a base, options, gates, stamps.

The base is PS3.15 Table E.1-1 resolved per SOP class (`basic`), a procedure JSON, or nothing. Tables
are made when a SOP class is asked for first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeVar

from deid_node.errors import ProfileError
from deid_node.profile import checks
from deid_node.profile.basic import date_change
from deid_node.profile.grand_challenge import BURNED_IN, JSONProcedure
from deid_node.profile.language import Base, Description, GateRow, Stage, UnlistedClass, ValidateRow
from deid_node.profile.layers import Ranked, matched, ranked
from deid_node.profile.lookup import Lookup, LookupSource
from deid_node.profile.options import Option, method_code_values, parse_options
from deid_node.profile.procedure import (
    Action,
    Checks,
    Cleaning,
    DateChange,
    Dummies,
    Gate,
    Procedure,
    Rule,
    SetValue,
    Table,
    UnknownWords,
    Validation,
)
from deid_node.profile.protected import empties
from deid_node.profile.tables import Ground, Tables
from deid_node.standard import confidentiality, dictionary

_NO_TABLE: Final = Rule(Action.R, "SOP class has no table in the procedure", "unlisted")
_DATE_VRS: Final = frozenset({"DA", "DT"})
_DAYS: Final = 365
_UNKNOWN_CLASS: Final = ""
_LEAST_CHANGED: Final = (DateChange.REMOVED, DateChange.MODIFIED, DateChange.UNMODIFIED)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A procedure, and what the person who wrote the profile should know about it."""

    procedure: Procedure
    notes: tuple[str, ...]


def no_tables(source: LookupSource) -> Lookup:
    """Refuse to read a lookup table, where there is no folder to look for it in."""
    raise ProfileError(f"{source.place}: table file {source.file!r} has no folder to be looked for in")


def compile_chain(
    chain: Sequence[Description],
    read_base: Callable[[str], JSONProcedure],
    read_table: Callable[[LookupSource], Lookup] = no_tables,
) -> Compiled:
    """Compile a chain of profiles.

    Args:
        chain: what lies below first; the last one gives name and version.
        read_base: reads the procedure JSON that a `base` names.
        read_table: reads a lookup table.

    Raises:
        ProfileError: the chain contradicts itself, or says what cannot be done; with every finding.
    """
    return _Compilation(chain, read_base, read_table).compile()


def problems_of_parts(chain: Sequence[Description]) -> list[str]:
    """Return what is wrong with rows and options of a chain in which other things could not be read."""
    said: list[str] = []
    for one in chain:
        try:
            parse_options(one.options)
        except ProfileError as error:
            said += (f"{one.places['options']}: {problem}" for problem in error.problems)
    return [*said, *_row_problems(chain, _ranked(chain))]


def _row_problems(chain: Sequence[Description], rows: Sequence[Ranked]) -> list[str]:
    types = checks.type_problems(rows, _written(chain))
    return [*checks.tie_problems(rows), *checks.protected_problems(rows), *types]


def _written(chain: Sequence[Description]) -> set[int]:
    """Return the attributes that get a value in the end."""
    written: set[int] = set()
    for one in chain:
        written.update(one.forced_uids)
        written.update(tag for tag, values in one.set_values.items() if _leave_a_value(values))
    return written


def _leave_a_value(values: Sequence[SetValue]) -> bool:
    """Tell whether every object gets a value by these."""
    return any(value.is_certain and not empties(Action.D, value.call) for value in values)


def _ranked(chain: Sequence[Description]) -> list[Ranked]:
    found: list[Ranked] = []
    for number, description in enumerate(chain):
        found += ranked(description.rows, number, description.ties)
    return found


class _Compilation:
    def __init__(
        self,
        chain: Sequence[Description],
        read_base: Callable[[str], JSONProcedure],
        read_table: Callable[[LookupSource], Lookup],
    ) -> None:
        self._chain = chain
        self._top = chain[-1]
        self._problems: list[str] = []
        self._rows = _ranked(chain)
        self._base = self._read_base()
        self._options = self._read_options()
        self._json = self._read_json(read_base)
        self._lookups = self._read_tables(read_table)

    def compile(self) -> Compiled:
        self._problems += _row_problems(self._chain, self._rows)
        self._problems += checks.lookup_problems(self._chain, self._rows)
        self._problems += checks.table_problems(self._chain, self._rows, self._lookups)
        classes = frozenset().union(*(description.sop_classes for description in self._chain))
        unlisted = self._last(lambda said: said.unlisted.sop_class) or UnlistedClass.REJECT
        if self._base == Base.NONE and unlisted is UnlistedClass.REJECT and not classes:
            self._problems.append(
                f"{self._top.place}: no SOP class has a table, so every object would be rejected; extend a"
                ' profile, write [sop_class.NAME] tables, or [unlisted] sop_class = "catch-all"'
            )
        if self._problems:
            raise ProfileError(*self._problems)
        table_notes = (note for lookup in self._lookups.values() for note in lookup.notes)
        notes = (*checks.notes(self._chain, self._rows), *table_notes)
        return Compiled(self._procedure(classes, unlisted), notes)

    # --- what the chain says ----------------------------------------------------------------------

    def _last(self, said: Callable[[Description], Value | None]) -> Value | None:
        """Return what the topmost profile says that says anything."""
        return next((value for one in reversed(self._chain) if (value := said(one)) is not None), None)

    def _read_base(self) -> str:
        given = {one.base: one for one in self._chain if one.base is not None}
        if len(given) > 1:
            named = " and ".join(f"{base!r} ({one.places['base']})" for base, one in given.items())
            self._problems.append(
                f"{self._top.place}: the bases contradict each other: {named}; one can lie below"
            )
        return next(iter(given), Base.NONE)

    def _read_options(self) -> frozenset[Option]:
        words: dict[str, None] = {}
        for one in self._chain:
            for word in one.without_options:
                if word not in words:
                    place = one.places["without_options"]
                    self._problems.append(f"{place}: option {word} is not applied by a profile below")
                words.pop(word, None)
            words.update(dict.fromkeys(one.options))
        place = self._top.places.get("options", self._top.place)
        if words and self._base != Base.STANDARD:
            self._problems.append(f'{place}: options are those of PS3.15 and need base = "{Base.STANDARD}"')
        try:
            return parse_options(words)
        except ProfileError as error:
            self._problems += (f"{place}: {problem}" for problem in error.problems)
            return frozenset()

    def _read_json(self, read_base: Callable[[str], JSONProcedure]) -> JSONProcedure | None:
        if self._base in (Base.STANDARD, Base.NONE):
            return None
        try:
            return read_base(self._base)
        except ProfileError as error:
            self._problems += error.problems
            return None

    def _read_tables(self, read_table: Callable[[LookupSource], Lookup]) -> dict[str, Lookup]:
        read: dict[str, Lookup] = {}
        for name, source in {name: one for said in self._chain for name, one in said.tables.items()}.items():
            try:
                read[name] = read_table(source)
            except ProfileError as error:
                self._problems += error.problems
        return read

    def _secrets(self) -> frozenset[str]:
        """Return the names of the keys that functions ask for."""
        named = (str(call.params.get("key", "")) for _, call in checks.calls(self._chain, self._rows))
        return frozenset(name for name in named if name)

    # --- the procedure ----------------------------------------------------------------------------

    def _procedure(self, classes: frozenset[str], unlisted: UnlistedClass) -> Procedure:
        identity_removed = self._last(lambda said: said.identity_removed) is not False
        version = self._top.version or (self._json.version if self._json else "1")
        dummies = Dummies.GRAND_CHALLENGE if self._json else Dummies.STANDARD
        gates = self._gates()
        standard = self._base == Base.STANDARD
        every = unlisted is UnlistedClass.CATCH_ALL
        conditions = tuple(dict.fromkeys(entry.row.when for entry in self._rows if entry.row.when))
        tables = Tables(self._ground(), self._rows, classes, every=every, conditions=conditions)
        return Procedure(
            name=self._top.name,
            version=version,
            tables=tables,
            unlisted_sop_class=self._unlisted_sop_class(unlisted, tables),
            conditions=conditions,
            variant=tables.variant if conditions else None,
            validations=self._validations(Stage.ORIGINAL),
            validations_result=self._validations(Stage.RESULT),
            checks=Checks(**{key: level for one in self._chain for key, level in one.checks.items()}),
            cleaning=Cleaning(
                self._last(lambda said: said.unknown_words) or UnknownWords.KEEP,
                frozenset(word for one in self._chain for word in one.known_words),
            ),
            codes=self._codes(standard=standard) if identity_removed else (),
            method=self._last(lambda said: said.method) or f"deid_node: {self._top.name} {version}"[:64],
            dates=self._dates() if identity_removed else None,
            identity_removed=identity_removed,
            dummies=self._last(lambda said: said.dummies) or dummies,
            rejects=gates["reject"],
            excludes=gates["exclude"],
            excludes_result=gates["result"],
            set_values=MappingProxyType(
                {tag: values for one in self._chain for tag, values in one.set_values.items()}
            ),
            forced_uids=MappingProxyType(
                {tag: uid for one in self._chain for tag, uid in one.forced_uids.items()}
            ),
            same_value=tuple(dict.fromkeys(tag for one in self._chain for tag in one.same_value)),
            shift_days=self._last(lambda said: said.longest_shift_days) or _DAYS,
            secrets=self._secrets(),
            lookups=MappingProxyType({name: read.rows for name, read in self._lookups.items()}),
            lookup_files=frozenset(read.path for read in self._lookups.values() if read.path),
            digest=self._digest(),
        )

    def _codes(self, *, standard: bool) -> tuple[str, ...]:
        """What (0012,0064) says: the options applied, and what the rows carry out by their own word."""
        said = {code for one in self._chain for code in one.codes}
        return tuple(sorted(said.union(method_code_values(self._options) if standard else ())))

    def _gates(self) -> dict[str, tuple[Gate, ...]]:
        rejects: list[GateRow] = []
        excludes: list[GateRow] = []
        inherited = True
        for one in self._chain:
            if not one.inherit_gates:
                rejects, excludes, inherited = [], [], False
            rejects += one.rejects
            excludes += one.excludes
        below = (BURNED_IN,) if self._json and inherited else ()
        return {
            "reject": (*below, *(_gate(row) for row in rejects)),
            "exclude": tuple(_gate(row) for row in excludes if row.stage is Stage.ORIGINAL),
            "result": tuple(_gate(row) for row in excludes if row.stage is Stage.RESULT),
        }

    def _validations(self, stage: Stage) -> tuple[Validation, ...]:
        rows: list[ValidateRow] = []
        for one in self._chain:
            rows = [*(rows if one.inherit_gates else ()), *one.validations]
        return tuple(Validation(row.when, row.message, row.level) for row in rows if row.stage is stage)

    def _unlisted_sop_class(self, unlisted: UnlistedClass, tables: Tables) -> Rule | Table:
        place = next(
            (str(one.places["unlisted"]) for one in reversed(self._chain) if "unlisted" in one.places), ""
        )
        if unlisted is UnlistedClass.KEEP:
            return Rule(Action.K, "SOP classes without a table are kept as they are", place)
        if unlisted is UnlistedClass.CATCH_ALL:
            return tables.variant(_UNKNOWN_CLASS, frozenset())
        if self._json and self._last(lambda said: said.unlisted.sop_class) is None:
            return self._json.unlisted_sop_class
        because = self._last(lambda said: said.unlisted.because)
        return replace(_NO_TABLE, because=because) if because else _NO_TABLE

    def _ground(self) -> Ground:
        attribute = self._last(lambda said: said.unlisted.attribute)
        private = self._last(lambda said: said.unlisted.private)
        return Ground(self._base == Base.STANDARD, self._options, self._json, attribute, private)

    def _dates(self) -> DateChange | None:
        """What (0028,0303) says: the least that is done to any date, by the base or by a row."""
        said = self._last(lambda one: one.date_change)
        if said is not None or self._base != Base.STANDARD:
            return said
        change = date_change(self._options)
        for entry in self._rows:
            if any(dictionary.vr_of(tag) in _DATE_VRS for tag in matched(entry.row.selector.last)):
                change = max(change, _row_change(entry), key=_LEAST_CHANGED.index)
        return change

    def _digest(self) -> str:
        parts = [confidentiality.EDITION, *(one.text for one in self._chain)]
        if self._json:
            parts.append(self._json.text)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _gate(row: GateRow) -> Gate:
    return Gate(row.when, row.because)


def _row_change(entry: Ranked) -> DateChange:
    action, call = entry.row.action, entry.row.call
    if action is Action.K:
        return DateChange.UNMODIFIED
    return DateChange.MODIFIED if action is Action.C or call is not None else DateChange.REMOVED
