"""Where elements lie: the level of a dataset that is read or written, and the levels around it."""

from __future__ import annotations

from collections.abc import Mapping

from deid_node.engine.charset import terms_in
from deid_node.engine.encoding import Encoding
from deid_node.engine.scan import Element
from deid_node.engine.subject import SPECIFIC_CHARACTER_SET, Subject


class Place:
    """Where elements lie: the buffer, their encoding, and the items around them."""

    __slots__ = (
        "_charsets",
        "_creators",
        "_described",
        "b",
        "depth",
        "elements",
        "encoding",
        "item",
        "outer",
        "sequence",
        "subject",
    )

    def __init__(
        self,
        b: bytes,
        elements: list[Element],
        encoding: Encoding,
        subject: Subject,
        outer: Place | None = None,
        sequence: int = 0,
        item: int = 0,
    ) -> None:
        """Describe a dataset, or with `outer`, `sequence` (its tag) and `item` (from 0) an item."""
        self.b = b
        self.elements = elements
        self.encoding = encoding
        self.subject = subject
        self.outer = outer
        self.sequence = sequence
        self.item = item
        self.depth: int = outer.depth + 1 if outer is not None else 0
        self._creators: dict[int, str] | None = None
        self._charsets: tuple[str, ...] | None = None
        self._described: Mapping[int, bytes] = {}

    @property
    def creators(self) -> dict[int, str]:
        """The private creators of this level, keyed by group << 8 | block (PS3.5 7.8.1)."""
        if self._creators is None:
            self._creators = {
                (code >> 32) << 8 | code >> 16 & 0xFF: self.b[v:q].decode("latin-1").strip(" \0")
                for code, _, v, q in self.elements
                if code >> 32 & 1 and 0x10 <= code >> 16 & 0xFFFF <= 0xFF
            }
        return self._creators

    def adopt_creators(self, creators: dict[int, str]) -> None:
        """Use the creators of a level whose beginning was processed before."""
        self._creators = {**creators, **self.creators}

    def adopt_described(self, described: Mapping[int, bytes]) -> None:
        """Use the image attributes of a level whose beginning was processed before."""
        self._described = described

    def raw(self, tag: int) -> bytes | None:
        """Return the value bytes of an attribute of this level, None when absent."""
        if self.outer is None:
            return self.subject.facts.raw(tag)
        for code, _, v, q in self.elements:
            if code >> 16 >= tag:
                if code >> 16 == tag:
                    return self.b[v:q]
                break
        return self._described.get(tag)

    def adopt_charsets(self, charsets: tuple[str, ...]) -> None:
        """Use the character sets of a level whose beginning was processed before."""
        self._charsets = charsets

    @property
    def charsets(self) -> tuple[str, ...]:
        """The character sets in force: of this item when it has its own, else those around it."""
        if self._charsets is None:
            self._charsets = self._read_charsets()
        return self._charsets

    def _read_charsets(self) -> tuple[str, ...]:
        if self.outer is None:
            return self.subject.facts.charsets
        for code, _, v, q in self.elements:
            if code >> 16 >= SPECIFIC_CHARACTER_SET:
                if code >> 16 == SPECIFIC_CHARACTER_SET:
                    return terms_in(self.b[v:q]) or self.outer.charsets
                break
        return self.outer.charsets

    @property
    def path(self) -> tuple[tuple[int, int], ...]:
        """The sequences around this level, outermost first, each with the number of the item."""
        if self.outer is None:
            return ()
        return (*self.outer.path, (self.sequence, self.item))
