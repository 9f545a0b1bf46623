"""De-identify one object while it arrives: bytes in, bytes out, constant memory.

The header (everything before the groups from 5000 on) is buffered and read once for the facts that
decisions need; then it is rewritten and the rest follows as it comes (`body`). The fixed order of
evaluation is that of the profile language: limits, exclusion, gates, table, explicit values, forced
UIDs, stamps, new file meta information, residual check, exclusion of the result.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from deid_node.engine.actions import compile_rule
from deid_node.engine.body import Body
from deid_node.engine.charset import decode
from deid_node.engine.deflated import Deflated
from deid_node.engine.deidentified import Buffers, Deidentified, Heading, Summary
from deid_node.engine.encoding import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, Encoding, encoding_of, vr_in
from deid_node.engine.heading import DEIDENTIFICATION_METHOD, heading_of, stamps
from deid_node.engine.keys import Pseudonyms
from deid_node.engine.plan import Place, Plan, Plans
from deid_node.engine.scan import Budget, Element, Incomplete, Limits, scan
from deid_node.engine.subject import Facts, Subject, spared
from deid_node.engine.values import set_element
from deid_node.errors import Excluded, LimitExceeded, Malformed, Mismatch, Rejected
from deid_node.profile.procedure import Dummies, Gate, Procedure

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018

# Everything that decisions need stands before this group in practically every IOD.
_RELEASE: Final = 0x50000000
# With a huge header what comes after the patient, study and request groups is not waited for.
_HUGE_HEADER: Final = 4 << 20
_RELEASE_HUGE: Final = 0x00410000
_OURS: Final = "deid_node: "
# PS3.5 9.1, but for leading zeros, which devices write.
_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
# Bytes of a piece that are looked at in one go while the header is read: pixels need not be copied.
_STEP: Final = 16 << 10
_KNOWN_STAMPS: Final = 256
_NO_ORIGIN: Final[Mapping[str, str]] = MappingProxyType({})


class Deidentifier:
    """A procedure with the keys of a project, ready for any number of objects and threads."""

    def __init__(
        self,
        procedure: Procedure,
        pseudonyms: Pseudonyms,
        *,
        limits: Limits | None = None,
        capture: frozenset[int] = frozenset(),
        secrets: Mapping[str, bytes] = MappingProxyType({}),
        tables: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
        plans: Plans | None = None,
    ) -> None:
        """Prepare a procedure.

        Args:
            capture: tags whose de-identified values are wanted in the summary (for path templates).
            secrets, tables: those that functions of the profile name.
            plans: given by `explain`, which observes every decision.
        """
        self.procedure = procedure
        self.pseudonyms = pseudonyms
        self.secrets = secrets
        self.tables = tables
        self.limits = limits if limits is not None else Limits()
        self.plans = plans if plans is not None else Plans(procedure, compile_rule)
        result_tags = (tag for gate in procedure.excludes_result for tag in gate.when.tags)
        self.capture = frozenset((*capture, *result_tags))
        self.same_values: dict[int, str] = {}
        self.early = not any(tag >= _RELEASE_HUGE for tag in self._asked())
        self._stamps: dict[tuple[int, tuple[str, ...]], dict[int, bytes]] = {}

    def _asked(self) -> Iterator[int]:
        """Yield the attributes that have to be known, or are set, when the header is written."""
        procedure = self.procedure
        yield from (*procedure.set_values, *procedure.forced_uids, *procedure.same_value, *self.capture)
        for gate in (*procedure.excludes, *procedure.rejects):
            yield from gate.when.tags

    def stamps(self, encoding: Encoding, former_methods: tuple[str, ...]) -> Mapping[int, bytes]:
        """Return the stamps of the procedure as elements by tag."""
        key = (id(encoding), former_methods)
        known = self._stamps.get(key)
        if known is None:
            known = stamps(self.procedure, encoding, former_methods)
            if len(self._stamps) < _KNOWN_STAMPS:
                self._stamps[key] = known
        return known

    def begin(
        self,
        *,
        transfer_syntax_uid: str,
        sop_class_uid: str | None = None,
        sop_instance_uid: str | None = None,
        origin: Mapping[str, str] = _NO_ORIGIN,
        today: date = date.min,
    ) -> Rewrite:
        """Start one object.

        Args:
            transfer_syntax_uid: of the dataset that will be fed.
            sop_class_uid, sop_instance_uid: of the C-STORE-RQ, which the dataset must agree with;
                None for a file.
            origin: calling_ae, called_ae, address: for conditions of the profile.
            today: for functions that ask how long ago a date is; without it every date is recent.
        """
        return Rewrite(self, transfer_syntax_uid, sop_class_uid, sop_instance_uid, origin, today)


class Rewrite:
    """One object: feed it the dataset, write what it returns, then finish."""

    def __init__(
        self,
        deidentifier: Deidentifier,
        transfer_syntax_uid: str,
        sop_class_uid: str | None,
        sop_instance_uid: str | None,
        origin: Mapping[str, str],
        today: date,
    ) -> None:
        """For `Deidentifier.begin`."""
        self.heading: Heading | None = None
        self._deidentifier = deidentifier
        self._transfer_syntax_uid = transfer_syntax_uid
        self._expected = (sop_class_uid, sop_instance_uid)
        self._origin = origin
        self._today = today
        self._encoding = encoding_of(transfer_syntax_uid)
        self._budget = Budget(deidentifier.limits)
        self._deflated = (
            Deflated(deidentifier.limits)
            if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            else None
        )
        self._buffer = bytearray()
        self._elements: list[Element] = []
        self._position = 0
        self._after = -1
        self._wanted = 0
        self._taken = 0
        self._body: Body | None = None
        self._subject: Subject | None = None
        self._attributes: dict[int, str] = {}

    @property
    def is_deflated(self) -> bool:
        """Whether the dataset is deflated on both sides."""
        return self._deflated is not None

    def feed(self, piece: bytes | memoryview) -> Deidentified | None:
        """Take in bytes of the dataset; return those of the new dataset that can be written now.

        Raises:
            ObjectRefused: one of its kinds; the object is then to be forgotten.
        """
        self._taken += len(piece)
        if self._taken > self._deidentifier.limits.dataset_bytes:
            raise LimitExceeded("the dataset is longer than the node accepts")
        if self._deflated is None:
            out = self._plain(piece)
        else:
            out = []
            for part in self._deflated.inflate(piece):
                out += self._plain(part)
            out = self._deflated.deflate(out)
        return Deidentified(out) if out else None

    def finish(self) -> tuple[Deidentified, Summary]:
        """End the object; return the last bytes and the summary.

        Raises:
            ObjectRefused: one of its kinds, among them Malformed for a truncated dataset.
        """
        out: Buffers = []
        if self._deflated is not None:
            out += self._plain(self._deflated.end_of_input())
        if self._body is None:
            released = self._read_header()
            if released is None:
                if self._position != len(self._buffer):
                    raise Malformed("the dataset is truncated")
                if not self._elements:
                    raise Malformed("the dataset is empty")
                released = len(self._elements)
            out += self._release(released)
        assert self._body is not None
        out += self._body.finish()
        if self._deflated is not None:
            out = self._deflated.end_of_output(out)
        return Deidentified(out), self._summary()

    # --- the header ---------------------------------------------------------------------------

    def _plain(self, piece: bytes | memoryview) -> Buffers:
        piece = memoryview(piece)
        while self._body is None and len(piece):
            step = max(_STEP, self._wanted - len(self._buffer))
            self._buffer += piece[:step]
            piece = piece[step:]
            if len(self._buffer) >= self._wanted:
                released = self._read_header()
                if released is not None:
                    out = self._release(released)
                    assert self._body is not None
                    return out + self._body.feed(piece) if len(piece) else out
        return self._body.feed(piece) if self._body is not None else []

    def _read_header(self) -> int | None:
        """Read on; return how many elements make the header once it is complete, else None."""
        buffer = self._buffer
        level = scan(buffer, self._position, len(buffer), self._encoding, self._budget, 0, self._after)
        known = len(self._elements)
        self._elements += level.elements
        self._position = level.position
        if level.stop:
            raise Malformed("a delimiter that belongs to nothing")
        if self._elements:
            self._after = self._elements[-1][0] | 0xFFFF
        missing = level.missing
        released = self._released(known)
        if released is None and missing is not None and self._ends_header(missing):
            released = len(self._elements)
        if released is not None:
            return released
        longest = self._deidentifier.limits.header_bytes
        if missing is None:
            self._wanted = len(buffer) + 1
        elif missing.end is not None:
            self._wanted = missing.end
        elif missing.code:
            self._wanted = min(len(buffer) * 2, longest + 1)
        else:
            self._wanted = len(buffer) + 1
        if self._wanted > longest + 1 or len(buffer) > longest:
            raise _too_long()
        return None

    def _ends_header(self, missing: Incomplete) -> bool:
        """Tell whether an element that is not there yet comes after the header."""
        if missing.code >> 16 >= _RELEASE:
            return True
        end = missing.end if missing.end is not None else len(self._buffer)
        return end > _HUGE_HEADER and missing.code >> 16 >= _RELEASE_HUGE and self._deidentifier.early

    def _released(self, known: int) -> int | None:
        """Return the index of the first element after the header, None when there is none yet."""
        elements = self._elements
        if elements and elements[-1][0] >> 16 >= _RELEASE:
            return bisect_left(elements, (_RELEASE << 16,))
        if self._position > _HUGE_HEADER and self._deidentifier.early:
            for index in range(known, len(elements)):
                if elements[index][3] > _HUGE_HEADER and elements[index][0] >> 16 >= _RELEASE_HUGE:
                    return index
        return None

    def _release(self, count: int) -> Buffers:
        """Rewrite the header, its first `count` elements, and hand the rest to the body."""
        elements = self._elements[:count]
        cut = elements[-1][3] if elements else 0
        if cut > self._deidentifier.limits.header_bytes:
            raise _too_long()
        header = bytes(memoryview(self._buffer)[:cut])
        rest = bytes(memoryview(self._buffer)[cut:])
        self._buffer = bytearray()
        procedure = self._deidentifier.procedure
        facts = Facts(header, elements, self._encoding, self._budget)
        subject = self._subject = self._subject_of(facts)
        sop_class_uid = self._check_identity(facts)
        self._check_gates(procedure.excludes, facts, Excluded)
        self._check_gates(procedure.rejects, facts, Rejected)
        self._check_same_values(facts)
        table = procedure.table_for(sop_class_uid)
        subject.spared = spared(procedure, table)
        plan = self._deidentifier.plans.plan(table, self._encoding)
        place = Place(header, elements, self._encoding, subject)
        out = self._write_header(plan, place, sop_class_uid)
        self._budget.ends.clear()
        after = elements[-1][0] | 0xFFFF if elements else -1
        self._body = Body(plan, subject, offset=cut, after=after, place=place)
        return out + self._body.feed(rest)

    def _subject_of(self, facts: Facts) -> Subject:
        deidentifier = self._deidentifier
        return Subject(
            deidentifier.procedure,
            deidentifier.pseudonyms,
            facts,
            self._budget,
            self._origin,
            self._today,
            deidentifier.secrets,
            deidentifier.tables,
        )

    def _check_identity(self, facts: Facts) -> str:
        """Return the SOP Class UID; it and the instance must be there and agree with the request."""
        sop_class_uid, sop_instance_uid = facts.ascii(SOP_CLASS_UID), facts.ascii(SOP_INSTANCE_UID)
        wanted_class, wanted_instance = self._expected
        if not sop_class_uid:
            raise Rejected("the dataset has no SOP Class UID", code="no-sop-class")
        if not sop_instance_uid:
            raise Rejected("the dataset has no SOP Instance UID", code="no-sop-instance")
        for uid in (sop_class_uid, sop_instance_uid):
            if not _UID.fullmatch(uid):
                raise Rejected("the SOP class or instance is named by what is no UID", code="invalid-uid")
        if wanted_class is not None and wanted_class != sop_class_uid:
            raise Mismatch("the SOP class of the dataset is not that of the request")
        if wanted_instance is not None and wanted_instance != sop_instance_uid:
            raise Mismatch("the SOP instance of the dataset is not that of the request")
        return sop_class_uid

    def _check_gates(
        self, gates: tuple[Gate, ...], facts: Facts, refusal: type[Rejected] | type[Excluded]
    ) -> None:
        for gate in gates:
            if gate.when.holds(facts.values, self._origin):
                raise refusal(gate.because)

    def _check_same_values(self, facts: Facts) -> None:
        """Refuse an object whose value differs from that of the objects before it (row GC-12)."""
        first = self._deidentifier.same_values
        for tag in self._deidentifier.procedure.same_value:
            for value in facts.values(tag):
                if first.setdefault(tag, value) != value:
                    raise Rejected("an attribute that must be equal in all objects has differing values")

    def _write_header(self, plan: Plan, place: Place, sop_class_uid: str) -> Buffers:
        subject = place.subject
        inserts = self._inserts(plan, place)
        new_uid = self._value_after(SOP_INSTANCE_UID, plan, place, inserts)
        if not new_uid:
            raise Rejected("the procedure leaves no SOP Instance UID", code="no-sop-instance")
        self.heading = heading_of(sop_class_uid, new_uid, self._transfer_syntax_uid)
        subject.kept = subject.changed = subject.removed = subject.cleaned = 0
        out = _composed(plan, place, inserts)
        if subject.residual(out):
            plan = self._deidentifier.plans.plan(plan.table, plan.encoding, guard=True)
            subject.kept = subject.changed = subject.removed = subject.cleaned = 0
            out = _composed(plan, place, inserts)
        counts = subject.kept, subject.changed, subject.removed, subject.cleaned
        self._attributes = {
            tag: self._value_after(tag, plan, place, inserts) for tag in self._deidentifier.capture
        }
        subject.kept, subject.changed, subject.removed, subject.cleaned = counts
        self._check_result()
        return out

    def _inserts(self, plan: Plan, place: Place) -> dict[int, bytes]:
        """Return the elements that are set whatever the original says: values, forced UIDs, stamps."""
        procedure = self._deidentifier.procedure
        inserts = {tag: set_element(tag, call, place) for tag, call in procedure.set_values.items()}
        for tag, uid in procedure.forced_uids.items():
            inserts[tag] = self._encoding.element(tag, "UI", uid.encode())
        inserts.update(self._deidentifier.stamps(self._encoding, self._former_methods(plan, place)))
        return inserts

    def _former_methods(self, plan: Plan, place: Place) -> tuple[str, ...]:
        """Return the methods of earlier de-identifications that may stay.

        Ours stay always; others only under the Grand-Challenge procedure, whose table decides.
        """
        text = self._value_after(DEIDENTIFICATION_METHOD, plan, place, {})
        methods = tuple(value.strip() for value in text.split("\\") if value.strip())
        if self._deidentifier.procedure.dummies is Dummies.GRAND_CHALLENGE:
            return methods
        return tuple(method for method in methods if method.startswith(_OURS))

    def _value_after(self, tag: int, plan: Plan, place: Place, inserts: Mapping[int, bytes]) -> str:
        """Return the de-identified value of a top-level attribute as text, "" when absent."""
        element = place.subject.facts.element(tag)
        if tag in inserts:
            whole = inserts[tag]
            element = scan(whole, 0, len(whole), self._encoding, Budget(Limits()), 0).elements[0]
        elif element is None:
            return ""
        else:
            new = plan.rewrite(place, [element], element[1], element[3])
            whole = place.b[element[1] : element[3]] if new is None else b"".join(new)
        code, start, value, _ = element
        text = decode(whole[value - start :], place.charsets, vr_in(code))
        return (text or "").strip(" \0")

    def _check_result(self) -> None:
        values = self._attributes
        for gate in self._deidentifier.procedure.excludes_result:
            if gate.when.holds(lambda tag: tuple(values.get(tag, "").split("\\")), self._origin):
                raise Excluded(gate.because)

    # --- the end ------------------------------------------------------------------------------

    def _summary(self) -> Summary:
        subject = self._subject
        assert subject is not None
        assert self.heading is not None
        original = subject.facts.ascii(SOP_INSTANCE_UID).encode("latin-1")
        return Summary(
            heading=self.heading,
            attributes=MappingProxyType(self._attributes),
            original_uid_digest=subject.pseudonyms.digest("duplicate", original),
            kept=subject.kept,
            changed=subject.changed,
            removed=subject.removed,
            cleaned=subject.cleaned,
            warnings=tuple(sorted(subject.warnings)),
        )


def _too_long() -> LimitExceeded:
    return LimitExceeded("the attributes before the pixels are longer than the node accepts")


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


__all__ = ["Deidentifier", "Encoding", "Limits", "Rewrite"]
