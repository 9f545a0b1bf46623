"""What became of one entry: the states of the ledger, and delivery outcomes as values.

A delivery is in exactly one state. Outcomes are what a lane tells the ledger after an attempt; an
expected failure is a value here and never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ItemState(StrEnum):
    """Where the bytes of one received object are."""

    READY = "ready"  # the file is there and is needed
    DONE = "done"  # every delivery is settled; the file is kept for a while
    PURGED = "purged"  # the file is gone, on purpose
    MISSING = "missing"  # the file is gone or has another size, not on purpose
    DAMAGED = "damaged"  # the content is not what was acknowledged


class DeliveryState(StrEnum):
    """Where one object is on its way to one destination."""

    PENDING = "pending"  # waits for its turn
    LEASED = "leased"  # an attempt runs
    DEFERRED = "deferred"  # tried in vain, will be tried again
    DELIVERED = "delivered"
    WARNED = "warned"  # delivered, with a warning status
    UNCOMMITTED = "uncommitted"  # delivered, and to be asked whether the destination keeps it
    ASKED = "asked"  # the destination was asked to commit itself
    COMMITTED = "committed"  # the destination keeps it
    HELD = "held"  # waits for a person
    REFUSED = "refused"  # permanently refused by the next hop; kept for a person
    DROPPED = "dropped"  # given up by a person
    REROUTED = "rerouted"  # handed to a fallback destination, where it has a row of its own


SETTLED: Final = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.WARNED,
        DeliveryState.COMMITTED,
        DeliveryState.DROPPED,
        DeliveryState.REROUTED,
    }
)
"""States after which this delivery needs the file no more."""


class HeldFor(StrEnum):
    """Why an entry waits for a person, as one word of a closed list."""

    MISSING = "missing"
    DAMAGED = "damaged"
    TOO_OLD = "too-old"
    POISON = "poison"
    NOT_SENDABLE = "not-sendable"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has the object. A warning status (PS3.4 Table B.2-1) is kept with the row.

    `awaits_commitment`: it is needed here until the destination has committed itself to keep it.
    """

    status: int = 0
    warning: bool = False
    awaits_commitment: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """The attempt failed in a way that may pass.

    `pause_s` is what the destination asked for, None when the lane is to choose. `aborted`: the
    association was lost while this object was under way, so that the object itself is suspect.
    """

    why: str
    pause_s: float | None = None
    status: int | None = None
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The next hop will not take this object, now or later."""

    why: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The object stays until a person decides."""

    why: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """No attempt was made after all: the entry goes back to its place in the queue."""

    why: str = ""


Outcome = Delivered | Deferred | Refused | Held | Released
