"""Every way in which a downstream fails has its class, costs no other destination anything, and heals."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deid_node.delivery.breaker import Circuit
from deid_node.delivery.cstore import CStoreDestination
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.spool import Delivered, DeliveryState, Entry, Outcome, QueueEntry, Spool
from deid_node.spool.outcomes import HeldFor
from tests.delivery.downstream import Downstream, downstream
from tests.delivery.fakes import FakeDestination
from tests.delivery.sending import peer_at, put_real
from tests.peers import wait_for
from tests.spool.objects import put

TIMEOUT_S = 1.0
QUICK = DestinationPolicy(
    first_pause_s=0.05, longest_pause_s=0.1, poll_s=0.02, linger_s=0.1, failures_to_open=1000
)
CALM = replace(QUICK, first_pause_s=300, longest_pause_s=300)

# Transport trouble and answers that may change: tried again.
DEFERRED = (
    *("aborts-midway", "resets-midway", "closes-before-answer", "no-answer", "never-reads", "dribbles"),
    "reads-slowly",
    *("wrong-message-id", "wrong-instance", "no-status", "wrong-command", "garbage"),
    *("A700", "A7FF", "0110", "0213", "0210"),
)
# The destination as a whole: no attempt is counted.
UNUSABLE = ("down", "silent", "rejects-1", "rejects-2")
# Answers for good: kept for a person, never tried again by themselves.
REFUSED = ("A900", "C000", "C123", "0122", "0117", "0124", "FF00", "1234")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@contextmanager
def serving(spool: Spool, down: Downstream, policy: DestinationPolicy = QUICK) -> Iterator[Lane]:
    lane = Lane(spool, CStoreDestination("a", peer_at(down.port, TIMEOUT_S)), policy)
    lane.start()
    try:
        yield lane
    finally:
        assert lane.stop(5)


def is_settled(spool: Spool) -> bool:
    spool.flush()
    return not spool.desk.queue()


def row(spool: Spool) -> QueueEntry:
    spool.flush()
    (found,) = spool.desk.queue()
    return found


@pytest.mark.parametrize("mode", DEFERRED)
def test_what_may_pass_is_deferred_in_time_and_delivered_when_it_has_passed(spool: Spool, mode: str) -> None:
    put_real(spool, 1)

    with downstream(mode) as down, serving(spool, down, CALM) as lane:
        began = time.monotonic()
        wait_for(lambda: row(spool).state == DeliveryState.DEFERRED, "deferred", TIMEOUT_S + 4)
        took_s = time.monotonic() - began
        found = row(spool)
        down.mode = "well"
        spool.desk.retry()
        wait_for(lambda: is_settled(spool), "delivered")
        assert lane.is_usable

    assert took_s < TIMEOUT_S + 1.5
    assert found.attempts == 1
    assert found.why
    assert down.stored == ["2.25.1001"]


@pytest.mark.parametrize("mode", UNUSABLE)
def test_a_destination_that_cannot_be_used_costs_no_attempt(spool: Spool, mode: str) -> None:
    put_real(spool, 1)

    with downstream(mode) as down, serving(spool, down) as lane:
        wait_for(lambda: lane.status().circuit == Circuit.OPEN, "open", TIMEOUT_S + 1)
        found = row(spool)
        down.mode = "well"
        if mode == "down":
            down.listen()
        wait_for(lambda: is_settled(spool), "delivered")

    assert (found.state, found.attempts) == (DeliveryState.PENDING, 0)
    assert down.stored == ["2.25.1001"]


@pytest.mark.parametrize("mode", REFUSED)
def test_what_is_refused_for_good_waits_for_a_person(spool: Spool, mode: str) -> None:
    put_real(spool, 1)

    with downstream(mode) as down, serving(spool, down):
        wait_for(lambda: row(spool).state == DeliveryState.REFUSED, "refused", TIMEOUT_S + 1)
        found = row(spool)

    assert (found.status, found.attempts) == (int(mode, 16), 1)
    assert down.associations == 1


def test_an_object_whose_context_is_refused_is_held(spool: Spool) -> None:
    put_real(spool, 1)

    with downstream("refuses-context") as down, serving(spool, down):
        wait_for(lambda: row(spool).state == DeliveryState.HELD, "held", TIMEOUT_S + 1)

    why = f"{HeldFor.NOT_SENDABLE}: not accepted is CT Image Storage in Explicit VR Little Endian"
    assert row(spool).why == why


@pytest.mark.parametrize(
    ("mode", "attempt", "state"),
    [
        ("B000", 1, "warned"),
        ("B006", 1, "warned"),
        ("B007", 1, "warned"),
        ("0111", 1, "warned"),
        ("0111", 2, "delivered"),
    ],
)
def test_what_is_stored_with_a_remark_is_delivered(spool: Spool, mode: str, attempt: int, state: str) -> None:
    put_real(spool, 1)

    with downstream("A700" if attempt > 1 else mode) as down, serving(spool, down):
        if attempt > 1:
            wait_for(lambda: row(spool).status == 0xA700, "tried")
            down.mode = mode
        wait_for(lambda: is_settled(spool), "delivered")

    assert spool.desk.status().destinations["a"] == {DeliveryState(state): 1}


def test_trouble_after_trouble_leaves_no_thread_and_no_descriptor(spool: Spool) -> None:
    modes = (
        *("aborts-midway", "resets-midway", "closes-before-answer", "wrong-message-id", "rejects-2"),
        *("wrong-instance", "no-status", "wrong-command", "garbage", "rejects-1", "A700"),
    )
    for number in range(10):
        put_real(spool, number)
    with downstream("A700") as down, serving(spool, down):
        wait_for(lambda: down.associations > 0, "warm")
        down.mode = "well"
        wait_for(lambda: is_settled(spool), "delivered")
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))

    put_real(spool, 100)
    with downstream() as down, serving(spool, down):
        for cycle in range(100):
            before = down.associations
            down.mode = modes[cycle % len(modes)]
            spool.desk.retry()
            put_real(spool, 101 + cycle)
            wait_for(lambda before=before: down.associations > before, "another association")  # type: ignore[misc]
        down.mode = "well"
        wait_for(lambda: {row.state for row in spool.desk.queue()} <= {"held"}, "delivered")

    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2


# --- two destinations ---------------------------------------------------------------------------


def took(spool: Spool, well: FakeDestination, names: tuple[str, ...], first: int) -> list[float]:
    """Send 60 objects to all; return how long each took from its commit to the destination that is well."""
    begun: dict[int, float] = {}
    ended: dict[int, float] = {}

    def note(entry: Entry) -> Outcome:
        ended.setdefault(entry.item, time.monotonic())
        return Delivered()

    well.script = note
    for number in range(first, first + 60):
        at = time.monotonic()
        begun[put(spool, number, destinations=names).item] = at
    wait_for(lambda: len(ended) == 60, "all delivered")
    return sorted(ended[item] - begun[item] for item in begun)


@pytest.mark.parametrize("mode", ["down", "no-answer", "never-reads", "aborts-midway", "A700"])
def test_a_sick_destination_does_not_delay_a_healthy_one(spool: Spool, mode: str) -> None:
    well = FakeDestination("well")
    lane = Lane(spool, well, QUICK)
    lane.start()
    alone = took(spool, well, ("well",), 0)

    with downstream(mode) as down, serving(spool, down):
        together = took(spool, well, ("a", "well"), 1000)
    assert lane.stop(5)

    # The same within what two busy cores can tell apart; a lane that waited would be late by the timeout.
    assert together[30] < alone[30] + 0.15
    assert together[-1] < alone[-1] + TIMEOUT_S / 2
