"""Take items alike in runs: compare thousands of frames as memory, and search what differs in them.

The items of a functional groups sequence repeat not only their structure but most of their values. A
`Sample` holds one item of a known shape (`shapes`) and knows which of its values differ between the
items of this object. Further items are compared with it in one go: they are copied, the values that
differ are covered, and all the rest has to be equal, byte for byte. What is equal is searched for
identifiers in the sample, what differs is laid side by side and searched as well: the caller does so
with every value that leaves. Nothing outlives the object but which values of a shape tend to differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from deid_node.engine.shapes import FEW, Shape, Shapes

_CHUNK: Final = 128 << 10  # bytes that are compared in one go: they should stay in the processor's cache
_MOST_SAMPLES: Final = 4
_FIRST_STRIDE: Final = 32  # items; more once runs turn out to be longer


@dataclass(slots=True)
class Run:
    """Items at the start of a buffer that stay as they are, unless an identifier stands in them.

    `end` is where they end, `own_items` how many there are, `last` how long the last one is; `items`
    counts those below them as well, `elements` what they hold. To be searched are the bytes at the places
    `raw` and those in `beside`.
    """

    end: int = 0
    own_items: int = 0
    last: int = 0
    items: int = 0
    elements: int = 0
    raw: list[tuple[int, int]] = field(default_factory=list)
    beside: list[bytes] = field(default_factory=list)

    def take(self, shape: Shape, end: int) -> None:
        """Count further items of a shape, up to a position."""
        number = (end - self.end) // shape.length
        self.own_items += number
        self.items += number * shape.items
        self.elements += number * shape.elements
        self.end, self.last = end, shape.length


class Alike:
    """The items of one sequence of one object, as far as they are of known shapes."""

    def __init__(self, shapes: Shapes, shortest: int) -> None:
        """Look for items of some shapes.

        Args:
            shortest: bytes of the shortest text that is searched for, 0 when none is.
        """
        self._shapes = shapes
        self._shortest = shortest
        self._samples: dict[Shape, Sample] = {}
        self._copy = bytearray()

    def run_at(self, b: bytearray | memoryview, end: int) -> Run:
        """Return the run of items at the start of a buffer, an empty one when the first is not known.

        Args:
            b: a memoryview is compared in large pieces, the other item by item.
            end: how far it may go.
        """
        run = Run()
        raw = 0  # what is found from here on is searched as it is
        while (found := self._shapes.few_at(b, run.end, end)) is not None:
            shape, few_end = found
            start = run.end
            run.take(shape, few_end)
            if isinstance(b, bytearray) or few_end - start < FEW * shape.length:
                continue
            sample = self._samples.get(shape)
            if sample is None:
                sample = self._add(shape, bytes(b[start : start + shape.length]))
            goes_on = True
            while goes_on:
                first = run.end
                taken, goes_on = sample.alike(b[first:end])
                run.take(shape, first + taken)
                if taken and sample.pays:
                    run.raw.append((raw, first))
                    run.beside.append(sample.differing(b[first : run.end]))
                    raw = run.end
        run.raw.append((raw, run.end))
        return run

    def one_at(self, b: bytearray | memoryview, end: int) -> Run:
        """Return a run of one item, an empty one when it is not known."""
        run = Run()
        found = self._shapes.few_at(b, 0, end)
        if found is not None:
            run.take(found[0], found[0].length)
            run.raw.append((0, run.end))
        return run

    def forget(self) -> None:
        """Forget all samples: an identifier may stand in one of them."""
        self._samples.clear()

    def _add(self, shape: Shape, item: bytes) -> Sample:
        if not self._copy:
            self._copy = bytearray(_CHUNK)
        if len(self._samples) >= _MOST_SAMPLES:
            del self._samples[next(iter(self._samples))]
        sample = self._samples[shape] = Sample(shape, item, self._shortest, self._copy)
        return sample


class Sample:
    """One item of a shape, to compare others with: equal but for the values that differ."""

    def __init__(self, shape: Shape, item: bytes, shortest: int, copy: bytearray) -> None:
        """Compare with an item.

        Args:
            shortest: values of fewer bytes need not be searched, with 0 none.
            copy: so many bytes are compared at most; its content is overwritten.
        """
        self._shape = shape
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
        return 4 * self._width < self._shape.length

    def alike(self, b: memoryview) -> tuple[int, bool]:
        """Return how many bytes of items at the start of a buffer are like the sample.

        No more are looked at than is worth while; also returned is whether to ask again for what follows.
        """
        length = self._shape.length
        number = min(len(b) // length, self._stride)
        agreeing = self._agreeing(b, number)
        while agreeing < number and self._differ_in_values(b[agreeing * length : (agreeing + 1) * length]):
            agreeing = self._agreeing(b, number)
        if agreeing == self._stride:
            self._stride = min(2 * self._stride, self._most)
            return agreeing * length, True
        if agreeing < number:
            self._stride = min(max(_FIRST_STRIDE, 2 * agreeing), self._most)
        return agreeing * length, False

    def differing(self, b: memoryview) -> bytes:
        """Return the values of items that differ from the sample's and are long enough to be searched.

        Each is set apart from the next by two bytes.
        """
        width = self._width
        if not width:
            return b""
        number = len(b) // self._shape.length
        words, step = b.cast("H"), self._shape.length // 2
        end = number * width
        for to, at in self._sought:
            self._beside_words[to:end:width] = words[at::step]
        return bytes(self._beside[: 2 * end])

    def _cover(self) -> None:
        """Note where the values that differ stand, and cover them in what is compared with."""
        item = bytearray(self._item)
        self._covered: list[int] = []
        self._sought: list[tuple[int, int]] = []
        self._width = 0
        for number in sorted(self._differing):
            start, end = self._shape.values[number]
            item[start:end] = bytes(end - start)
            words = range(start // 2, end // 2)
            self._covered += words
            if 0 < self._shortest <= end - start:
                self._sought += enumerate(words, self._width)
                self._width += len(words) + 1
        self._tile = memoryview(bytes(item) * self._most)
        self._beside = bytearray(2 * self._most * self._width)
        self._beside_words = memoryview(self._beside).cast("H")

    def _agreeing(self, b: memoryview, number: int) -> int:
        """Return how many of so many items are like the sample."""
        length = self._shape.length
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
        shape = self._shape
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
