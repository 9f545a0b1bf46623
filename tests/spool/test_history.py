"""What remains of settled objects: counts that always add up, history that may be deleted, old ledgers."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deid_node.errors import SpoolError
from deid_node.spool import (
    CommitKind,
    Deferred,
    Delivered,
    Held,
    Outcome,
    Refusal,
    Refused,
    Selection,
    Spool,
    SpoolStatus,
)
from deid_node.spool.schema import LEDGER, MIGRATIONS, VERSION
from tests.spool.objects import dataset, objects_in, put

STUDY = 0x0020000D


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path, durable=False)
    yield opened
    opened.close()


def settle_all(spool: Spool, destination: str, outcome: Outcome = Delivered()) -> None:  # noqa: B008
    for entry in spool.claim(destination, 10_000):
        spool.settle(entry, outcome)
    spool.flush()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / LEDGER)) as conn:
        return conn.execute(query).fetchall()


def counted_from_rows(folder: Path) -> tuple[Counter[Any], Counter[Any]]:
    """Objects of each study, and deliveries of each study, destination and state, by reading every row."""
    studies = Counter(study for (study,) in rows(folder, "SELECT study_uid FROM item"))
    deliveries = Counter(
        rows(folder, "SELECT study_uid, destination, d.state FROM delivery d JOIN item i ON i.id = d.item")
    )
    return studies, deliveries


def counted_by_status(status: SpoolStatus) -> tuple[Counter[Any], Counter[Any]]:
    studies: Counter[Any] = Counter({study.study_uid: study.objects for study in status.studies})
    deliveries: Counter[Any] = Counter(
        {
            (study.study_uid, destination, state.value): number
            for study in status.studies
            for destination, states in study.destinations.items()
            for state, number in states.items()
        }
    )
    return studies, deliveries


def test_the_counts_are_those_of_the_rows_whatever_happens(tmp_path: Path, spool: Spool) -> None:
    chance = random.Random(7)
    outcomes: tuple[Outcome, ...] = (
        *(Delivered(), Delivered(0xB000, warning=True), Deferred("later", 0.0)),
        *(Refused("no", 0xC000), Held("damaged"), Held("poison")),
    )
    for step in range(600):
        match chance.randrange(7):
            case 0 | 1 | 2:
                number = chance.randrange(60)
                names = chance.sample(["a", "b", "c"], chance.randint(1, 3))
                content = dataset(number if chance.random() < 0.9 else number + 1000, 64)
                study = {STUDY: f"2.25.{number % 5}"}
                put(spool, number, content=content, destinations=names, attributes=study)
            case 3 | 4:
                for entry in spool.claim(chance.choice("abc"), 3):
                    spool.settle(entry, chance.choice(outcomes))
                spool.flush()
            case 5:
                spool.reroute("a", "b", "out", 2)
            case _:
                target = chance.choice("abc")
                if chance.random() < 0.5:
                    spool.desk.retry(Selection(destination=target))
                else:
                    spool.desk.drop(Selection(ids=tuple(range(step % 50 + 1)), destination=target))
    status = spool.desk.status()

    studies, deliveries = counted_by_status(status)

    assert (studies, deliveries) == counted_from_rows(tmp_path)
    assert (
        sum(study.duplicates for study in status.studies)
        == rows(tmp_path, "SELECT sum(duplicates) FROM item")[0][0]
    )
    totals = {
        (destination, state): number
        for destination, states in status.destinations.items()
        for state, number in states.items()
    }
    by_destination: Counter[Any] = Counter()
    for (_, destination, state), number in deliveries.items():
        by_destination[destination, state] += number
    assert totals == by_destination


def test_counts_stay_when_history_is_deleted(tmp_path: Path, spool: Spool) -> None:
    for number in range(30):
        put(spool, number, destinations=("a", "b"))
    settle_all(spool, "a")
    for entry in spool.claim("b", 20):
        spool.settle(entry, Delivered())
    spool.flush()
    before = spool.desk.status()

    deleted = spool.prune(0.0)

    assert deleted == 20
    assert spool.desk.status() == before
    assert len(objects_in(tmp_path)) == 10
    assert rows(tmp_path, "SELECT count(*) FROM delivery") == [(20,)]


def test_history_that_is_young_is_not_deleted(spool: Spool) -> None:
    put(spool, 1)
    put(spool, 2)
    settle_all(spool, "a")

    assert spool.prune(60.0) == 0
    assert spool.desk.prune(60.0) == 0
    assert spool.desk.prune(0.0) == 1


def test_an_object_whose_history_was_deleted_is_new_when_it_comes_again(spool: Spool) -> None:
    put(spool, 1)
    settle_all(spool, "a")
    assert put(spool, 1).kind is CommitKind.DUPLICATE
    put(spool, 2)
    spool.prune(0.0)

    assert put(spool, 1).kind is CommitKind.NEW
    assert spool.desk.status().studies[0].objects == 3


def test_the_number_of_an_item_is_never_given_again(spool: Spool) -> None:
    last = [put(spool, number).item for number in range(3)][-1]
    settle_all(spool, "a")

    spool.prune(0.0)

    assert put(spool, 9).item == last + 1


def test_a_revision_whose_predecessor_was_deleted_is_delivered(spool: Spool) -> None:
    put(spool, 1)
    put(spool, 1, content=b"other content.")
    (first,) = spool.claim("a", 2)
    spool.settle(first, Delivered())
    spool.flush()
    spool.prune(0.0)

    assert [entry.revision for entry in spool.claim("a", 2)] == [1]


def test_old_refusals_are_deleted_with_the_history(spool: Spool) -> None:
    spool.record_refusal(Refusal("r", "malformed", "the dataset is empty"))
    spool.flush()

    spool.prune(3600.0)
    kept = spool.desk.status().refusals
    spool.prune(0.0)

    assert len(kept) == 1
    assert spool.desk.status().refusals == ()


def test_a_reroute_to_a_destination_that_has_the_object_removes_its_file(
    tmp_path: Path, spool: Spool
) -> None:
    put(spool, 1, destinations=("a", "b"))
    settle_all(spool, "b")

    spool.reroute("a", "b", "out", 10)

    assert objects_in(tmp_path) == []
    assert spool.desk.queue() == []


# --- versions -------------------------------------------------------------------------------------


def test_a_ledger_of_the_first_version_is_migrated_and_its_counts_add_up(tmp_path: Path) -> None:
    columns = "'r', '', NULL, 0, NULL, 1, x'00', 0, 9, 'c', 'i', 't', '2.25.1', '2.25.2', '{}'"
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER)) as conn:
        conn.executescript(MIGRATIONS[0])
        conn.execute("PRAGMA user_version = 1")
        for item, (state, delivery) in enumerate([("purged", "delivered")] * 3 + [("damaged", "held")], 1):
            conn.execute(
                f"INSERT INTO item VALUES (?, ?, ?, {columns}, '', '', '', '', 0, 0, 0, 0, '[]', 1, 1)",
                (item, f"aa{item}", state),
            )
            conn.execute(
                "INSERT INTO delivery (item, destination, state, changed_at) VALUES (?, 'a', ?, 1)",
                (item, delivery),
            )
        conn.commit()

    spool = Spool.open(tmp_path, durable=False)

    assert rows(tmp_path, "PRAGMA user_version") == [(VERSION,)]
    assert counted_by_status(spool.desk.status()) == counted_from_rows(tmp_path)
    assert spool.desk.status().studies[0].objects == 4
    spool.close()


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Spool.open(tmp_path, durable=False).close()
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER)) as conn:
        conn.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / LEDGER).read_bytes()

    with pytest.raises(SpoolError, match=r"made by a newer deid_node.*Install the newer program again"):
        Spool.open(tmp_path, durable=False)

    assert (tmp_path / LEDGER).read_bytes() == before
