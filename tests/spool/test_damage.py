"""What was acknowledged is sent unchanged or not at all: flipped bits, cut and swapped files, full disks."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.errors import SpoolError
from deid_node.spool import Content, Deferred, Delivered, DeliveryState, Held, Reader, Spool
from tests.delivery.fakes import FakeDestination
from tests.peers import wait_for
from tests.spool.disks import fill, small_disk
from tests.spool.objects import dataset, objects_in, put

FILES = 1000


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << (at % 8)
    path.write_bytes(content)


def test_every_flipped_bit_is_found_before_sending(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    for number in range(FILES):
        put(spool, number, content=dataset(number, 600))
    entries = spool.claim("a", FILES)
    for number, entry in enumerate(entries):
        flip(Path(entry.path), number * 3 % Path(entry.path).stat().st_size)

    opened = [Reader().open(entry) for entry in entries]

    assert opened == [Held("damaged")] * FILES
    spool.close()


def test_of_a_thousand_files_cut_swapped_or_gone_none_is_sent_and_the_rest_is(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    for number in range(FILES + 50):
        put(spool, number, content=dataset(number, 600))
    files = objects_in(tmp_path)[:FILES]
    for number, (path, other) in enumerate(zip(files[::2], files[1::2], strict=True)):
        match number % 3:
            case 0:  # each has the content of the other
                path.rename(tmp_path / "aside")
                other.rename(path)
                (tmp_path / "aside").rename(other)
            case 1:
                os.truncate(path, number % path.stat().st_size)
                os.truncate(other, 0)
            case 2:
                path.unlink()
                other.write_bytes(other.read_bytes() + b"\0")
    destination = FakeDestination()
    lane = Lane(spool, destination, DestinationPolicy(poll_s=0.01))

    lane.start()
    wait_for(lambda: len(spool.desk.queue()) == FILES and len(destination.sent) == 50, "all are settled")
    assert lane.stop(5)
    spool.flush()  # outcomes are written down soon, not at once

    held = {(row.state, row.why) for row in spool.desk.queue()}
    assert held == {(DeliveryState.HELD, "damaged"), (DeliveryState.HELD, "missing")}
    assert len(destination.sent) == 50
    spool.close()


def test_swapped_cut_and_missing_files_are_found_before_sending(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    for number in range(4):
        put(spool, number)
    entries = spool.claim("a", 4)
    one, two, three, four = (Path(entry.path) for entry in entries)
    os.rename(one, tmp_path / "swap")
    os.rename(two, one)
    os.rename(tmp_path / "swap", two)
    os.truncate(three, 10)
    four.unlink()

    assert [Reader().open(entry) for entry in entries] == [Held("damaged")] * 3 + [Held("missing")]
    spool.close()


def test_a_file_that_cannot_be_opened_for_want_of_descriptors_is_tried_again(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1)
    (entry,) = spool.claim("a")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        short = Reader().open(entry)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert isinstance(short, Deferred)
    opened = Reader().open(entry)
    assert isinstance(opened, Content)
    opened.close()
    spool.close()


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    put(spool, 1)
    (entry,) = spool.claim("a")
    os.rename(entry.path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", entry.path)

    assert Reader().open(entry) == Held("damaged")
    spool.close()


def test_a_damaged_object_is_held_for_every_destination_that_still_waits(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1, destinations=("a", "b", "c"))
    spool.settle(spool.claim("a")[0], Delivered())
    (entry,) = spool.claim("b")

    spool.settle(entry, Held("damaged"))
    spool.flush()

    assert {(row.destination, row.state, row.why) for row in spool.desk.queue()} == {
        ("b", "held", "damaged"),
        ("c", "held", "damaged"),
    }
    assert len(objects_in(tmp_path)) == 1
    spool.close()


def test_a_resent_object_mends_a_damaged_one(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1, destinations=("a", "b"))
    (entry,) = spool.claim("a")
    flip(Path(entry.path), 100)
    spool.settle(entry, Held("damaged"))

    put(spool, 1, destinations=("a", "b"))

    mended = [*spool.claim("a"), *spool.claim("b")]
    assert len(mended) == 2
    for entry in mended:
        opened = Reader().open(entry)
        assert isinstance(opened, Content)
        opened.close()
        spool.settle(entry, Delivered())
    spool.close()
    Spool.open(tmp_path, durable=False).close()
    assert objects_in(tmp_path) == []


# --- no space ---------------------------------------------------------------------------------


def test_on_a_full_disk_an_object_is_withdrawn_whole_and_the_spool_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        spool = Spool.open(disk / "spool", water=None)
        kept = 0
        with pytest.raises(SpoolError):
            for number in range(1000):
                put(spool, number, content=dataset(number, 100_000))
                kept += 1

        assert kept > 10
        assert spool.failed is None
        assert len(objects_in(disk / "spool")) == kept == len(spool.desk.queue())
        spool.close()


def test_what_was_begun_is_finished_when_somebody_else_fills_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool")
        for number in range(100):
            put(spool, number)
        entries = spool.claim("a", 100)
        other = fill(disk)

        for entry in entries:
            spool.settle(entry, Delivered())
        spool.flush()

        assert spool.desk.queue() == []
        assert not spool.has_room()
        other.unlink()
        wait_for(spool.has_room, "room again")
        put(spool, 1000)
        spool.close()


def test_what_was_begun_is_finished_when_what_was_set_aside_is_taken_as_well(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool")
        for number in range(100):
            put(spool, number)
        free = os.statvfs(disk)
        (disk / "more").write_bytes(bytes(free.f_bavail * free.f_frsize - (1 << 20)))
        wait_for(lambda: not spool.has_room(), "the disk begins to be full")
        entries = spool.claim("a", 1)
        fill(disk).rename(disk / "first")
        spool._room.relieve()  # as an earlier shortage did
        fill(disk)
        entries += spool.claim("a", 100)

        for entry in entries:
            spool.settle(entry, Delivered())
        for number in range(100, 120):
            with pytest.raises(SpoolError):
                put(spool, number)
        spool.flush()

        assert spool.desk.queue() == []
        assert spool.failed is None
        spool.close()


def test_a_file_over_the_limit_of_the_process_is_withdrawn(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, hard))
    try:
        with pytest.raises(SpoolError):
            put(spool, 2, content=dataset(2, 5 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert spool.failed is None
    assert len(objects_in(tmp_path)) == 1
    put(spool, 2, content=dataset(2, 5 << 20))
    spool.close()
