"""The lanes of a running node, and what is told of every outcome."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import structlog

from deid_node.delivery.breaker import Circuit
from deid_node.delivery.destination import Destination
from deid_node.delivery.lane import Lane, LaneStatus, Observer, observe_nothing
from deid_node.log import is_told
from deid_node.node.destinations import policy_of
from deid_node.settings import Settings
from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Deferred, Delivered, Held, Outcome, Refused, Released
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)
_GRACE_S: Final = 10.0


class Lanes:
    """One lane for each destination."""

    def __init__(
        self,
        spool: Spool,
        settings: Settings,
        destinations: Mapping[str, Destination],
        observe: Observer = observe_nothing,
    ) -> None:
        def tell_all(entry: Entry, outcome: Outcome) -> None:
            tell(entry, outcome)
            observe(entry, outcome)

        def note(status: LaneStatus) -> None:
            spool.note_outage(status.destination, None if status.circuit == Circuit.CLOSED else status.why)
            tell_use(status)

        self._lanes = {
            name: Lane(
                spool,
                destination,
                policy_of(settings.effective_destinations[name]),
                observe=tell_all,
                watch=note,
                alarm=tell_age,
                takes_over=self._is_usable,
            )
            for name, destination in destinations.items()
        }

    def start(self) -> None:
        """Start all lanes."""
        for lane in self._lanes.values():
            lane.start()

    def stop(self) -> None:
        """Stop all lanes together: each finishes what it has under way."""
        for lane in self._lanes.values():
            lane.ask_to_stop()
        for lane in self._lanes.values():
            if not lane.stop(_GRACE_S):
                _LOG.warning("node.lane_not_stopped", destination=lane.name)

    def statuses(self) -> list[LaneStatus]:
        """Return what the lanes are doing."""
        return [lane.status() for lane in self._lanes.values()]

    def _is_usable(self, name: str) -> bool:
        lane = self._lanes.get(name)
        return lane is not None and lane.status().circuit == Circuit.CLOSED


def tell(entry: Entry, outcome: Outcome) -> None:
    """Write one event for an outcome; what is given back unsent is no news, a success only for debugging."""
    if isinstance(outcome, Released) or (isinstance(outcome, Delivered) and not is_told(logging.DEBUG)):
        return
    log = _LOG.bind(entry=entry.id, destination=entry.destination, route=entry.route, attempt=entry.attempt)
    match outcome:
        case Delivered(status, warning):
            log.debug("node.delivered", status=f"{status:04X}", warnings=int(warning))
        case Deferred(why, pause_s, status):
            log.warning("node.deferred", reason=why, after_s=pause_s, status=_code(status))
        case Refused(why, status):
            log.error("node.refused_by_destination", reason=why, status=_code(status))
        case Held(why, status):
            log.error("node.held", reason=why, status=_code(status))


def tell_use(status: LaneStatus) -> None:
    """Write one event when a destination goes out of use, and one when it is back."""
    log = _LOG.bind(destination=status.destination)
    if status.circuit == Circuit.CLOSED:
        log.info("node.destination_back", out_for_s=round(status.unusable_for_s, 1))
    else:
        log.warning("node.destination_out", reason=status.why)


def tell_age(destination: str, age_s: float, limit_s: float) -> None:
    """Write one event each time that what waits for a destination passes one more age, and at its end."""
    log = _LOG.bind(destination=destination)
    if limit_s:
        log.error("node.destination_behind", oldest_s=round(age_s), limit_s=limit_s)
    else:
        log.info("node.destination_caught_up")


def _code(status: int | None) -> str | None:
    return None if status is None else f"{status:04X}"
