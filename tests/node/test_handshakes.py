"""Failed handshakes are told in a bounded way."""

from __future__ import annotations

from deid_node.node.handshakes import OTHERS, FailedHandshakes

Told = list[tuple[str, str, int]]


def counting() -> tuple[FailedHandshakes, Told]:
    told: Told = []
    return FailedHandshakes(lambda *line: told.append(line)), told


def test_equal_failures_are_counted_until_they_cease() -> None:
    failed, told = counting()
    for _ in range(3):
        for _ in range(10):
            failed.add("10.0.0.1", "x")
        failed.tell_counted()
    failed.tell_counted()
    failed.add("10.0.0.1", "x")

    assert [count for _, _, count in told] == [1, 9, 10, 10, 1]


def test_other_addresses_and_reasons_are_told_apart() -> None:
    failed, told = counting()
    for address, reason in (("10.0.0.1", "x"), ("10.0.0.2", "x"), ("10.0.0.1", "y")):
        failed.add(address, reason)

    assert told == [("10.0.0.1", "x", 1), ("10.0.0.2", "x", 1), ("10.0.0.1", "y", 1)]


def test_a_thousand_addresses_make_a_bounded_number_of_lines_and_none_is_lost() -> None:
    failed, told = counting()
    for number in range(1000):
        failed.add(f"10.0.{number // 256}.{number % 256}", "x")
    failed.tell_counted()

    assert len(told) < 300
    assert sum(count for _, _, count in told) == 1000
    assert told[-1][0] == OTHERS
