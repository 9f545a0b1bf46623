"""One object while it is de-identified: what is known of it, and what was done so far.

`Facts` reads the buffered header once, before anything is written, because an early element may need
a later one: the date shift of (0008,0020) depends on Patient ID (0010,0020).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from functools import cached_property

from deid_node.engine.charset import decode, terms_in
from deid_node.engine.deidentified import Finding, PrivateElement
from deid_node.engine.encoding import IMPLICIT_LITTLE, Encoding, vr_in
from deid_node.engine.identity import Known, identity_values
from deid_node.engine.keys import Pseudonyms
from deid_node.engine.nested import values_below
from deid_node.engine.residual import Search, search_for, search_for_known
from deid_node.engine.scan import Budget, Element, Limits
from deid_node.engine.text import Cleaner, CleaningOptions, Identifiers
from deid_node.profile.procedure import Action, Procedure, Table

SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
_SCOPES = {"study": STUDY_INSTANCE_UID, "series": 0x0020000E, "instance": 0x00080018}
KNOWN_ONLY = CleaningOptions(
    dates=False, times=False, ages=False, contacts=False, numbers=False, addresses=False, names=False
)
SEARCHED_NAMES = (PATIENT_NAME, 0x00101001, 0x00101005)
SEARCHED_IDS = (PATIENT_ID, 0x00080050, 0x00101000)


class Facts:
    """The attributes of the header that decisions and functions may ask for; original values.

    `header` is the buffered header, `elements` its top-level elements in ascending order.
    """

    def __init__(self, header: bytes, elements: list[Element], encoding: Encoding, budget: Budget) -> None:
        self._header = header
        self._elements = elements
        self._encoding = encoding
        self._budget = budget

    def __repr__(self) -> str:
        return "Facts(...)"

    @property
    def elements(self) -> list[Element]:
        """All top-level elements of the header, in order."""
        return self._elements

    def element(self, tag: int) -> Element | None:
        """Return the top-level element with this tag."""
        elements = self._elements
        at = bisect_left(elements, (tag << 16,))
        if at < len(elements) and elements[at][0] >> 16 == tag:
            return elements[at]
        return None

    def raw(self, tag: int) -> bytes | None:
        """Return the value bytes of a top-level element, None when absent."""
        found = self.element(tag)
        return None if found is None else self._header[found[2] : found[3]]

    def ascii(self, tag: int) -> str:
        """Return a value of the default repertoire without padding, "" when absent."""
        return (self.raw(tag) or b"").decode("latin-1").strip(" \0")

    @cached_property
    def charsets(self) -> tuple[str, ...]:
        """The values of Specific Character Set of the dataset, empty when absent."""
        return terms_in(self.raw(SPECIFIC_CHARACTER_SET) or b"")

    def text(self, tag: int) -> str:
        """Return a top-level text without padding; what cannot be decoded is read as Latin-1."""
        found = self.element(tag)
        if found is None:
            return ""
        value = self._header[found[2] : found[3]]
        decoded = decode(value, self.charsets, vr_in(found[0]))
        return (value.decode("latin-1") if decoded is None else decoded).strip(" \0")

    def values(self, tag: int) -> tuple[str, ...]:
        """Return all values of an attribute at every depth, as text, split where multi-valued."""
        raw = values_below(self._header, self.elements, tag, self._encoding, self._budget, self.charsets)
        return split_values(raw)

    @cached_property
    def identity(self) -> list[tuple[str, str]]:
        """What identifies the patient and others in this object: kinds and texts."""
        budget = Budget(self._budget.limits)  # what is only looked at needs no repair
        return identity_values(self._header, self.elements, self._encoding, budget, self.charsets)

    @cached_property
    def identifiers(self) -> Identifiers:
        """The same, ready to be searched for."""
        return Identifiers.of(self.identity)


class LateGates:
    """The gates, for what stands after the header: they see attributes there as they arrive.

    A value more can only make a comparison hold that did not, as any value of an attribute satisfies
    it; so gates that passed are asked again when one of their attributes appears.
    """

    def __init__(self, tags: frozenset[int], check: Callable[[int, tuple[str, ...]], None]) -> None:
        """Look for `tags`; `check` takes a tag and values of it, and refuses the object if a gate holds."""
        self._tags = tags
        self._check = check

    def concern(self, b: bytes, encoding: Encoding) -> bool:
        """Tell whether an attribute that a gate looks at may stand in some bytes."""
        # Sequences that are coded as UN are little endian in every encoding (PS3.5 6.2.2).
        sought = {form.tag_bytes(tag) for tag in self._tags for form in (encoding, IMPLICIT_LITTLE)}
        return any(map(b.__contains__, sought))

    def look(self, b: bytes, elements: list[Element], encoding: Encoding, charsets: tuple[str, ...]) -> None:
        """Show elements to the gates.

        Raises:
            Rejected, Excluded: a gate holds.
        """
        if not self.concern(b, encoding):
            return
        for tag in self._tags:
            found = values_below(b, elements, tag, encoding, Budget(Limits()), charsets)
            if found:
                self._check(tag, split_values(found))


@dataclass(slots=True)
class Subject:
    """One object: its facts, the keyed functions, and the counts for its summary.

    `origin` says where the object came from: calling_ae, called_ae, address, path parts. `personal`
    counts the decisions that depended on this patient and not on the bytes of the element alone,
    `fickle` those that may depend on any attribute. `secrets` and `tables` are those that functions
    of the profile name.
    `spared` are the attributes whose values may stand in the result (see `spared`). `known` tells what
    else is known of a patient.
    """

    procedure: Procedure
    pseudonyms: Pseudonyms
    facts: Facts
    budget: Budget
    origin: Mapping[str, str] = field(default_factory=dict)
    today: date = date.min
    time_of_day: time | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    changed: int = 0
    removed: int = 0
    kept: int = 0
    cleaned: int = 0
    personal: int = 0
    fickle: int = 0
    spared: frozenset[int] = frozenset()
    gates: LateGates | None = None
    warnings: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    private: dict[tuple[int, ...], PrivateElement] = field(default_factory=dict)
    known: Known | None = None
    _acquaintance: tuple[tuple[str, str], ...] | None = None
    _days: int | None = None
    _patient: str | None = None
    _cleaner: Cleaner | None = None
    _search: Search | None = None

    @property
    def scope(self) -> str:
        """What stands for the patient: Patient ID, without one Patient Name, else the study."""
        return (
            self.facts.text(PATIENT_ID)
            or self.facts.text(PATIENT_NAME)
            or self.facts.ascii(STUDY_INSTANCE_UID)
        )

    @property
    def acquaintance(self) -> tuple[tuple[str, str], ...]:
        """What is known of this patient from elsewhere; asked once, by Patient ID."""
        if self._acquaintance is None:
            patient_id = self.facts.text(PATIENT_ID) if self.known is not None else ""
            self._acquaintance = self.known(patient_id) if self.known is not None and patient_id else ()
        return self._acquaintance

    @property
    def identifiers(self) -> Identifiers:
        """What identifies the patient and others, for the cleaning of texts."""
        if not self.acquaintance:
            return self.facts.identifiers
        return Identifiers.of((*self.facts.identity, *self.acquaintance))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """What was kept, changed, removed and cleaned so far."""
        return self.kept, self.changed, self.removed, self.cleaned

    @counts.setter
    def counts(self, counts: tuple[int, int, int, int]) -> None:
        self.kept, self.changed, self.removed, self.cleaned = counts

    def forget_counts(self) -> None:
        """Count from nothing again."""
        self.counts = (0, 0, 0, 0)

    def scope_of(self, what: str) -> str:
        """Return what objects have in common that share a result: patient, study, series, instance."""
        tag = _SCOPES.get(what)
        return self.scope if tag is None else self.facts.ascii(tag)

    @property
    def patient(self) -> str:
        """The pseudonym of the patient."""
        if self._patient is None:
            self._patient = self.pseudonyms.patient(self.scope)
        return self._patient

    @property
    def days(self) -> int:
        """The date shift of the patient in whole days."""
        if self._days is None:
            self._days = self.pseudonyms.days(self.scope, self.procedure.shift_days)
        return self._days

    @property
    def shifted_days(self) -> int | None:
        """The date shift, None as long as nothing asked for it."""
        return self._days

    def search_as(self, search: Search, spared: frozenset[int]) -> None:
        """Search for the same as in another object of this patient, whose names and IDs are the same."""
        self._search, self.spared = search, spared

    @property
    def search(self) -> Search:
        """Finds the names and IDs of the patient in what is about to be written."""
        if self._search is None:
            names, ids = self._searched(SEARCHED_NAMES), self._searched(SEARCHED_IDS)
            charsets, most = self.facts.charsets, self.budget.limits.needles
            search = search_for(names, ids, charsets, most)
            if self.acquaintance and PATIENT_NAME not in self.spared:
                search |= search_for_known(self.acquaintance, charsets, most)
            self._search = search
        return self._search

    def _searched(self, tags: tuple[int, ...]) -> tuple[bytes, ...]:
        return tuple((self.facts.raw(tag) or b"") if tag not in self.spared else b"" for tag in tags)

    @property
    def cleaner(self) -> Cleaner:
        """The text cleaner for this object."""
        if self._cleaner is None:
            self._cleaner = Cleaner(self.identifiers, CleaningOptions.of(self.procedure.cleaning))
        return self._cleaner

    def cleaner_for(self, value: bytes) -> Cleaner:
        """Return the text cleaner for a value, which counts as searched.

        Raises:
            LimitExceeded: there is more to search than the node grants.
        """
        self.budget.search(len(value), self.cleaner.sought)
        return self.cleaner

    def without_known(self, text: str) -> str:
        """Return a text without the known identifiers; what only looks like one stays.

        Raises:
            LimitExceeded: there is more to search than the node grants.
        """
        cleaner = Cleaner(self.identifiers, KNOWN_ONLY)
        self.budget.search(len(text), cleaner.sought)
        return cleaner.clean(text)[0]


def split_values(texts: Sequence[str]) -> tuple[str, ...]:
    """Return every value of texts that may hold several, without padding."""
    return tuple(part.strip(" \0") for text in texts for part in text.split("\\"))


def spared(procedure: Procedure, table: Table) -> frozenset[int]:
    """Return the searched attributes that a row of the table keeps: these values are no secrets.

    What is kept because no row says otherwise is searched for; that may be an oversight.
    """
    if not procedure.identity_removed:
        return frozenset((*SEARCHED_NAMES, *SEARCHED_IDS))
    rows = ((tag, table.rules.get(tag)) for tag in (*SEARCHED_NAMES, *SEARCHED_IDS))
    return frozenset(tag for tag, row in rows if row and row.action is Action.K and row.call is None)
