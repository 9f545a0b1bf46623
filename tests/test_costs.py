"""What an object costs, in terms that hold on a busy machine: CPU time against a reference loop, memory.

The bounds are about twice what was measured; they are for finding a change that makes it several times as
much. Rates are measured by `python -m benchmarks`.
"""

from __future__ import annotations

import hashlib
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deid_node.engine.deidentified import Deidentified
from deid_node.engine.encoding import EXPLICIT_LITTLE
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.library import load
from deid_node.spool.outcomes import Delivered
from deid_node.spool.spool import Spool

_MR = "1.2.840.10008.5.1.4.1.1.4"
_EXPLICIT = "1.2.840.10008.1.2.1"
_MEMORY = Path("/dev/shm")
_ROUNDS = 5
_OBJECTS = 100
_PIECE = bytes(128 * 1024)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool in memory: what a disk takes for a file depends on what others removed from it a moment ago."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as folder:
        opened = Spool.open(Path(folder) / "spool", durable=False)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def deidentifier() -> Deidentifier:
    return Deidentifier(load("basic"), Pseudonyms(Key(bytes(32))))


def dataset(number: int, pixel_bytes: int) -> bytes:
    """Return an object up to the value of its Pixel Data."""
    element = EXPLICIT_LITTLE.element
    head = [
        element(0x00080016, "UI", _MR.encode()),
        element(0x00080018, "UI", b"1.2.3.%d" % number),
        element(0x00080020, "DA", b"20000101"),
        element(0x00080060, "CS", b"MR"),
        element(0x00081030, "LO", b"BRAIN"),
        element(0x00100010, "PN", b"NEMO^NOBODY"),
        element(0x00100020, "LO", b"4711"),
        *(element(0x00180080 + 2 * at, "DS", b"1.5") for at in range(4)),
        element(0x0020000D, "UI", b"1.2.3"),
        element(0x0020000E, "UI", b"1.2.3.4"),
        element(0x00280010, "US", b"\1\0"),
    ]
    return b"".join(head) + b"\xe0\x7f\x10\0OW\0\0" + pixel_bytes.to_bytes(4, "little")


def store(spool: Spool, deidentifier: Deidentifier, number: int, pieces: int) -> None:
    """Take one object the way the intake does."""
    rewrite = deidentifier.begin(transfer_syntax_uid=_EXPLICIT, sop_class_uid=_MR)
    draft = spool.draft()

    def write(part: Deidentified | None) -> None:
        if part is not None:
            assert rewrite.heading is not None
            draft.write(rewrite.heading, part)

    write(rewrite.feed(dataset(number, pieces * len(_PIECE))))
    for _ in range(pieces):
        write(rewrite.feed(_PIECE))
    last, summary = rewrite.finish()
    draft.write(summary.heading, last)
    draft.commit(summary, route="r", destinations=("out",))


def deliver(spool: Spool) -> None:
    """Claim and settle everything, as a lane does."""
    while entries := spool.claim("out", 64):
        for entry in entries:
            spool.settle(entry, Delivered())
    spool.flush()


def cpu_s(work: Callable[[], object]) -> float:
    """Return the least CPU time of this thread that some runs of the work took."""
    found = []
    for _ in range(_ROUNDS):
        before = time.thread_time()
        work()
        found.append(time.thread_time() - before)
    return min(found)


def reference() -> int:
    """Do what a program does per object, 1000 times: dictionaries, texts, a little hashing."""
    known: dict[str, int] = {}
    for number in range(1000):
        key = f"{number & 63:08X}"
        known[key] = known.get(key, 0) + len(key.encode())
        hashlib.sha256(key.encode()).digest()
    return len(known)


def test_a_small_object_costs_less_than_two_reference_loops(spool: Spool, deidentifier: Deidentifier) -> None:
    numbers = iter(range(10_000))

    def work() -> None:
        for _ in range(_OBJECTS):
            store(spool, deidentifier, next(numbers), 0)
        deliver(spool)

    work()  # tables and word lists are made for the first object
    ratio = cpu_s(work) / _OBJECTS / cpu_s(reference)

    assert ratio < 2


def test_a_large_object_is_never_in_memory(spool: Spool, deidentifier: Deidentifier) -> None:
    store(spool, deidentifier, 1, 1)
    tracemalloc.start()

    store(spool, deidentifier, 2, 512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1 << 20


def test_a_byte_of_pixels_costs_little_more_than_its_hash(spool: Spool, deidentifier: Deidentifier) -> None:
    numbers = iter(range(20_000, 30_000))
    pieces = 64

    def hashing() -> None:
        digest = hashlib.sha256()
        for _ in range(pieces):
            digest.update(_PIECE)

    store(spool, deidentifier, next(numbers), 1)
    ratio = cpu_s(lambda: store(spool, deidentifier, next(numbers), pieces)) / cpu_s(hashing)

    assert ratio < 5


def test_pixels_are_written_from_the_buffer_in_which_they_came(deidentifier: Deidentifier) -> None:
    received = bytearray(_PIECE)
    rewrite = deidentifier.begin(transfer_syntax_uid=_EXPLICIT, sop_class_uid=_MR)
    rewrite.feed(dataset(1, 2 * len(_PIECE)))
    rewrite.feed(_PIECE)

    part = rewrite.feed(memoryview(received))

    assert part is not None
    views = [piece for piece in part.buffers if isinstance(piece, memoryview) and piece.obj is received]
    assert sum(map(len, views)) >= len(_PIECE) - 2  # a byte may be held back, as fragments are even
