"""A file that nothing needs any more is written again, and is never anybody's but one object's."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.delivery.template import PathTemplate
from deid_node.engine.deidentified import Deidentified
from deid_node.errors import SpoolError
from deid_node.spool import Content, Delivered, Entry, Reader, Spool
from deid_node.spool.desk import Selection
from deid_node.spool.spares import SPARE
from tests.peers import wait_for
from tests.spool.disks import fill, small_disk
from tests.spool.objects import META, dataset, heading, objects_in, put


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


def spares(spool: Spool) -> list[Path]:
    return sorted((spool.folder / SPARE).iterdir())


def deliver(spool: Spool, *, links: bool = False) -> list[Entry]:
    entries = spool.claim("a", 1000)
    for entry in entries:
        if links:
            spool.lend(entry)
        spool.settle(entry, Delivered())
    spool.flush()
    spool.flush()
    return entries


def content_of(entry: Entry) -> bytes:
    opened = Reader().open(entry)
    assert isinstance(opened, Content)
    with os.fdopen(opened.fd, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize(
    "sizes", [(600, 600), (600, 90_000), (90_000, 600)], ids=["same", "longer", "shorter"]
)
def test_the_next_object_is_written_into_the_file_of_the_last_and_holds_nothing_of_it(
    spool: Spool, sizes: tuple[int, int]
) -> None:
    put(spool, 1, content=dataset(1, sizes[0]))
    (path,) = objects_in(spool.folder)
    inode = path.stat().st_ino
    deliver(spool)
    assert [spare.stat().st_ino for spare in spares(spool)] == [inode]

    put(spool, 2, content=dataset(2, sizes[1]))

    (entry,) = spool.claim("a")
    assert os.stat(entry.path).st_ino == inode
    assert content_of(entry) == META + dataset(2, sizes[1])
    assert spares(spool) == []


def test_a_file_that_a_folder_may_have_linked_is_never_written_again(spool: Spool, tmp_path: Path) -> None:
    put(spool, 1)
    (path,) = objects_in(spool.folder)
    os.link(path, tmp_path / "link")
    deliver(spool)
    put(spool, 2)
    (path,) = objects_in(spool.folder)
    os.link(path, tmp_path / "taken")
    reader = (tmp_path / "taken").open("rb")
    (tmp_path / "taken").unlink()
    deliver(spool, links=True)

    assert spares(spool) == []
    put(spool, 3)
    assert (tmp_path / "link").read_bytes() == META + dataset(1)
    assert reader.read() == META + dataset(2)
    reader.close()


def test_a_link_that_a_program_opened_and_removed_stays_that_object_when_the_next_cannot_be_linked(
    spool: Spool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for number, patient in ((1, "ONE"), (2, "TWO")):
        put(spool, number, destinations=("a", "out"), attributes={0x00100020: patient})
    to = FolderDestination("out", out, PathTemplate.parse("{PatientID}/{InstanceNumber}.dcm"))
    lane = Lane(spool, to, DestinationPolicy(poll_s=0.01))
    with small_disk(out / "TWO", "1m"):
        lane.start()
        wait_for(lambda: (out / "ONE" / "1.dcm").exists(), "the first is linked")
        reader = (out / "ONE" / "1.dcm").open("rb")
        wait_for(lambda: len(spool.desk.queue(Selection(destination="out"))) == 1, "the first is settled")
        (out / "ONE" / "1.dcm").unlink()
        assert lane.stop(5)
    deliver(spool)

    put(spool, 3)

    assert spares(spool) == []
    assert reader.read() == META + dataset(1)
    reader.close()


def test_a_file_that_somebody_changed_or_that_another_process_wrote_is_not_written_again(
    spool: Spool,
) -> None:
    put(spool, 1)
    (path,) = objects_in(spool.folder)
    path.chmod(0o644)
    deliver(spool)
    put(spool, 2)
    spool.close()

    again = Spool.open(spool.folder, durable=False)
    deliver(again)

    assert spares(again) == []
    again.close()


def test_spares_are_few_small_and_gone_at_the_end(spool: Spool) -> None:
    for number in range(200):
        put(spool, number)
    deliver(spool)
    few = len(spares(spool))
    put(spool, 1000, content=dataset(1000, 80 << 20))
    deliver(spool)

    assert 0 < few <= 64
    assert sum(path.stat().st_size for path in spares(spool)) < 1 << 20
    spool.close()
    assert spares(spool) == []


def test_what_an_earlier_process_left_to_be_written_again_goes_at_the_start(spool: Spool) -> None:
    spool.close()
    (spool.folder / SPARE / "left").write_bytes(b"half")

    again = Spool.open(spool.folder, durable=False)

    assert spares(again) == []
    assert again.recovery.orphans == again.recovery.unfinished == 0
    again.close()


def test_an_object_given_up_half_way_leaves_no_file(spool: Spool) -> None:
    put(spool, 1)
    deliver(spool)
    draft = spool.draft()
    draft.write(heading(2), Deidentified([b"half of it"]))
    draft.discard()

    assert spares(spool) == []
    assert objects_in(spool.folder) == []


def test_a_spare_that_somebody_removed_is_no_trouble(spool: Spool) -> None:
    put(spool, 1)
    deliver(spool)
    (spare,) = spares(spool)
    spare.unlink()

    put(spool, 2)

    assert len(objects_in(spool.folder)) == 1
    assert spool.failed is None


def test_a_spare_that_cannot_be_opened_for_want_of_descriptors_is_not_left_behind(spool: Spool) -> None:
    put(spool, 1)
    deliver(spool)
    draft = spool.draft()
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, usual[1]))
    try:
        with pytest.raises(SpoolError, match="could not be written"):
            draft.write(heading(2), Deidentified([dataset(2)]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)

    assert spares(spool) == []
    assert spool.failed is None
    put(spool, 2)
    assert len(objects_in(spool.folder)) == 1


def test_on_a_full_disk_spares_give_their_room_up(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64m") as disk:
        spool = Spool.open(disk / "spool")
        for number in range(20):
            put(spool, number, content=dataset(number, 20_000))
        deliver(spool)
        assert spares(spool)

        other = fill(disk)

        wait_for(lambda: not spool.has_room(), "it is seen that there is no room")
        assert spares(spool) == []
        other.unlink()
        spool.close()
