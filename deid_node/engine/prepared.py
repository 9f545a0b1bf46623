"""A procedure with the keys of a project, and what is remembered from one object to the next.

What holds for every object is made once; what holds for a series is remembered by each thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from deid_node.engine.actions import compile_rule
from deid_node.engine.encoding import Encoding
from deid_node.engine.heading import stamps
from deid_node.engine.identity import Known
from deid_node.engine.keys import Pseudonyms
from deid_node.engine.plan import Place, Plan, Plans
from deid_node.engine.scan import Limits
from deid_node.engine.series import Series
from deid_node.profile.procedure import Procedure, Table

RELEASE_HUGE: Final = 0x00410000
"""With a huge header what comes after the patient, study and request groups is not waited for."""

_KNOWN_STAMPS: Final = 256
_LONGEST_METHODS: Final = 1024  # characters; longer ones are a sender's choice and are not remembered
_KNOWN_VARIANTS: Final = 64
# After so many headers in a row that could not be followed, remembering pauses for as many objects.
_VAIN: Final = 8
_PAUSE: Final = 64


class Prepared:
    """A procedure with the keys of a project, ready for any number of objects and threads."""

    def __init__(
        self,
        procedure: Procedure,
        pseudonyms: Pseudonyms,
        *,
        limits: Limits | None = None,
        capture: frozenset[int] = frozenset(),
        secrets: Mapping[str, bytes] = MappingProxyType({}),
        tables: Mapping[str, Mapping[str, str]] | None = None,
        plans: Plans | None = None,
        known: Known | None = None,
    ) -> None:
        """Prepare a procedure.

        Args:
            capture: tags whose de-identified values are wanted in the summary (for path templates).
            secrets: the keys that functions of the profile name.
            tables: the lookup tables; None takes those of the procedure.
            plans: given by those who observe decisions: `explain`, `listing_plans`.
            known: tells what else is known of a patient, as a crosswalk does; may raise SpoolError.
        """
        self.procedure = procedure
        self.pseudonyms = pseudonyms
        self.secrets = secrets
        self.tables = procedure.lookups if tables is None else tables
        self.limits = limits if limits is not None else Limits()
        self.plans = plans if plans is not None else Plans(procedure, compile_rule)
        self.capture = frozenset(capture)
        self.known = known
        self.same_values: dict[int, str] = {}
        self.early = not any(tag >= RELEASE_HUGE for tag in self._asked())
        gates = (*procedure.excludes, *procedure.rejects)
        self.gate_tags = frozenset(
            (*procedure.same_value, *(tag for gate in gates for tag in gate.when.tags))
        )
        self._stamps: dict[tuple[int, tuple[str, ...]], dict[int, bytes]] = {}
        # What is inserted must not depend on the object, and every decision must be seen when observed.
        looked_at = (*procedure.conditions, *procedure.validations, *procedure.validations_result)
        looked_at = (*looked_at, *procedure.excludes_result)
        self._remembers = not (plans or procedure.set_values or looked_at or procedure.checks.any)
        self._variants: dict[tuple[str, frozenset[int]], Table] = {}
        self._memory = threading.local()

    def _asked(self) -> Iterator[int]:
        """Yield the attributes that have to be known, or are set, when the header is written."""
        procedure = self.procedure
        yield from (*procedure.set_values, *procedure.forced_uids, *procedure.same_value, *self.capture)
        for condition in (*procedure.conditions, *(gate.when for gate in procedure.excludes_result)):
            yield from condition.tags
        for values in procedure.set_values.values():
            for value in values:
                yield from value.when.tags if value.when is not None else ()
        for validation in (*procedure.validations, *procedure.validations_result):
            yield from validation.when.tags
        for gate in (*procedure.excludes, *procedure.rejects):
            yield from gate.when.tags

    def table_for(self, sop_class_uid: str, holding: frozenset[int]) -> Table:
        """Return the table of a SOP class where some conditions of rows hold, by their numbers.

        Raises:
            SOPClassNotSupported: the procedure has no table for it.
        """
        if not holding:
            return self.procedure.table_for(sop_class_uid)
        variants = self._variants
        table = variants.get((sop_class_uid, holding))
        if table is None:
            if len(variants) >= _KNOWN_VARIANTS:  # their plans go with them
                variants = self._variants = {}
                self.plans = self.plans.anew()
            table = variants.setdefault(
                (sop_class_uid, holding), self.procedure.table_for(sop_class_uid, holding)
            )
        return table

    def stamps(self, encoding: Encoding, former_methods: tuple[str, ...]) -> Mapping[int, bytes]:
        """Return the stamps of the procedure as elements by tag."""
        key = (id(encoding), former_methods)
        known = self._stamps.get(key)
        if known is None:
            known = stamps(self.procedure, encoding, former_methods)
            if len(self._stamps) < _KNOWN_STAMPS and sum(map(len, former_methods)) <= _LONGEST_METHODS:
                self._stamps[key] = known
        return known

    def remembered(self, encoding: Encoding) -> Series | None:
        """Return the series of this thread's last object in an encoding."""
        series: Series | None = getattr(self._memory, "series", None)
        if series is None or series.encoding is not encoding:
            return None
        return series

    def followed(self) -> None:
        """Say that the last object of this thread could be followed: remembering is worth while."""
        self._memory.vain = 0

    def remember(
        self,
        encoding: Encoding,
        plan: Plan,
        place: Place,
        inserts: Mapping[int, bytes],
        gate_values: Mapping[int, tuple[str, ...]],
        attributes: Mapping[int, str],
    ) -> None:
        """Remember an object that was written from nothing, for the next one of this thread."""
        memory = self._memory
        vain = getattr(memory, "vain", 0) + 1
        memory.vain = vain if vain < _VAIN + _PAUSE else 0
        if not self._remembers or vain >= _VAIN:
            memory.series = None
            return
        former = self.remembered(encoding)
        memory.series = Series.remember(plan, place, inserts, gate_values, attributes, former)
