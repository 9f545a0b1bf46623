"""Lanes: what is done with each outcome, when a lane pauses, and that lanes do not disturb each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deid_node.delivery import lane as lane_module
from deid_node.delivery.breaker import Circuit
from deid_node.delivery.destination import UnusableError
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy, Hours
from deid_node.spool import Deferred, Delivered, DeliveryState, Entry, Held, Outcome, Refused, Spool
from tests.delivery.fakes import FakeDestination
from tests.peers import wait_for
from tests.spool.objects import put

QUICK = DestinationPolicy(first_pause_s=0.01, longest_pause_s=0.02, poll_s=0.01, linger_s=0.02)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@contextmanager
def running(
    spool: Spool, *served: FakeDestination, policy: DestinationPolicy = QUICK
) -> Iterator[list[Lane]]:
    lanes = [Lane(spool, destination, policy) for destination in served]
    for lane in lanes:
        lane.start()
    try:
        yield lanes
    finally:
        for destination in served:
            destination.aborted.set()
        for lane in lanes:
            assert lane.stop(10)


def counts(spool: Spool, destination: str = "a") -> dict[str, int]:
    spool.flush()
    return {state.value: n for state, n in spool.desk.status().destinations.get(destination, {}).items()}


def wait_for_counts(spool: Spool, destination: str = "a", **expected: int) -> None:
    wait_for(lambda: counts(spool, destination) == expected, f"{destination} is {expected}")


def fail_times(times: int, outcome: Outcome) -> Callable[[Entry], Outcome]:
    """A script under which each object fails `times` times before it is delivered."""
    return lambda entry: outcome if entry.attempt <= times else Delivered()


def test_everything_is_delivered_in_order(spool: Spool) -> None:
    for number in range(200):
        put(spool, number)
    destination = FakeDestination()

    with running(spool, destination):
        wait_for_counts(spool, delivered=200)

    assert destination.numbers == list(range(200))


def test_a_new_object_wakes_the_lane_at_once(spool: Spool) -> None:
    destination = FakeDestination()

    with running(spool, destination, policy=replace(QUICK, poll_s=30, linger_s=30)):
        wait_for(lambda: destination.sent == [], "idle")
        put(spool, 1)
        wait_for(lambda: destination.numbers == [1], "sent", timeout_s=5)


def test_several_senders_deliver_each_object_once(spool: Spool) -> None:
    for number in range(300):
        put(spool, number)
    destination = FakeDestination()

    with running(spool, destination, policy=replace(QUICK, senders=4, batch=7)):
        wait_for_counts(spool, delivered=300)

    assert sorted(destination.numbers) == list(range(300))


def test_a_deferred_object_is_sent_again_until_it_is_delivered(spool: Spool) -> None:
    for number in range(5):
        put(spool, number)
    destination = FakeDestination(script=fail_times(2, Deferred("status A700", status=0xA700)))

    with running(spool, destination, policy=replace(QUICK, failures_to_open=1000)):
        wait_for_counts(spool, delivered=5)

    assert len(destination.sent) == 15


def test_a_warning_is_delivered_and_kept(spool: Spool) -> None:
    put(spool, 1)

    with running(spool, FakeDestination(script=lambda _: Delivered(0xB000, warning=True))):
        wait_for_counts(spool, warned=1)


def test_what_is_refused_waits_for_a_person_and_the_lane_goes_on(spool: Spool) -> None:
    for number in range(3):
        put(spool, number)
    destination = FakeDestination(
        script=lambda entry: Refused("status C000", 0xC000) if entry.item == 1 else Delivered()
    )

    with running(spool, destination):
        wait_for_counts(spool, refused=1, delivered=2)

    assert [(row.item, row.status) for row in spool.desk.queue()] == [(1, 0xC000)]


def test_the_pause_asked_for_by_the_destination_is_kept(spool: Spool) -> None:
    put(spool, 1)

    with running(spool, FakeDestination(script=lambda _: Deferred("busy", pause_s=500))):
        wait_for_counts(spool, deferred=1)

    (row,) = spool.desk.queue()
    assert 400 < row.not_before - row.received_at < 600


# --- a destination in trouble -------------------------------------------------------------------


def test_a_dead_or_stuck_destination_delays_no_other(spool: Spool) -> None:
    stuck = FakeDestination("stuck")

    def hang(_: Entry) -> Outcome:
        stuck.aborted.wait(60)
        return Delivered()

    stuck.script = hang

    def die() -> None:
        raise UnusableError("cannot connect")

    dead = FakeDestination("dead", entering=die, probing=lambda: "cannot connect")
    well = FakeDestination("well")

    with running(spool, stuck, dead, well):
        begun = time.monotonic()
        for number in range(50):
            put(spool, number, destinations=("stuck", "dead", "well"))
        wait_for_counts(spool, "well", delivered=50)
        took_s = time.monotonic() - begun

    assert took_s < 10
    assert len(well.sent) == 50
    assert len(spool.desk.queue()) >= 50


def test_a_destination_out_of_use_is_told_once_and_again_when_it_is_back(spool: Spool) -> None:
    down = threading.Event()
    down.set()

    def entering() -> None:
        if down.is_set():
            raise UnusableError("cannot connect")

    destination = FakeDestination(entering=entering, probing=lambda: "no answer" if down.is_set() else None)
    told: list[tuple[str, str]] = []
    lane = Lane(
        spool, destination, QUICK, watch=lambda status: told.append((status.circuit.value, status.why))
    )
    put(spool, 1)
    lane.start()
    try:
        wait_for(lambda: destination.probes > 2, "probes")
        down.clear()
        wait_for_counts(spool, delivered=1)
    finally:
        assert lane.stop(10)

    assert told == [("open", "cannot connect"), ("closed", "")]


def test_an_unusable_destination_is_probed_and_no_attempt_is_counted(spool: Spool) -> None:
    put(spool, 1)
    up = False

    def enter() -> None:
        if not up:
            raise UnusableError("cannot connect")

    destination = FakeDestination(entering=enter, probing=lambda: None if up else "cannot connect")

    with running(spool, destination) as (lane,):
        wait_for(lambda: destination.probes > 2, "probes")
        status = lane.status()
        (row,) = spool.desk.queue()
        up = True
        wait_for_counts(spool, delivered=1)
        wait_for(lambda: lane.status().circuit == Circuit.CLOSED, "closed")

    assert status.circuit != Circuit.CLOSED
    assert status.why == "cannot connect"
    assert (row.state, row.attempts, row.why) == (DeliveryState.PENDING, 0, "cannot connect")
    assert [entry.attempt for entry in destination.sent] == [1]


def test_failures_in_a_row_open_the_circuit_so_that_the_rest_is_not_tried_in_vain(spool: Spool) -> None:
    for number in range(20):
        put(spool, number)
    destination = FakeDestination(
        script=lambda _: Deferred("status A700", status=0xA700), probing=lambda: "still busy"
    )

    with running(spool, destination) as (lane,):
        wait_for(lambda: lane.status().circuit != Circuit.CLOSED and destination.probes > 1, "open")

    assert len(destination.sent) == 3
    assert counts(spool) == {"deferred": 3, "pending": 17}


def test_an_object_that_kills_associations_is_held_while_others_pass(spool: Spool) -> None:
    for number in range(30):
        put(spool, number)
    destination = FakeDestination(
        script=lambda entry: Deferred("aborted", aborted=True) if entry.item == 5 else Delivered()
    )

    with running(spool, destination, policy=replace(QUICK, batch=3)):
        wait_for(lambda: "held" in counts(spool) or len(destination.sent) > 200, "held")
        for number in range(30, 40):
            put(spool, number)
        wait_for_counts(spool, held=1, delivered=39)

    (row,) = spool.desk.queue()
    assert (row.item, row.why, row.attempts) == (5, "poison", 3)


def test_an_object_is_not_to_blame_when_nothing_passes(spool: Spool) -> None:
    put(spool, 1)
    destination = FakeDestination(script=fail_times(6, Deferred("aborted", aborted=True)))

    with running(spool, destination):
        wait_for_counts(spool, delivered=1)

    assert len(destination.sent) == 7


def test_what_fails_and_is_too_old_is_held_and_never_given_up(spool: Spool) -> None:
    put(spool, 1)
    destination = FakeDestination(script=lambda _: Deferred("busy"))

    with running(spool, destination, policy=replace(QUICK, max_age_s=0.3)):
        wait_for_counts(spool, held=1)

    (row,) = spool.desk.queue()
    assert row.why == "too-old"


def test_what_waits_too_long_for_a_dead_destination_is_held(spool: Spool) -> None:
    put(spool, 1)
    time.sleep(0.02)

    with running(spool, FakeDestination(probing=lambda: "down"), policy=replace(QUICK, max_age_s=0.01)):
        wait_for_counts(spool, held=1)


def test_entries_go_to_the_fallback_when_the_destination_is_out_for_long(spool: Spool) -> None:
    for number in range(10):
        put(spool, number)

    def die() -> None:
        raise UnusableError("cannot connect")

    first = Lane(
        spool,
        FakeDestination("a", entering=die, probing=lambda: "cannot connect"),
        replace(QUICK, fallback=("broken", "b"), fallback_after_s=0.05),
        takes_over=lambda name: name == "b",
    )
    other = FakeDestination("b")

    first.start()
    with running(spool, other):
        wait_for_counts(spool, "b", delivered=10)
    assert first.stop(10)

    assert counts(spool, "a") == {"rerouted": 10}
    assert {row.why for row in spool.desk.queue()} == set()


def test_what_the_fallback_cannot_take_goes_back_when_the_destination_is_back(spool: Spool) -> None:
    for number in range(10):
        put(spool, number)
    out = threading.Event()
    out.set()

    def die_while_out() -> None:
        if out.is_set():
            raise UnusableError("cannot connect")

    destination = FakeDestination(
        "a", entering=die_while_out, probing=lambda: "cannot connect" if out.is_set() else None
    )
    first = Lane(spool, destination, replace(QUICK, fallback=("b",), fallback_after_s=0.05))
    other = FakeDestination("b", script=lambda entry: Held("not-sendable") if entry.item > 4 else Delivered())

    first.start()
    with running(spool, other):
        wait_for_counts(spool, "b", delivered=4, held=6)
        out.clear()
        wait_for_counts(spool, "a", rerouted=4, delivered=6)
    assert first.stop(10)

    assert counts(spool, "b") == {"delivered": 4, "rerouted": 6}
    assert spool.desk.queue() == []


def test_a_destination_that_answers_probes_and_takes_nothing_gets_one_entry_back_as_a_trial(
    spool: Spool,
) -> None:
    for number in range(5):
        put(spool, number)
    broken = FakeDestination("a", script=lambda _: Deferred("A700"))
    policy = replace(QUICK, first_pause_s=0.2, longest_pause_s=0.2, fallback=("b",), fallback_after_s=0.05)
    first = Lane(spool, broken, policy, chance=lambda: 1.0)

    first.start()
    with running(spool, FakeDestination("b", script=lambda _: Held("not-sendable"))):
        wait_for(lambda: counts(spool, "b").get("held", 0) >= 4, "nearly all are held by the fallback")
        probes = broken.probes
        wait_for(lambda: broken.probes > probes + 2, "more probes")
        assert counts(spool, "b").get("held", 0) >= 3  # one is on trial, one may be on its way back
    assert first.stop(10)

    assert sum(counts(spool, "a").values()) == 5  # none is lost on the way


def test_a_damaged_object_is_held_and_its_neighbours_are_sent(spool: Spool) -> None:
    for number in range(3):
        put(spool, number)
    entries = spool.claim("a", 3)
    Path(entries[1].path).write_bytes(b"damaged")
    spool.close()
    spool = Spool.open(spool.folder, durable=False)  # voids the leases and finds the size wrong
    put(spool, 3)
    (row,) = [row for row in spool.desk.queue() if row.state == DeliveryState.PENDING and row.item == 4]
    path = next(path for path in (spool.folder / "objects").rglob("*") if path.stat().st_size == row.size)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    destination = FakeDestination()

    with running(spool, destination):
        wait_for_counts(spool, held=2, delivered=2)

    assert {row.why for row in spool.desk.queue()} == {"missing", "damaged"}
    spool.close()


def test_a_fault_of_ours_defers_the_object_and_the_lane_lives(spool: Spool) -> None:
    put(spool, 1)

    def fault_once(entry: Entry) -> Outcome:
        if entry.attempt == 1:
            raise ZeroDivisionError("1.2.3 ^SECRET")
        return Delivered()

    destination = FakeDestination(script=fault_once)
    seen: list[Outcome] = []
    lane = Lane(spool, destination, QUICK, observe=lambda _, outcome: seen.append(outcome))

    lane.start()
    wait_for_counts(spool, delivered=1)
    lane.stop(10)

    assert isinstance(seen[0], Deferred)
    assert seen[0].why == "fault: ZeroDivisionError"
    assert seen[1:] == [Delivered()]


# --- pace, hours, rest, stop --------------------------------------------------------------------


def test_objects_per_second_are_limited(spool: Spool) -> None:
    for number in range(6):
        put(spool, number)
    begun = time.monotonic()

    with running(spool, FakeDestination(), policy=replace(QUICK, objects_per_s=25)):
        wait_for_counts(spool, delivered=6)

    assert time.monotonic() - begun >= 5 / 25


def test_outside_its_hours_nothing_is_sent(spool: Spool) -> None:
    put(spool, 1)
    now = time.localtime()
    minute = now.tm_hour * 60 + now.tm_min
    later = Hours((minute + 60) % 1440, (minute + 120) % 1440)
    destination = FakeDestination()

    with running(spool, destination, policy=replace(QUICK, hours=later)):
        wait_for(lambda: destination.rests, "a rest")

    assert destination.sent == []
    assert counts(spool) == {"pending": 1}


def test_a_sender_without_work_rests(spool: Spool) -> None:
    put(spool, 1)
    destination = FakeDestination()

    with running(spool, destination):
        wait_for_counts(spool, delivered=1)
        before = destination.rests
        wait_for(lambda: destination.rests > before, "a rest")


def test_stopping_finishes_the_object_under_way_and_gives_back_the_rest(spool: Spool) -> None:
    for number in range(10):
        put(spool, number)
    destination = FakeDestination()
    lane = Lane(spool, destination, QUICK)

    def stop_meanwhile(_: Entry) -> Outcome:
        lane.ask_to_stop()
        return Delivered()

    destination.script = stop_meanwhile
    lane.start()
    wait_for(lambda: destination.sent, "under way")

    assert lane.stop(10)

    assert counts(spool) == {"delivered": 1, "pending": 9}
    assert {row.attempts for row in spool.desk.queue()} == {0}


def test_a_sender_that_does_not_end_in_time_is_aborted(spool: Spool) -> None:
    put(spool, 1)
    destination = FakeDestination()

    def hang(_: Entry) -> Outcome:
        destination.aborted.wait(30)
        return Deferred("interrupted", aborted=True)

    destination.script = hang
    lane = Lane(spool, destination, QUICK)
    lane.start()
    wait_for(lambda: destination.sent, "under way")

    assert lane.stop(0.05)

    assert counts(spool) == {"deferred": 1}


def test_a_lane_ends_when_the_spool_has_failed(spool: Spool) -> None:
    destination = FakeDestination()
    lane = Lane(spool, destination, QUICK)
    lane.start()

    spool.fail("Sync failed.")

    wait_for(lambda: not any(thread.is_alive() for thread in lane._threads), "ended")


def test_held_is_what_a_destination_says_it_is(spool: Spool) -> None:
    put(spool, 1)

    with running(spool, FakeDestination(script=lambda _: Held("not-sendable: no context"))):
        wait_for_counts(spool, held=1)

    assert spool.desk.queue()[0].why == "not-sendable: no context"


def test_what_waits_for_long_is_told_once_for_each_age_and_when_it_is_over(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "_HOUSEKEEPING_S", 0.02)
    system, later = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: system() + later[0])
    told: list[tuple[str, float]] = []
    is_well = threading.Event()
    destination = FakeDestination(
        script=lambda _: Delivered() if is_well.is_set() else Deferred("busy", pause_s=0.01)
    )
    lane = Lane(
        spool,
        destination,
        replace(QUICK, failures_to_open=10**6),
        alarm=lambda name, _, limit_s: told.append((name, limit_s)),
    )
    put(spool, 1)
    lane.start()
    try:
        wait_for(lambda: len(destination.sent) > 5, "tried")
        for seconds, count in ((3700.0, 1), (90000.0, 2)):
            later[0] = seconds
            wait_for(lambda count=count: len(told) == count, "told")  # type: ignore[misc]
        tried = len(destination.sent)
        wait_for(lambda: len(destination.sent) > tried + 5, "tried again, and nothing told")
        is_well.set()
        wait_for(lambda: len(told) == 3, "told that it is over")
    finally:
        assert lane.stop(10)

    assert told == [("a", 3600.0), ("a", 86400.0), ("a", 0.0)]
