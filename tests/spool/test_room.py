"""Room for new objects: water marks on bytes and inodes, and what is done from the high one on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deid_node.errors import SpoolError
from deid_node.spool import Delivered, Spool
from deid_node.spool.room import Water
from tests.peers import wait_for
from tests.spool.disks import fill, fill_to, small_disk
from tests.spool.objects import put

AT_ONCE = Water(waits_s=0, turns_away_s=0)


def test_from_the_high_water_mark_on_nothing_is_taken_until_it_is_below_the_low_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool", water=AT_ONCE)
        taken = {}
        for share in (0.80, 0.87, 0.80, 0.70, 0.80):
            fill_to(disk, share)
            time.sleep(0.6)  # it is looked at twice a second
            taken[f"{share} {len(taken)}"] = spool.has_room()
        spool.close()

    assert list(taken.values()) == [True, False, False, True, True]


def test_a_share_does_not_matter_while_enough_bytes_are_free(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool", water=Water(enough_bytes=1 << 20, waits_s=0, turns_away_s=0))
        taken = []
        for share in (0.90, 0.97, 0.90):
            fill_to(disk, share)
            time.sleep(0.6)
            taken.append(spool.has_room())
        spool.close()

    assert taken == [True, False, True]


def test_inodes_have_the_same_marks(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m,nr_inodes=400") as disk:
        spool = Spool.open(disk / "spool", water=AT_ONCE)
        before = spool.has_room()
        others = [disk / f"other-{n}" for n in range(345)]
        for path in others:
            path.touch()
        wait_for(lambda: not spool.has_room(), "no inodes left", 5)
        for path in others[:40]:
            path.unlink()
        time.sleep(0.6)
        between = spool.has_room()
        for path in others[40:80]:
            path.unlink()
        wait_for(spool.has_room, "inodes again", 5)
        spool.close()

    assert before
    assert not between


def test_the_ladder_waits_then_refuses_then_turns_away(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool", water=Water(waits_s=1.0, turns_away_s=2.0))
        put(spool, 1)
        fill_to(disk, 0.9)
        wait_for(lambda: not spool.has_room(), "no room", 5)
        begun = time.monotonic()
        with pytest.raises(SpoolError, match="no room"):
            spool.draft()
        waited_s, turned_away = time.monotonic() - begun, spool.turns_away
        with pytest.raises(SpoolError, match="no room"):
            spool.draft()
        both_s = time.monotonic() - begun
        wait_for(lambda: spool.turns_away, "turns away", 5)
        fill_to(disk, 0.5)
        wait_for(lambda: not spool.turns_away, "lets in", 5)
        put(spool, 2)
        spool.close()

    assert 0.1 < waited_s < 1.3
    assert both_s - waited_s < 0.3
    assert not turned_away


def test_room_that_comes_while_an_object_waits_lets_it_in(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool", water=Water(waits_s=20))
        for number in range(100):
            put(spool, number, content=os.urandom(100_000))
        fill_to(disk, 0.9)
        wait_for(lambda: not spool.has_room(), "no room", 5)
        for entry in spool.claim("a", 100):  # a delivered object gives its room back
            spool.settle(entry, Delivered())

        put(spool, 1000)

        spool.close()


def test_the_brim_is_the_limit_of_a_spool_without_marks(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        spool = Spool.open(disk / "spool", water=None)
        fill_to(disk, 0.97)

        assert spool.has_room()
        assert not spool.turns_away
        assert not (disk / "spool" / "ballast").exists()
        spool.close()


@pytest.mark.parametrize("failpoint", ["", "after-ledger:kill:2"], ids=["stopped", "killed"])
def test_a_spool_on_a_full_disk_can_be_opened_and_emptied(tmp_path: Path, failpoint: str) -> None:
    with small_disk(tmp_path / "disk", "64m") as disk:
        subprocess.run(
            [sys.executable, "-m", "tests.spool.crashing", str(disk), "store"],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "DEID_FAILPOINT": failpoint},
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=not failpoint,
        )
        (disk / "spool" / "ledger.sqlite-shm").unlink(missing_ok=True)  # as after a start of the machine
        fill(disk)

        with contextlib.closing(Spool.open(disk / "spool")) as spool:
            for entry in [*spool.claim("a", 10), *spool.claim("b", 10)]:
                spool.settle(entry, Delivered())
            spool.flush()
            assert spool.desk.queue() == []


def test_nobody_is_refused_for_want_of_room_that_has_come_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        spool = Spool.open(disk / "spool", water=Water(waits_s=0.0))
        other = fill(disk)
        wait_for(lambda: not spool.has_room(), "it is seen that there is no room")

        other.unlink()

        put(spool, 1)  # at once, not half a second later
        spool.close()
