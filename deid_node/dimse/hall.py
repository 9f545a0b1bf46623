"""Counts the connections of an acceptor: waiting ones (nothing negotiated yet) and associations.

The two are bounded apart, in all and by address. A waiting connection gives way to newer ones, so
that nobody who only connects can keep others out; an association never does.
"""

from __future__ import annotations

import threading
from collections import Counter

from deid_node.dimse.association import AssociationRejection
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.wire import Wire


class Hall:
    """All connections of one acceptor."""

    def __init__(self, limits: AssociationLimits) -> None:
        self._limits = limits
        self._lock = threading.Condition()
        self._all: set[Wire] = set()
        self._waiting: dict[Wire, None] = {}  # in the order of their arrival
        self._associations: set[Wire] = set()
        self._by_address: Counter[str] = Counter()  # associations
        self._closing = False

    def enter(self, wire: Wire) -> None:
        """Let a new connection wait; when too many wait, cut the one that waited longest."""
        with self._lock:
            self._all.add(wire)
            self._waiting[wire] = None
            displaced = self._too_many(wire.address)
            if displaced is not None:
                del self._waiting[displaced]
        if displaced is not None:
            displaced.cut("displaced", both_ways=True)

    def _too_many(self, address: str) -> Wire | None:
        of_address = [wire for wire in self._waiting if wire.address == address]
        if len(of_address) > self._limits.waiting_per_address:
            return of_address[0]
        if len(self._waiting) > self._limits.waiting:
            return next(iter(self._waiting))
        return None

    def associate(self, wire: Wire) -> AssociationRejection | None:
        """Count a waiting connection as an association, or say why that cannot be."""
        with self._lock:
            if self._closing:
                return AssociationRejection.TEMPORARY_CONGESTION
            if (
                len(self._associations) >= self._limits.associations
                or self._by_address[wire.address] >= self._limits.associations_per_address
            ):
                return AssociationRejection.LOCAL_LIMIT_EXCEEDED
            self._waiting.pop(wire, None)
            self._associations.add(wire)
            self._by_address[wire.address] += 1
            return None

    def leave(self, wire: Wire) -> None:
        """Forget a connection that ended."""
        with self._lock:
            self._all.discard(wire)
            self._waiting.pop(wire, None)
            if wire in self._associations:
                self._associations.remove(wire)
                self._by_address[wire.address] -= 1
                if not self._by_address[wire.address]:
                    del self._by_address[wire.address]
            if not self._all:
                self._lock.notify_all()

    def close(self) -> None:
        """Let no waiting connection become an association any more."""
        with self._lock:
            self._closing = True

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until no connection is left, and tell whether that came in time."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._all, timeout_s)

    def wires(self) -> list[Wire]:
        """Return all connections as of now."""
        with self._lock:
            return list(self._all)
