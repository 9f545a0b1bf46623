"""What cannot be made durable in time is not kept: whoever decides first decides, and nothing is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.spool import CommitKind, Spool, check
from deid_node.spool.deadline import Deadline, TooLate
from tests.spool.crashing import IN_TIME_S, OBJECTS
from tests.spool.objects import objects_in, put
from tests.spool.test_crash import deliver_all, promised, run

SLOW = str(IN_TIME_S * 2)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


def test_who_decides_second_learns_it() -> None:
    kept, given_up = Deadline(60), Deadline(60)

    assert (kept.keep(), kept.give_up(), kept.keep()) == (True, False, False)
    assert (given_up.give_up(), given_up.keep(), given_up.is_over) == (True, False, True)


def test_what_is_durable_after_the_time_is_not_kept() -> None:
    assert not Deadline(0).keep()


def test_an_object_in_time_is_kept(spool: Spool) -> None:
    deadline = Deadline(60)

    assert put(spool, 1, deadline=deadline).kind is CommitKind.NEW
    assert not deadline.give_up()


@pytest.mark.parametrize("over", [Deadline(0), Deadline(60)])
def test_an_object_that_was_given_up_leaves_nothing(spool: Spool, over: Deadline) -> None:
    over.give_up()

    with pytest.raises(TooLate):
        put(spool, 1, deadline=over)

    assert spool.desk.queue() == []
    assert objects_in(spool.folder) == []
    assert put(spool, 1).kind is CommitKind.NEW


@pytest.mark.parametrize("point", ["before-sync", "after-rename", "before-folder-sync", "after-ledger"])
def test_a_slow_disk_refuses_one_object_and_takes_the_next(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEID_FAILPOINT_SLEEP_S", SLOW)

    done = run(tmp_path, "store-in-time", f"{point}:sleep:2")

    assert promised(done.stdout) == {0, 2, 3, 4}, done.stderr
    assert "refused 1" in done.stdout
    assert "failed False" in done.stdout
    assert check(tmp_path / "spool") == []
    assert deliver_all(tmp_path)[0] == {0, 2, 3, 4}


def test_a_kill_between_commit_and_withdrawal_keeps_what_is_a_duplicate_when_it_comes_again(
    tmp_path: Path,
) -> None:
    killed = run(tmp_path, "store-in-time", "after-ledger:kill:2")

    again = run(tmp_path, "store-in-time")

    assert killed.returncode == -signal.SIGKILL
    assert "acknowledged 1 duplicate" in again.stdout
    assert deliver_all(tmp_path)[0] == set(range(OBJECTS))


def test_a_duplicate_that_was_too_late_changes_nothing(spool: Spool) -> None:
    put(spool, 1)
    over = Deadline(60)
    over.give_up()

    with pytest.raises(TooLate):
        put(spool, 1, deadline=over)

    [entry] = spool.desk.queue()
    assert entry.revision == 0
    assert len(objects_in(spool.folder)) == 1
