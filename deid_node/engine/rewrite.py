"""De-identify one object while it arrives: bytes in, bytes out, constant memory.

The header (everything before the groups from 5000 on) is buffered and read once for the facts that
decisions need; then it is rewritten and the rest follows as it comes (`body`). The fixed order of
evaluation is that of the profile language: limits, exclusion, gates, table, explicit values, forced
UIDs, stamps, new file meta information, residual check, exclusion of the result.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, time
from types import MappingProxyType
from typing import Final

from deid_node.engine.body import Body, Passed
from deid_node.engine.deflated import Deflated
from deid_node.engine.deidentified import Buffers, Deidentified, Heading, PrivateElement, Summary
from deid_node.engine.encoding import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, Encoding, encoding_of
from deid_node.engine.header import Arrival, HeaderWriter, Written
from deid_node.engine.heading import heading_of
from deid_node.engine.original import Original, original_of
from deid_node.engine.outer_names import veiled
from deid_node.engine.prepared import RELEASE_HUGE, Prepared
from deid_node.engine.scan import Budget, Element, Incomplete, Limits, scan, too_many_elements
from deid_node.engine.series import RELEASE, SOP_INSTANCE_UID
from deid_node.engine.subject import Subject
from deid_node.errors import LimitExceeded, Malformed

_HUGE_HEADER: Final = 4 << 20
# Bytes of a piece that are looked at in one go while the header is read: pixels need not be copied.
_STEP: Final = 16 << 10
# To know that a remembered header has ended, the header of the next element is needed.
_NEXT_HEADER: Final = 12
_NO_ORIGIN: Final[Mapping[str, str]] = MappingProxyType({})


class Deidentifier(Prepared):
    """A prepared procedure that objects can be given to."""

    def begin(
        self,
        *,
        transfer_syntax_uid: str,
        sop_class_uid: str | None = None,
        sop_instance_uid: str | None = None,
        origin: Mapping[str, str] = _NO_ORIGIN,
        today: date = date.min,
        time_of_day: time | None = None,
    ) -> Rewrite:
        """Start one object.

        Args:
            transfer_syntax_uid: of the dataset that will be fed.
            sop_class_uid, sop_instance_uid: of the C-STORE-RQ, which the dataset must agree with;
                None for a file.
            origin: calling_ae, called_ae, address: for conditions of the profile.
            today: for functions that ask how long ago a date is; without it every date is recent.
            time_of_day: for templates that tell it.
        """
        arrival = Arrival(sop_class_uid, sop_instance_uid, origin, today, time_of_day)
        return Rewrite(self, transfer_syntax_uid, arrival)


class Rewrite:
    """One object: feed it the dataset, write what it returns, then finish."""

    def __init__(
        self,
        deidentifier: Deidentifier,
        transfer_syntax_uid: str,
        arrival: Arrival,
    ) -> None:
        """For `Deidentifier.begin`."""
        self.heading: Heading | None = None
        self._deidentifier = deidentifier
        self._transfer_syntax_uid = transfer_syntax_uid
        self._encoding = encoding_of(transfer_syntax_uid)
        self._budget = Budget(deidentifier.limits)
        self._writer = HeaderWriter(deidentifier, self._encoding, self._budget, arrival)
        self._series = deidentifier.remembered(self._encoding)
        self._deflated = (
            Deflated(deidentifier.limits)
            if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            else None
        )
        self._buffer = bytearray()
        self._elements: list[Element] = []
        self._position = 0
        self._after = -1
        self._wanted = self._series.length + _NEXT_HEADER if self._series is not None else 0
        self._taken = 0
        self._body: Body | None = None
        self._subject: Subject | None = None
        self._attributes: Mapping[int, str] = {}

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
            if self._deflated.has_trailer:
                self._budget.repairs.add("deflate-trailer")
        self._budget.check_repairs()
        return Deidentified(out), self._summary()

    # --- the header ---------------------------------------------------------------------------

    def _plain(self, piece: bytes | memoryview) -> Buffers:
        piece = memoryview(piece)
        while self._body is None and len(piece):
            step = max(_STEP, self._wanted - len(self._buffer))
            self._buffer += piece[:step]
            piece = piece[step:]
            if len(self._buffer) >= self._wanted:
                out = self._follow() if self._series is not None else None
                if out is None and (released := self._read_header()) is not None:
                    out = self._release(released)
                if out is not None:
                    assert self._body is not None
                    return out + self._body.feed(piece) if len(piece) else out
        return self._body.feed(piece) if self._body is not None else []

    def _read_header(self) -> int | None:
        """Read on; return how many elements make the header once it is complete, else None."""
        buffer = self._buffer
        level = scan(buffer, self._position, len(buffer), self._encoding, self._budget, 0, self._after)
        known = len(self._elements)
        self._elements += level.elements
        if len(self._elements) > self._deidentifier.limits.level_elements:
            raise too_many_elements(self._deidentifier.limits)
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
        if missing.code >> 16 >= RELEASE:
            return True
        end = missing.end if missing.end is not None else len(self._buffer)
        return end > _HUGE_HEADER and missing.code >> 16 >= RELEASE_HUGE and self._deidentifier.early

    def _released(self, known: int) -> int | None:
        """Return the index of the first element after the header, None when there is none yet."""
        elements = self._elements
        if elements and elements[-1][0] >> 16 >= RELEASE:
            return bisect_left(elements, (RELEASE << 16,))
        if self._position > _HUGE_HEADER and self._deidentifier.early:
            for index in range(known, len(elements)):
                if elements[index][3] > _HUGE_HEADER and elements[index][0] >> 16 >= RELEASE_HUGE:
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
        return self._enter_body(self._writer.write(header, elements), rest)

    def _follow(self) -> Buffers | None:
        """Rewrite the header as the one before it was, if it is nearly the same."""
        series, self._series = self._series, None
        assert series is not None
        b = bytes(self._buffer)
        written = self._writer.follow(series, b)
        if written is None:
            return None
        self._deidentifier.followed()
        facts = written.subject.facts
        known = series.expected_pixels(facts)
        if known is not None and b.startswith(known.head, written.length):
            return self._enter_body(written, b[written.length + len(known.head) :], known)
        out = self._enter_body(written, b[written.length :])
        assert self._body is not None
        if self._body.passed is not None:
            series.expect_pixels(self._body.passed, facts)
        return out

    def _enter_body(self, written: Written, rest: bytes, known: Passed | None = None) -> Buffers:
        """Go on after the header with what is known now; `rest` comes after the header of known pixels."""
        self._buffer = bytearray()
        self._budget.ends.clear()
        self._subject = written.subject
        self._attributes = written.attributes
        self.heading = heading_of(written.sop_class_uid, written.sop_instance_uid, self._transfer_syntax_uid)
        self._body = Body(
            written.plan, written.subject, offset=written.length, after=written.after, place=written.place
        )
        if known is None:
            return written.out + self._body.feed(rest)
        self._body.begin_known(known)
        return [*written.out, known.head, *self._body.feed(rest)]

    # --- the end ------------------------------------------------------------------------------

    def original(self) -> Original:
        """Return who a finished object is of: for a crosswalk, and nothing else."""
        assert self._subject is not None
        return original_of(self._subject)

    def private_elements(self) -> tuple[PrivateElement, ...]:
        """Return the private attributes in a finished result: for a list to review, and nothing else.

        Empty unless the plans of the `Deidentifier` are those of `listing_plans`.
        """
        assert self._subject is not None
        listed = self._subject.private
        return tuple(listed[key] for key in sorted(listed))

    def veiled(self, name: str) -> str:
        """Return a name from outside of a finished object as it may be shown: itself, or a keyed code."""
        assert self._subject is not None
        return veiled(name, self._subject.identifiers, self._subject.pseudonyms)

    def _summary(self) -> Summary:
        subject = self._subject
        assert subject is not None
        assert self.heading is not None
        original = subject.facts.ascii(SOP_INSTANCE_UID).encode("latin-1")
        return Summary(
            heading=self.heading,
            attributes=MappingProxyType(dict(self._attributes)),
            original_uid_digest=subject.pseudonyms.digest("duplicate", original),
            kept=subject.kept,
            changed=subject.changed,
            removed=subject.removed,
            cleaned=subject.cleaned,
            warnings=tuple(sorted(subject.warnings)),
            repairs=tuple(sorted(self._budget.repairs)),
            findings=tuple(dict.fromkeys(subject.findings)),
        )


def _too_long() -> LimitExceeded:
    return LimitExceeded("the attributes before the pixels are longer than the node accepts")


__all__ = ["Deidentifier", "Encoding", "Limits", "Rewrite"]
