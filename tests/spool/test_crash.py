"""kill -9 and failing system calls between every two steps: nothing acknowledged is lost or half there.

The process under test is a real one; a failpoint ends it. Then the spool is opened again, once as it
is and once by a process that is killed in the middle of recovering.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deid_node.spool import Desk, Spool, check
from tests.peers import wait_for
from tests.spool.crashing import OBJECTS, deliver
from tests.spool.objects import META, dataset, objects_in, put

ROOT = Path(__file__).resolve().parents[2]

STORING = [
    *("draft-created", "draft-half", "draft-written", "before-sync", "after-sync", "after-rename"),
    *("before-folder-sync", "after-folder-sync", "in-ledger", "after-ledger"),
]
DELIVERING = [
    *(("link", point) for point in ("after-claim", "before-settle", "after-purge-row", "in-ledger")),
    *(("link", point) for point in ("after-ledger", "folder-named")),
    *(("copy", point) for point in ("before-settle", "folder-temp-written", "folder-named")),
]


def run(folder: Path, deed: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.spool.crashing", str(folder), deed],
        cwd=ROOT,
        env={**os.environ, "DEID_FAILPOINT": failpoint},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def promised(output: str) -> set[int]:
    return {int(line.split()[1]) for line in output.splitlines() if line.startswith("acknowledged")}


def content(number: int) -> bytes:
    return META + dataset(number)


def deliver_all(folder: Path) -> tuple[set[int], set[int]]:
    """Open the spool as a restarted node does and deliver everything; return what each destination has."""
    spool = Spool.open(folder / "spool")
    present = objects_in(folder / "spool")
    assert check(folder / "spool") == []
    needed = {entry.item for entry in spool.desk.queue()}
    assert len(present) == len(needed)
    for name in ("a", "b"):
        deliver(spool, folder / f"out-{name}", name, may_link=True)
    assert spool.desk.queue() == []
    spool.close()
    assert objects_in(folder / "spool") == []
    return delivered(folder / "out-a"), delivered(folder / "out-b")


def delivered(folder: Path) -> set[int]:
    """The numbers of the objects in a folder store, each complete and there once."""
    files = [path for path in folder.glob("[!.]*/**/*") if path.is_file()]
    by_hash = {hashlib.sha256(content(number)).digest(): number for number in range(OBJECTS)}
    numbers = [by_hash[hashlib.sha256(path.read_bytes()).digest()] for path in files]
    assert len(numbers) == len(set(numbers))
    return set(numbers)


@pytest.mark.parametrize("point", STORING)
def test_a_kill_while_storing_loses_nothing_acknowledged(tmp_path: Path, point: str) -> None:
    killed = run(tmp_path, "store", f"{point}:kill:3")

    assert killed.returncode == -signal.SIGKILL
    acknowledged = promised(killed.stdout)
    assert acknowledged == {0, 1}
    at_a, at_b = deliver_all(tmp_path)
    assert at_a == at_b
    assert at_a == (acknowledged | {2} if point == "after-ledger" else acknowledged)


def test_what_was_committed_before_the_answer_was_sent_is_a_duplicate_when_it_comes_again(
    tmp_path: Path,
) -> None:
    run(tmp_path, "store", "after-ledger:kill:2")

    again = run(tmp_path, "store")

    kinds = [line.split()[2] for line in again.stdout.splitlines() if line.startswith("acknowledged")]
    assert kinds == ["duplicate", "duplicate", "new", "new", "new"]
    assert deliver_all(tmp_path) == (set(range(5)), set(range(5)))


@pytest.mark.parametrize(("deed", "point"), DELIVERING)
def test_a_kill_while_delivering_delivers_everything_once(tmp_path: Path, deed: str, point: str) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    for number in range(OBJECTS):
        put(spool, number, destinations=("a", "b"))
    deliver(spool, tmp_path / "out-b", "b", may_link=True)  # so that the last delivery purges
    spool.close()

    killed = run(tmp_path, deed, f"{point}:kill:2")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    delivered(tmp_path / "out-a")
    assert deliver_all(tmp_path)[0] == set(range(OBJECTS))


@pytest.mark.parametrize("point", ["in-recovery", "recovery-committed"])
def test_a_second_kill_while_recovering_changes_nothing(tmp_path: Path, point: str) -> None:
    first = run(tmp_path, "store", "after-rename:kill:3")

    second = run(tmp_path, "open", f"{point}:kill")

    assert second.returncode == -signal.SIGKILL
    assert deliver_all(tmp_path)[0] == promised(first.stdout)


def test_a_file_that_an_operator_removes_while_the_spool_is_opened_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "store", "after-rename:kill")
    (orphan,) = objects_in(tmp_path / "spool")
    spool = tmp_path / "spool"
    with contextlib.closing(sqlite3.connect(spool / "ledger.sqlite")) as conn:
        conn.execute("INSERT INTO outage VALUES ('a', 'dead', 0)")  # goes with what recovery commits
        conn.commit()
    monkeypatch.setenv("DEID_FAILPOINT", "recovery-committed:sleep")
    monkeypatch.setenv("DEID_FAILPOINT_SLEEP_S", "2")

    opening = subprocess.Popen(
        [sys.executable, "-m", "tests.spool.crashing", str(tmp_path), "open"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    wait_for(lambda: not Desk(spool).outages(), "recovery has listed the files")
    orphan.unlink(missing_ok=True)

    assert opening.communicate(timeout=60)[0] == b"ended\n"
    assert opening.returncode == 0


def test_a_restart_says_what_it_mended(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    for number in range(3):
        put(spool, number)
    gone, cut, _ = (Path(entry.path) for entry in spool.claim("a", 3))
    spool.close()
    gone.unlink()
    os.truncate(cut, 100)
    (tmp_path / "incoming" / "x").write_bytes(b"half")
    (cut.parent / f"{cut.name[:2]}stray.dcm").write_bytes(b"nobody's")

    recovered = Spool.open(tmp_path)

    found = recovered.recovery
    assert (found.unfinished, found.orphans, found.missing, found.interrupted) == (1, 1, 2, 3)
    assert {(entry.state, entry.why) for entry in recovered.desk.queue()} == {
        ("held", "missing"),
        ("pending", "interrupted"),
    }
    recovered.close()


# --- system calls that fail -------------------------------------------------------------------


@pytest.mark.parametrize("point", ["draft-created", "draft-half", "before-sync"])
def test_a_shortage_refuses_one_object_and_the_spool_goes_on(tmp_path: Path, point: str) -> None:
    done = run(tmp_path, "store", f"{point}:enospc:2")

    assert promised(done.stdout) == {0, 2, 3, 4}, done.stderr
    assert "failed False" in done.stdout
    assert deliver_all(tmp_path)[0] == {0, 2, 3, 4}


def test_a_shortage_of_the_ledger_is_met_with_the_ballast_and_new_objects_wait(tmp_path: Path) -> None:
    done = run(tmp_path, "store", "in-ledger:enospc:2")

    assert promised(done.stdout) >= {0, 1}, done.stderr
    assert "failed False" in done.stdout
    assert deliver_all(tmp_path)[0] == promised(done.stdout)


@pytest.mark.parametrize("point", ["draft-half", "before-sync", "before-folder-sync", "in-ledger"])
def test_after_an_error_of_the_disk_nothing_is_acknowledged_until_a_restart(
    tmp_path: Path, point: str
) -> None:
    done = run(tmp_path, "store", f"{point}:eio:2")

    assert promised(done.stdout) == {0}, done.stderr
    assert "failed True" in done.stdout
    assert deliver_all(tmp_path)[0] == {0}
    again = run(tmp_path, "store")
    assert promised(again.stdout) == set(range(OBJECTS))
