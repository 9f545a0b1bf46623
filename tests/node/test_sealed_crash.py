"""kill -9 between every two steps of sealing and of de-identifying what was sealed.

The process under test is a real one; a failpoint ends it. Nothing acknowledged is lost, nothing is there
twice, and no original outlives what was made of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deid_node.engine.keys import Key
from deid_node.errors import SpoolError
from deid_node.spool import Spool, backup, check
from deid_node.spool.envelope import Envelopes
from deid_node.spool.restore import restore
from deid_node.spool.sealed import SealedStore
from deid_node.spool.sealed_rows import MAX_STARTS
from tests.e2e.objects import assert_deidentified, pixel_digests
from tests.node.crashing_sealed import ENVELOPES, OBJECTS, files, seal, work
from tests.spool.test_crash import promised

ROOT = Path(__file__).resolve().parents[2]

SEALING = [
    *("sealed-created", "sealed-written", "before-sealed-sync", "after-sealed-sync", "after-sealed-rename"),
    *("before-folder-sync", "after-folder-sync", "in-ledger"),
]
WORKING = [
    *("after-sealed-claim", "sealed-half", "draft-created", "draft-half", "draft-written"),
    *("before-sync", "after-rename", "before-folder-sync", "before-erase"),
]


def run(folder: Path, deed: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.node.crashing_sealed", str(folder), deed],
        cwd=ROOT,
        env={**os.environ, "DEID_FAILPOINT": failpoint},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def killed(folder: Path, deed: str, failpoint: str) -> set[int]:
    """Run until the kill and return what was acknowledged."""
    process = run(folder, deed, failpoint)
    assert process.returncode == -signal.SIGKILL, process.stderr
    return promised(process.stdout)


def sealed(folder: Path) -> None:
    """Seal every object, in this process."""
    spool = Spool.open(folder / "spool", durable=False)
    seal(folder, SealedStore(spool, ENVELOPES))
    assert len(spool.desk.sealed()) == OBJECTS
    spool.close()


def end(folder: Path) -> set[int]:
    """Open the spool as a restarted node does, let everything go on, and return which objects are there."""
    spool = Spool.open(folder / "spool", durable=False)
    store = SealedStore(spool, ENVELOPES)
    work(store)
    assert check(folder / "spool", envelopes=ENVELOPES) == []
    assert list((folder / "spool" / "sealed").iterdir()) == []
    assert list((folder / "spool" / "incoming").iterdir()) == []
    entries = spool.claim("out", 100)
    spool.close()
    stored = [Path(entry.path) for entry in entries]
    assert_deidentified(stored)
    by_pixels = {next(iter(pixel_digests([file]))): number for number, file in enumerate(files(folder))}
    numbers = [by_pixels[digest] for digest in pixel_digests(stored).elements()]
    assert len(numbers) == len(set(numbers))
    return set(numbers)


@pytest.mark.parametrize("point", SEALING)
def test_a_kill_while_sealing_loses_nothing_acknowledged(tmp_path: Path, point: str) -> None:
    acknowledged = killed(tmp_path, "seal", f"{point}:kill:2")

    assert acknowledged == {0}
    assert end(tmp_path) == {0}


def test_what_was_sealed_before_its_answer_was_sent_is_there_once_when_it_comes_again(
    tmp_path: Path,
) -> None:
    assert killed(tmp_path, "seal", "after-ledger:kill:2") == {0}

    again = run(tmp_path, "seal")

    assert promised(again.stdout) == set(range(OBJECTS))
    assert len(list((tmp_path / "spool" / "sealed").iterdir())) == OBJECTS
    assert end(tmp_path) == set(range(OBJECTS))


@pytest.mark.parametrize("point", WORKING)
def test_a_kill_while_deidentifying_ends_everything_once(tmp_path: Path, point: str) -> None:
    sealed(tmp_path)

    killed(tmp_path, "work", f"{point}:kill:2")

    assert end(tmp_path) == set(range(OBJECTS))


def test_an_original_that_ends_the_process_twice_is_held_and_the_others_go_on(tmp_path: Path) -> None:
    sealed(tmp_path)
    killed(tmp_path, "work", "sealed-half:kill")
    again = run(tmp_path, "work", "trial-half:kill")  # strikes the child that tries it
    assert again.returncode == 0, again.stderr
    spool = Spool.open(tmp_path / "spool", durable=False)

    [row] = spool.desk.sealed()
    assert (row.state.value, row.code) == ("held", "poison")
    assert len(spool.desk.queue()) == OBJECTS - 1
    assert spool.desk.release_sealed([row.id]) == 1
    spool.close()
    assert end(tmp_path) == set(range(OBJECTS))


def test_an_original_that_was_under_way_at_many_kills_is_not_held_for_them(tmp_path: Path) -> None:
    sealed(tmp_path)

    for _ in range(3):
        killed(tmp_path, "work", "sealed-half:kill")

    assert end(tmp_path) == set(range(OBJECTS))


def test_an_original_at_which_the_process_ends_every_time_is_held_in_the_end(tmp_path: Path) -> None:
    sealed(tmp_path)

    for _ in range(MAX_STARTS):
        killed(tmp_path, "work", "draft-half:kill")

    spool = Spool.open(tmp_path / "spool", durable=False)
    [row] = spool.desk.sealed(["poison"])
    spool.close()
    assert row.reason == f"the process ended {MAX_STARTS} times while it was de-identified"


@pytest.mark.parametrize("point", ["sealed-created", "before-sealed-sync"])
def test_a_full_disk_refuses_one_original_and_the_next_is_taken(tmp_path: Path, point: str) -> None:
    done = run(tmp_path, "seal", f"{point}:enospc:2")

    assert promised(done.stdout) == {0, 2}, done.stderr
    assert end(tmp_path) == {0, 2}


def test_after_an_error_of_the_disk_nothing_is_sealed_until_a_restart(tmp_path: Path) -> None:
    done = run(tmp_path, "seal", "before-sealed-sync:eio:2")

    assert promised(done.stdout) == {0}, done.stderr
    assert promised(run(tmp_path, "seal").stdout) == set(range(OBJECTS))
    assert end(tmp_path) == set(range(OBJECTS))


# --- a ledger that does not know what was sealed ----------------------------------------------


def test_originals_that_came_after_a_backup_are_taken_in(tmp_path: Path) -> None:
    Spool.open(tmp_path / "spool").close()
    backup(tmp_path / "spool", tmp_path / "copy")
    sealed(tmp_path)

    def put_back(envelopes: Envelopes | None) -> int:
        return restore(
            tmp_path / "spool", tmp_path / "copy", read=lambda _: None, destinations=(), envelopes=envelopes
        ).sealed

    with pytest.raises(SpoolError, match=f"{OBJECTS} sealed originals came after"):
        put_back(None)
    assert put_back(ENVELOPES) == OBJECTS
    assert end(tmp_path) == set(range(OBJECTS))


def test_originals_that_another_key_sealed_are_put_aside_and_not_erased(tmp_path: Path) -> None:
    Spool.open(tmp_path / "spool").close()
    backup(tmp_path / "spool", tmp_path / "copy")
    sealed(tmp_path)
    other = Envelopes(Key(bytes(33)))

    done = restore(
        tmp_path / "spool", tmp_path / "copy", read=lambda _: None, destinations=(), envelopes=other
    )

    assert (done.sealed, done.unreadable) == (0, OBJECTS)
    assert len(list((tmp_path / "spool" / "found").iterdir())) == OBJECTS


def test_a_spool_whose_ledger_is_gone_is_not_opened_over_sealed_originals(tmp_path: Path) -> None:
    sealed(tmp_path)
    for file in (tmp_path / "spool").glob("ledger.sqlite*"):
        file.unlink()

    with pytest.raises(SpoolError, match="the ledger that knows where they go is gone"):
        Spool.open(tmp_path / "spool")
    assert len(list((tmp_path / "spool" / "sealed").iterdir())) == OBJECTS


def test_what_was_sealed_is_nowhere_in_clear(tmp_path: Path) -> None:
    sealed(tmp_path)
    pixels = files(tmp_path)[0].read_bytes()[-64:]

    for path in (tmp_path / "spool").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Quellwasser" not in content
            assert b"PID-7749-X" not in content
            assert pixels not in content
