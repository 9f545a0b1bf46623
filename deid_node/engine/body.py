"""Rewrite what follows the header while it arrives: functional groups, waveforms, pixels, the tail.

Elements up to `window_bytes` are buffered and rewritten like those of the header. Longer sequences are
written with undefined length, item by item; longer values that the table keeps pass through. Which way
an element goes depends on its length alone, never on how the bytes were cut: same input, same output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from deid_node.engine.actions import Constant, Reject
from deid_node.engine.alike import Alike
from deid_node.engine.codestream import Comments
from deid_node.engine.deidentified import Buffers
from deid_node.engine.encoding import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    ODD,
    SEQUENCE_END,
    UNDEFINED,
    Encoding,
    vr_in,
)
from deid_node.engine.nested import is_sequence
from deid_node.engine.pixels import DESCRIBING, PIXEL_DATA, KeptPixels, is_kept
from deid_node.engine.place import Place
from deid_node.engine.plan import Entry, Plan
from deid_node.engine.private_list import Listed
from deid_node.engine.scan import Budget, Element, Incomplete, scan
from deid_node.engine.searched import rewrite_searched
from deid_node.engine.sequences import Sequence
from deid_node.engine.subject import SPECIFIC_CHARACTER_SET, Subject
from deid_node.errors import Fault, LimitExceeded, Malformed

_PIXEL_GROUP: Final = 0x7FE0
# These may be long and are copied unread; texts are searched for identifiers first.
_BULK_VRS: Final = frozenset("OB OD OF OL OV OW UN".split())
# Bytes of a piece that are buffered in one go: what passes through need not be copied.
_STEP: Final = 16 << 10
_FRAGMENT_STEP: Final = 64
_ITEMS_STEP: Final = 128 << 10
# Where items come in runs: runs are taken from the piece as it is, only the item that a piece cuts is not.
_ITEM_STEP: Final = 8


class _Starved(Exception):
    """More bytes are needed before anything more can be done."""


class Passed(NamedTuple):
    """Pixel Data that is kept as it comes: its header, its code, and its length, which may be UNDEFINED."""

    head: bytes
    code: int
    length: int


@dataclass(slots=True)
class _Frame:
    """A level that is being streamed: the dataset, a sequence, an item, or encapsulated pixels.

    `end` is the stream offset where it ends, None while only a delimiter tells. `drop` says that
    nothing of it is written. Of a sequence, `alike` knows the items that stay as they are, `runs` says
    that the last one did, and `usual` how long that was.
    """

    kind: str  # "dataset", "sequence", "item", "fragments"
    end: int | None
    plan: Plan
    encoding: Encoding
    drop: bool = False
    tag: int = 0
    item: int = -1
    after: int = -1
    creators: dict[int, str] = field(default_factory=dict)
    charsets: tuple[str, ...] | None = None
    place: Place | None = None
    alike: Alike | None = None
    runs: bool = False
    usual: int = 0
    described: dict[int, bytes] = field(default_factory=dict)


class Body:
    """The streaming part of one object.

    Call `feed` with each piece and write what it returns, then `finish`. `offset` counts the bytes of
    the dataset that were taken in. `passed` is Pixel Data of the dataset that was met and left as it is.
    """

    def __init__(self, plan: Plan, subject: Subject, *, offset: int, after: int, place: Place) -> None:
        """Continue a dataset after its header.

        Args:
            offset: where in the dataset the body begins; after: code of the last element | 0xFFFF.
            place: the dataset's own level, for private creators and character sets.
        """
        self.passed: Passed | None = None
        self._subject = subject
        self._budget: Budget = subject.budget
        self._window = subject.budget.limits.window_bytes
        self._buffer = bytearray()
        self._offset = offset
        self._pass = 0
        self._pass_drop = False
        self._surplus = 0
        self._pad = False
        self._comments: Comments | None = None
        self._wanted = 0
        self._singly = 0  # up to this offset items are searched one by one
        root = _Frame("dataset", None, plan, plan.encoding, after=after, place=place)
        if plan.asks_creators:
            root.creators = dict(place.creators)
        self._frames = [root]
        self._out: Buffers = []

    def feed(self, piece: bytes | memoryview) -> Buffers:
        """Take in bytes and return those that can be written now."""
        out = self._out = []
        piece = memoryview(piece)
        while len(piece):
            if self._pass and not self._buffer:
                n = min(self._pass, len(piece))
                if not self._pass_drop:
                    self._let(piece[:n])
                self._offset += n
                self._pass -= n
                piece = piece[n:]
                self._end_of_value()
                continue
            if not self._buffer and (taken := self._known_run(self._frames[-1], piece)):
                piece = piece[taken:]
                continue
            take = max(self._step(), self._wanted - len(self._buffer))
            self._buffer += piece[:take]
            piece = piece[take:]
            if len(self._buffer) >= self._wanted:
                self._advance()
        return out

    def begin_known(self, known: Passed) -> None:
        """Begin with Pixel Data whose header is known, with what it describes, from another object.

        The next bytes that are fed stand behind that header, which the caller writes.
        """
        frame = self._frames[-1]
        self.passed = known
        frame.after = known.code | 0xFFFF
        self._subject.kept += 1
        self._offset += len(known.head)
        if known.length == UNDEFINED:
            self._enter_fragments(frame, drop=False)
        else:
            self._pass = known.length

    def finish(self) -> Buffers:
        """Return the last bytes.

        Raises:
            Malformed: the dataset does not end where an element ends.
        """
        self._out = []
        if self._buffer or self._pass or len(self._frames) > 1:
            self._advance()
        if self._buffer or self._pass or len(self._frames) > 1:
            raise Malformed("the dataset is truncated")
        return self._out

    def _step(self) -> int:
        """Return how many bytes are buffered in one go."""
        frame = self._frames[-1]
        if frame.kind == "fragments":
            return _FRAGMENT_STEP
        if frame.alike is not None and frame.runs:
            return _ITEM_STEP
        return _STEP if len(self._frames) == 1 else _ITEMS_STEP

    def _advance(self) -> None:
        """Process the buffer as far as it goes."""
        self._wanted = 0
        try:
            while True:
                while self._pass:
                    self._pass_buffered()
                frame = self._frames[-1]
                if frame.end is not None and self._offset >= frame.end:
                    self._close(frame)
                elif frame.kind in ("dataset", "item"):
                    self._level(frame)
                elif not self._known_run(frame):
                    self._next_item(frame)
        except _Starved:
            return

    def _pass_buffered(self) -> None:
        n = min(self._pass, len(self._buffer))
        if n and not self._pass_drop:
            self._let(memoryview(bytes(memoryview(self._buffer)[:n])))
        self._consume(n)
        self._pass -= n
        if self._pass:
            raise _Starved
        self._end_of_value()

    def _end_of_value(self) -> None:
        if self._pass:
            return
        if self._pad:
            self._out.append(b"\0")
            self._pad = False
        if self._surplus:
            self._pass, self._pass_drop, self._surplus = self._surplus, True, 0

    def _let(self, piece: memoryview) -> None:
        """Write bytes of a value, without the comments of a compressed frame."""
        if self._comments is not None and self._comments.reads:
            self._out += self._comments.clean(piece)
        else:
            self._out.append(piece)

    def _consume(self, n: int) -> None:
        if n:
            del self._buffer[:n]
            self._budget.ends.clear()
            self._offset += n

    def _need(self, n: int) -> None:
        if len(self._buffer) < n:
            self._wanted = n
            raise _Starved

    # --- elements -----------------------------------------------------------------------------

    def _level(self, frame: _Frame) -> None:
        """Rewrite the elements that lie whole in the buffer, then deal with the one that does not."""
        buffer = self._buffer
        if not buffer:
            raise _Starved
        known = len(buffer) if frame.end is None else min(len(buffer), frame.end - self._offset)
        depth = sum(1 for above in self._frames if above.kind == "item")
        level = scan(buffer, 0, min(known, self._window), frame.encoding, self._budget, depth, frame.after)
        if level.elements:
            frame.after = level.elements[-1][0] | 0xFFFF
            self._write_elements(frame, level.elements, level.position)
            return
        if level.stop:
            self._delimiter(frame, level.stop)
            return
        assert level.missing is not None
        self._long_element(frame, level.missing, known)

    def _write_elements(self, frame: _Frame, elements: list[Element], end: int) -> None:
        b = bytes(memoryview(self._buffer)[:end])
        if self._subject.gates is not None:
            self._subject.gates.look(b, elements, frame.encoding, self._place(frame, b, elements).charsets)
        if not frame.drop:
            place = self._place(frame, b, elements)
            new = rewrite_searched(frame.plan, place, elements, 0, end)
            self._out.extend([b] if new is None else new)
            if frame.plan.asks_creators:
                frame.creators.update(place.creators)
            if frame.kind == "item":
                if elements[0][0] >> 16 <= SPECIFIC_CHARACTER_SET:
                    frame.charsets = place.charsets
                frame.described |= {
                    code >> 16: b[v:q] for code, _, v, q in elements if code >> 16 in DESCRIBING
                }
        self._consume(end)

    def _place(self, frame: _Frame, b: bytes, elements: list[Element]) -> Place:
        outer = frame.place.outer if frame.place is not None else None
        place = Place(b, elements, frame.encoding, self._subject, outer, frame.tag, max(frame.item, 0))
        if frame.plan.asks_creators:
            place.adopt_creators(frame.creators)
        if frame.charsets is not None:
            place.adopt_charsets(frame.charsets)
        place.adopt_described(frame.described)
        return place

    def _long_element(self, frame: _Frame, missing: Incomplete, known: int) -> None:
        """Start an element that is not in the buffer as a whole."""
        if missing.code == 0:
            if frame.end is not None and known == frame.end - self._offset:
                raise Malformed("an item ends inside an element header")
            self._need(known + 1)
        length = UNDEFINED if missing.end is None else missing.end - missing.value
        if missing.end is not None:
            if frame.end is not None and self._offset + missing.end > frame.end:
                raise Malformed("an element reaches past the end of its item")
            if missing.end <= self._window and not self._passes(missing, self._entry(frame, missing)):
                self._need(missing.end)
        elif known < self._window and not self._passes_fragments(frame, missing):
            if frame.end is not None and known == frame.end - self._offset:
                raise Malformed("a sequence of undefined length does not end inside its item")
            self._need(min(self._window, known * 2))
        entry = self._entry(frame, missing)
        if is_sequence(missing.code):
            self._open_sequence(frame, missing, entry)
        elif length == UNDEFINED:
            self._open_fragments(frame, missing, entry)
        else:
            self._pass_value(frame, missing, entry, length)

    def _entry(self, frame: _Frame, missing: Incomplete) -> Entry:
        """Return what to do with an element whose value is not there yet.

        Raises:
            Rejected: the table rejects objects that have it.
        """
        if frame.drop:
            return b""
        place = self._place(frame, b"", [])
        entry = frame.plan.entry_at(missing.code, place)
        if isinstance(entry, Listed):
            entry = entry.passing(missing, place)
        if isinstance(entry, Reject):
            entry.apply((missing.code, 0, 0, 0), place)
        return entry.element if isinstance(entry, Constant) else entry

    def _passes_fragments(self, frame: _Frame, missing: Incomplete) -> bool:
        """Tell whether an element is encapsulated Pixel Data that is dropped or copied."""
        if missing.code >> 16 != PIXEL_DATA:
            return False
        entry = self._entry(frame, missing)
        return isinstance(entry, bytes) or is_kept(entry)

    def _passes(self, missing: Incomplete, entry: Entry) -> bool:
        """Tell whether the value of an element is dropped, or copied without being looked at."""
        if is_sequence(missing.code):
            return False
        if not is_kept(entry):
            return isinstance(entry, bytes)
        return vr_in(missing.code) in _BULK_VRS and (
            missing.code >> 32 == _PIXEL_GROUP or missing.end is None or missing.end > self._window
        )

    def _pass_value(self, frame: _Frame, missing: Incomplete, entry: Entry, length: int) -> None:
        """Let a long value through, drop it, or buffer it for an action that needs all of it."""
        assert missing.end is not None
        if not self._passes(missing, entry):
            if missing.end > self._budget.limits.header_bytes:
                raise LimitExceeded("a value that has to be read as a whole is too long")
            self._need(missing.end)
            whole = (missing.code | (ODD if length & 1 else 0), 0, missing.value, missing.end)
            frame.after = missing.code | 0xFFFF
            self._write_elements(frame, [whole], missing.end)
            return
        self._began(frame, missing, entry)
        if isinstance(entry, bytes):
            new = entry
        else:
            new = bytes(memoryview(self._buffer)[: missing.value])
            kept = length
            if length & 1:
                self._budget.repairs.add("odd-length")
            if isinstance(entry, KeptPixels):
                kept = entry.kept_bytes(missing.code >> 16, length, self._place(frame, b"", []))
            if kept != length or kept & 1:
                self._pad = bool(kept & 1)
                new = new[:-4] + frame.encoding.length(kept + self._pad)
                self._surplus, length = length - kept, kept
                if self._surplus:
                    self._kept_became_changed()
            elif isinstance(entry, KeptPixels) and len(self._frames) == 1:
                self._note_passed(Passed(new, missing.code, length))
        self._out.append(new)
        self._consume(missing.value)
        self._pass = length
        self._pass_drop = isinstance(entry, bytes)

    def _note_passed(self, passed: Passed) -> None:
        if passed.code >> 16 == PIXEL_DATA:
            self.passed = passed

    def _began(self, frame: _Frame, missing: Incomplete, entry: Entry) -> None:
        """Note that an element is written while it arrives, for the order and the counts."""
        frame.after = missing.code | 0xFFFF
        if frame.drop:
            return
        if is_kept(entry):
            self._subject.kept += 1
        elif entry:
            self._subject.changed += 1
        else:
            self._subject.removed += 1

    def _kept_became_changed(self) -> None:
        self._subject.kept -= 1
        self._subject.changed += 1

    # --- sequences ----------------------------------------------------------------------------

    def _open_sequence(self, frame: _Frame, missing: Incomplete, entry: Entry) -> None:
        code = missing.code
        self._began(frame, missing, entry)
        end = None if missing.end is None else self._offset + missing.end
        inner = IMPLICIT_LITTLE if vr_in(code) != "SQ" else frame.encoding
        plan = frame.plan
        drop = frame.drop or not isinstance(entry, Sequence)
        if isinstance(entry, Sequence) and not drop:
            plan = entry.plan
            self._out.append(bytes(memoryview(self._buffer)[: missing.value - 4]) + b"\xff\xff\xff\xff")
        elif not frame.drop:
            if not isinstance(entry, bytes):
                raise Fault("an action cannot be applied to a sequence of this length")
            self._out.append(entry)
        if len(self._frames) > 2 * self._budget.limits.depth:
            raise LimitExceeded(f"sequences nested deeper than {self._budget.limits.depth}")
        place = self._place(frame, b"", [])
        self._consume(missing.value)
        alike = None if drop else Alike(plan.shapes, self._subject.search.shortest)
        self._frames.append(_Frame("sequence", end, plan, inner, drop, code >> 16, place=place, alike=alike))

    def _open_fragments(self, frame: _Frame, missing: Incomplete, entry: Entry) -> None:
        self._began(frame, missing, entry)
        drop = frame.drop or not is_kept(entry)
        if not drop:
            head = bytes(memoryview(self._buffer)[: missing.value])
            if isinstance(entry, KeptPixels) and len(self._frames) == 1:
                self._note_passed(Passed(head, missing.code, UNDEFINED))
            self._out.append(head)
        elif not frame.drop:
            if not isinstance(entry, bytes):
                raise Fault("an action cannot be applied to encapsulated Pixel Data")
            self._out.append(entry)
        self._consume(missing.value)
        self._enter_fragments(frame, drop=drop)

    def _enter_fragments(self, frame: _Frame, *, drop: bool) -> None:
        self._frames.append(_Frame("fragments", None, frame.plan, frame.encoding, drop))
        self._comments = Comments()

    def _next_item(self, frame: _Frame) -> None:
        """Read an item header of a sequence or of encapsulated Pixel Data."""
        self._need(8)
        group, element, n = frame.encoding.item_header(self._buffer, 0)
        tag = group << 16 | element
        if tag == SEQUENCE_END and frame.end is None:
            if not frame.drop:
                self._out.append(bytes(self._buffer[:8]))
            self._consume(8)
            self._frames.pop()
            self._end_of_fragments()
            return
        if tag == SEQUENCE_END and frame.end == self._offset + 8:
            self._budget.repairs.add("sequence-delimiter")
            self._consume(8)  # left over where a length was put in for an undefined one
            return
        if tag != ITEM:
            raise Malformed("no item where a sequence has one")
        if frame.kind == "fragments":
            if n == UNDEFINED:
                raise Malformed("a fragment of undefined length")
            if not frame.drop:
                self._out.append(bytes(self._buffer[:8]))
            self._consume(8)
            self._pass, self._pass_drop = n, frame.drop
            frame.item += 1
            if frame.item and self._comments is not None:  # behind the offset table
                self._comments.begin()
            return
        self._item(frame, n)

    def _end_of_fragments(self) -> None:
        if self._comments is not None:
            self._comments.end()
            if self._comments.blanked:
                self._budget.repairs.add("frame-comments")
                self._kept_became_changed()
        self._comments = None

    def _item(self, frame: _Frame, n: int) -> None:
        """Rewrite an item that fits the window; open a longer one."""
        if n != UNDEFINED:
            if frame.end is not None and self._offset + 8 + n > frame.end:
                raise Malformed("an item reaches past the end of its sequence")
            if 8 + n <= self._window:
                self._need(8 + n)
                self._whole_item(frame, 8, 8 + n, 8 + n)
                return
        elif self._undefined_item(frame):
            return
        self._budget.spend(0, 1)
        frame.item += 1
        if not frame.drop:
            self._out.append(frame.encoding.item_start())
        end = None if n == UNDEFINED else self._offset + 8 + n
        self._consume(8)
        child = _Frame("item", end, frame.plan, frame.encoding, frame.drop, frame.tag, frame.item)
        assert frame.place is not None
        child.place = Place(b"", [], frame.encoding, self._subject, frame.place, frame.tag, frame.item)
        self._frames.append(child)

    def _known_run(self, frame: _Frame, piece: memoryview | None = None) -> int:
        """Write the items that have a shape which stays as it is; return how many bytes they have.

        Args:
            piece: where they begin, as long as the buffer is empty.
        """
        if frame.alike is None:
            return 0
        b = self._buffer if piece is None else piece
        known = len(b) if frame.end is None else min(len(b), frame.end - self._offset)
        singly = self._offset < self._singly
        run = frame.alike.one_at(b, known) if singly else frame.alike.run_at(b, known)
        if not run.end:
            return 0
        if run.holds(b, self._subject.search):
            # The item in which something is found is rewritten, the others are not.
            frame.alike.forget()
            self._singly = max(self._singly, self._offset + run.end)
            return 0 if run.own_items == 1 else self._known_run(frame, piece)
        self._budget.spend(run.elements, run.items)
        self._subject.kept += run.elements
        frame.item += run.own_items
        frame.runs, frame.usual = True, run.last
        if piece is None:
            self._out.append(bytes(memoryview(self._buffer)[: run.end]))
            self._consume(run.end)
        else:
            self._out.append(piece[: run.end])
            self._offset += run.end
        return run.end

    def _undefined_item(self, frame: _Frame) -> bool:
        """Rewrite an item of undefined length if it ends within the window."""
        known = min(len(self._buffer), self._window)
        depth = sum(1 for above in self._frames if above.kind == "item") + 1
        # Not counted: it may be read again when more is there.
        budget = Budget(self._budget.limits, ends=self._budget.ends)
        level = scan(self._buffer, 8, known, frame.encoding, budget, depth)
        if level.stop == ITEM_END:
            self._whole_item(frame, 8, level.position, level.position + 8)
            return True
        if level.stop:
            raise Malformed("an item ends without its delimiter")
        if known < self._window:
            # No more than an item like the last one, so that what follows need not be buffered.
            self._need(min(self._window, frame.usual if known < frame.usual else max(known * 2, 64)))
        return False

    def _whole_item(self, frame: _Frame, start: int, stop: int, following: int) -> None:
        """Rewrite one buffered item."""
        self._budget.spend(0, 1)
        frame.item += 1
        gates = self._subject.gates
        if not frame.drop or gates is not None:
            b = bytes(memoryview(self._buffer)[:following])
            depth = sum(1 for above in self._frames if above.kind == "item") + 1
            level = scan(b, start, stop, frame.encoding, self._budget, depth)
            if level.missing is not None or level.position != stop:
                raise Malformed("an element reaches past the end of its item")
            assert frame.place is not None
            place = Place(
                b, level.elements, frame.encoding, self._subject, frame.place, frame.tag, frame.item
            )
            if gates is not None:
                gates.look(b, level.elements, frame.encoding, place.charsets)
        if not frame.drop:
            new = rewrite_searched(frame.plan, place, level.elements, start, stop)
            self._out.append(b if new is None else frame.encoding.item(b"".join(new)))
            if new is None:
                frame.plan.shapes.learn(place, frame.plan.entries, 0, stop, following)
        frame.runs, frame.usual = False, following
        self._consume(following)

    def _delimiter(self, frame: _Frame, stop: int) -> None:
        if frame.kind != "item" or frame.end is not None or stop != ITEM_END:
            raise Malformed("a delimiter that belongs to nothing")
        self._need(8)
        if not frame.drop:
            self._out.append(frame.encoding.item_end)
        self._consume(8)
        self._frames.pop()

    def _close(self, frame: _Frame) -> None:
        """End a level whose length was defined in the input and is undefined in the output."""
        if self._offset != frame.end:
            raise Malformed("an item reaches past the end of its sequence")
        if not frame.drop:
            encoding = frame.encoding
            self._out.append(encoding.item_end if frame.kind == "item" else encoding.sequence_end)
        self._frames.pop()
