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
from typing import Final

from deid_node.engine.charset import decode
from deid_node.engine.deidentified import Buffers
from deid_node.engine.encoding import LONG, ODD, Encoding, vr_in
from deid_node.engine.heading import DEIDENTIFICATION_METHOD
from deid_node.engine.identity import bears_identity
from deid_node.engine.nested import is_sequence
from deid_node.engine.plan import KEEP, Entry, Place, Plan
from deid_node.engine.scan import Budget, Element, Incomplete, element_at
from deid_node.engine.subject import SPECIFIC_CHARACTER_SET, STUDY_INSTANCE_UID, Facts, Subject

# Everything that decisions need stands before this group in practically every IOD: the header ends here.
RELEASE: Final = 0x50000000
SOP_CLASS_UID: Final = 0x00080016
_WATCHED: Final = frozenset(
    (SOP_CLASS_UID, SPECIFIC_CHARACTER_SET, STUDY_INSTANCE_UID, DEIDENTIFICATION_METHOD)
)
_MOST_VARYING: Final = 0.5
_LONGEST_HEADER: Final = 256 << 10


@dataclass(slots=True)
class _Known:
    """One element of the remembered header, what it became, and what that counted."""

    element: Element
    raw: bytes
    out: bytes
    kept: int
    changed: int
    removed: int
    cleaned: int
    watched: bool
    varies: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """A segment of elements that do not vary, or (`first == last`, `raw` None) one that does.

    `out` is what a segment became, or what is inserted before an element that varies. Such an element
    begins with `head`; `simple` says what becomes of it whatever its value is: constant bytes, or KEEP.
    """

    raw: bytes | None
    out: bytes
    first: int
    last: int
    head: bytes = b""
    simple: Entry | None = None


@dataclass(frozen=True, slots=True)
class _Compared:
    """A header of the structure that is remembered, before what varies was decided.

    `open` are the elements whose new bytes depend on the object, each with its index in `out`.
    """

    out: Buffers
    varying: list[bytes]
    open: list[tuple[int, Element]]
    length: int


@dataclass(slots=True)
class Followed:
    """The header of an object that a series could follow.

    `length` is that of the original header, `attributes` the de-identified values that were asked for.
    """

    out: Buffers
    length: int
    subject: Subject
    place: Place
    attributes: dict[int, str]
    after: int


