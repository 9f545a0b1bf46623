"""Remember what the last object became: the objects of a series are nearly the same.

Of some 150 attributes a dozen differ between two slices. A `Series` holds the header of the last object
in segments that did not change, with what each became, and follows the next one by comparing whole
segments; only elements that vary are read and decided anew. It gives up, and the object is rewritten
from nothing, when the structure differs or when anything changes that decides over other elements:
what identifies, character set, SOP class, what a gate looks at. The bytes that come out are those that
would come out without it. It lives in memory, one per thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from deid_node.engine.charset import decode, is_misspelled, terms_in
from deid_node.engine.deidentified import Buffers
from deid_node.engine.encoding import ODD, Encoding, vr_in
from deid_node.engine.heading import DEIDENTIFICATION_METHOD
from deid_node.engine.identity import bears_identity
from deid_node.engine.nested import is_sequence
from deid_node.engine.pixels import DESCRIBING
from deid_node.engine.place import Place
from deid_node.engine.plan import KEEP, Entry, Plan
from deid_node.engine.residual import Search
from deid_node.engine.scan import Budget, Element, Incomplete, element_at
from deid_node.engine.subject import (
    SEARCHED_IDS,
    SEARCHED_NAMES,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
    Facts,
    Subject,
)
from deid_node.engine.text import Identifiers
from deid_node.standard.repairs import Repair

if TYPE_CHECKING:
    from deid_node.engine.body import Passed

# Everything that decisions need stands before this group in practically every IOD: the header ends here.
RELEASE: Final = 0x50000000
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
_WATCHED: Final = frozenset(
    (
        SOP_CLASS_UID,
        SPECIFIC_CHARACTER_SET,
        STUDY_INSTANCE_UID,
        DEIDENTIFICATION_METHOD,
        *SEARCHED_NAMES,  # whatever VR they are coded with
        *SEARCHED_IDS,
    )
)
_MOST_VARYING: Final = 0.5
_LONGEST_HEADER: Final = 256 << 10


@dataclass(slots=True)
class _Known:
    """One element of the remembered header, what it became, and what that counted."""

    element: Element
    entry: Entry
    raw: bytes
    out: bytes
    kept: int
    changed: int
    removed: int
    cleaned: int
    watched: bool
    holds_items: bool
    varies: bool
    repairs: frozenset[Repair]


class _Step(NamedTuple):
    """A segment of elements that do not vary, or (`first == last`, `raw` None) one that does.

    `size` is that of a segment. `out` is what it became, or what is inserted before an element that varies.
    `simple` says what
    becomes of such an element whatever its value is: constant bytes, or KEEP. It begins with `head`, its
    length stands `length_at` bytes after its start and is read by `length`, its value after `value_at`.
    """

    raw: bytes | None
    size: int
    out: bytes
    first: int
    last: int
    head: bytes = b""
    simple: bytes | bool | None = None
    length: Callable[[bytes, int], tuple[int]] | None = None
    length_at: int = 0
    value_at: int = 0


class _Compared(NamedTuple):
    """A header of the structure that is remembered, before what varies was decided.

    `open` are the elements whose new bytes depend on the object, each with its index in `out` and its
    number.
    """

    out: list[bytes]
    varying: list[bytes]
    open: list[tuple[int, int, Element]]
    length: int


class Followed(NamedTuple):
    """The header of an object that a series could follow.

    `length` is that of the original header, `attributes` the de-identified values that were asked for;
    `sop_class_uid` and `sop_instance_uid` are of the result.
    """

    out: Buffers
    length: int
    subject: Subject
    place: Place
    attributes: dict[int, str]
    sop_class_uid: str
    sop_instance_uid: str
    after: int


class SeriesFacts(Facts):
    """Facts of an object that a series follows: elements are found by where the series has them."""

    def __init__(self, series: Series, b: bytes, budget: Budget) -> None:
        super().__init__(b, [], series.encoding, budget)
        self._series = series
        # As they are now: the series makes others when it learns from an object that comes between.
        self._steps, self._step_of = series.steps, series.step_of
        self.starts: list[int] = []
        self._all: list[Element] | None = None

    @property
    def elements(self) -> list[Element]:
        """All elements of the header, in order."""
        if self._all is None:
            self._all = [self._at(index) for index in range(len(self._series.known))]
        return self._all

    @cached_property
    def identity(self) -> list[tuple[str, str]]:
        """What identifies the patient and others: as in the object before, for all of it is watched."""
        return self._series.first.identity if self._series.first is not None else super().identity

    @cached_property
    def identifiers(self) -> Identifiers:
        """The same, ready to be searched for."""
        return self._series.first.identifiers if self._series.first is not None else super().identifiers

    def element(self, tag: int) -> Element | None:
        """Return the top-level element with this tag."""
        index = self._series.index.get(tag)
        return None if index is None else self._at(index)

    def _at(self, index: int) -> Element:
        series, number = self._series, self._step_of[index]
        step, start = self._steps[number], self.starts[number]
        if step.raw is None:
            return element_at(self._header, start, len(self._header), series.encoding, self._budget)
        code, p, v, q = series.known[index].element
        shift = start - series.known[step.first].element[1]
        return code, p + shift, v + shift, q + shift


class Series:
    """The header of the last object of a thread, ready to be compared with the next."""

    def __init__(
        self, plan: Plan, inserts: Mapping[int, bytes], gate_values: Mapping[int, tuple[str, ...]]
    ) -> None:
        self.plan = plan
        self.encoding: Encoding = plan.encoding
        self.inserts = dict(inserts)
        self.gate_values = gate_values
        self.spared: frozenset[int] = frozenset()
        self.search = Search(frozenset())
        self.acquaintance: tuple[tuple[str, str], ...] = ()
        self.sop_class_uid = ""
        self.today = date.min
        self.creators: dict[int, str] = {}
        self.first: Facts | None = None  # of the object that was remembered
        self.known: list[_Known] = []
        self.index: dict[int, int] = {}
        self.steps: list[_Step] = []
        self.step_of: list[int] = []
        self.still = (0, 0, 0, 0)  # counts of what does not vary: kept, changed, removed, cleaned
        self.length = 0
        self.attributes: dict[int, str] = {}
        self.varying_capture: tuple[int, ...] = ()
        self.repairs: frozenset[Repair] = frozenset()
        self.pixels: Passed | None = None
        self.described: list[tuple[int, bytes | None]] = []

    @classmethod
    def remember(
        cls,
        plan: Plan,
        place: Place,
        inserts: Mapping[int, bytes],
        gate_values: Mapping[int, tuple[str, ...]],
        attributes: Mapping[int, str],
        former: Series | None,
    ) -> Series | None:
        """Return the series of an object that was rewritten; None when it cannot be followed."""
        subject = place.subject
        if len(place.b) > _LONGEST_HEADER or subject.warnings:
            return None
        series = cls(plan, inserts, gate_values)
        varied = former.varying() if former is not None and former.plan is plan else frozenset()
        for element in place.elements:
            known = _remembered(plan, place, element, inserts, tuple(gate_values))
            known.varies = known.varies or (element[0] in varied and not known.watched)
            series.index[element[0] >> 16] = len(series.known)
            series.known.append(known)
        series.attributes = dict(attributes)
        series.first = subject.facts
        series.spared = subject.spared
        series.search = subject.search  # of attributes that are watched
        series.acquaintance = subject.acquaintance
        series.today = subject.today
        series.sop_class_uid = subject.facts.ascii(SOP_CLASS_UID)
        series.creators = place.creators if plan.creators else {}  # watched, too
        series.length = len(place.b)
        series._cut()
        return series

    def expect_pixels(self, passed: Passed, facts: Facts) -> None:
        """Remember the Pixel Data behind the header of an object, with what describes it and varies."""
        varying = [tag for tag in DESCRIBING if tag in self.index and self.known[self.index[tag]].varies]
        self.described = [(tag, facts.raw(tag)) for tag in varying]
        self.pixels = passed

    def expected_pixels(self, facts: Facts) -> Passed | None:
        """Return the Pixel Data that an object may be expected to have, if it describes the same."""
        if self.pixels is None or any(facts.raw(tag) != value for tag, value in self.described):
            return None
        return self.pixels

    def varying(self) -> frozenset[int]:
        """Return the codes of the elements that differed between objects."""
        return frozenset(known.element[0] for known in self.known if known.varies)

    def follow(self, b: bytes, budget: Budget, subject_of: Callable[[Facts], Subject]) -> Followed | None:
        """Return the rewritten header of an object that begins with `b`, None when it is another.

        Args:
            b: at least as many bytes as the remembered header has.
            subject_of: makes the subject of the object from its facts, once all elements are found; may
                refuse the object.

        Raises:
            ObjectRefused: as rewriting would.
        """
        for _ in range(len(self.known)):
            facts = SeriesFacts(self, b, budget)
            try:
                found = self._compare(b, budget, facts)
            except Incomplete:
                return None
            if found is None:
                return None
            if not isinstance(found, int):
                return self._rewritten(found, facts, subject_of(facts), b, budget)
            try:
                learned = self._learn(b, budget, *self._where(found, facts))
            except Incomplete:
                learned = False
            if not learned:
                return None
        return None

    # --- comparing ----------------------------------------------------------------------------

    def _compare(self, b: bytes, budget: Budget, facts: SeriesFacts) -> _Compared | int | None:
        """Follow all steps; return the number of a segment that differs, None for another structure."""
        p, end = 0, len(b)
        out: list[bytes] = []
        varying: list[bytes] = []
        open_: list[tuple[int, int, Element]] = []
        add, vary, mark, is_next = out.append, varying.append, facts.starts.append, b.startswith
        for step in self.steps:
            raw, size, made, first, _, head, simple, length, length_at, value_at = step
            mark(p)
            if made:
                add(made)
            if raw is not None:
                if not is_next(raw, p):
                    return len(facts.starts) - 1
                p += size
                continue
            if simple is None:
                element = element_at(b, p, end, self.encoding, budget)
                if not self._is_expected(self.known[first], b, element):
                    return None
                open_.append((len(out), first, element))
                add(b"")
                p = element[3]
                continue
            if not is_next(head, p) or p + value_at > end:
                return None
            (n,) = length(b, p + length_at)  # type: ignore[misc]  # a simple one has it
            q = p + value_at + n
            if n & 1 or q > end:
                return None
            if simple is KEEP:
                made = b[p:q]
                add(made)
                vary(made)
            elif simple:
                add(simple)
                vary(simple)
            p = q
        return _Compared(out, varying, open_, p) if self._ends(b, p) else None

    def _is_expected(self, known: _Known, b: bytes, element: Element) -> bool:
        """Tell whether an element that varies is of the same kind, and decides over no other."""
        if known.watched:
            return b.startswith(known.raw, element[1])
        if element[0] != known.element[0]:
            return False
        return not known.holds_items or not _matters(b, element, self.encoding, tuple(self.gate_values))

    def _rewritten(
        self, found: _Compared, facts: SeriesFacts, subject: Subject, b: bytes, budget: Budget
    ) -> Followed | None:
        """Decide what depends on the object; every element of it can be asked for by now."""
        if subject.acquaintance != self.acquaintance:
            return None  # more is known of the patient than when texts were cleaned
        subject.search_as(self.search, self.spared)
        place = Place(b, [], self.encoding, subject)
        plan = self.plan
        place.adopt_creators(self.creators)
        made: dict[int, tuple[Element, bytes]] = {}
        for index, number, element in found.open:
            new = found.out[index] = plan.made(place, element)
            found.varying.append(new)
            made[number] = element, new
        if subject.search.finds(found.varying):
            return None
        budget.spend(len(self.known))
        budget.repairs |= self.repairs
        kept, changed, removed, cleaned = self.still
        subject.kept += kept
        subject.changed += changed
        subject.removed += removed
        subject.cleaned += cleaned
        counts = subject.counts
        attributes = dict(self.attributes)
        for tag in self.varying_capture:
            attributes[tag] = self._value(tag, made, facts, place)
        sop_instance_uid = self._value(SOP_INSTANCE_UID, made, facts, place)
        subject.counts = counts
        return Followed(
            [b"".join(found.out)],
            found.length,
            subject,
            place,
            attributes,
            self.sop_class_uid,
            sop_instance_uid,
            self.known[-1].element[0] | 0xFFFF,
        )

    def _value(
        self, tag: int, made: Mapping[int, tuple[Element, bytes]], facts: SeriesFacts, place: Place
    ) -> str:
        """Return the de-identified value of an attribute as text, "" when it is absent."""
        if tag in self.inserts:
            return inserted_text(self.inserts[tag], place)
        found = made.get(self.index.get(tag, -1))
        if found is None:
            return value_after(self.plan, place, facts.element(tag))
        return text_of(found[1], found[0], place)

    def _ends(self, b: bytes, p: int) -> bool:
        """Tell whether the header ends at `p`: what follows belongs to the groups after it."""
        if len(b) - p < 8:
            return False
        head, _ = self.encoding.header(b, p)
        code, _ = self.encoding.shapes.get(head) or self.encoding.shape(head)
        return code >> 16 >= RELEASE

    # --- learning -----------------------------------------------------------------------------

    def _where(self, number: int, facts: SeriesFacts) -> tuple[int, int, int]:
        step = self.steps[number]
        return step.first, step.last, facts.starts[number]

    def _learn(self, b: bytes, budget: Budget, first: int, last: int, p: int) -> bool:
        """Find what differs in a segment and let it vary; False when the structure or too much does."""
        for known in self.known[first : last + 1]:
            if b.startswith(known.raw, p):
                p += len(known.raw)
                continue
            element = element_at(b, p, len(b), self.encoding, budget)
            if element[0] != known.element[0] or known.watched:
                return False
            known.varies = True
            p = element[3]
        if sum(known.varies for known in self.known) > _MOST_VARYING * len(self.known):
            return False
        self._cut()
        return True

    def _cut(self) -> None:
        """Cut the header into segments at the elements that vary and where something is inserted."""
        self.pixels = None
        self.steps, self.step_of = [], []
        # What is decided whatever the value is counts as still.
        still = [known for known in self.known if not known.varies or self._simple(known) is not None]
        self.still = (
            sum(known.kept for known in still),
            sum(known.changed for known in still) + len(self.inserts),
            sum(known.removed for known in still),
            sum(known.cleaned for known in still),
        )
        self.repairs = frozenset[Repair]().union(
            *(known.repairs for known in self.known if not known.varies or known.watched)
        )
        self.varying_capture = tuple(
            tag
            for tag in self.attributes
            if tag in self.index and tag not in self.inserts and self.known[self.index[tag]].varies
        )
        inserts = sorted(self.inserts)
        raw: list[bytes] = []
        out: list[bytes] = []
        first = 0
        for number, known in enumerate(self.known):
            tag = known.element[0] >> 16
            while inserts and inserts[0] <= tag:
                out.append(self.inserts[inserts.pop(0)])
            if known.varies:
                self._close(raw, out if raw else [], first, number - 1)
                self._vary_at(number, known, out if not raw else [])
                raw, out, first = [], [], number + 1
            else:
                raw.append(known.raw)
                out.append(known.out)
        out += [self.inserts[tag] for tag in inserts]
        self._close(raw, out, first, len(self.known) - 1)

    def _close(self, raw: list[bytes], out: list[bytes], first: int, last: int) -> None:
        if raw or out:
            self.step_of += [len(self.steps)] * (last - first + 1)
            whole = b"".join(raw)
            self.steps.append(_Step(whole, len(whole), b"".join(out), first, last))

    def _vary_at(self, number: int, known: _Known, out: list[bytes]) -> None:
        self.step_of.append(len(self.steps))
        encoding, value_at = self.encoding, known.element[2] - known.element[1]
        length, length_at = (encoding.long, value_at - 4)
        if encoding.explicit and value_at == 8:
            length, length_at = (encoding.short, 6)
        head = known.raw[: 6 if encoding.explicit else 4]
        simple = self._simple(known)
        inserted = b"".join(out)
        self.steps.append(_Step(None, 0, inserted, number, number, head, simple, length, length_at, value_at))

    def _simple(self, known: _Known) -> bytes | bool | None:
        """Return what becomes of an element whatever its value is; None when that depends on it."""
        code = known.element[0]
        if code >> 16 in self.inserts:
            return b""  # what is inserted stands in its place
        if known.holds_items or code & ODD:
            return None
        return known.entry if isinstance(known.entry, bytes | bool) else None


def value_after(plan: Plan, place: Place, element: Element | None) -> str:
    """Return what the value of one element becomes, as text without padding; "" when it is absent."""
    if element is None:
        return ""
    return text_of(plan.made(place, element), element, place)


def text_of(made: bytes, element: Element, place: Place) -> str:
    """Return the value of the new bytes of an element as text without padding."""
    code, start, value, _ = element
    return (decode(made[value - start :], place.charsets, vr_in(code)) or "").strip(" \0")


def inserted_text(whole: bytes, place: Place) -> str:
    """Return the value of an element that is inserted, as text without padding; "" where it is removed."""
    if not whole:
        return ""
    element = element_at(whole, 0, len(whole), place.encoding, Budget(place.subject.budget.limits))
    return text_of(whole, element, place)


def _remembered(
    plan: Plan, place: Place, element: Element, inserts: Mapping[int, bytes], gates: tuple[int, ...]
) -> _Known:
    subject = place.subject
    before = (subject.kept, subject.changed, subject.removed, subject.cleaned, subject.fickle)
    code, p, v, q = element
    raw = place.b[p:q]
    with subject.budget.noting() as repairs:
        out = b"" if code >> 16 in inserts else plan.made(place, element)
        if code & ODD:
            repairs.add("odd-length")
        if code >> 16 == SPECIFIC_CHARACTER_SET and is_misspelled(terms_in(place.b[v:q])):
            repairs.add("character-set-spelling")
    return _Known(
        element,
        plan.entry_at(code, place),
        raw,
        out,
        subject.kept - before[0],
        subject.changed - before[1],
        subject.removed - before[2],
        subject.cleaned - before[3],
        watched=(
            code >> 16 in _WATCHED
            or _matters(place.b, element, plan.encoding, gates)
            or (bool(plan.creators) and code >> 32 & 1 == 1 and code >> 16 & 0xFFFF <= 0xFF)
        ),
        holds_items=is_sequence(code),
        varies=subject.fickle > before[4],
        repairs=frozenset(repairs),
    )


def _matters(b: bytes, element: Element, encoding: Encoding, gates: tuple[int, ...]) -> bool:
    code, _, v, q = element
    if bears_identity(b, element, encoding) or code >> 16 in gates:
        return True
    if not is_sequence(code):
        return False
    return not encoding.explicit or any(b.find(encoding.tag_bytes(tag), v, q) >= 0 for tag in gates)
