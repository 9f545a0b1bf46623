"""The wall clock jumps: no lease is lost, nothing is tried much earlier or later, nothing is held for age."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deid_node.delivery.breaker import Circuit
from deid_node.delivery.destination import UnusableError
from deid_node.delivery.lane import Lane
from deid_node.delivery.policy import DestinationPolicy
from deid_node.spool import Deferred, Delivered, DeliveryState, Entry, Outcome, Spool
from tests.delivery.fakes import FakeDestination
from tests.peers import wait_for
from tests.spool.objects import put

QUICK = DestinationPolicy(first_pause_s=0.3, longest_pause_s=0.3, poll_s=0.02, linger_s=0.1)
HOUR, DAY = 3600.0, 86400.0
JUMPS = (HOUR, -HOUR, DAY, -DAY, 1.0, -1.0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the wall clock of this process forward or back; the monotonic one goes on."""
    system = time.time

    def by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: system() + seconds)

    return by


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_deferred_entry_is_tried_again_in_its_time(
    spool: Spool, jump: Callable[[float], None], seconds: float
) -> None:
    tried: list[float] = []

    def fail_once(entry: Entry) -> Outcome:
        tried.append(time.monotonic())
        if entry.attempt == 1:
            jump(seconds)
            return Deferred("busy", pause_s=0.5)
        return Delivered()

    put(spool, 1)
    lane = Lane(spool, FakeDestination(script=fail_once), replace(QUICK, failures_to_open=100))
    lane.start()
    try:
        wait_for(lambda: len(tried) == 2, "tried again", 5)
    finally:
        assert lane.stop(5)

    assert 0.4 <= tried[1] - tried[0] <= 1.5


@pytest.mark.parametrize("seconds", JUMPS)
def test_an_entry_that_waits_when_the_clock_jumps_is_tried_in_its_time(
    spool: Spool, jump: Callable[[float], None], seconds: float
) -> None:
    tried: list[float] = []

    def fail_once(entry: Entry) -> Outcome:
        tried.append(time.monotonic())
        return Deferred("busy", pause_s=0.8) if entry.attempt == 1 else Delivered()

    put(spool, 1)
    lane = Lane(spool, FakeDestination(script=fail_once), replace(QUICK, failures_to_open=100))
    lane.start()
    try:
        wait_for(lambda: spool.desk.queue()[0].state == DeliveryState.DEFERRED, "deferred")
        jump(seconds)
        wait_for(lambda: len(tried) == 2, "tried again", 5)
    finally:
        assert lane.stop(5)

    assert 0.7 <= tried[1] - tried[0] <= 1.8


@pytest.mark.parametrize("seconds", JUMPS)
def test_the_circuit_is_probed_in_its_time(
    spool: Spool, jump: Callable[[float], None], seconds: float
) -> None:
    def enter() -> None:
        raise UnusableError("cannot connect")

    put(spool, 1)
    destination = FakeDestination(entering=enter, probing=lambda: "cannot connect")
    lane = Lane(spool, destination, QUICK, chance=lambda: 1.0)
    lane.start()
    try:
        wait_for(lambda: destination.probes == 1, "probed", 5)
        jump(seconds)
        begun = time.monotonic()
        wait_for(lambda: destination.probes == 4, "probed again", 5)
        took_s = time.monotonic() - begun
        assert lane.status().circuit != Circuit.CLOSED
    finally:
        assert lane.stop(5)

    assert 0.5 <= took_s <= 3


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_lease_is_not_lost_and_not_given_twice(
    spool: Spool, jump: Callable[[float], None], seconds: float
) -> None:
    put(spool, 1)
    (entry,) = spool.claim("a")

    jump(seconds)

    assert spool.claim("a") == []
    spool.settle(entry, Delivered())
    spool.flush()
    assert spool.desk.status().destinations["a"] == {DeliveryState.DELIVERED: 1}


def test_a_restart_with_the_clock_set_back_tries_again_within_the_longest_pause(
    tmp_path: Path, jump: Callable[[float], None]
) -> None:
    spool = Spool.open(tmp_path, durable=False)
    put(spool, 1)
    spool.settle(spool.claim("a")[0], Deferred("busy", pause_s=5))
    spool.close()
    jump(-DAY)

    again = Spool.open(tmp_path, durable=False, max_pause_s=0.0)

    assert len(again.claim("a")) == 1
    again.close()
