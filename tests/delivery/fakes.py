"""A destination that does what a test says, object by object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deid_node.delivery.destination import Context, Parcel
from deid_node.spool import Delivered, Entry, Outcome

Script = Callable[[Entry], Outcome]


@dataclass
class FakeDestination:
    """`script` decides about each entry, `entering` may raise before the first, `probing` answers probes."""

    name: str = "a"
    script: Script = lambda _: Delivered()
    entering: Callable[[], None] = lambda: None
    probing: Callable[[], str | None] = lambda: None
    sent: list[Entry] = field(default_factory=list)
    contexts: list[frozenset[Context]] = field(default_factory=list)
    probes: int = 0
    rests: int = 0
    aborted: threading.Event = field(default_factory=threading.Event)

    def sender(self) -> FakeSender:
        return FakeSender(self)

    def probe(self) -> str | None:
        self.probes += 1
        return self.probing()

    @property
    def numbers(self) -> list[int]:
        """The SOP Instance UIDs that were sent, as the numbers they were made of."""
        return [int(entry.sop_instance_uid.removeprefix("2.25.")) - 1000 for entry in self.sent]


class FakeSender:
    links = False

    def __init__(self, to: FakeDestination) -> None:
        self.to = to

    def deliver(
        self, contexts: frozenset[Context], parcels: Iterator[Parcel]
    ) -> Iterator[tuple[Entry, Outcome]]:
        self.to.contexts.append(contexts)
        self.to.entering()
        for parcel in parcels:
            self.to.sent.append(parcel.entry)
            yield parcel.entry, self.to.script(parcel.entry)

    def rest(self) -> None:
        self.to.rests += 1

    def abort(self) -> None:
        self.to.aborted.set()
