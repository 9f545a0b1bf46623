"""Deflated datasets: inflated with a limit, and deflated again (PS3.5 A.5, RFC 1951)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from deid_node.engine.deidentified import Buffers
from deid_node.engine.scan import Limits
from deid_node.errors import LimitExceeded, Malformed

_FREE_BYTES: Final = 64 << 20
_STEP: Final = 1 << 20
_LONGEST_TRAILER: Final = 9


class Deflated:
    """Both directions of one object. Memory stays bounded whatever the ratio of the input."""

    def __init__(self, limits: Limits) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._limits = limits
        self._taken = 0
        self._trailing = 0
        self._given = 0
        self._written = 0

    @property
    def has_trailer(self) -> bool:
        """Whether bytes follow the stream."""
        return self._trailing > 0

    def inflate(self, piece: bytes | memoryview) -> Iterator[bytes]:
        """Yield the plain bytes of a piece, at most 1 MiB at a time.

        Raises:
            Malformed: not a deflate stream. LimitExceeded: it grows beyond the limits.
        """
        self._taken += len(piece)
        rest: bytes | memoryview = piece
        while len(rest):
            if self._inflater.eof:
                # Some devices write the checksum and length of a gzip file; more is not ours to guess.
                self._trailing += len(rest)
                if self._trailing > _LONGEST_TRAILER:
                    raise Malformed("bytes follow the deflated dataset")
                return
            try:
                plain = self._inflater.decompress(rest, _STEP)
            except zlib.error:
                raise Malformed("the dataset is not a deflate stream") from None
            rest = self._inflater.unconsumed_tail or self._inflater.unused_data
            self._count(len(plain))
            if plain:
                yield plain

    def end_of_input(self) -> bytes:
        """Return the last plain bytes.

        Raises:
            Malformed: the stream is truncated.
        """
        plain = self._inflater.flush()
        self._count(len(plain))
        if not self._inflater.eof:
            raise Malformed("the deflated dataset is truncated")
        return plain

    def deflate(self, buffers: Buffers) -> Buffers:
        """Return the deflated form of buffers, as far as it is there."""
        out: Buffers = [part for part in map(self._deflater.compress, buffers) if part]
        self._written += sum(map(len, out))
        return out

    def end_of_output(self, buffers: Buffers) -> Buffers:
        """Return the end of the deflated dataset, padded to even length."""
        out = [*self.deflate(buffers), last := self._deflater.flush()]
        return [*out, b"\0"] if (self._written + len(last)) & 1 else out

    def _count(self, plain: int) -> None:
        self._given += plain
        if self._given > self._limits.dataset_bytes or (
            self._given > _FREE_BYTES and self._given > self._taken * self._limits.inflated_ratio
        ):
            raise LimitExceeded("the deflated dataset grows beyond the limits")
