"""The power fails at any moment, and the disk forgets any part of what was not synced.

DEID_NODE_POWER_CUTS says how many moments are tried (300 unless told).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.spool import Content, Delivered, Reader, Spool
from deid_node.spool.schema import LEDGER
from tests.spool.objects import META, dataset, put
from tests.spool.simulated_disk import Event, SimulatedDisk

CUTS = int(os.environ.get("DEID_NODE_POWER_CUTS", "300"))
SIZE = 3 * 4096 + 500


def content(number: int) -> bytes:
    return dataset(number, SIZE)


def work(spool: Spool, disk: SimulatedDisk, chance: random.Random) -> None:
    """Receive objects for two destinations, some twice, and deliver what is there."""
    for _ in range(14):
        number = chance.randrange(9)
        if chance.random() < 0.7:
            commit = put(spool, number, content=content(number), destinations=("a", "b"))
            disk.promise("acknowledged", (number, commit.item))
            continue
        name = chance.choice("ab")
        for entry in spool.claim(name, 2):
            disk.promise("delivered", (entry.item, name))
            spool.settle(entry, Delivered())
        spool.flush()


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedDisk]:
    folder = tmp_path / "spool"
    Spool.open(folder, water=None).close()
    spool = Spool.open(folder, water=None)

    def snapshot() -> bytes:
        with contextlib.closing(sqlite3.connect(folder / LEDGER)) as conn:
            return conn.serialize()

    disk = SimulatedDisk(folder, snapshot, [Event("ledger", data=snapshot())])
    with monkeypatch.context() as watched:
        disk.watch(watched)
        work(spool, disk, random.Random(11))
        spool.close()
    yield disk


def left(disk: SimulatedDisk, cut: int, what: str) -> set[tuple[int, object]]:
    return {event.fact for event in disk.events[:cut] if event.what == what}


def test_what_was_acknowledged_is_there_whole_whatever_the_disk_forgot(
    tmp_path: Path, recorded: SimulatedDisk
) -> None:
    chance = random.Random(5)
    target = tmp_path / "after"
    tried = 0
    for cut in [chance.randint(1, len(recorded.events)) for _ in range(CUTS)]:
        recorded.crash(cut, chance, target)

        spool = Spool.open(target, durable=False, water=None)

        found: set[tuple[int, str]] = set()
        for name in ("a", "b"):
            for entry in spool.claim(name, 100):
                opened = Reader().open(entry)
                assert isinstance(opened, Content), (cut, opened)
                number = int(entry.sop_instance_uid.removeprefix("2.25.")) - 1000
                with os.fdopen(opened.fd, "rb") as stream:
                    assert stream.read() == META + content(number)
                found.add((entry.item, name))
        acknowledged = {
            (item, name) for _, item in left(recorded, cut, "acknowledged") for name in ("a", "b")
        }
        assert acknowledged - left(recorded, cut, "delivered") <= found, cut
        assert [row for row in spool.desk.queue() if row.state == "held"] == []
        spool.close()
        shutil.rmtree(target)
        tried += 1

    assert tried == CUTS


@pytest.mark.parametrize("forgotten", ["fdatasync", "fsync"])
def test_the_simulation_finds_a_sync_that_is_missing(
    tmp_path: Path, recorded: SimulatedDisk, forgotten: str
) -> None:
    what = {"fdatasync": "sync-file", "fsync": "sync-folder"}[forgotten]
    recorded.events = [event for event in recorded.events if event.what != what]

    with pytest.raises(AssertionError):
        test_what_was_acknowledged_is_there_whole_whatever_the_disk_forgot(tmp_path, recorded)
