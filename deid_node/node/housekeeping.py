"""What a running node does by the clock: remove files that were kept long enough, delete old history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from deid_node.errors import SpoolError
from deid_node.log import describe
from deid_node.node.steady import SteadyClock
from deid_node.settings import SpoolSettings
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)
_PURGE_S: Final = 60.0
_PRUNE_S: Final = 3600.0
_DAY_S: Final = 86400.0


class Housekeeping:
    """A thread that looks after a spool, if the settings leave it anything to do."""

    def __init__(
        self,
        spool: Spool,
        settings: SpoolSettings,
        *,
        purge_s: float = _PURGE_S,
        prune_s: float = _PRUNE_S,
        often: Iterable[Callable[[], None]] = (),
        seldom: Iterable[Callable[[], None]] = (),
        steady: SteadyClock | None = None,
    ) -> None:
        """Prepare.

        Args:
            spool: that is looked after.
            settings: of it.
            purge_s: how often is looked for files, and what is `often` to do is done.
            prune_s: how often is looked for history, and what is `seldom` to do is done.
            often, seldom: may raise SpoolError or OSError.
            steady: the clock that ages of days are counted by; None takes that of the machine.
        """
        self._spool = spool
        self._steady = steady
        self._tasks: list[tuple[float, Callable[[], None]]] = []
        # Also with 0: an earlier process may have kept files for longer.
        self._tasks.append((min(purge_s, settings.keep_s or purge_s), self._purge))
        if settings.history_days is not None:
            self._history_s = settings.history_days * _DAY_S
            self._tasks.append((prune_s, self._prune))
        self._tasks += [(purge_s, task) for task in often]
        self._tasks += [(prune_s, task) for task in seldom]
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=task, name="housekeeping", daemon=True)
            for task in self._tasks
        ]

    def start(self) -> None:
        """Start, at once and then by the clock."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the step under way."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _repeat(self, every_s: float, task: Callable[[], None]) -> None:
        while True:
            try:
                task()
            except (SpoolError, OSError) as error:
                _LOG.warning("node.housekeeping_failed", **describe(error))
            if self._stopping.wait(every_s):
                return

    def _purge(self) -> None:
        while self._spool.purge() and not self._stopping.is_set():
            pass

    def _prune(self) -> None:
        # Ages in the ledger are of the clock of the machine: where it is ahead, they seem higher.
        ahead_s = 0.0 if self._steady is None else max(0.0, time.time() - self._steady.now())
        count = self._spool.prune(self._history_s + ahead_s)
        if count:
            _LOG.info("node.history_deleted", count=count)
