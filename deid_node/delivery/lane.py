"""A lane: the queue, the senders and the temper of one destination.

Claims entries, checks their content, lets a sender deliver them, decides what a failure means, and
writes it down. Lanes share nothing but the ledger, so that a dead or slow destination delays no other.
Every pause is on the monotonic clock.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from deid_node.delivery.breaker import Breaker, Circuit
from deid_node.delivery.destination import Destination, Parcel, Sender, UnusableError
from deid_node.delivery.policy import DestinationPolicy, Pace
from deid_node.errors import DeliveryError, SpoolError
from deid_node.spool.entry import Entry
from deid_node.spool.outcomes import Deferred, Delivered, Held, HeldFor, Outcome, Released
from deid_node.spool.reading import Content, Reader
from deid_node.spool.spool import Spool

# One claim for what arrives in the next moment, not one per object: a claim is a transaction, and the
# thread takes turns with those that receive.
_GATHER_S: Final = 0.05
_HOUSEKEEPING_S: Final = 60.0
_REROUTED_AT_A_TIME: Final = 256
_AFTER_ABORT_S: Final = 5.0
_HOURS_CHECK_S: Final = 20.0

_Opener = Callable[[Entry], Content | Held | Deferred]

Observer = Callable[[Entry, Outcome], None]
"""Told of every outcome as it is written down, for logs and metrics."""


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """What a lane is doing. `why` is the last trouble while the circuit is not closed."""

    destination: str
    circuit: Circuit
    why: str
    unusable_for_s: float
    delivered: int
    deferred: int
    stuck: int


Watcher = Callable[[LaneStatus], None]
"""Told when a destination goes out of use and when it is back."""


Alarm = Callable[[str, float, float], None]
"""Told the destination, the age of its oldest waiting entry, and which limit it passed, 0 for none."""


def observe_nothing(entry: Entry, outcome: Outcome) -> None:
    """Nobody listens."""


def watch_nothing(status: LaneStatus) -> None:
    """Nobody watches."""


def alarm_nobody(destination: str, age_s: float, limit_s: float) -> None:
    """Nobody is told."""


class Lane:
    """Serves one destination from the spool until it is stopped."""

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        policy: DestinationPolicy = DestinationPolicy(),  # noqa: B008  # frozen
        *,
        observe: Observer = observe_nothing,
        watch: Watcher = watch_nothing,
        alarm: Alarm = alarm_nobody,
        takes_over: Callable[[str], bool] = lambda _: True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Make a lane; `start` starts it.

        Args:
            spool: holds the entries.
            destination: where they go.
            policy: how.
            observe: called from the lane's threads; it must not block.
            watch: the same.
            alarm: the same; called when what waits passes one more of the ages of the policy, and with
                none passed when it has caught up.
            takes_over: whether a fallback destination can be used now.
            chance: random numbers from 0 to 1.
        """
        self.name = destination.name
        self._spool = spool
        self._destination = destination
        self._policy = policy
        self._observe = observe
        self._watch = watch
        self._watched_as_usable = True
        self._alarm = alarm
        self._age_told = 0.0
        self._takes_over = takes_over
        self._chance = chance
        self._bell = spool.bell(self.name)
        self._lock = threading.Lock()
        self._breaker = Breaker(policy, chance)
        self._pace = Pace(policy.objects_per_s, policy.bytes_per_s)
        self._stopping = threading.Event()
        self._senders: list[Sender] = []
        self._threads: list[threading.Thread] = []
        self._kept_house_at = 0.0
        self._delivered = self._deferred = self._stuck = 0
        self._passed_before: dict[int, int] = {}

    def start(self) -> None:
        """Start the sender threads."""
        for number in range(self._policy.senders):
            sender = self._destination.sender()
            thread = threading.Thread(
                target=self._serve, args=(sender,), name=f"lane-{self.name}-{number}", daemon=True
            )
            self._senders.append(sender)
            self._threads.append(thread)
            thread.start()

    def stop(self, grace_s: float) -> bool:
        """Finish the objects under way within `grace_s`, then abort; return whether all threads ended.

        What was claimed and not sent goes back into the queue.
        """
        self.ask_to_stop()
        end = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            for sender in self._senders:
                sender.abort()
            end = time.monotonic() + _AFTER_ABORT_S
            for thread in self._threads:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def ask_to_stop(self) -> None:
        """Begin no object any more; `stop` waits for those under way."""
        self._stopping.set()
        self._bell.set()

    def status(self) -> LaneStatus:
        """Return what the lane is doing."""
        with self._lock:
            breaker = self._breaker
            why = breaker.why if breaker.circuit != Circuit.CLOSED else ""
            return LaneStatus(
                self.name,
                breaker.circuit,
                why,
                breaker.open_for_s(time.monotonic()),
                self._delivered,
                self._deferred,
                self._stuck,
            )

    @property
    def is_usable(self) -> bool:
        """Whether entries are attempted now."""
        with self._lock:
            return self._breaker.circuit == Circuit.CLOSED

    # --- the life of a sender thread ------------------------------------------------------------

    def _serve(self, sender: Sender) -> None:
        last_work = time.monotonic()
        reader = Reader()
        try:
            while not self._stopping.is_set():
                self._bell.clear()
                if self._spool.failed is not None:
                    return
                try:
                    wait_s = self._wait_s()
                    claimed = 0 if wait_s else self._deliver_some(sender, reader)
                except SpoolError:  # a shortage; a spool that has failed ends the thread above
                    claimed, wait_s = 0, self._policy.poll_s
                now = time.monotonic()
                if claimed:
                    last_work = now
                    if claimed < self._policy.batch:
                        self._stopping.wait(_GATHER_S)
                    continue
                if now - last_work >= self._policy.linger_s:
                    sender.rest()
                self._pause(wait_s or self._policy.poll_s)
        finally:
            sender.rest()

    def _pause(self, wait_s: float) -> None:
        """Wait for a ring of the bell or the time; a closed circuit is worth waking for, an open one not."""
        wait_s = min(wait_s, self._policy.poll_s, self._policy.linger_s or self._policy.poll_s)
        if not self._stopping.is_set() and self._bell.wait(wait_s):
            self._stopping.wait(_GATHER_S)

    def _wait_s(self) -> float:
        """Return 0 when entries may be attempted now. Probes, hands on and back, keeps house on the way."""
        hours = self._policy.hours
        if hours is not None:
            local = time.localtime()
            if not hours.hold(local.tm_hour * 60 + local.tm_min):
                return _HOURS_CHECK_S
        now = time.monotonic()
        with self._lock:
            keeps_house = now >= self._kept_house_at
            if keeps_house:
                self._kept_house_at = now + _HOUSEKEEPING_S
            wait_s = self._breaker.wait_s(now)
            probes = self._breaker.circuit == Circuit.OPEN and not wait_s
            if probes:
                self._breaker.begin_probe()
        if keeps_house:
            self._spool.hold_older(self.name, self._policy.max_age_s)
            self._look_at_age()
        if probes:
            wait_s = self._probe()
        if wait_s:
            self._reroute()
        elif keeps_house and not probes:
            self._take_back()
        return wait_s

    def _look_at_age(self) -> None:
        age_s = self._spool.oldest_waiting_s(self.name)
        passed = max((limit_s for limit_s in self._policy.alarms_s if age_s >= limit_s), default=0.0)
        before, self._age_told = self._age_told, passed
        if passed > before or (before and not passed):
            self._alarm(self.name, age_s, passed)

    def _probe(self) -> float:
        why: str | None = "the probe failed"
        try:
            why = self._destination.probe()
        finally:
            now = time.monotonic()
            with self._lock:
                if why is None:
                    self._breaker.probed()
                    self._kept_house_at = 0.0
                else:
                    self._breaker.unusable(why, now)
                wait_s = self._breaker.wait_s(now)
            self._tell_if_changed()
        return wait_s

    def _tell_if_changed(self) -> None:
        """Say that the destination went out of use, or is back. Not in the lock."""
        with self._lock:
            # A probe under way is no news: it says nothing until it ends.
            changed = self._watched_as_usable != (self._breaker.circuit == Circuit.CLOSED)
            if changed:
                self._watched_as_usable = not self._watched_as_usable
        if changed:
            self._watch(self.status())

    def _reroute(self) -> None:
        """Hand entries to the first fallback that can be used, when this destination is out for long."""
        if not self._policy.fallback:
            return
        with self._lock:
            out_for_s = self._breaker.open_for_s(time.monotonic())
            why = self._breaker.why
        if out_for_s < self._policy.fallback_after_s:
            return
        to = next((name for name in self._policy.fallback if self._takes_over(name)), None)
        if to is not None:
            self._spool.reroute(self.name, to, why, _REROUTED_AT_A_TIME)

    def _take_back(self) -> None:
        """Take what fallbacks could not deliver: one entry as a trial, all of it once one succeeded."""
        with self._lock:
            proven = self._delivered > 0 and not self._breaker.open_for_s(time.monotonic())
        while self._spool.take_back(self.name, _REROUTED_AT_A_TIME if proven else 1) and proven:
            continue

    # --- one claim ------------------------------------------------------------------------------

    def _deliver_some(self, sender: Sender, reader: Reader) -> int:
        """Claim entries and deliver them; return how many there were."""
        entries = self._spool.claim(self.name, self._policy.batch)
        if not entries:
            return 0
        open_entries = {entry.id: entry for entry in entries}
        taken: set[int] = set()
        opens = self._opener(sender, reader)
        parcels = self._parcels(entries, open_entries, taken, opens)
        why = ""
        try:
            for entry, outcome in sender.deliver(frozenset(e.context for e in entries), parcels):
                del open_entries[entry.id]
                self._conclude(entry, outcome)
        except DeliveryError as error:
            why = str(error)
            lasting = isinstance(error, UnusableError) and error.lasting
            with self._lock:
                self._breaker.unusable(why, time.monotonic(), lasting=lasting)
            self._tell_if_changed()
        except Exception as error:  # a fault of ours must not end the lane; the entry is suspect
            why = f"fault: {type(error).__name__}"
            for entry in [open_entries.pop(id_) for id_ in taken & open_entries.keys()]:
                self._conclude(entry, Deferred(why, aborted=True))
        finally:
            parcels.close()
            for entry in open_entries.values():
                self._spool.settle(entry, Released(why))
        return len(entries)

    def _parcels(
        self, entries: list[Entry], open_entries: dict[int, Entry], taken: set[int], opens: _Opener
    ) -> Generator[Parcel, None, None]:
        """Hand out entries one by one, no faster than the pace, with checked content."""
        for entry in entries:
            with self._lock:
                wait_s = self._pace.wait_s(time.monotonic(), entry.length)
            if wait_s:
                self._stopping.wait(wait_s)
            if self._stopping.is_set() or not self.is_usable:
                return
            opened = opens(entry)
            if not isinstance(opened, Content):
                del open_entries[entry.id]
                self._conclude(entry, opened)
                continue
            taken.add(entry.id)
            try:
                yield Parcel(entry, opened)
            finally:
                opened.close()

    def _opener(self, sender: Sender, reader: Reader) -> _Opener:
        """Return what opens an entry; what nobody has touched since it was written may be linked unread."""
        spool = self._spool

        def opens(entry: Entry) -> Content | Held | Deferred:
            if not sender.links:
                return reader.open(entry)
            unread = spool.is_as_written(entry)
            spool.lend(entry)  # before there can be a link, whatever becomes of the attempt
            return reader.open(entry, checks=not unread)

        return opens

    # --- outcomes -------------------------------------------------------------------------------

    def _conclude(self, entry: Entry, outcome: Outcome) -> None:
        """Decide what an outcome means for the entry and for the lane, and write it down."""
        with self._lock:
            decided = self._decide(entry, outcome)
        self._spool.settle(entry, decided)
        self._observe(entry, decided)
        self._tell_if_changed()

    def _decide(self, entry: Entry, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Deferred):
            self._passed_before.pop(entry.id, None)
            if isinstance(outcome, Delivered):
                self._delivered += 1
                if self._breaker.open_for_s(time.monotonic()) or self._delivered == 1:
                    self._kept_house_at = 0.0  # what fallbacks have is taken back
                self._breaker.succeeded()
            elif not isinstance(outcome, Released):
                self._stuck += 1
            return outcome
        self._breaker.failed(outcome.why, time.monotonic())
        if time.time() - entry.received_at > self._policy.max_age_s:
            self._stuck += 1
            return Held(HeldFor.TOO_OLD, outcome.status)
        if outcome.aborted and self._is_poison(entry):
            self._stuck += 1
            return Held(HeldFor.POISON, outcome.status)
        self._deferred += 1
        pause_s = outcome.pause_s
        if pause_s is None:
            pause_s = self._policy.pause_s(entry.attempt, self._chance())
        return Deferred(outcome.why, pause_s, outcome.status, outcome.aborted)

    def _is_poison(self, entry: Entry) -> bool:
        """Whether the association is lost over this object again and again while others pass."""
        before = self._passed_before.setdefault(entry.id, self._delivered)
        if entry.aborts + 1 < self._policy.aborts_to_hold or self._delivered == before:
            return False
        del self._passed_before[entry.id]
        return True
