"""A process that uses a spool until a failpoint strikes it; run as `python -m tests.spool.crashing`.

Prints one line for every promise it makes, as an SCP would answer: what is printed was acknowledged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from deid_node.delivery.destination import Parcel
from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.template import PathTemplate
from deid_node.errors import SpoolError
from deid_node.spool import Content, Reader, Spool
from deid_node.spool.deadline import Deadline
from tests.spool.objects import put

TEMPLATE = PathTemplate.parse("{PatientID}/{InstanceNumber:04}.dcm")
OBJECTS = 5
IN_TIME_S = 0.5


def say(text: str) -> None:
    print(text, flush=True)


def store(spool: Spool, in_time: bool = False) -> None:
    """Store objects 0 to 4 for two destinations, going on after an error as a sender does."""
    for number in range(OBJECTS):
        deadline = Deadline(IN_TIME_S) if in_time else None
        try:
            commit = put(spool, number, destinations=("a", "b"), deadline=deadline)
        except SpoolError:
            say(f"refused {number}")
        else:
            say(f"acknowledged {number} {commit.kind}")
    say(f"failed {spool.failed is not None}")


def deliver(spool: Spool, root: Path, name: str, may_link: bool) -> None:
    """Deliver everything that is due for one destination into a folder."""
    sender = FolderDestination(name, root, TEMPLATE, may_link=may_link).sender()

    def parcels() -> Iterator[Parcel]:
        for entry in entries:
            opened = Reader().open(entry)
            assert isinstance(opened, Content)
            yield Parcel(entry, opened)

    while entries := spool.claim(name, 2):
        for entry, outcome in sender.deliver(frozenset(), parcels()):
            spool.settle(entry, outcome)
    spool.flush()


def main() -> None:
    folder, deed = Path(sys.argv[1]), sys.argv[2]
    spool = Spool.open(folder / "spool")
    if deed in ("store", "store-in-time"):
        store(spool, deed == "store-in-time")
    elif deed != "open":
        deliver(spool, folder / "out-a", "a", may_link=deed == "link")
    spool.close()
    say("ended")


if __name__ == "__main__":
    main()
