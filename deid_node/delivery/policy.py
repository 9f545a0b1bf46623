"""How a destination is served: senders, pauses, ages, rates, hours, fallbacks. Values and pure rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from deid_node.errors import ConfigurationError

_DAY_S: Final = 86400.0
_HOURS: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """A window of local time on every day, in minutes since midnight; it may span midnight."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read `20:00-06:00`.

        Raises:
            ConfigurationError: not such a window, or an empty one.
        """
        found = _HOURS.fullmatch(text.strip())
        start, end = (
            (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
        )
        if start == end or max(start, end) > _DAY_MINUTES:
            raise ConfigurationError("Hours are written as 20:00-06:00, from and to in local time.")
        return cls(start, end)

    def __str__(self) -> str:
        return f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"

    def hold(self, minute: int) -> bool:
        """Whether a minute of the day is inside."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """How one destination is served.

    Attributes:
        senders: threads, each with an association of its own.
        batch: entries claimed at a time by a sender.
        first_pause_s, longest_pause_s: after the n-th failed attempt an entry, and after the n-th
            failed probe the lane, waits between nothing and first * 2 ** (n - 1), at most longest.
        max_age_s: an entry that fails and is older than this since it was received is held.
        alarms_s: ages of the oldest waiting entry at which somebody is told.
        objects_per_s, bytes_per_s: of the whole lane; None is as fast as it goes.
        hours: when it is served; None is always.
        fallback: destinations that take over, the first usable one, when this one could not be
            used for `fallback_after_s`.
        linger_s: how long an association without work is kept.
        poll_s: how often the ledger is asked for entries whose pause is over.
        failures_to_open: failed attempts in a row after which the lane pauses and probes.
        aborts_to_hold: after so many associations lost over one object, while others passed, it is held.
    """

    senders: int = 1
    batch: int = 64
    first_pause_s: float = 5.0
    longest_pause_s: float = 900.0
    max_age_s: float = 14 * _DAY_S
    alarms_s: tuple[float, ...] = (3600.0, _DAY_S)
    objects_per_s: float | None = None
    bytes_per_s: float | None = None
    hours: Hours | None = None
    fallback: tuple[str, ...] = ()
    fallback_after_s: float = 300.0
    linger_s: float = 2.0
    poll_s: float = 1.0
    failures_to_open: int = 3
    aborts_to_hold: int = 3

    def __post_init__(self) -> None:
        for name in ("senders", "batch", "failures_to_open", "aborts_to_hold", "poll_s", "max_age_s"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"Destination: {name} must be more than 0.")
        for name in ("objects_per_s", "bytes_per_s"):
            if (rate := getattr(self, name)) is not None and rate <= 0:
                raise ConfigurationError(f"Destination: {name} must be more than 0.")

    def pause_s(self, failures: int, chance: float) -> float:
        """Return the pause after the n-th failure; `chance` is a random number from 0 to 1.

        Full jitter: senders that failed together do not come back together.
        """
        doublings = min(max(failures - 1, 0), 32)
        return chance * min(self.longest_pause_s, self.first_pause_s * 2.0**doublings)


class Pace:
    """Spreads objects so that neither objects nor bytes per second pass a limit. Not thread-safe."""

    def __init__(self, objects_per_s: float | None, bytes_per_s: float | None) -> None:
        self._per_object_s = 1 / objects_per_s if objects_per_s else 0.0
        self._per_byte_s = 1 / bytes_per_s if bytes_per_s else 0.0
        self._next_at = 0.0

    def wait_s(self, now: float, size: int) -> float:
        """Take a place for an object of `size` bytes; return how long to wait for it."""
        at = max(now, self._next_at)
        self._next_at = at + max(self._per_object_s, size * self._per_byte_s)
        return at - now
