"""Write the header of an object: checks, gates, the table, what is inserted, the residual check.

The header is everything before the groups from 5000 on. The order of evaluation is fixed: identity of
the object, exclusion, gates, table, explicit values, forced UIDs, stamps, residual check, exclusion of
the result.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import date, time
from types import MappingProxyType
from typing import Final, NamedTuple

from deid_node.engine.charset import is_misspelled, known_terms
from deid_node.engine.deidentified import Buffers, Finding
from deid_node.engine.encoding import Encoding, vr_in
from deid_node.engine.heading import DEIDENTIFICATION_METHOD
from deid_node.engine.place import Place
from deid_node.engine.plan import Plan
from deid_node.engine.prepared import Prepared
from deid_node.engine.result_checks import findings_in
from deid_node.engine.scan import Budget, Element, scan
from deid_node.engine.series import SOP_CLASS_UID, SOP_INSTANCE_UID, Series, inserted_text, value_after
from deid_node.engine.subject import SPECIFIC_CHARACTER_SET, Facts, LateGates, Subject, spared
from deid_node.engine.values import set_element
from deid_node.errors import Excluded, Malformed, Mismatch, Rejected
from deid_node.profile.conditions import Values
from deid_node.profile.procedure import Dummies, Gate, Level, Validation
from deid_node.standard.dictionary import keyword_of

_STRUCTURE: Final = {SPECIFIC_CHARACTER_SET: "CS", SOP_CLASS_UID: "UI", SOP_INSTANCE_UID: "UI"}
_OURS: Final = "deid_node: "
_MOST_METHODS: Final = 16
_LONGEST_METHOD: Final = 64  # VR LO
# PS3.5 9.1, but for leading zeros, which devices write.
_LEADING_ZERO: Final = re.compile(r"\.0[0-9]")
_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)


class Arrival(NamedTuple):
    """How an object came: what its request said, from where, and on what day.

    `sop_class_uid` and `sop_instance_uid` are those of the C-STORE-RQ, None for a file.
    """

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    origin: Mapping[str, str] = MappingProxyType({})
    today: date = date.min
    time_of_day: time | None = None


class Written(NamedTuple):
    """A rewritten header, and what the rest of the object needs to know of it.

    `length` is that of the original header, `after` the code of its last element | 0xFFFF.
    """

    out: Buffers
    sop_class_uid: str
    sop_instance_uid: str
    attributes: Mapping[int, str]
    plan: Plan
    place: Place
    length: int
    after: int

    @property
    def subject(self) -> Subject:
        """The object."""
        return self.place.subject


class HeaderWriter:
    """Writes the header of one object."""

    def __init__(self, prepared: Prepared, encoding: Encoding, budget: Budget, arrival: Arrival) -> None:
        """Prepare for an object in an encoding."""
        self._prepared = prepared
        self._procedure = prepared.procedure
        self._encoding = encoding
        self._budget = budget
        self._arrival = arrival

    def write(self, header: bytes, elements: list[Element]) -> Written:
        """Rewrite a header from nothing.

        Raises:
            ObjectRefused: one of its kinds.
        """
        procedure = self._procedure
        subject = self._subject_of(Facts(header, elements, self._encoding, self._budget))
        _check_structure(subject.facts, self._budget)
        sop_class_uid = self._check_identity(subject.facts)
        gate_values = {tag: subject.facts.values(tag) for tag in self._prepared.gate_tags}
        self._check_gates(subject.facts, gate_values)
        self._check_same_values(gate_values)
        subject.gates = self._late_gates(subject.facts, gate_values)
        self._validate(procedure.validations, subject.facts.values, subject)
        table = self._prepared.table_for(sop_class_uid, self._holding(subject.facts))
        subject.spared = spared(procedure, table)
        plan = self._prepared.plans.plan(table, self._encoding)
        place = Place(header, elements, self._encoding, subject)
        inserts = self._inserts(plan, place)
        new_uid = self._value_after(SOP_INSTANCE_UID, plan, place, inserts)
        if not new_uid:
            raise Rejected("the procedure leaves no SOP Instance UID", code="no-sop-instance")
        _check_uid(new_uid)
        subject.forget_counts()
        out = _composed(plan, place, inserts)
        chosen = plan
        if subject.search.finds(out):
            chosen = self._prepared.plans.plan(table, self._encoding, guard=True)
            subject.forget_counts()
            out = _composed(chosen, place, inserts)
        counts = subject.counts
        attributes = {tag: self._value_after(tag, chosen, place, inserts) for tag in self._prepared.capture}
        self._check_result(out, place, sop_class_uid)
        if chosen is plan:
            self._prepared.remember(self._encoding, plan, place, inserts, gate_values, attributes)
        subject.counts = counts
        after = elements[-1][0] | 0xFFFF if elements else -1
        return Written(out, sop_class_uid, new_uid, attributes, plan, place, len(header), after)

    def follow(self, series: Series, b: bytes) -> Written | None:
        """Rewrite a header like the one before it; None when it is too different, or not there yet.

        Args:
            b: the beginning of the dataset.

        Raises:
            ObjectRefused: one of its kinds.
        """

        def checked(facts: Facts) -> Subject:
            self._check_identity(facts)
            self._check_gates(facts, series.gate_values)
            subject = self._subject_of(facts)
            subject.gates = self._late_gates(facts, series.gate_values)
            return subject

        if series.today != self._arrival.today:
            return None  # functions ask how long ago a date is
        followed = series.follow(b, self._budget, checked)
        if followed is None:
            return None
        _check_uid(followed.sop_instance_uid)
        return Written(
            followed.out,
            followed.sop_class_uid,
            followed.sop_instance_uid,
            followed.attributes,
            series.plan,
            followed.place,
            followed.length,
            followed.after,
        )

    def _subject_of(self, facts: Facts) -> Subject:
        prepared = self._prepared
        return Subject(
            prepared.procedure,
            prepared.pseudonyms,
            facts,
            self._budget,
            self._arrival.origin,
            self._arrival.today,
            self._arrival.time_of_day,
            prepared.secrets,
            prepared.tables,
            known=prepared.known,
        )

    # --- checks -------------------------------------------------------------------------------

    def _check_identity(self, facts: Facts) -> str:
        """Return the SOP Class UID; it and the instance must be there and agree with the request."""
        sop_class_uid, sop_instance_uid = facts.ascii(SOP_CLASS_UID), facts.ascii(SOP_INSTANCE_UID)
        wanted_class, wanted_instance = self._arrival.sop_class_uid, self._arrival.sop_instance_uid
        if not sop_class_uid:
            raise Rejected("the dataset has no SOP Class UID", code="no-sop-class")
        if not sop_instance_uid:
            raise Rejected("the dataset has no SOP Instance UID", code="no-sop-instance")
        _check_uid(sop_class_uid)
        if ".0" in sop_instance_uid and _LEADING_ZERO.search(sop_instance_uid):
            self._budget.repairs.add("uid-leading-zeros")
        if wanted_class is not None and wanted_class != sop_class_uid:
            raise Mismatch("the SOP class of the dataset is not that of the request")
        if wanted_instance is not None and wanted_instance != sop_instance_uid:
            raise Mismatch("the SOP instance of the dataset is not that of the request")
        return sop_class_uid

    def _check_gates(self, facts: Facts, values: Mapping[int, tuple[str, ...]]) -> None:
        def look_up(tag: int) -> tuple[str, ...]:
            known = values.get(tag)
            return facts.values(tag) if known is None else known

        def decide(gates: tuple[Gate, ...], refusal: type[Rejected] | type[Excluded]) -> None:
            for gate in gates:
                if gate.when.holds(look_up, self._arrival.origin):
                    raise refusal(gate.because)

        decide(self._procedure.excludes, Excluded)
        decide(self._procedure.rejects, Rejected)

    def _late_gates(self, facts: Facts, values: Mapping[int, tuple[str, ...]]) -> LateGates | None:
        """Return what asks the gates again when one of their attributes stands after the header."""
        tags = self._prepared.gate_tags
        if not tags:
            return None
        known = dict(values)

        def check(tag: int, more: tuple[str, ...]) -> None:
            known[tag] = (*known[tag], *more)
            self._check_gates(facts, known)
            self._check_same_values(known)

        return LateGates(tags, check)

    def _check_same_values(self, values: Mapping[int, tuple[str, ...]]) -> None:
        """Refuse an object whose value differs from that of the objects before it (row GC-12)."""
        first = self._prepared.same_values
        for tag in self._procedure.same_value:
            for value in values[tag]:
                if first.setdefault(tag, value) != value:
                    raise Rejected("an attribute that must be equal in all objects has differing values")

    def _check_result(self, out: Buffers, place: Place, sop_class_uid: str) -> None:
        """Look at the rewritten header as the profile asks for."""
        procedure, encoding = self._procedure, self._encoding
        asks = procedure.excludes_result or procedure.validations_result or procedure.checks.any
        if not asks:
            return
        result = b"".join(out)
        elements = scan(result, 0, len(result), encoding, Budget(self._budget.limits), 0).elements
        facts = Facts(result, elements, encoding, Budget(self._budget.limits))
        for gate in procedure.excludes_result:
            if gate.when.holds(facts.values, self._arrival.origin):
                raise Excluded(gate.because)
        self._validate(procedure.validations_result, facts.values, place.subject)
        if procedure.checks.any:
            after = Place(result, elements, encoding, place.subject)
            self._note(findings_in(place, after, sop_class_uid), place.subject)

    def _holding(self, facts: Facts) -> frozenset[int]:
        """Return the numbers of the conditions of rows that hold."""
        conditions, origin = self._procedure.conditions, self._arrival.origin
        return frozenset(
            number for number, condition in enumerate(conditions) if condition.holds(facts.values, origin)
        )

    def _validate(self, validations: tuple[Validation, ...], values: Values, subject: Subject) -> None:
        found = (one for one in validations if one.when.holds(values, self._arrival.origin))
        self._note((Finding(one.level, "validation", one.message) for one in found), subject)

    @staticmethod
    def _note(findings: Iterable[Finding], subject: Subject) -> None:
        """Keep findings; the first that rejects ends the object."""
        for finding in findings:
            if finding.level is Level.REJECT:
                raise Rejected(finding.message, path=finding.path, code=finding.code)
            subject.findings.append(finding)

    # --- what is inserted ---------------------------------------------------------------------

    def _inserts(self, plan: Plan, place: Place) -> dict[int, bytes]:
        """Return the elements that are set whatever the original says: values, forced UIDs, stamps."""
        procedure = self._procedure
        inserts = self._set_values(place)
        for tag, uid in procedure.forced_uids.items():
            inserts[tag] = self._encoding.element(tag, "UI", uid.encode())
        inserts.update(self._prepared.stamps(self._encoding, self._former_methods(plan, place)))
        return inserts

    def _set_values(self, place: Place) -> dict[int, bytes]:
        """Return the elements of [set]: of every attribute the first value whose condition holds."""
        facts, origin = place.subject.facts, self._arrival.origin
        made: dict[int, bytes] = {}
        for tag, values in self._procedure.set_values.items():
            is_there = facts.element(tag) is not None
            for value in values:
                if value.only_absent and is_there:
                    continue
                if value.when is None or value.when.holds(facts.values, origin):
                    made[tag] = set_element(tag, value.call, place)
                    break
        return {tag: element for tag, element in made.items() if element or facts.element(tag) is not None}

    def _former_methods(self, plan: Plan, place: Place) -> tuple[str, ...]:
        """Return the methods of earlier de-identifications that may stay.

        Ours stay, when they name nobody: anybody may write what begins as they do. Others stay only under
        the Grand-Challenge procedure, whose table decides.
        """
        text = self._value_after(DEIDENTIFICATION_METHOD, plan, place, {})
        methods = tuple(value.strip() for value in text.split("\\") if value.strip())
        if self._procedure.dummies is Dummies.GRAND_CHALLENGE:
            return methods
        ours = [method for method in methods if method.startswith(_OURS)][:_MOST_METHODS]
        return tuple(method for method in ours if _names_nobody(method, place.subject))

    def _value_after(self, tag: int, plan: Plan, place: Place, inserts: Mapping[int, bytes]) -> str:
        """Return the de-identified value of a top-level attribute as text, "" when absent."""
        if tag in inserts:
            return inserted_text(inserts[tag], place)
        return value_after(plan, place, place.subject.facts.element(tag))


def _check_structure(facts: Facts, budget: Budget) -> None:
    """Refuse an object whose texts could not be read: a character set or VR that is none."""
    for tag, vr in _STRUCTURE.items():
        element = facts.element(tag)
        if element is not None and vr_in(element[0]) not in (vr, "UN"):
            raise Malformed(f"not of VR {vr}", path=keyword_of(tag))
    if is_misspelled(facts.charsets):
        budget.repairs.add("character-set-spelling")
    if known_terms(facts.charsets) is None:
        raise Rejected("a character set that is none of PS3.3 C.12.1.1.2", code="character-set")


def _names_nobody(method: str, subject: Subject) -> bool:
    """Tell whether action C would leave a method as it is."""
    if len(method) > _LONGEST_METHOD:
        return False
    told = method.removeprefix(_OURS)
    return not subject.cleaner_for(told.encode()).clean(told)[1]


def _check_uid(uid: str) -> None:
    """Refuse what cannot name the SOP class or instance of the result."""
    if not _UID.fullmatch(uid):
        raise Rejected("the SOP class or instance is named by what is no UID", code="invalid-uid")


def _composed(plan: Plan, place: Place, inserts: Mapping[int, bytes]) -> Buffers:
    """Return the header rewritten, with the inserted elements where their tags belong."""
    out: Buffers = []
    elements, b = place.elements, place.b
    position, first = 0, 0
    for tag in sorted(inserts):
        index = bisect_left(elements, (tag << 16,))
        if first < index:
            end = elements[index - 1][3]
            new = plan.rewrite(place, elements[first:index], position, end)
            out += [b[position:end]] if new is None else new
            position, first = end, index
        out.append(inserts[tag])
        if index < len(elements) and elements[index][0] >> 16 == tag:
            position, first = elements[index][3], index + 1
        place.subject.changed += 1
    if first < len(elements):
        new = plan.rewrite(place, elements[first:], position, len(b))
        out += [b[position:]] if new is None else new
    return out
