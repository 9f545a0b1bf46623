"""Until when an object has to be durable, so that its sender can be told in time.

Two may decide: whoever makes the object durable, and whoever waits no longer. The first one does, once;
the other learns that it came second.
"""

from __future__ import annotations

from time import monotonic

from deid_node.errors import SpoolError


class TooLate(SpoolError):
    """The object was durable too late, and was withdrawn: its sender was told to send it again."""


class Deadline:
    """The moment after which an object is not kept any more, on the monotonic clock."""

    __slots__ = ("_undecided", "_until")

    def __init__(self, within_s: float) -> None:
        """Begin now."""
        self._until = monotonic() + within_s
        self._undecided = [True]  # whoever pops it decides: an atomic step, which a lock would cost more for

    @property
    def is_over(self) -> bool:
        """Whether the object cannot be kept any more."""
        return not self._undecided or monotonic() > self._until

    def keep(self) -> bool:
        """Decide that a durable object is kept; False when the time was over, or it was given up."""
        return self._decide() and monotonic() <= self._until

    def give_up(self) -> bool:
        """Decide that the object is not kept, whatever becomes durable; False when it was decided before."""
        return self._decide()

    def _decide(self) -> bool:
        try:
            return self._undecided.pop()
        except IndexError:
            return False
