"""Statuses and their classes."""

from __future__ import annotations

import pytest

from deid_node.dimse.status import StatusClass, StoreStatus, class_of

DELIVERED, DEFERRED, REFUSED = StatusClass.DELIVERED, StatusClass.DEFERRED, StatusClass.REFUSED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, DELIVERED),
        (0x0111, DELIVERED),
        (0xB000, DELIVERED),
        (0xB006, DELIVERED),
        (0xB007, DELIVERED),
        (0xA700, DEFERRED),
        (0xA7FF, DEFERRED),
        (0x0110, DEFERRED),
        (0x0210, DEFERRED),
        (0x0213, DEFERRED),
        (0xA900, REFUSED),
        (0xA9FF, REFUSED),
        (0xA800, REFUSED),
        (0xC000, REFUSED),
        (0xC107, REFUSED),
        (0x0117, REFUSED),
        (0x0122, REFUSED),
        (0x0124, REFUSED),
        (0xFF00, REFUSED),
        (0xB001, REFUSED),
        (0x1234, REFUSED),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else None,
)
def test_a_status_from_a_downstream_has_one_class(status: int, expected: StatusClass) -> None:
    assert class_of(status) is expected
    assert class_of(StoreStatus(status)) is expected


def test_a_status_that_nobody_lists_is_still_a_status() -> None:
    status = StoreStatus(0x1234)

    assert (status, status.code) == (0x1234, "1234")
    assert status == StoreStatus(0x1234)


@pytest.mark.parametrize("value", [-1, 0x10000])
def test_a_status_has_16_bits(value: int) -> None:
    with pytest.raises(ValueError, match="not a valid StoreStatus"):
        StoreStatus(value)
