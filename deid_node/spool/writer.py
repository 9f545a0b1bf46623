"""The one writer of the ledger: group commit, and the end of everything after a failed sync.

Work is queued; whoever holds the turn commits all that is queued in one transaction, so that threads
that arrive meanwhile share one sync. A thread that waits for its own work takes the turn itself: with
one association no other thread has to be woken, which a dedicated writer thread would need twice per
object. A thread of its own serves only work that nobody waits for.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from deid_node.errors import SpoolError
from deid_node.spool.deadline import Deadline
from deid_node.spool.failpoint import reach

T = TypeVar("T")

_GROUP: Final = 256
_GATHER_S: Final = 0.02
_SHORTAGE_PAUSE_S: Final = 1.0
_SHORTAGES: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
_SHORTAGE_CODES: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM})
_PRIMARY_CODE: Final = 0xFF


def is_shortage(error: BaseException) -> bool:
    """Whether an error may pass by itself: no space, no descriptors, a busy ledger."""
    if isinstance(error, OSError):
        return error.errno in _SHORTAGES
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return isinstance(error, sqlite3.Error) and (code & _PRIMARY_CODE) in _SHORTAGE_CODES


class Work(Generic[T]):
    """One piece of work for the ledger: what to do in the transaction, and what came of it.

    `change` may run more than once, so it touches nothing but the connection. `after` runs once,
    when the transaction is durable. `folder` is synced before the transaction starts. `patient`
    work waits for a shortage to end instead of failing. What is durable after its `deadline` is undone
    by `undo`, which returns what the result is then, before anyone else has the turn; it is `late`.
    """

    __slots__ = (
        "after",
        "change",
        "deadline",
        "done",
        "error",
        "folder",
        "late",
        "patient",
        "result",
        "undo",
    )

    def __init__(
        self,
        change: Callable[[sqlite3.Connection], T],
        *,
        folder: str | None = None,
        after: Callable[[T], None] | None = None,
        patient: bool = False,
        deadline: Deadline | None = None,
        undo: Callable[[sqlite3.Connection, T], T] | None = None,
    ) -> None:
        self.change = change
        self.folder = folder
        self.after = after
        self.patient = patient
        self.deadline = deadline
        self.undo = undo
        self.late = False
        self.done = False
        self.error: Exception | None = None
        self.result: T | None = None

    def end(self, error: Exception | None = None) -> None:
        """Mark the work as done, in vain if there is an error."""
        self.error = error
        self.done = True


class Writer:
    """Commits work in groups. After a sync or commit that failed it takes nothing any more."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        root_fd: int,
        *,
        durable: bool,
        is_short: Callable[[], bool],
        relieve: Callable[[], bool],
    ) -> None:
        """Write with `conn`.

        Args:
            is_short: tells whether the disk begins to be full.
            relieve: makes some space on a full disk, if it can.
        """
        self._conn = conn
        self._is_short = is_short
        self._was_short = False
        self._log_is_new = False  # since the last commit
        self._relieve = relieve
        self._root_fd = root_fd
        self._durable = durable
        self._queue: deque[Work[Any]] = deque()
        self._turn = threading.Lock()
        self._bell = threading.Event()
        self._closing = threading.Event()
        self.failed: str | None = None
        self._thread = threading.Thread(target=self._attend, name="ledger", daemon=True)
        self._thread.start()

    def run(self, work: Work[T]) -> T:
        """Do the work and return its result when it is durable.

        Raises:
            SpoolError: nothing of the work is in the ledger, or the writer has failed for good.
        """
        self._queue.append(work)
        finished: list[Work[Any]] = []
        with self._turn:
            while not work.done:
                self._commit_group(finished)
        _conclude(finished)
        if work.error is not None:
            raise work.error
        return work.result  # type: ignore[return-value]  # done without error: change returned a T

    def post(self, work: Work[Any]) -> None:
        """Do the work soon; nobody waits for it."""
        self._queue.append(work)
        if not self._bell.is_set():
            self._bell.set()

    def close(self) -> None:
        """Finish what is queued, stop the thread and close the ledger."""
        self._closing.set()
        self._bell.set()
        self._thread.join()
        with self._turn:
            self._conn.close()
            self.failed = self.failed or "The spool is closed."

    def fail(self, why: str) -> None:
        """Take no work any more: a sync failed, and what is durable is unknown until a restart."""
        self.failed = self.failed or why

    def _attend(self) -> None:
        while not (self._closing.is_set() and not self._queue):
            self._bell.wait()
            self._closing.wait(_GATHER_S)  # nobody waits: one transaction for what comes together
            self._bell.clear()
            finished: list[Work[Any]] = []
            with self._turn:
                waiting = len(self._queue)
                while self._queue:
                    self._commit_group(finished)
                    if len(self._queue) >= waiting:  # a shortage put patient work back
                        break
                    waiting = len(self._queue)
            _conclude(finished)
            if self._queue:
                if self._closing.is_set():
                    return
                self._closing.wait(_SHORTAGE_PAUSE_S)
                self._bell.set()

    def _commit_group(self, finished: list[Work[Any]]) -> None:
        """Commit what is queued in one transaction; every work of it is done or queued again."""
        queue = self._queue
        group = [queue.popleft() for _ in range(min(len(queue), _GROUP))]
        try:
            if self.failed is not None:
                raise SpoolError(self.failed)
            if self._durable:
                self._sync_folders(group)
            while group and (culprit := self._transact(group)) is not None:
                group.remove(culprit)
            late = [work for work in group if work.deadline is not None and not work.deadline.keep()]
            if late:
                self._withdraw(late)
        except (OSError, sqlite3.Error, SpoolError) as error:
            self._undo(group, error)
        else:
            for work in group:
                work.end()
            finished += group
            self._prepare_for_shortage()

    def _sync_folders(self, group: list[Work[Any]]) -> None:
        for folder in {work.folder for work in group if work.folder is not None}:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root_fd)
            try:
                reach("before-folder-sync")
                os.fsync(fd)
            except OSError as error:
                self.fail(f"Sync of a spool folder failed ({error.strerror}).")
                raise
            finally:
                os.close(fd)
        reach("after-folder-sync")

    def _transact(self, group: list[Work[Any]]) -> Work[Any] | None:
        """Commit the group; return the work whose change is wrong, when nothing was committed for it."""
        conn = self._conn
        conn.execute("BEGIN IMMEDIATE")
        work = group[0]
        try:
            for work in group:
                work.result = work.change(conn)
        except sqlite3.IntegrityError as error:
            conn.execute("ROLLBACK")
            work.end(error)
            return work
        except (OSError, sqlite3.Error):
            raise
        except Exception as error:  # our bug in one change must not undo the others
            conn.execute("ROLLBACK")
            work.end(error)
            return work
        reach("in-ledger")
        conn.execute("COMMIT")
        reach("after-ledger")
        return None

    def _withdraw(self, late: list[Work[Any]]) -> None:
        """Undo what is durable after its deadline, in the same turn: nobody has claimed anything of it."""
        conn = self._conn
        try:
            conn.execute("BEGIN IMMEDIATE")
            for work in late:
                work.late = True
                if work.undo is not None:
                    work.result = work.undo(conn, work.result)
            reach("in-withdrawal")
            conn.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            # Never tried again with the rest of the group, which is durable: the next start compares.
            self.fail(f"What came too late cannot be withdrawn ({type(error).__name__}).")
            raise

    def _undo(self, group: list[Work[Any]], error: Exception) -> None:
        """Roll back; patient work waits for the shortage to end, all does if it is relieved already."""
        short = is_shortage(error) and self.failed is None
        try:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
        except sqlite3.Error:
            short = False
        if not short:
            self.fail(f"The ledger cannot be written ({type(error).__name__}).")
        relieved = short and (self._relieve() or self._retry_with_log_anew())
        again = [work for work in group if relieved or (short and work.patient)]
        told = SpoolError("The spool is short of space." if short else self.failed or "")
        for work in group:
            if work not in again:
                work.end(told)
        self._queue.extendleft(reversed(again))

    def _prepare_for_shortage(self) -> None:
        """When the disk begins to be full, let the ledger take what it needs to go on without any more."""
        self._log_is_new = False
        was_short, self._was_short = self._was_short, self._is_short()
        if self._was_short and not was_short:
            self._begin_log_anew()

    def _retry_with_log_anew(self) -> bool:
        """Tell whether another try is worth it, as the log is free now; once until a commit."""
        if self._log_is_new:
            return False
        self._log_is_new = self._begin_log_anew()
        return self._log_is_new

    def _begin_log_anew(self) -> bool:
        """Move what is committed from the log of the ledger into its pages; tell whether the log is free.

        SQLite does so after a commit. On a disk without a byte the log cannot grow, nothing is committed
        any more, and what would free space, a delivery, waits for a commit. The log keeps its size.
        """
        try:
            busy, frames, _ = self._conn.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except sqlite3.Error as error:
            if not is_shortage(error):
                self.fail(f"The ledger cannot be written ({type(error).__name__}).")
            return False
        return frames > 0 and not busy


def _conclude(finished: list[Work[Any]]) -> None:
    for work in finished:
        if work.after is not None:
            work.after(work.result)
