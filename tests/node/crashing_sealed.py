"""A process that seals originals and de-identifies them until a failpoint strikes it.

Run as `python -m tests.node.crashing_sealed FOLDER seal|work`. Prints one line for every promise it makes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from deid_node.dimse.association import Caller, StoreRequest
from deid_node.dimse.memory import MemoryBudget
from deid_node.dimse.status import StoreStatus
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.node.conversion import Way
from deid_node.node.deposits import Depositor
from deid_node.node.part10 import read_part10
from deid_node.node.records import Records
from deid_node.node.routes import Route, Routes
from deid_node.node.sealed_arrival import SealedArrival
from deid_node.node.sealed_lane import SealedLane
from deid_node.profile import library
from deid_node.spool import Spool
from deid_node.spool.envelope import Envelopes
from deid_node.spool.sealed import SealedStore
from deid_node.standard.values import AETitle
from tests.e2e.objects import series

OBJECTS = 3
ENVELOPES = Envelopes(Key(bytes(range(32))))
CALLER = Caller(AETitle("MOD"), AETitle("NODE"), "192.0.2.7", 4711, "a1b2c3")


def route() -> Route:
    procedure = library.load("basic")
    engine = Deidentifier(procedure, Pseudonyms(Key(bytes(32))), capture=frozenset({0x0020000D, 0x0020000E}))
    return Route("r", (CALLER.called,), procedure, engine, ("out",))


def records() -> Records:
    return Records(Pseudonyms(Key(bytes(32))))


def files(folder: Path) -> list[Path]:
    found = sorted((folder / "files").glob("*")) if (folder / "files").exists() else []
    return found or series(folder / "files", OBJECTS, pixel_bytes=2_080_000)


def seal(folder: Path, store: SealedStore) -> None:
    """Send every object once, as a modality does that goes on after a failure."""
    for number, file in enumerate(files(folder)):
        with file.open("rb") as stream:
            part10 = read_part10(stream)
            stream.seek(part10.offset)
            request = StoreRequest(
                part10.sop_class_uid, part10.sop_instance_uid, part10.transfer_syntax_uid, 1
            )
            arrival = SealedArrival(
                Way(store.spool, route(), CALLER, request, records()), Depositor(store), 60
            )
            arrival.feed(memoryview(stream.read()))
        answer = arrival.finish()
        word = "acknowledged" if answer.status == StoreStatus.SUCCESS else "refused"
        print(word, number, flush=True)


def work(store: SealedStore) -> None:
    """De-identify until nothing waits any more."""
    lane = SealedLane(store, Routes([route()]), MemoryBudget(1 << 28), records())
    lane.start()
    while any(row.state.value != "held" for row in store.spool.desk.sealed()):
        time.sleep(0.01)
    lane.stop()


def main() -> None:
    folder, deed = Path(sys.argv[1]), sys.argv[2]
    spool = Spool.open(folder / "spool")
    store = SealedStore(spool, ENVELOPES)
    if deed == "seal":
        seal(folder, store)
    elif deed == "work":
        work(store)
    spool.close()
    print("ended", flush=True)


if __name__ == "__main__":
    main()
