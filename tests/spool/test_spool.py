"""The spool's promise in one process: what was committed is there, once, and ends in one state."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.engine.deidentified import Deidentified
from deid_node.errors import SpoolError
from deid_node.spool import (
    CommitKind,
    Deferred,
    Delivered,
    DeliveryState,
    Entry,
    Held,
    Origin,
    Reader,
    Refusal,
    Refused,
    Released,
    Spool,
)
from deid_node.spool.desk import Selection
from deid_node.spool.schema import VERSION
from tests.spool.objects import META, dataset, heading, objects_in, put, summary


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


def states(spool: Spool, destination: str = "a") -> dict[str, int]:
    spool.flush()
    return {state.value: n for state, n in spool.desk.status().destinations.get(destination, {}).items()}


def is_sendable(entry: Entry) -> bool:
    opened = Reader().open(entry)
    if isinstance(opened, Held):
        return False
    opened.close()
    return True


def test_a_committed_object_is_claimed_with_all_that_sending_needs(spool: Spool) -> None:
    commit = put(spool, 1, attributes={0x00080060: "CT"})

    (entry,) = spool.claim("a", 10)

    assert commit.kind is CommitKind.NEW
    assert entry.item == commit.item
    assert (entry.attempt, entry.revision, entry.route) == (1, 0, "r")
    assert entry.context == (heading(1).sop_class_uid, heading(1).transfer_syntax_uid)
    assert entry.sop_instance_uid == heading(1).sop_instance_uid
    assert entry.attributes[0x00080060] == "CT"
    content = Path(entry.path).read_bytes()
    assert content == META + dataset(1)
    assert content[entry.offset :] == dataset(1)
    assert entry.length == len(dataset(1))


def test_many_small_and_large_buffers_are_written_in_order(spool: Spool) -> None:
    pieces = [bytes([n % 251]) * (1 + n % 7) for n in range(5000)]
    pieces[2500:2500] = [os.urandom(100_000)]
    draft = spool.draft()

    draft.write(heading(1), Deidentified([memoryview(piece) for piece in pieces[:3000]]))
    draft.write(heading(1), Deidentified(pieces[3000:]))
    draft.write(heading(1), Deidentified([]))
    draft.commit(summary(1), route="r", destinations=["a"])

    (entry,) = spool.claim("a")
    assert Path(entry.path).read_bytes() == META + b"".join(pieces)
    assert is_sendable(entry)


def test_a_short_write_is_followed_by_the_rest(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, buffers: real(fd, [bytes(buffers[0])[:1000]]))

    put(spool, 1, content=dataset(1, 20_000))

    (entry,) = spool.claim("a")
    assert Path(entry.path).read_bytes() == META + dataset(1, 20_000)


def test_a_discarded_draft_leaves_nothing(spool: Spool) -> None:
    draft = spool.draft()
    draft.write(heading(1), Deidentified([dataset(1)]))

    draft.discard()
    draft.discard()

    assert objects_in(spool.folder) == []
    assert spool.claim("a") == []


def test_an_object_without_a_destination_is_not_acknowledged(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="destination"):
        put(spool, 1, destinations=())

    assert objects_in(spool.folder) == []


def test_files_and_ledger_are_for_the_owner_alone(spool: Spool) -> None:
    put(spool, 1)

    for path in [spool.folder, *spool.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


# --- duplicates and revisions -----------------------------------------------------------------


def test_the_same_content_again_is_a_duplicate_and_delivered_once(spool: Spool) -> None:
    first = put(spool, 1)

    again = put(spool, 1)

    assert again.kind is CommitKind.DUPLICATE
    assert again.item == first.item
    assert len(objects_in(spool.folder)) == 1
    assert len(spool.claim("a", 10)) == 1


def test_a_duplicate_after_delivery_is_not_delivered_again(spool: Spool) -> None:
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Delivered())
    spool.flush()

    again = put(spool, 1)

    assert again.kind is CommitKind.DUPLICATE
    assert spool.claim("a") == []


def test_other_content_under_the_same_uid_is_a_revision_and_delivered(spool: Spool) -> None:
    put(spool, 1)

    commit = put(spool, 1, content=dataset(2))

    assert (commit.kind, commit.revision) == (CommitKind.REVISION, 1)
    assert spool.desk.status().studies[0].revisions == 1


def test_a_revision_waits_for_the_one_before_it(spool: Spool) -> None:
    put(spool, 1)
    put(spool, 1, content=dataset(2))
    (first,) = spool.claim("a", 10)

    spool.settle(first, Deferred("busy", 3600))
    assert spool.claim("a", 10) == []
    spool.desk.retry()
    (first,) = spool.claim("a", 10)
    spool.settle(first, Delivered())
    (second,) = spool.claim("a", 10)

    assert (first.revision, second.revision) == (0, 1)


def test_going_back_to_an_older_content_is_a_revision_of_its_own(spool: Spool) -> None:
    put(spool, 1)
    put(spool, 1, content=dataset(2))

    commit = put(spool, 1)

    assert (commit.kind, commit.revision) == (CommitKind.REVISION, 2)


def test_the_same_object_on_two_routes_is_two_objects(spool: Spool) -> None:
    put(spool, 1, route="one")

    commit = put(spool, 1, route="two")

    assert commit.kind is CommitKind.NEW


def test_objects_without_a_digest_are_never_taken_for_each_other(spool: Spool) -> None:
    put(spool, 1, digest=b"")

    assert put(spool, 1, digest=b"").kind is CommitKind.NEW


def test_a_duplicate_serves_a_destination_that_is_new(spool: Spool) -> None:
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Delivered())
    spool.flush()

    commit = put(spool, 1, destinations=("a", "b"))

    assert commit.kind is CommitKind.DUPLICATE
    assert spool.claim("a") == []
    (entry,) = spool.claim("b")
    assert is_sendable(entry)


def test_of_many_at_once_with_one_uid_and_content_one_is_new(spool: Spool) -> None:
    kinds: list[CommitKind] = []
    start = threading.Barrier(8)

    def store() -> None:
        start.wait(10)
        kinds.append(put(spool, 1).kind)

    threads = [threading.Thread(target=store) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(kinds) == [CommitKind.DUPLICATE] * 7 + [CommitKind.NEW]
    assert len(objects_in(spool.folder)) == 1
    assert len(spool.claim("a", 10)) == 1


def test_objects_of_many_threads_are_all_there(spool: Spool) -> None:
    def store(base: int) -> None:
        for number in range(25):
            put(spool, base + number)

    threads = [threading.Thread(target=store, args=(base,)) for base in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(objects_in(spool.folder)) == 100
    assert len(spool.claim("a", 200)) == 100


# --- the states of a delivery -----------------------------------------------------------------


def test_entries_are_claimed_in_order_and_once(spool: Spool) -> None:
    items = [put(spool, number).item for number in range(5)]

    first = spool.claim("a", 3)
    second = spool.claim("a", 3)

    assert [entry.item for entry in first + second] == items
    assert spool.claim("a", 3) == []


@pytest.mark.parametrize(
    ("outcome", "state", "file_stays"),
    [
        (Delivered(), "delivered", False),
        (Delivered(0xB000, warning=True), "warned", False),
        (Deferred("busy", 60.0), "deferred", True),
        (Refused("status C000", 0xC000), "refused", True),
        (Held("poison"), "held", True),
        (Released(), "pending", True),
    ],
)
def test_an_outcome_is_a_state(spool: Spool, outcome: Delivered, state: str, file_stays: bool) -> None:
    put(spool, 1)

    spool.settle(spool.claim("a")[0], outcome)

    assert states(spool) == {state: 1}
    spool.close()
    assert bool(objects_in(spool.folder)) == file_stays


def test_a_deferred_entry_is_claimed_when_its_time_has_come(spool: Spool) -> None:
    put(spool, 1)
    (entry,) = spool.claim("a", now=1000.0)
    spool.settle(entry, Deferred("busy", 60.0))
    spool.flush()
    (waiting,) = spool.desk.queue()

    assert spool.claim("a", now=waiting.not_before - 1) == []
    (again,) = spool.claim("a", now=waiting.not_before)

    assert again.attempt == 2
    assert waiting.why == "busy"


def test_a_released_entry_was_not_attempted(spool: Spool) -> None:
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Released("cannot connect"))

    (entry,) = spool.claim("a")

    assert entry.attempt == 1


def test_aborts_are_counted_with_the_entry(spool: Spool) -> None:
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Deferred("lost", 0.0, aborted=True))

    (entry,) = spool.claim("a")

    assert (entry.attempt, entry.aborts) == (2, 1)


def test_a_settlement_of_an_attempt_that_is_over_changes_nothing(spool: Spool) -> None:
    put(spool, 1)
    (late,) = spool.claim("a")
    spool.settle(late, Released())
    (entry,) = spool.claim("a")
    spool.settle(entry, Deferred("busy", 60.0))

    spool.settle(late, Delivered())

    assert states(spool) == {"deferred": 1}


def test_a_file_is_removed_when_the_last_destination_has_it(spool: Spool) -> None:
    put(spool, 1, destinations=("a", "b"))

    spool.settle(spool.claim("a")[0], Delivered())
    spool.flush()
    after_one = objects_in(spool.folder)
    spool.settle(spool.claim("b")[0], Delivered())
    spool.close()

    assert len(after_one) == 1
    assert objects_in(spool.folder) == []


def test_files_are_kept_after_delivery_when_asked(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False, keep_s=3600)
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Delivered())
    spool.flush()

    kept = spool.purge()
    spool.close()

    assert kept == 0
    assert len(objects_in(tmp_path)) == 1
    hurried = Spool.open(tmp_path, durable=False, keep_s=1e-6)
    assert hurried.purge() == 1
    hurried.close()
    assert objects_in(tmp_path) == []


def test_rerouted_entries_go_to_the_other_destination_and_not_back(spool: Spool) -> None:
    put(spool, 1, destinations=("a", "b"))
    put(spool, 2, destinations=("a",))

    handed = spool.reroute("a", "b", "cannot connect", 10)
    back = spool.reroute("b", "a", "cannot connect", 10)

    assert (handed, back) == (2, 0)
    assert states(spool, "a") == {"rerouted": 2}
    assert states(spool, "b") == {"pending": 2}


def test_what_a_fallback_has_not_delivered_can_be_taken_back_and_handed_on_again(spool: Spool) -> None:
    for number in range(4):
        put(spool, number, destinations=("a",))
    spool.reroute("a", "b", "cannot connect", 10)
    sent, held, leased = spool.claim("b", 3)
    spool.settle(sent, Delivered())
    spool.settle(held, Held("not-sendable"))
    spool.flush()

    back = spool.take_back("a", 10)
    again = spool.take_back("a", 10)

    assert (back, again) == (2, 0)
    assert states(spool, "a") == {"rerouted": 2, "pending": 2}
    assert states(spool, "b") == {"delivered": 1, "leased": 1, "rerouted": 2}
    assert spool.reroute("a", "b", "cannot connect", 10) == 2
    spool.settle(leased, Released())
    spool.flush()
    assert states(spool, "b") == {"delivered": 1, "pending": 3}
    assert spool.take_back("a", 10) == 3


def test_the_number_of_an_entry_that_was_taken_back_is_not_given_to_another_object(spool: Spool) -> None:
    put(spool, 1, destinations=("a",))
    spool.reroute("a", "b", "cannot connect", 10)
    (lent,) = spool.desk.queue(Selection(destination="b"))
    spool.take_back("a", 10)

    put(spool, 2, destinations=("b",))

    assert spool.desk.drop(Selection(ids=(lent.id,))) == 0
    assert (states(spool, "a"), states(spool, "b")) == ({"pending": 1}, {"pending": 1, "rerouted": 1})


def test_what_a_fallback_gets_by_its_route_is_not_taken_from_it(spool: Spool) -> None:
    put(spool, 1, destinations=("a", "b"))
    spool.reroute("a", "b", "cannot connect", 10)

    assert spool.take_back("a", 10) == 0
    assert states(spool, "b") == {"pending": 1}


def test_the_fallback_of_a_fallback_gives_back_to_the_first(spool: Spool) -> None:
    put(spool, 1, destinations=("a",))
    spool.reroute("a", "b", "cannot connect", 10)
    spool.reroute("b", "c", "cannot connect", 10)

    assert spool.take_back("b", 10) == 0
    assert spool.take_back("a", 10) == 1
    assert (states(spool, "a"), states(spool, "b")) == ({"pending": 1}, {"rerouted": 1})


def test_a_moved_entry_stays_where_it_was_put(spool: Spool) -> None:
    put(spool, 1, destinations=("a",))
    put(spool, 2, destinations=("a", "c"))
    (second,) = spool.claim("c", 1)
    spool.settle(second, Delivered())
    spool.reroute("a", "b", "cannot connect", 1)
    spool.flush()

    from_fallback = spool.desk.move(Selection(destination="b"), "c")
    had_it = spool.desk.move(Selection(destination="a"), "c")

    assert (from_fallback, had_it) == (1, 1)
    assert spool.take_back("a", 10) == 0
    assert states(spool, "c") == {"pending": 1, "delivered": 1}
    assert len(objects_in(spool.folder)) == 1
    assert spool.desk.move(Selection(destination="c"), "c") == 0


def test_what_was_given_up_somewhere_is_tried_there_when_it_is_moved_there(spool: Spool) -> None:
    put(spool, 1, destinations=("a", "b"))
    spool.desk.drop(Selection(destination="b"))

    spool.desk.move(Selection(destination="a"), "b")

    assert states(spool, "b") == {"pending": 1}
    assert states(spool, "a") == {"rerouted": 1}


def test_what_has_waited_too_long_is_held(spool: Spool) -> None:
    put(spool, 1)

    spool.hold_older("a", max_age_s=-1)

    (entry,) = spool.desk.queue()
    assert (entry.state, entry.why) == (DeliveryState.HELD, "too-old")


def test_a_bell_rings_for_new_entries_of_its_destination_only(spool: Spool) -> None:
    a, b = spool.bell("a"), spool.bell("b")

    put(spool, 1, destinations=("a",))

    assert a.is_set()
    assert not b.is_set()


# --- refusals ---------------------------------------------------------------------------------


def test_equal_refusals_are_one_row_that_counts(spool: Spool) -> None:
    refusal = Refusal(
        "r", "rejected", "burned in", "BurnedInAnnotation", b"d1", "1.2", Origin("AE", "N", "192.0.2.1", "x")
    )
    spool.record_refusal(refusal)
    spool.record_refusal(refusal)
    spool.record_refusal(Refusal("r", "rejected", "burned in", digest=b"d2"))
    spool.record_refusal(Refusal("r", "malformed", "truncated"))
    spool.flush()

    counted = {(row.code, row.objects, row.times) for row in spool.desk.status().refusals}

    assert counted == {("rejected", 2, 3), ("malformed", 1, 1)}


# --- opening ----------------------------------------------------------------------------------


def test_two_nodes_cannot_open_one_spool(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="Another deid_node"):
        Spool.open(spool.folder)


def test_a_ledger_of_a_newer_program_is_refused_by_name(tmp_path: Path) -> None:
    Spool.open(tmp_path, durable=False).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as conn:
        conn.execute(f"PRAGMA user_version = {VERSION + 1}")
    conn.close()

    with pytest.raises(SpoolError, match=f"version {VERSION + 1}.*newer"):
        Spool.open(tmp_path)


def test_a_refused_ledger_leaves_the_spool_free(tmp_path: Path) -> None:
    test_a_ledger_of_a_newer_program_is_refused_by_name(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as conn:
        conn.execute(f"PRAGMA user_version = {VERSION}")
    conn.close()

    Spool.open(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SpoolError, match="file/spool cannot be opened"):
        Spool.open(tmp_path / "file" / "spool")


def test_a_damaged_ledger_is_not_served(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, durable=False)
    for number in range(30):
        put(spool, number)
    spool.close()
    path = tmp_path / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(SpoolError):
        Spool.open(tmp_path)


def test_the_ledger_is_synced_in_full_and_forgets_what_it_deletes(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)

    def pragma(name: str) -> object:
        return spool._writer._conn.execute(f"PRAGMA {name}").fetchone()[0]

    found = {name: pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "temp_store")}
    spool.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "temp_store": 2}
