"""The circuit breaker of a lane: when to stop trying, when to probe, when to go on.

Pure: the time (monotonic, seconds) and the randomness are arguments. The caller holds a lock.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from deid_node.delivery.policy import DestinationPolicy


class Circuit(StrEnum):
    """Whether entries are attempted."""

    CLOSED = "closed"  # they are
    OPEN = "open"  # they are not, until a probe succeeds
    PROBING = "probing"  # a probe runs now


class Breaker:
    """Counts failures in a row. One success closes it."""

    def __init__(self, policy: DestinationPolicy, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self._failures = 0
        self._openings = 0
        self._probe_at = 0.0
        self._open_since: float | None = None
        self.circuit = Circuit.CLOSED
        self.why = ""

    def succeeded(self) -> None:
        """The destination took an object, or answered for one."""
        self._failures = self._openings = 0
        self._open_since = None
        self.circuit = Circuit.CLOSED
        self.why = ""

    def failed(self, why: str, now: float) -> None:
        """An attempt failed in a way that may pass."""
        self._failures += 1
        self.why = why
        if self._failures >= self._policy.failures_to_open:
            self._open(now, lasting=False)

    def unusable(self, why: str, now: float, *, lasting: bool = False) -> None:
        """The destination cannot be used at all; `lasting` when only a person can change that."""
        self.why = why
        self._open(now, lasting=lasting)

    def wait_s(self, now: float) -> float:
        """Return 0 when entries may be attempted or a probe is due, otherwise how long to wait."""
        match self.circuit:
            case Circuit.CLOSED:
                return 0.0
            case Circuit.PROBING:
                return self._policy.poll_s
            case Circuit.OPEN:
                return max(0.0, self._probe_at - now)

    def begin_probe(self) -> None:
        """A probe starts; others wait for its result."""
        self.circuit = Circuit.PROBING

    def probed(self) -> None:
        """The probe succeeded: attempts go on, and the next failure opens the circuit again."""
        self.circuit = Circuit.CLOSED
        self._failures = self._policy.failures_to_open - 1

    def open_for_s(self, now: float) -> float:
        """Return for how long nothing has succeeded since the circuit was opened first."""
        return 0.0 if self._open_since is None else now - self._open_since

    def _open(self, now: float, *, lasting: bool) -> None:
        self._openings += 1
        if self._open_since is None:
            self._open_since = now
        pause = (
            self._policy.longest_pause_s if lasting else self._policy.pause_s(self._openings, self._chance())
        )
        self._probe_at = now + pause
        self.circuit = Circuit.OPEN
