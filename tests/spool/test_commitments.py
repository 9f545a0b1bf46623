"""Storage commitment in the ledger: nothing is let go before every destination keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.spool import Delivered, DeliveryState, Selection, Spool
from deid_node.spool import commitments as module
from deid_node.spool.commitments import Commitments, Kept, Named
from deid_node.spool.upkeep import check
from tests.spool.objects import CT, objects_in, put, summary


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@pytest.fixture
def commitments(spool: Spool) -> Commitments:
    return Commitments(spool)


def deliver(spool: Spool, destination: str = "a") -> None:
    for entry in spool.claim(destination, 100):
        spool.settle(entry, Delivered(0, awaits_commitment=True))
    spool.flush()


def states(spool: Spool, destination: str = "a") -> dict[str, int]:
    return {state.value: n for state, n in spool.desk.status().destinations.get(destination, {}).items()}


def named(*numbers: int) -> frozenset[Named]:
    return frozenset((CT, f"2.25.{1000 + number}") for number in numbers)


def answer(
    commitments: Commitments, uid: str, *committed: int, failed: dict[int, int] | None = None, to: str = "a"
) -> bool:
    reasons = {(CT, f"2.25.{1000 + number}"): reason for number, reason in (failed or {}).items()}
    return commitments.report(to, uid, named(*committed), reasons)


def test_a_file_stays_until_the_destination_keeps_the_object(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    before = states(spool), len(objects_in(spool.folder))

    asked = commitments.begin("a", "1.1", 10)
    commitments.accepted("1.1")
    between = states(spool), len(objects_in(spool.folder))
    known = answer(commitments, "1.1", 1)

    assert before == ({"uncommitted": 1}, 1)
    assert frozenset(asked) == named(1)
    assert between == ({"asked": 1}, 1)
    assert known
    assert (states(spool), objects_in(spool.folder)) == ({"committed": 1}, [])


def test_what_does_not_await_commitment_is_not_asked_for(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    for entry in spool.claim("a", 1):
        spool.settle(entry, Delivered(0))
    spool.flush()

    assert commitments.begin("a", "1.1", 10) == ()


def test_an_object_is_in_one_transaction_at_a_time(spool: Spool, commitments: Commitments) -> None:
    for number in range(5):
        put(spool, number)
    deliver(spool)

    first, second, third = (commitments.begin("a", f"1.{n}", 3) for n in range(3))

    assert (len(first), len(second), len(third)) == (3, 2, 0)
    assert not set(first) & set(second)


def test_every_destination_is_asked_for_itself(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1, destinations=("a", "b"))
    deliver(spool, "a")
    deliver(spool, "b")
    commitments.begin("a", "1.1", 10)
    commitments.begin("b", "1.2", 10)

    answer(commitments, "1.1", 1)
    left = len(objects_in(spool.folder))
    answer(commitments, "1.2", 1, to="b")

    assert left == 1
    assert objects_in(spool.folder) == []


def test_a_report_counts_once_and_may_come_twice(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    assert answer(commitments, "1.1", 1)
    assert answer(commitments, "1.1", 1)
    assert states(spool) == {"committed": 1}


@pytest.mark.parametrize(("uid", "destination"), [("9.9", "a"), ("1.1", "b")])
def test_a_report_is_matched_by_transaction_and_sender(
    spool: Spool, commitments: Commitments, uid: str, destination: str
) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    assert not answer(commitments, uid, 1, to=destination)
    assert states(spool) == {"asked": 1}


def test_a_report_moves_nothing_that_was_not_asked_for(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    put(spool, 2)
    deliver(spool)

    answer(commitments, "1.1", 1, 2)

    assert states(spool) == {"committed": 1, "uncommitted": 1}


def test_an_instance_of_another_class_is_not_the_one(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    commitments.report("a", "1.1", frozenset({("1.2.3", "2.25.1001")}), {})

    assert states(spool) == {"uncommitted": 1}


def test_what_is_committed_and_failed_at_once_is_not_committed(
    spool: Spool, commitments: Commitments
) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    answer(commitments, "1.1", 1, failed={1: 0x0110})

    assert states(spool) == {"uncommitted": 1}
    assert len(objects_in(spool.folder)) == 1


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (0x0110, "uncommitted"),
        (0x0213, "uncommitted"),
        (0x0131, "uncommitted"),
        (0x9999, "uncommitted"),
        (0x0112, "deferred"),
        (0x0119, "held"),
        (0x0122, "held"),
        (None, "uncommitted"),
    ],
)
def test_each_reason_has_its_consequence(
    spool: Spool, commitments: Commitments, reason: int | None, state: str
) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    answer(commitments, "1.1", failed={} if reason is None else {1: reason})

    assert states(spool) == {state: 1}
    assert len(objects_in(spool.folder)) == 1
    [entry] = spool.desk.queue()
    assert entry.why == ("commitment: not in the report" if reason is None else f"commitment: {reason:04X}")


def test_what_the_destination_does_not_have_is_sent_and_asked_again(
    spool: Spool, commitments: Commitments
) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    answer(commitments, "1.1", failed={1: 0x0112})

    deliver(spool)
    again = commitments.begin("a", "1.2", 10)
    answer(commitments, "1.2", 1)

    assert frozenset(again) == named(1)
    assert states(spool) == {"committed": 1}


def test_a_refused_commitment_is_asked_again_after_a_pause(
    spool: Spool, commitments: Commitments, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    answer(commitments, "1.1", failed={1: 0x0110})
    at_once = commitments.begin("a", "1.2", 10)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 61)

    later = commitments.begin("a", "1.3", 10)

    assert (len(at_once), len(later)) == (0, 1)


def test_pauses_grow_up_to_six_hours() -> None:
    pauses = [module._pause_s(times) for times in (1, 2, 3, 100)]

    assert pauses == [60, 120, 240, 21600]


def test_what_was_not_taken_is_asked_anew_and_a_late_report_still_counts(
    spool: Spool, commitments: Commitments
) -> None:
    put(spool, 1)
    put(spool, 2)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    commitments.withdraw("1.1", "no association")
    withdrawn = states(spool)
    known = answer(commitments, "1.1", 1, failed={2: 0x0122})

    assert withdrawn == {"uncommitted": 2}
    assert known
    assert states(spool) == {"committed": 1, "uncommitted": 1}


def test_without_a_report_in_time_the_same_is_asked_anew(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    commitments.accepted("1.1")

    early = commitments.give_up("a", 3600)
    late = commitments.give_up("a", -1)

    assert (early, late) == (0, 1)
    assert frozenset(commitments.begin("a", "1.2", 10)) == named(1)


def test_what_was_begun_when_the_process_ended_is_asked_again(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool", durable=False)
    put(spool, 1)
    put(spool, 2, destinations=("b",))
    deliver(spool)
    deliver(spool, "b")
    Commitments(spool).begin("a", "1.1", 10)
    Commitments(spool).begin("b", "1.2", 10)
    Commitments(spool).accepted("1.2")
    spool.close()

    spool = Spool.open(tmp_path / "spool", durable=False)
    again = Commitments(spool)
    again.recover()
    found = states(spool, "a"), states(spool, "b"), len(objects_in(spool.folder))
    spool.close()

    assert found == ({"uncommitted": 1}, {"asked": 1}, 2)
    assert check(tmp_path / "spool") == []


def test_a_destination_that_is_not_asked_any_more_has_the_objects(
    spool: Spool, commitments: Commitments
) -> None:
    put(spool, 1, destinations=("a", "b"))
    deliver(spool, "a")
    deliver(spool, "b")

    count = commitments.release(frozenset({"b"}))

    assert count == 1
    assert (states(spool, "a"), states(spool, "b")) == ({"delivered": 1}, {"uncommitted": 1})
    assert len(objects_in(spool.folder)) == 1


def test_a_person_may_drop_what_is_never_committed(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)

    dropped = spool.desk.drop(Selection(destination="a"))
    answer(commitments, "1.1", 1)

    assert dropped == 1
    assert states(spool) == {"dropped": 1}
    assert objects_in(spool.folder) == []


def test_a_person_sees_and_retries_what_is_held(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    answer(commitments, "1.1", failed={1: 0x0122})

    retried = spool.desk.retry()

    assert retried == 1
    assert [entry.state for entry in spool.desk.queue()] == [DeliveryState.PENDING]


# --- what is known of originals ------------------------------------------------------------------------


def digest(number: int) -> bytes:
    return summary(number).original_uid_digest


def test_an_original_is_kept_when_every_destination_says_so(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1, destinations=("a", "b"))
    found = [commitments.kept("r", [(digest(1), CT)])]
    deliver(spool, "a")
    commitments.begin("a", "1.1", 10)
    answer(commitments, "1.1", 1)
    found.append(commitments.kept("r", [(digest(1), CT)]))
    deliver(spool, "b")
    commitments.begin("b", "1.2", 10)
    answer(commitments, "1.2", 1, to="b")
    found.append(commitments.kept("r", [(digest(1), CT)]))

    assert found == [[Kept.WAITING], [Kept.WAITING], [Kept.COMMITTED]]


def test_an_original_is_known_by_route_class_and_digest(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    asked = [(digest(1), CT), (digest(1), "1.2.3"), (digest(2), CT)]

    assert commitments.kept("r", asked) == [Kept.WAITING, Kept.OTHER_CLASS, Kept.UNKNOWN]
    assert commitments.kept("other", asked) == [Kept.UNKNOWN] * 3


def test_a_newer_revision_that_is_not_kept_is_not_kept(spool: Spool, commitments: Commitments) -> None:
    put(spool, 1)
    deliver(spool)
    commitments.begin("a", "1.1", 10)
    answer(commitments, "1.1", 1)

    put(spool, 1, content=b"other content")

    assert commitments.kept("r", [(digest(1), CT)]) == [Kept.WAITING]


@pytest.mark.parametrize("warning", [False, True])
def test_delivered_without_commitment_is_not_kept(
    spool: Spool, commitments: Commitments, warning: bool
) -> None:
    put(spool, 1)
    for entry in spool.claim("a", 1):
        spool.settle(entry, Delivered(0, warning=warning))
    spool.flush()

    assert commitments.kept("r", [(digest(1), CT)]) == [Kept.FAILED]


# --- requests of peers ------------------------------------------------------------------------------------


def test_a_request_waits_until_it_is_forgotten(spool: Spool, commitments: Commitments) -> None:
    commitments.keep_request(b"1", b"sealed")
    commitments.keep_request(b"1", b"again")

    [waiting] = commitments.requests(10)
    commitments.postpone_request(waiting, 60, tried=True)
    paused = commitments.requests(10)
    commitments.postpone_request(waiting, -1, tried=True)
    [later] = commitments.requests(10)
    commitments.forget_request(later)

    assert waiting.sealed == b"sealed"
    assert (paused, later.tries) == ([], 2)
    assert commitments.requests(10) == []
