"""One object that is stored while it is still being made (C-STORE as SCU, PS3.7 9.1.1).

Every fragment has an even length and the last one is never empty: the last bytes are kept back until
the end is known, and a byte that makes a fragment odd goes with the next one. What is kept back also
keeps the destination from ever holding an object whose end was refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from deid_node.dimse import pdu
from deid_node.dimse.association import StoreAnswer
from deid_node.errors import AssociationError

Piece = bytes | memoryview

_GATHERED: Final = 32 * 1024
"""Bytes up to which pieces are gathered into one fragment, so that a small object is one PDU."""


class Line(Protocol):
    """What an outgoing object needs of its association."""

    @property
    def fragment_bytes(self) -> int:
        """The largest fragment that the peer takes, even."""
        ...

    def send_fragment(self, header: bytes, pieces: Sequence[Piece], *, more: bool) -> None:
        """Send one P-DATA-TF. Raises AssociationError."""
        ...

    def abort(self) -> None:
        """Abort the association."""
        ...


class OutgoingStore:
    """The dataset of one C-STORE-RQ; `Requestor.begin_store` makes one.

    The association is aborted by whatever raises here, and by `abort`.
    """

    def __init__(self, line: Line, context_id: int, answer: Callable[[], StoreAnswer], *, pads: bool) -> None:
        """Begin; the command was sent.

        Args:
            line: the association.
            context_id: of the presentation context.
            answer: waits for the response.
            pads: an odd dataset gets a NUL at its end (PS3.5 A.5: deflated ones).
        """
        self._line = line
        self._context_id = context_id
        self._answer = answer
        self._pads = pads
        self._kept = bytearray()
        self._over = False

    def write(self, pieces: Sequence[Piece]) -> None:
        """Send the next bytes; the views are not used after this returned.

        Raises:
            AssociationError: the association was lost.
        """
        total = len(self._kept) + sum(map(len, pieces))
        if total <= min(_GATHERED, self._line.fragment_bytes):
            for piece in pieces:
                self._kept += piece
            return
        ready = (total - 1) & ~1  # what is kept back is one byte or two
        run: list[Piece] = [bytes(self._kept), *pieces] if self._kept else [*pieces]
        self._kept.clear()
        while ready:
            length = min(ready, self._line.fragment_bytes)
            fragment, run = _split(run, length)
            ready -= length
            self._send(fragment, length, last=False)
        for piece in run:
            self._kept += piece

    def finish(self) -> StoreAnswer:
        """Send the end of the dataset and return the answer.

        Raises:
            AssociationError: the association was lost; whether the object was stored is not known.
            ValueError: the dataset is empty or has an odd length; nothing was completed.
        """
        if len(self._kept) % 2 and self._pads:
            self._kept += b"\0"
        if not self._kept or len(self._kept) % 2:
            self.abort()
            raise ValueError("the length of a dataset is even and not zero")
        self._send([bytes(self._kept)], len(self._kept), last=True)
        self._over = True
        return self._answer()

    def abort(self) -> None:
        """Give the object up, and the association with it: the peer must not take it for complete."""
        if not self._over:
            self._over = True
            self._line.abort()

    def _send(self, pieces: Sequence[Piece], length: int, *, last: bool) -> None:
        if self._over:
            raise AssociationError("the association is over")
        header = pdu.data_header(self._context_id, length, pdu.LAST if last else 0)
        try:
            self._line.send_fragment(header, pieces, more=not last)
        except BaseException:
            self.abort()
            raise


def _split(run: list[Piece], length: int) -> tuple[list[Piece], list[Piece]]:
    """Return the first `length` bytes of some pieces and the rest, without a copy."""
    first: list[Piece] = []
    for index, piece in enumerate(run):
        if len(piece) >= length:
            view = memoryview(piece)
            first.append(view[:length])
            return first, [view[length:], *run[index + 1 :]]
        first.append(piece)
        length -= len(piece)
    return first, []
