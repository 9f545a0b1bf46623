"""A file that nobody has touched since it was written need not be read to be linked; any other is checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.delivery.template import PathTemplate
from deid_node.spool import DeliveryState, Spool
from deid_node.spool.recovery import place
from deid_node.spool.written import Written
from tests.peers import wait_for
from tests.spool.disks import small_disk
from tests.spool.objects import dataset, put

TEMPLATE = PathTemplate.parse("{PatientID}/{InstanceNumber:04}.dcm")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


def test_a_file_is_as_written_until_somebody_writes_to_it_or_puts_another_in_its_place(spool: Spool) -> None:
    for number in range(4):
        put(spool, number)
    entries = spool.claim("a", 4)
    assert all(spool.is_as_written(entry) for entry in entries)

    paths = [Path(entry.path) for entry in entries]
    content = bytearray(paths[0].read_bytes())
    content[100] ^= 1
    with paths[0].open("r+b") as file:
        file.write(content)
    paths[1].rename(paths[2])
    paths[3].unlink()

    assert not any(spool.is_as_written(entry) for entry in entries)


def test_a_file_whose_time_was_set_back_after_a_change_is_not_as_written(spool: Spool) -> None:
    put(spool, 1)
    (entry,) = spool.claim("a")
    path = Path(entry.path)
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system has coarse ticks
        path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not spool.is_as_written(entry)


def test_after_a_restart_no_file_counts_as_written_by_this_process(tmp_path: Path) -> None:
    first = Spool.open(tmp_path, durable=False)
    put(first, 1)
    first.close()

    again = Spool.open(tmp_path, durable=False)
    (entry,) = again.claim("a")

    assert not again.is_as_written(entry)
    again.close()


def test_only_the_last_files_are_remembered(tmp_path: Path) -> None:
    root_fd = os.open(tmp_path, os.O_RDONLY)
    written = Written(root_fd)
    paths = [tmp_path / place(f"{number:04}") for number in range(3000)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        fd = os.open(path, os.O_RDONLY)
        written.note(path.stem, fd)
        os.close(fd)

    remembered = [written.holds(path.stem) for path in paths]

    os.close(root_fd)
    assert 1000 < sum(remembered) < 2500
    assert all(remembered[-1000:])


def test_a_folder_gets_no_damaged_file_by_a_link_nor_by_a_copy(tmp_path: Path) -> None:
    with small_disk(tmp_path / "elsewhere", "16m") as elsewhere:
        spool = Spool.open(tmp_path / "spool", durable=False)
        for number in range(4):
            put(spool, number, content=dataset(number, 600), destinations=("near", "far"))
        damaged = sorted((tmp_path / "spool" / "objects").rglob("*.dcm"))[:2]
        for path in damaged:
            content = bytearray(path.read_bytes())
            content[200] ^= 1
            path.write_bytes(content)
        lanes = [
            Lane(spool, FolderDestination(name, root / "out", TEMPLATE), DestinationPolicy(poll_s=0.01))
            for name, root in (("near", tmp_path), ("far", elsewhere))
        ]

        for lane in lanes:
            lane.start()
        wait_for(lambda: len(spool.desk.queue()) == 4, "all are settled")
        assert all(lane.stop(5) for lane in lanes)

        assert {(row.state, row.why) for row in spool.desk.queue()} == {(DeliveryState.HELD, "damaged")}
        for root in (tmp_path, elsewhere):
            assert len(list((root / "out").rglob("*.dcm"))) == 2
        spool.close()
