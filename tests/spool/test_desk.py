"""What an operator sees and does: counts that add up, retry, drop, check, backup."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.errors import SpoolError
from deid_node.spool import (
    Deferred,
    Delivered,
    DeliveryState,
    Desk,
    Held,
    Refused,
    Selection,
    Spool,
    backup,
    check,
)
from tests.spool.objects import objects_in, put

STUDY = 0x0020000D


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


def in_every_state(spool: Spool) -> None:
    """Seven objects of two studies for two destinations, in different states at a."""
    for number in range(7):
        put(spool, number, destinations=("a", "b"), attributes={STUDY: f"2.25.{number % 2}"})
    outcomes = [Delivered(), Delivered(0xB000, True), Deferred("busy", 9999), Held("poison"), Refused("C000")]
    for entry, outcome in zip(spool.claim("a", 6), [*outcomes, None], strict=True):
        if outcome is not None:
            spool.settle(entry, outcome)
    spool.flush()


def test_the_counts_of_a_study_add_up_for_every_destination(spool: Spool) -> None:
    in_every_state(spool)

    status = spool.desk.status()

    assert [(study.study_uid, study.objects) for study in status.studies] == [("2.25.0", 4), ("2.25.1", 3)]
    for study in status.studies:
        for states in study.destinations.values():
            assert sum(states.values()) == study.objects
    assert status.destinations["b"] == {DeliveryState.PENDING: 7}
    assert {state.value: n for state, n in status.destinations["a"].items()} == dict.fromkeys(
        ("delivered", "warned", "deferred", "held", "refused", "leased", "pending"), 1
    )
    assert set(status.oldest_unsettled_at) == {"a", "b"}


def test_the_queue_can_be_asked_by_state_destination_study_and_id(spool: Spool) -> None:
    in_every_state(spool)
    desk = spool.desk

    everything = desk.queue()

    assert len(everything) == 5 + 7
    assert [row.why for row in desk.queue(Selection(states=frozenset({DeliveryState.HELD})))] == ["poison"]
    assert len(desk.queue(Selection(destination="b", study_uid="2.25.1"))) == 3
    assert desk.queue(Selection(ids=(everything[0].id,))) == everything[:1]
    assert len(desk.queue(limit=2)) == 2
    assert len(desk.queue(Selection(states=frozenset({DeliveryState.DELIVERED})))) == 1


def test_retry_makes_held_refused_and_deferred_entries_due(spool: Spool) -> None:
    in_every_state(spool)

    count = spool.desk.retry(Selection(destination="a"))

    assert count == 3
    assert len(spool.claim("a", 10)) == 4


def test_retry_rings_the_lane(spool: Spool) -> None:
    in_every_state(spool)
    bell = spool.bell("a")

    spool.desk.retry()

    assert bell.is_set()


def test_a_dropped_object_is_delivered_no_more_and_its_file_removed(spool: Spool) -> None:
    put(spool, 1)

    dropped = spool.desk.drop(Selection(destination="a"))

    assert dropped == 1
    assert spool.claim("a") == []
    assert objects_in(spool.folder) == []
    assert spool.desk.status().destinations["a"] == {DeliveryState.DROPPED: 1}


def test_a_dropped_object_stays_for_its_other_destination(spool: Spool) -> None:
    put(spool, 1, destinations=("a", "b"))

    spool.desk.drop(Selection(destination="a"))

    assert len(spool.claim("b")) == 1
    assert len(objects_in(spool.folder)) == 1


def test_an_entry_whose_attempt_runs_is_not_dropped(spool: Spool) -> None:
    put(spool, 1)
    spool.claim("a")

    assert spool.desk.drop(Selection(destination="a")) == 0


def test_dropping_everything_has_to_be_meant(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="which"):
        spool.desk.drop(Selection())


def test_the_desk_works_beside_a_running_node(spool: Spool) -> None:
    in_every_state(spool)
    desk = Desk(spool.folder)

    desk.retry(Selection(destination="a"))
    put(spool, 100)

    assert len(spool.claim("a", 10)) == 5


def test_a_folder_without_a_spool_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="no spool"):
        Desk(tmp_path).status()
    with pytest.raises(SpoolError, match="no spool"):
        Desk(tmp_path).retry()

    assert list(tmp_path.iterdir()) == []


def test_a_sound_spool_has_no_findings(spool: Spool) -> None:
    in_every_state(spool)

    assert check(spool.folder) == []


def test_check_finds_every_kind_of_disagreement_and_changes_nothing(spool: Spool) -> None:
    for number in range(3):
        put(spool, number)
    gone, flipped, _ = (Path(entry.path) for entry in spool.claim("a", 3))
    gone.unlink()
    flipped.write_bytes(bytes(flipped.stat().st_size))
    orphan = flipped.with_name(f"{flipped.name[:2]}orphan.dcm")
    unfinished = spool.folder / "incoming" / "half"
    for stray in (orphan, unfinished):
        stray.write_bytes(b"x")
        os.utime(stray, (0, 0))

    found = check(spool.folder)

    assert {(finding.fault.value, finding.object) for finding in found} == {
        ("missing", gone.stem),
        ("damaged", flipped.stem),
        ("orphan", orphan.stem),
        ("unfinished", "half"),
    }
    assert check(spool.folder) == found


def test_a_file_that_goes_while_it_is_looked_at_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1)
    (entry,) = spool.claim("a")
    listed = os.scandir

    def slowly(folder: str) -> contextlib.closing[Iterator[os.DirEntry[str]]]:
        with listed(folder) as entries:
            found = list(entries)
        if any(one.is_file() for one in found) and os.path.exists(entry.path):
            spool.settle(entry, Delivered())  # a lane delivers it between the two
            spool.flush()
        return contextlib.closing(one for one in found)

    monkeypatch.setattr(os, "scandir", slowly)

    assert check(tmp_path) == []
    assert not os.path.exists(entry.path)
    spool.close()


def test_a_backup_holds_every_row_while_the_spool_is_in_use(spool: Spool, tmp_path: Path) -> None:
    in_every_state(spool)
    target = tmp_path / "copy.sqlite"

    backup(spool.folder, target)
    put(spool, 100)

    with sqlite3.connect(target) as copy:
        assert copy.execute("SELECT count(*) FROM delivery").fetchone() == (14,)
    copy.close()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(SpoolError, match="replaces nothing"):
        backup(spool.folder, target)


def test_outages_are_known_beside_the_node_and_over_with_it(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    for name, why in (("a", "cannot connect"), ("b", "rejected"), ("b", None), ("a", "no answer")):
        spool.note_outage(name, why)
    spool.flush()
    told = Desk(tmp_path).outages()
    shutil.copytree(tmp_path, tmp_path.parent / "crashed")
    spool.close()

    assert {name: outage.why for name, outage in told.items()} == {"a": "no answer"}
    assert Desk(tmp_path).outages() == {}
    assert list(Desk(tmp_path.parent / "crashed").outages()) == ["a"]
    Spool.open(tmp_path.parent / "crashed", durable=False).close()
    assert Desk(tmp_path.parent / "crashed").outages() == {}
