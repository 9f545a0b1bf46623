"""Take items alike in runs: compare thousands of frames as memory, and search what differs in them.

The items of a functional groups sequence repeat not only their structure but most of their values. A
`Sample` holds one item of a known shape (`shapes`) and knows which of its values differ between the
items of this object. Further items are compared with it in one go: they are copied, the values that
differ are covered, and all the rest has to be equal, byte for byte. What is equal is searched for
identifiers in the sample, what differs is laid side by side and searched as well: the caller does so
with every value that leaves. Nothing outlives the object but which values of a shape tend to differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from deid_node.engine.residual import Search
from deid_node.engine.shapes import FEW, Shape, Shapes

_CHUNK: Final = 128 << 10  # bytes that are compared in one go: they should stay in the processor's cache
_MOST_SAMPLES: Final = 4
_FIRST_STRIDE: Final = 32  # items; more once runs turn out to be longer


@dataclass(slots=True)
class Run:
    """Items at the start of a buffer that stay as they are, unless an identifier stands in them.

    `end` is where they end, `own_items` how many there are, `last` how long the last one is; `items`
    counts those below them as well, `elements` what they hold. To be searched are the bytes at the places
    `raw` and the values in `beside`, each time with how long one is.
    """

    end: int = 0
    own_items: int = 0
    last: int = 0
    items: int = 0
    elements: int = 0
    raw: list[tuple[int, int]] = field(default_factory=list)
    beside: list[tuple[bytes, int]] = field(default_factory=list)

    def take(self, shape: Shape, end: int, values: Sequence[tuple[bytes, int]] | None = None) -> None:
        """Count further items of a shape, up to a position.

        Args:
            values: what has to be searched of them; None for all.
        """
        number = (end - self.end) // shape.length
        self.own_items += number
        self.items += number * shape.items
        self.elements += number * shape.elements
        if values is not None:
            self.beside += values
        elif self.raw and self.raw[-1][1] == self.end:
            self.raw[-1] = self.raw[-1][0], end
        else:
            self.raw.append((self.end, end))
        self.end, self.last = end, shape.length

    def holds(self, b: bytearray | memoryview, search: Search) -> bool:
        """Tell whether what is searched for may stand in one of the items, which begin a buffer."""
        if search.finds(bytes(b[start:end]) for start, end in self.raw):
            return True
        return any(search.finds((values,), longest) for values, longest in self.beside)


class Alike:
    """The items of one sequence of one object, as far as they are of known shapes."""

    def __init__(self, shapes: Shapes, shortest: int) -> None:
        """Look for items of some shapes.

        Args:
            shortest: bytes of the shortest text that is searched for, 0 when none is.
        """
        self._shapes = shapes
        self._shortest = shortest
        self._samples: dict[bytes, Sample] = {}  # by how the item begins
        self._copy = bytearray()

    def run_at(self, b: bytearray | memoryview, end: int) -> Run:
        """Return the run of items at the start of a buffer, an empty one when the first is not known.

        Args:
            b: a memoryview is compared in large pieces, the other item by item.
            end: how far it may go.
        """
        run = Run()
        compares = True
        while run.end < end:
            if compares and isinstance(b, memoryview) and self._compared(run, b, end):
                continue
            start = run.end
            found = self._shapes.few_at(b, start, end)
            if found is None:
                break
            shape, few_end = found
            run.take(shape, few_end)
            compares = few_end - start == FEW * shape.length
            if compares:
                self._keep(shape, bytes(b[start : start + shape.length]))
        return run

    def one_at(self, b: bytearray | memoryview, end: int) -> Run:
        """Return a run of one item, an empty one when it is not known."""
        run = Run()
        found = self._shapes.few_at(b, 0, end)
        if found is not None:
            run.take(found[0], found[0].length)
        return run

    def forget(self) -> None:
        """Forget all samples: an identifier may stand in one of them."""
        self._samples.clear()

    def _compared(self, run: Run, b: memoryview, end: int) -> bool:
        """Add the items that are like the sample that begins as they do; tell whether there were any."""
        start = run.end
        sample = self._samples.get(bytes(b[start : start + 8]))
        goes_on = sample is not None
        while sample is not None and goes_on:
            first = run.end
            taken, goes_on = sample.alike(b[first:end])
            if taken and sample.pays:
                run.take(sample.shape, first + taken, sample.differing(b[first : first + taken]))
            elif taken:
                run.take(sample.shape, first + taken)
        return run.end > start

    def _keep(self, shape: Shape, item: bytes) -> None:
        """Compare further items with one, unless there is one of that shape already."""
        head = item[:8]
        known = self._samples.get(head)
        if known is not None and known.shape is shape:
            return
        if not self._copy:
            self._copy = bytearray(_CHUNK)
        if known is None and len(self._samples) >= _MOST_SAMPLES:
            del self._samples[next(iter(self._samples))]
        self._samples[head] = Sample(shape, item, self._shortest, self._copy)


class _Columns:
    """Where values of one length stand in an item, and room to lay those of many items side by side.

    All in words of two bytes: `width` of the values of one item.
    """

    __slots__ = ("beside", "width", "words")

    def __init__(self, values: list[range], most: int) -> None:
        self.width = sum(len(words) + 1 for words in values)
        self.words: list[tuple[int, int]] = []
        to = 0
        for words in values:
            self.words += enumerate(words, to)
            to += len(words) + 1
        self.beside = memoryview(bytearray(2 * most * self.width)).cast("H")


class Sample:
    """One item of a shape, to compare others with: equal but for the values that differ."""

    def __init__(self, shape: Shape, item: bytes, shortest: int, copy: bytearray) -> None:
        """Compare with an item.

        Args:
            shortest: values of fewer bytes need not be searched, with 0 none.
            copy: so many bytes are compared at most; its content is overwritten.
        """
        self.shape = shape
        self._item = item
        self._shortest = shortest
        self._differing = set(shape.differing)
        self._most = len(copy) // shape.length
        self._stride = min(_FIRST_STRIDE, self._most)
        self._copy = copy
        self._words = memoryview(copy).cast("H")  # lengths are even: PS3.5 7.1.1
        self._blank = memoryview(bytes(2 * self._most)).cast("H")
        self._cover()

    @property
    def pays(self) -> bool:
        """Whether the values that differ are so few that searching them alone is worth while."""
        return 4 * sum(columns.width for columns in self._sought.values()) < self.shape.length

    def alike(self, b: memoryview) -> tuple[int, bool]:
        """Return how many bytes of items at the start of a buffer are like the sample.

        No more are looked at than is worth while; also returned is whether to ask again for what follows.
        """
        length = self.shape.length
        number = min(len(b) // length, self._stride)
        if not number:
            return 0, False
        agreeing = self._agreeing(b, number)
        while agreeing < number and self._differ_in_values(b[agreeing * length : (agreeing + 1) * length]):
            agreeing = self._agreeing(b, number)
        if agreeing == self._stride:
            self._stride = min(2 * self._stride, self._most)
            return agreeing * length, True
        if agreeing < number:
            self._stride = min(max(_FIRST_STRIDE, 2 * agreeing), self._most)
        return agreeing * length, False

    def differing(self, b: memoryview) -> list[tuple[bytes, int]]:
        """Return the values of items that differ from the sample's and are long enough to be searched.

        Those of one length are together, each set apart by two bytes.
        """
        number = len(b) // self.shape.length
        words, step = b.cast("H"), self.shape.length // 2
        found: list[tuple[bytes, int]] = []
        for length, values in self._sought.items():
            end = number * values.width
            for to, at in values.words:
                values.beside[to : end : values.width] = words[at::step]
            found.append((bytes(values.beside[:end]), length))
        return found

    def _cover(self) -> None:
        """Note where the values that differ stand, and cover them in what is compared with."""
        item = bytearray(self._item)
        self._covered: list[int] = []
        sought: dict[int, list[range]] = {}
        for number in sorted(self._differing):
            start, end = self.shape.values[number]
            item[start:end] = bytes(end - start)
            words = range(start // 2, end // 2)
            self._covered += words
            if 0 < self._shortest <= end - start:
                sought.setdefault(end - start, []).append(words)
        self._tile = memoryview(bytes(item) * self._most)
        self._sought = {length: _Columns(values, self._most) for length, values in sought.items()}

    def _agreeing(self, b: memoryview, number: int) -> int:
        """Return how many of so many items are like the sample."""
        length = self.shape.length
        end, step = number * length, length // 2
        copy, tile, blank = self._copy, self._tile, self._blank[:number]
        memoryview(copy)[:end] = b[:end]
        for at in self._covered:
            self._words[at : end // 2 : step] = blank
        if copy.startswith(tile[:end]):
            return number
        low = 0
        while low + 1 < number:
            middle = (low + number) // 2
            if copy.startswith(tile[low * length : middle * length], low * length):
                low = middle
            else:
                number = middle
        return low

    def _differ_in_values(self, item: memoryview) -> bool:
        """Tell whether an item is of the shape; if so, the values that differ do from now on."""
        shape = self.shape
        if shape.few.match(item) is None:
            return False
        differing = {
            number
            for number, (start, end) in enumerate(shape.values)
            if item[start:end] != self._item[start:end]
        }
        self._differing |= differing
        shape.differing.update(differing)
        self._cover()
        return True


__all__ = ["Alike", "Run"]
