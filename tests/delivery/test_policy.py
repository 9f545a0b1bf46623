"""Pauses, hours, pace and the circuit breaker: pure rules with made-up time and chance."""

from __future__ import annotations

import pytest

from deid_node.delivery.breaker import Breaker, Circuit
from deid_node.delivery.policy import DestinationPolicy, Hours, Pace
from deid_node.errors import ConfigurationError

POLICY = DestinationPolicy()


def test_pauses_double_from_five_seconds_to_a_quarter_of_an_hour() -> None:
    longest = [POLICY.pause_s(failures, 1.0) for failures in (1, 2, 3, 8, 9, 100_000)]

    assert longest == [5, 10, 20, 640, 900, 900]


def test_pauses_are_spread_over_their_whole_length() -> None:
    assert [POLICY.pause_s(3, chance) for chance in (0.0, 0.25, 1.0)] == [0, 5, 20]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("08:00-17:30", [480, 1049], [479, 1050]),
        ("20:00-06:00", [1200, 1439, 0, 359], [360, 1199]),
        ("00:00-24:00", [0, 1439], []),
    ],
)
def test_hours_hold_the_minutes_between(text: str, inside: list[int], outside: list[int]) -> None:
    hours = Hours.parse(text)

    assert str(hours) == text
    assert all(hours.hold(minute) for minute in inside)
    assert not any(hours.hold(minute) for minute in outside)


@pytest.mark.parametrize(
    "text", ["", "8-17", "08:00-08:00", "08:00", "25:00-26:00", "08:60-09:00", "24:30-06:00"]
)
def test_other_hours_are_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="20:00-06:00"):
        Hours.parse(text)


@pytest.mark.parametrize(
    "setting", [{"senders": 0}, {"batch": 0}, {"objects_per_s": 0.0}, {"bytes_per_s": -1.0}]
)
def test_a_policy_that_could_never_send_is_an_error(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        DestinationPolicy(**setting)


def test_pace_spreads_objects_and_bytes() -> None:
    by_count = Pace(10, None)
    by_size = Pace(None, 1000)
    unlimited = Pace(None, None)

    assert [round(by_count.wait_s(100.0, 1), 6) for _ in range(3)] == [0, 0.1, 0.2]
    assert by_count.wait_s(200.0, 1) == 0
    assert [round(by_size.wait_s(100.0, 500), 6) for _ in range(3)] == [0, 0.5, 1.0]
    assert [unlimited.wait_s(100.0, 10**9) for _ in range(3)] == [0, 0, 0]


def test_the_circuit_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(POLICY, lambda: 1.0)
    breaker.failed("busy", 0)
    breaker.failed("busy", 0)
    breaker.succeeded()
    breaker.failed("busy", 0)
    breaker.failed("busy", 0)

    assert breaker.circuit is Circuit.CLOSED
    breaker.failed("busy", 10)
    assert breaker.circuit is Circuit.OPEN
    assert breaker.wait_s(10) == 5
    assert breaker.wait_s(15) == 0


def test_failed_probes_come_less_and_less_often() -> None:
    breaker = Breaker(POLICY, lambda: 1.0)
    waits = []
    for _ in range(4):
        breaker.begin_probe()
        breaker.unusable("down", 100)
        waits.append(breaker.wait_s(100))

    assert waits == [5, 10, 20, 40]
    assert breaker.open_for_s(160) == 60


def test_after_a_good_probe_one_failure_opens_again_and_one_success_settles() -> None:
    breaker = Breaker(POLICY, lambda: 1.0)
    breaker.unusable("down", 0)
    breaker.begin_probe()
    assert breaker.circuit is Circuit.PROBING
    breaker.probed()
    assert breaker.circuit is Circuit.CLOSED

    breaker.failed("busy", 50)
    assert breaker.circuit is Circuit.OPEN
    breaker.probed()
    breaker.succeeded()
    breaker.failed("busy", 60)

    assert breaker.circuit is Circuit.CLOSED
    assert breaker.open_for_s(100) == 0


def test_what_only_a_person_can_change_is_asked_for_seldom() -> None:
    breaker = Breaker(POLICY, lambda: 0.1)

    breaker.unusable("rejected permanently", 0, lasting=True)

    assert breaker.wait_s(0) == POLICY.longest_pause_s
