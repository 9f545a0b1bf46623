"""The durable spool: the bytes of de-identified objects, and the ledger that is their queue.

What `Draft.commit` returned for survives the end of the process and of the machine, and is handed to
`claim` until it is settled. Takes only what the engine made. A sync that failed ends it: `failed`
says why, everything raises, and only a restart finds out what is durable.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from deid_node.errors import SpoolError
from deid_node.spool import handing, ledger, passing, schema
from deid_node.spool.deadline import Deadline, TooLate
from deid_node.spool.desk import Desk
from deid_node.spool.draft import Draft
from deid_node.spool.entry import Commit, Entry, Refusal
from deid_node.spool.failpoint import reach
from deid_node.spool.object_files import ObjectFiles
from deid_node.spool.opening import open_folder
from deid_node.spool.outcomes import Outcome
from deid_node.spool.recovery import OBJECTS, Recovery, place
from deid_node.spool.room import Room, Water
from deid_node.spool.writer import Work, Writer

T = TypeVar("T")

_AT_A_TIME: Final = 1000


DEFAULT_MAX_PAUSE_S: Final = 900.0


class Spool:
    """An open spool. `open` makes one; every method may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        lock_fd: int,
        root_fd: int,
        writer: Writer,
        room: Room,
        *,
        durable: bool,
        keep_s: float,
        recovery: Recovery,
    ) -> None:
        """For `open` only."""
        self.folder = folder
        self.durable = durable
        self.recovery = recovery
        self.root_fd = root_fd
        self.files = ObjectFiles(root_fd, durable=durable)
        self._keep_s = keep_s
        self._lock_fd = lock_fd
        self._objects = str(folder / OBJECTS)
        self._writer = writer
        self._room = room
        self._bells: dict[str, threading.Event] = {}
        self._closed = False
        self._steady_from = time.time() - time.monotonic()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        durable: bool = True,
        water: Water | None = Water(),  # noqa: B008  # frozen
        keep_s: float = 0.0,
        max_pause_s: float = DEFAULT_MAX_PAUSE_S,
    ) -> Spool:
        """Open the spool in a folder, made when it is not there, and mend what a crash left.

        Args:
            folder: its own file system, or one with room; never shared by two nodes.
            durable: False switches every sync off, for benchmarks and tests: what was acknowledged
                is then lost with the power.
            water: how full its file system may become; None does not look.
            keep_s: how long a file stays after its last delivery.
            max_pause_s: the longest that a deferred entry waits after a start.

        Raises:
            SpoolError: another node has it open, a newer program made it, it is damaged, or the
                folder cannot be used.
        """
        folder = folder.absolute()
        lock_fd, root_fd, conn, checked, recovery = open_folder(
            folder, durable=durable, max_pause_s=max_pause_s
        )
        room = Room(root_fd, water)
        writer = Writer(
            conn, root_fd, durable=durable, is_short=lambda: not room.is_left(), relieve=room.relieve
        )
        spool = cls(folder, lock_fd, root_fd, writer, room, durable=durable, keep_s=keep_s, recovery=recovery)
        if not checked:
            spool._check_pages()
        return spool

    @property
    def failed(self) -> str | None:
        """Why nothing can be kept any more until a restart; None while all is well."""
        return self._writer.failed

    def fail(self, why: str) -> None:
        """Take nothing any more."""
        self._writer.fail(why)

    def has_room(self) -> bool:
        """Whether there is room for a new object."""
        if self._room.is_left():
            return True
        self.files.spares.clear()
        return False

    @property
    def turns_away(self) -> bool:
        """Whether there has been no room for so long that no sender should be let in."""
        return self._room.turns_away

    def draft(self) -> Draft:
        """Begin a new object; waits a few seconds for room, and only when it has just become short.

        Raises:
            SpoolError: the spool has failed or has no room.
        """
        if self._writer.failed is not None:
            raise SpoolError(self._writer.failed)
        if not self._room.wait():
            self.files.spares.clear()
            raise SpoolError("The file system of the spool has no room for new objects.")
        return Draft(self.files, self._record, self.fail)

    def claim(self, destination: str, limit: int = 1, now: float | None = None) -> list[Entry]:
        """Lease the oldest entries of a destination that are due, at most `limit`.

        The numbers of their attempts are durable before this returns.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        at, steady = time.time(), self._steady() if now is None else now
        rows = self._writer.run(Work(lambda conn: ledger.claim(conn, destination, limit, at, steady)))
        reach("after-claim")
        return [ledger.entry_of(row, self._objects) for row in rows]

    def is_as_written(self, entry: Entry) -> bool:
        """Whether this process wrote the file a short while ago and nobody has written to it since."""
        return self.files.written.holds(entry.object)

    def lend(self, entry: Entry) -> None:
        """Take note that a link to the file of an entry may have been handed out."""
        self.files.written.lend(entry.object)

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Write down what became of a claimed entry, soon; `flush` waits for it.

        A file that nothing needs any more is removed after its row says so.
        """
        at, steady, keeps = time.time(), self._steady(), self._keep_s > 0
        reach("before-settle")

        def after(name: str | None) -> None:
            if name is not None:
                reach("after-purge-row")
                self.files.release([name])

        self._writer.post(
            Work(
                lambda conn: ledger.settle(conn, entry, outcome, at, steady, keeps), after=after, patient=True
            )
        )

    def _steady(self) -> float:
        """Return the time as it would be if nobody had set the clock since the start: for pauses."""
        return self._steady_from + time.monotonic()

    def flush(self) -> None:
        """Return when everything that was settled before is durable.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        self._writer.run(Work(lambda _: None))

    def record_refusal(self, refusal: Refusal, *, may_be_lost: bool = False) -> None:
        """Write down an object that was not taken, soon; when space is short, later or not at all."""
        at = time.time()
        self._writer.post(Work(lambda conn: ledger.refuse(conn, refusal, at), patient=not may_be_lost))

    def hold_older(self, destination: str, max_age_s: float) -> int:
        """Hold the entries of a destination that were received too long ago; returns how many."""
        now = time.time()
        return self._writer.run(
            Work(lambda conn: ledger.hold_older(conn, destination, now - max_age_s, _AT_A_TIME, now))
        )

    def note_outage(self, destination: str, why: str | None) -> None:
        """Write down, soon, that a destination is out of use and why, or with None that it is back."""
        now = time.time()
        self._writer.post(Work(lambda conn: ledger.note_outage(conn, destination, why, now), patient=True))

    def oldest_waiting_s(self, destination: str) -> float:
        """Return for how long the oldest object waits that this destination should get; 0 for none."""
        came = self._writer.run(Work(lambda conn: ledger.oldest_waiting(conn, destination)))
        return 0.0 if came is None else max(0.0, time.time() - came)

    def reroute(self, destination: str, to: str, why: str, limit: int) -> int:
        """Hand the oldest waiting entries of a destination to another one; returns how many."""
        now, keeps = time.time(), self._keep_s > 0
        count, names = self._writer.run(
            Work(lambda conn: handing.reroute(conn, destination, to, why, limit, now, keeps))
        )
        self.files.release(names)
        if count:
            self.ring(to)
        return count

    def take_back(self, destination: str, limit: int) -> int:
        """Give a destination back what its fallbacks have not delivered; returns how many."""
        now = time.time()
        return self._writer.run(Work(lambda conn: handing.take_back(conn, destination, limit, now)))

    def purge(self) -> int:
        """Remove the files that were kept for long enough after their last delivery."""
        before = time.time() - self._keep_s
        names = self._writer.run(Work(lambda conn: ledger.purge(conn, before, _AT_A_TIME)))
        self.files.release(names)
        return len(names)

    def prune(self, older_than_s: float) -> int:
        """Delete the history of objects that were settled that long ago; their counts stay.

        An object of which nothing is known any more is new when it comes again.
        """
        before = time.time() - older_than_s
        self._writer.run(Work(lambda conn: ledger.prune_refusals(conn, before)))
        deleted, after, more = 0, 0, True
        while more and not self._closed:
            step = _Prune(before, after)
            some, after, more = self._writer.run(Work(step.run))
            deleted += some
        return deleted

    @property
    def desk(self) -> Desk:
        """What an operator can ask and order; `deid_node.spool.desk`."""
        return Desk(self.folder, self.ring)

    def bell(self, destination: str) -> threading.Event:
        """Return the event that is set when a destination may have something to do."""
        return self._bells.setdefault(destination, threading.Event())

    def ring(self, destination: str) -> None:
        """Wake whoever waits for entries of a destination."""
        bell = self._bells.get(destination)
        if bell is not None and not bell.is_set():
            bell.set()

    def close(self) -> None:
        """Finish the ledger's work and let another node open the spool; also twice."""
        if self._closed:
            return
        self._closed = True
        self._writer.post(Work(lambda conn: conn.execute("DELETE FROM outage")))
        self._writer.close()
        self.files.spares.clear()
        os.close(self.root_fd)
        os.close(self._lock_fd)

    def _record(self, arrival: ledger.Arrival, deadline: Deadline | None = None) -> Commit:
        """Commit the rows of an object whose file has its final name.

        Raises:
            TooLate: they were there after the deadline, and object and rows are withdrawn.
            SpoolError: the rows are not there and the file is withdrawn; after a failed sync it is
                left for the next start, which compares it with the rows that did become durable.
        """
        path = place(arrival.object)
        try:
            try:
                recorded, late = self._run_record(arrival, deadline)
            except ledger.FormerDigestNeeded:
                arrival = arrival._replace(former_digest=self.files.former_digest(arrival.object))
                recorded, late = self._run_record(arrival, deadline)
        except (SpoolError, sqlite3.Error, OSError) as error:
            if self._writer.failed is None:
                self.files.unlink(path)
            raise (
                error if isinstance(error, SpoolError) else SpoolError("The ledger refused a row.")
            ) from error
        if not recorded.file_is_used:
            self.files.unlink(path)
        for destination in recorded.wanted_by:
            self.ring(destination)
        if late:
            raise TooLate("The object was durable too late.")
        return recorded.commit

    def _run_record(self, arrival: ledger.Arrival, deadline: Deadline | None) -> tuple[ledger.Recorded, bool]:
        """Write the rows of an arrival; return what was decided, and whether it was too late."""
        work = Work(
            lambda conn: ledger.record(conn, arrival),
            folder=os.path.dirname(place(arrival.object)),
            deadline=deadline,
            undo=ledger.withdraw,
        )
        return self._writer.run(work), work.late

    def record_passed(self, passed: ledger.Arrival, status: int, *, warning: bool) -> Commit:
        """Commit the rows of an object that went straight through to its destination, and has no file.

        Raises:
            SpoolError: nothing is written down.
        """
        return self.transact(lambda conn: passing.record(conn, passed, status, warning=warning))

    @property
    def keeps(self) -> bool:
        """Whether files stay for a while after their last delivery."""
        return self._keep_s > 0

    def transact(
        self,
        change: Callable[[sqlite3.Connection], T],
        *,
        folder: str | None = None,
        deadline: Deadline | None = None,
        undo: Callable[[sqlite3.Connection, T], T] | None = None,
    ) -> T:
        """Do something in a transaction of the ledger and return its result when it is durable.

        Args:
            folder: of the spool, synced before.
            deadline: after which `undo` takes it back.

        Raises:
            TooLate: it was durable after the deadline, and was taken back.
            SpoolError: nothing of it is in the ledger.
        """
        work = Work(change, folder=folder, deadline=deadline, undo=undo)
        try:
            result = self._writer.run(work)
        except sqlite3.Error as error:
            raise SpoolError("The ledger refused a row.") from error
        if work.late:
            raise TooLate("It was durable too late.")
        return result

    def _check_pages(self) -> None:
        """Go on reading the pages of a large ledger beside the work; end the spool if one is damaged."""

        def check() -> None:
            try:
                with contextlib.closing(schema.connect_to_read(self.folder)) as conn:
                    schema.check_pages(conn, ended=lambda: self._closed)
            except (SpoolError, sqlite3.Error) as error:
                if not self._closed:
                    self.fail(str(error) if isinstance(error, SpoolError) else schema.DAMAGED)

        threading.Thread(target=check, name="ledger-check", daemon=True).start()


@dataclass(frozen=True, slots=True)
class _Prune:
    """One step of deleting history, short enough for others to get their turn."""

    before: float
    after: int

    def run(self, conn: sqlite3.Connection) -> tuple[int, int, bool]:
        return ledger.prune(conn, self.before, self.after, _AT_A_TIME)
