"""What a destination is to its lane: something that takes parcels and says what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from deid_node.errors import DeliveryError
from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Outcome
from deid_node.spool.reading import Content

Context = tuple[str, str]
"""SOP class UID and transfer syntax UID."""


class UnusableError(DeliveryError):
    """A destination as a whole cannot be used now; no entry is to blame.

    `lasting`: it is set up in a way that a person has to change, so that asking often is of no use.
    """

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Parcel:
    """An entry with its open file, whose content was just checked unless the sender `links`.

    The content is there until the next parcel is taken; the dataset is at `entry.offset`.
    """

    entry: Entry
    content: Content


class Sender(Protocol):
    """One connection's worth of a destination, used by one thread."""

    @property
    def links(self) -> bool:
        """Whether it hands on files as they are and reads nothing of them."""
        ...

    def deliver(
        self, contexts: frozenset[Context], parcels: Iterator[Parcel]
    ) -> Iterator[tuple[Entry, Outcome]]:
        """Deliver what comes, and yield each entry that was taken with its outcome, once it is certain.

        Parcels come no faster than they may be sent, and end early when the lane stops.

        Args:
            contexts: the presentation contexts of all that is about to come.
            parcels: taken one by one.

        Raises:
            UnusableError: the destination as a whole cannot be used now.
        """
        ...

    def rest(self) -> None:
        """Give up what is held open between deliveries; nothing is coming for a while."""
        ...

    def abort(self) -> None:
        """End a delivery that runs in another thread, now."""
        ...


class Destination(Protocol):
    """Where objects go. `name` is the one in the ledger."""

    @property
    def name(self) -> str:
        """The name in the configuration and in the ledger."""
        ...

    def sender(self) -> Sender:
        """Return a new sender for a thread of the lane."""
        ...

    def probe(self) -> str | None:
        """Return None when the destination can be used, otherwise why it cannot."""
        ...
