"""A spool that an older program left, with objects in every state, is served by this one; nothing is lost."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from deid_node.spool import CommitKind, Content, Delivered, Reader, Selection, Spool, check
from deid_node.spool.recovery import INCOMING, OBJECTS, place
from deid_node.spool.schema import LEDGER, MIGRATIONS, VERSION
from tests.spool.objects import META, dataset, objects_in, put

OBJECTS_IN_ALL = 1000
WAITING = ("pending", "leased", "deferred")
WITH_FILE = tuple(("ready", state) for state in (*WAITING, "held", "refused"))
SETTLED = ("delivered", "warned", "dropped", "rerouted")
STATES = (*WITH_FILE, *(("done", s) for s in SETTLED), *(("purged", s) for s in SETTLED))
OF_COMMITMENT = (("ready", "uncommitted"), ("ready", "asked"), ("purged", "committed"))


def left_by(version: int, folder: Path) -> Counter[str]:
    """Write the spool as the program with that ledger left it in a crash; return its delivery states."""
    for made in (INCOMING, OBJECTS):
        (folder / made).mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(folder / LEDGER)) as conn:
        for step in MIGRATIONS[:version]:
            conn.executescript(step)
        conn.execute(f"PRAGMA user_version = {version}")
        digest = "digest" if version >= 6 else "sha256"
        states = itertools.cycle(STATES + (OF_COMMITMENT if version >= 3 else ()))
        told: Counter[str] = Counter()
        for number, (state, delivery) in zip(range(1, OBJECTS_IN_ALL + 1), states, strict=False):
            content, name = META + dataset(number, 200), f"{number % 4:02}{number:028}"
            conn.execute(
                f"INSERT INTO item (id, object, state, route, profile, uid_digest, revision, {digest}, "
                "dataset_at, size, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_uid, "
                "series_uid, attributes, calling, called, address, association, kept, changed, removed, "
                "cleaned, warnings, received_at, done_at) VALUES (?, ?, ?, 'r', 'p', ?, 0, ?, ?, ?, '1.2', "
                "?, '1.2.840.10008.1.2.1', ?, '2.25.2', '{}', '', '', '', '', 1, 1, 1, 1, '[]', 1, 1)",
                (
                    *(number, name, state, number.to_bytes(32), hashlib.sha256(content).digest()),
                    *(len(META), len(content), f"2.25.{number}", f"2.25.{10**6 + number % 7}"),
                ),
            )
            conn.execute(
                "INSERT INTO delivery (item, destination, state, attempts, not_before, changed_at)"
                " VALUES (?, 'a', ?, 1, 9e9, 1)",
                (number, delivery),
            )
            told[delivery] += 1
            if state != "purged":
                path = folder / place(name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
        if version >= 2:
            count_closed(conn)
        conn.commit()
    return told


def count_closed(conn: sqlite3.Connection) -> None:
    conn.execute(
        "INSERT INTO study SELECT study_uid, min(id), count(*), sum(duplicates), 0, sum(size) FROM item "
        "WHERE state IN ('done', 'purged') GROUP BY study_uid"
    )
    conn.execute(
        "INSERT INTO settled SELECT study_uid, destination, d.state, count(*) FROM item i "
        "JOIN delivery d ON d.item = i.id WHERE i.state IN ('done', 'purged') GROUP BY 1, 2, 3"
    )


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_upgrade_delivers_what_waits_and_keeps_the_state_of_the_rest(tmp_path: Path, version: int) -> None:
    before = left_by(version, tmp_path)
    waiting = sum(before[state] for state in WAITING)

    spool = Spool.open(tmp_path, durable=False, max_pause_s=0)
    delivered = 0
    while entries := spool.claim("a", 100):
        for entry in entries:
            opened = Reader().open(entry)
            assert isinstance(opened, Content)
            opened.close()
            spool.settle(entry, Delivered())
            delivered += 1
    spool.flush()
    status = spool.desk.status()
    faults = check(tmp_path)
    waits_for_a_person = spool.desk.retry(Selection(destination="a"))
    spool.close()

    assert delivered == waiting
    after = Counter({state.value: count for state, count in status.destinations["a"].items()})
    expected = before - Counter({state: before[state] for state in WAITING})
    assert after == expected + Counter(delivered=waiting)
    assert sum(study.objects for study in status.studies) == OBJECTS_IN_ALL
    assert faults == []
    assert waits_for_a_person == before["held"] + before["refused"]
    kept = sum(before[state] for state in ("held", "refused", "uncommitted", "asked"))
    assert len(objects_in(tmp_path)) >= kept  # and those that were done with and kept for a while


def test_an_object_that_comes_again_after_an_upgrade_is_recognized(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER)) as conn:
        conn.execute("UPDATE item SET digest = ?", (hashlib.sha256(META + dataset(1)).digest(),))
        conn.commit()
    again, other = put(spool, 1), put(spool, 1, content=dataset(2))
    spool.close()

    assert (again.kind, other.kind) == (CommitKind.DUPLICATE, CommitKind.REVISION)