class SeriesFacts(Facts):
    """Facts of an object that a series follows: elements are found by where the series has them."""

    def __init__(self, series: Series, b: bytes, budget: Budget) -> None:
        super().__init__(b, [], series.encoding, budget)
        self._series = series
        self.starts: list[int] = []
        self._all: list[Element] | None = None

    @property
    def elements(self) -> list[Element]:
        """All elements of the header, in order."""
        if self._all is None:
            self._all = [self._at(index) for index in range(len(self._series.known))]
        return self._all

    def element(self, tag: int) -> Element | None:
        """Return the top-level element with this tag."""
        index = self._series.index.get(tag)
        return None if index is None else self._at(index)

    def _at(self, index: int) -> Element:
        series = self._series
        step = series.step_of[index]
        start = self.starts[step]
        if series.steps[step].raw is None:
            return element_at(self._header, start, len(self._header), series.encoding, self._budget)
        code, p, v, q = series.known[index].element
        shift = start - series.known[series.steps[step].first].element[1]
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
        self.known: list[_Known] = []
        self.index: dict[int, int] = {}
        self.steps: list[_Step] = []
        self.step_of: list[int] = []
        self.still = (0, 0, 0, 0)  # counts of what does not vary: kept, changed, removed, cleaned
        self.length = 0
        self.attributes: dict[int, str] = {}
        self.capture: frozenset[int] = frozenset()

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
        series.capture = frozenset(attributes)
        series.spared = subject.spared
        series.length = len(place.b)
        series._cut()
        return series

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
        p = 0
        out: Buffers = []
        varying: list[bytes] = []
        open_: list[tuple[int, Element]] = []
        starts = facts.starts
        for number, step in enumerate(self.steps):
            starts.append(p)
            if step.raw is not None:
                if not b.startswith(step.raw, p):
                    return number
                out.append(step.out)
                p += len(step.raw)
                continue
            out.append(step.out)
            if step.simple is not None and b.startswith(step.head, p):
                q = self._end_of_plain(b, p)
                if q:
                    made = b[p:q] if step.simple is KEEP else step.simple
                    out.append(made)  # type: ignore[arg-type]
                    if made:
                        varying.append(made)  # type: ignore[arg-type]
                    p = q
                    continue
                return None
            known = self.known[step.first]
            element = element_at(b, p, len(b), self.encoding, budget)
            if known.watched:
                if not b.startswith(known.raw, p):
                    return None
            elif element[0] != known.element[0] or self._matters(b, element):
                return None
            open_.append((len(out), element))
            out.append(b"")
            p = element[3]
        return _Compared(out, varying, open_, p) if self._ends(b, p) else None

    def _rewritten(
        self, found: _Compared, facts: SeriesFacts, subject: Subject, b: bytes, budget: Budget
    ) -> Followed | None:
        """Decide what depends on the object; every element of it can be asked for by now."""
        subject.spared = self.spared
        place = Place(b, [], self.encoding, subject)
        if self.plan.creators:
            place.elements = facts.elements
        for index, element in found.open:
            new = self.plan.rewrite(place, [element], element[1], element[3])
            made = b[element[1] : element[3]] if new is None else b"".join(new)
            found.out[index] = made
            found.varying.append(made)
        if subject.residual(found.varying):
            return None
        budget.spend(len(self.known))
        kept, changed, removed, cleaned = self.still
        subject.kept += kept
        subject.changed += changed
        subject.removed += removed
        subject.cleaned += cleaned
        after = self.known[-1].element[0] | 0xFFFF
        counts = subject.counts
        attributes = self._captured(facts, place)
        subject.counts = counts
        return Followed(found.out, found.length, subject, place, attributes, after)

    def _end_of_plain(self, b: bytes, p: int) -> int:
        """Return the end of an element of even, defined length; 0 when it is another or not there."""
        encoding = self.encoding
        head, n = encoding.header(b, p)
        v = p + 8
        _, kind = encoding.shapes.get(head) or encoding.shape(head)
        if kind == LONG:
            (n,) = encoding.long(b, v)
            v += 4
        return 0 if n & 1 or v + n > len(b) else v + n

    def _matters(self, b: bytes, element: Element) -> bool:
        """Tell whether a value that varies decides over other elements."""
        return _matters(b, element, self.encoding, tuple(self.gate_values))

    def _ends(self, b: bytes, p: int) -> bool:
        """Tell whether the header ends at `p`: what follows belongs to the groups after it."""
        if len(b) - p < 8:
            return False
        head, _ = self.encoding.header(b, p)
        code, _ = self.encoding.shapes.get(head) or self.encoding.shape(head)
        return code >> 16 >= RELEASE

    def _captured(self, facts: SeriesFacts, place: Place) -> dict[int, str]:
        """Return the de-identified values that are wanted; those of varying elements are read anew."""
        attributes = dict(self.attributes)
        for tag in self.capture:
            index = self.index.get(tag)
            if index is not None and tag not in self.inserts and self.known[index].varies:
                attributes[tag] = value_after(self.plan, place, facts.element(tag))
        return attributes

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
        self.steps, self.step_of = [], []
        # What is decided whatever the value is counts as still.
        still = [known for known in self.known if not known.varies or self._simple(known) is not None]
        self.still = (
            sum(known.kept for known in still),
            sum(known.changed for known in still) + len(self.inserts),
            sum(known.removed for known in still),
            sum(known.cleaned for known in still),
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
            self.steps.append(_Step(b"".join(raw), b"".join(out), first, last))

    def _vary_at(self, number: int, known: _Known, out: list[bytes]) -> None:
        self.step_of.append(len(self.steps))
        head = known.raw[: 6 if self.encoding.explicit else 4]
        self.steps.append(_Step(None, b"".join(out), number, number, head, self._simple(known)))

    def _simple(self, known: _Known) -> Entry | None:
        """Return what becomes of an element whatever its value is; None when that depends on it."""
        code = known.element[0]
        if is_sequence(code) or code & ODD or code >> 16 in self.inserts:
            return None
        entry = self.plan.entries.get(code)
        return entry if entry is KEEP or isinstance(entry, bytes) else None


def value_after(plan: Plan, place: Place, element: Element | None) -> str:
    """Return what the value of one element becomes, as text without padding; "" when it is absent."""
    if element is None:
        return ""
    new = plan.rewrite(place, [element], element[1], element[3])
    whole = place.b[element[1] : element[3]] if new is None else b"".join(new)
    code, start, value, _ = element
    text = decode(whole[value - start :], place.charsets, vr_in(code))
    return (text or "").strip(" \0")


def _remembered(
    plan: Plan, place: Place, element: Element, inserts: Mapping[int, bytes], gates: tuple[int, ...]
) -> _Known:
    subject = place.subject
    before = (subject.kept, subject.changed, subject.removed, subject.cleaned, subject.fickle)
    code, p, _, q = element
    raw = place.b[p:q]
    if code >> 16 in inserts:
        out = b""
    else:
        new = plan.rewrite(place, [element], p, q)
        out = raw if new is None else b"".join(new)
    return _Known(
        element,
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
        varies=subject.fickle > before[4],
    )


def _matters(b: bytes, element: Element, encoding: Encoding, gates: tuple[int, ...]) -> bool:
    code, _, v, q = element
    if bears_identity(b, element, encoding) or code >> 16 in gates:
        return True
    if not is_sequence(code):
        return False
    return not encoding.explicit or any(b.find(encoding.tag_bytes(tag), v, q) >= 0 for tag in gates)
