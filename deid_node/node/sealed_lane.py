"""De-identifies what was sealed, the oldest first, on the same way as what arrives.

One original at a time for each worker. What cannot be de-identified is held with its reason: its sender was
told that it is kept. What was under way when the process ended is tried in a child at the next start: if that
ends too, the original is held, and those behind it go on. So is one that twice ended its worker, or made it
stall; another worker goes on at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from deid_node.dimse.association import Caller, StoreRequest
from deid_node.dimse.memory import MemoryBudget
from deid_node.errors import Excluded, ObjectRefused, SpoolError
from deid_node.log import describe
from deid_node.node.conversion import Conversion, Way, rewrite_of
from deid_node.node.records import Records
from deid_node.node.refusals import record, refusal_of
from deid_node.node.routes import Routes
from deid_node.node.sealed_watch import LOOKS, Stalled, Work
from deid_node.node.through import NotForwarded
from deid_node.node.trial import survives
from deid_node.spool.failpoint import reach
from deid_node.spool.pieces import SealError
from deid_node.spool.sealed import Original, Said, SealedStore
from deid_node.spool.sealed_rows import Cause, SealedRow, Why
from deid_node.standard.values import AETitle

_LOG: Final = structlog.get_logger(__name__)
_LOOK_S: Final = 2.0  # another process may release what is held
_SHORTAGE_S: Final = 5.0
_GRACE_S: Final = 30.0
_TRIAL_S: Final = 30.0
_TRIAL_BYTES_S: Final = 10e6
_STRIKES: Final = 2


class _Stopped(Exception):
    """The node stops in the middle of an original, which waits for the next start."""


class SealedLane:
    """The workers that de-identify sealed originals."""

    def __init__(
        self,
        store: SealedStore,
        routes: Routes,
        memory: MemoryBudget,
        records: Records,
        *,
        workers: int = 1,
        stall_s: float = 300.0,
    ) -> None:
        """Prepare; `start` starts. An original without progress for `stall_s` is taken from its worker."""
        self._store = store
        self._routes = routes
        self._memory = memory
        self._records = records
        self._stopping = threading.Event()
        self._look_s = stall_s / LOOKS
        self._works: dict[int, Work] = {}
        self._left: set[threading.Thread] = set()
        self._threads = [self._thread(self._serve) for _ in range(workers)]
        self._threads.append(self._thread(self._watch))

    def start(self) -> None:
        """Start the workers; what waited for settings is looked at again."""
        self._store.release_for_settings()
        for row in self._store.suspects():
            within_s = _TRIAL_S + row.size / _TRIAL_BYTES_S
            if not survives(lambda row=row: self._try(row), within_s):  # type: ignore[misc]
                why = Why(Cause.POISON, "it ended the process, and the one that tried it again")
                self._store.accuse(row, why)
                self._tell_held(row, why)
        for thread in self._threads:
            thread.start()

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=target, name=f"sealed{target.__name__}", daemon=True)

    def stop(self) -> None:
        """Begin nothing any more; an original under way waits for the next start."""
        self._stopping.set()
        self._store.bell.set()
        for thread in self._threads:
            if thread.ident is not None and thread not in self._left:
                thread.join(_GRACE_S)

    def replace_routes(self, routes: Routes) -> None:
        """Decide by other routes, profiles and tables from now on; what waited for them goes on."""
        self._routes = routes
        released = self._store.release_for_settings()
        if released:
            _LOG.info("node.originals_released", count=released)

    def _try(self, row: SealedRow) -> None:
        """De-identify an original into nothing."""
        stream, original = self._store.open(row)
        with stream:
            route = self._routes.named(original.said.route)
            if route is None:
                return
            caller, request = _as_it_came(original.said)
            way = Way(self._store.spool, route, caller, request, self._records)
            rewrite = rewrite_of(way, datetime.fromtimestamp(original.said.at))
            for piece in original.pieces:
                rewrite.feed(piece)
                reach("trial-half")
            rewrite.finish()

    def _serve(self) -> None:
        bell = self._store.bell
        while not self._stopping.is_set():
            bell.wait(_LOOK_S)
            bell.clear()
            try:
                while not self._stopping.is_set() and (row := self._store.claim()) is not None:
                    bell.set()  # there may be more for the other workers
                    self._end(row)
            except Stalled:
                return  # another worker has taken its place
            except SpoolError as error:  # the node ends and starts anew, or the disk is full
                _LOG.warning("node.sealed_lane_pauses", **describe(error))
                self._stopping.wait(_SHORTAGE_S)

    def _end(self, row: SealedRow) -> None:
        """Bring an original that was begun into its next state. Raises SpoolError."""
        route = self._routes.named(row.route)
        # A destination that is written to while this goes on may be what it waits for.
        work = Work(row, is_watched=route is None or route.through is None)
        self._works[threading.get_ident()] = work
        try:
            why = self._deidentify(row, work)
        except BaseException as error:  # SystemExit of a plug-in and the like would end the thread
            if work.is_taken:
                raise Stalled from None
            why = self._failed(row, error)
        finally:
            self._works.pop(threading.get_ident(), None)
        if why is not None:
            self._store.hold(row, why)
            self._tell_held(row, why)

    def _failed(self, row: SealedRow, error: BaseException) -> Why | None:
        """Bring an original whose work was ended by an error into its next state, or say why it is held."""
        match error:
            case _Stopped():
                self._store.give_back(row)
            case SpoolError() | OSError() | MemoryError() | NotForwarded():
                self._store.give_back(row)
                _LOG.warning("node.original_waits", sealed=row.id, route=row.route, **describe(error))
                self._stopping.wait(_SHORTAGE_S)
            case Exception():
                _LOG.error("node.fault", sealed=row.id, route=row.route, **describe(error))
                return Why(Cause.FAULT_OF_NODE, f"an error of the program ({type(error).__name__})")
            case _:
                self._strike(row, f"it ended its worker ({type(error).__name__})")
        return None

    def _strike(self, row: SealedRow, reason: str) -> None:
        """Let an original that ended or stalled its worker be tried once more; the second time it is held."""
        if row.starts >= _STRIKES:
            why = Why(Cause.POISON, f"{reason}, and did not end well before")
            self._store.hold(row, why)
            self._tell_held(row, why)
            return
        _LOG.error("node.original_struck", sealed=row.id, route=row.route, reason=reason)
        self._store.try_again(row)

    def _watch(self) -> None:
        """Take originals that make no progress from their workers, and put others in the place of these."""
        while not self._stopping.wait(self._look_s):
            for thread, work in list(self._works.items()):
                if work.look():
                    self._replace(thread, work)

    def _replace(self, stuck: int, work: Work) -> None:
        self._left.update(thread for thread in self._threads if thread.ident == stuck)
        try:
            self._strike(work.row, "its worker made no progress")
        except SpoolError as error:  # the next start finds it under way
            _LOG.warning("node.sealed_lane_pauses", **describe(error))
        worker = self._thread(self._serve)
        self._threads.append(worker)
        worker.start()

    def _deidentify(self, row: SealedRow, work: Work) -> Why | None:
        """De-identify an original and end it; return why it is held instead."""
        try:
            stream, original = self._store.open(row)
        except SealError as error:
            return Why(Cause.DAMAGED, str(error))
        except FileNotFoundError:
            return Why(Cause.MISSING, "its file is gone")
        with stream:
            route = self._routes.named(original.said.route)
            if route is None:
                return Why(Cause.NO_ROUTE, "its route is not configured any more")
            caller, request = _as_it_came(original.said)
            way = Way(self._store.spool, route, caller, request, self._records)
            try:
                self._convert(way, original, work)
            except Excluded as refusal:
                work.decided()
                reason, path = refusal.reason, refusal.path
                row_of = refusal_of(route, caller, request, refusal.code, reason, path=path)
                record(way.spool, row_of)
                self._records.tell(
                    "object-excluded",
                    caller,
                    route=route.name,
                    code=refusal.code,
                    path=path,
                    sop_class_uid=row_of.sop_class_uid,
                    digest=row_of.digest[:8].hex(),
                )
                self._store.forget(row)
                return None
            except ObjectRefused as refusal:
                return Why(refusal.code, refusal.reason, refusal.path)
            except SealError as error:
                return Why(Cause.DAMAGED, str(error))
            except MemoryError:
                if self._memory.left < self._memory.total:
                    raise  # others hold it now
                return Why(Cause.MEMORY, "its header is longer than limits.memory_bytes")
        if route.through is not None:
            self._store.forget(row)
        else:
            self._store.erase(row.object)
        return None

    def _convert(self, way: Way, original: Original, work: Work) -> None:
        conversion = Conversion(way, self._memory.share(), datetime.fromtimestamp(original.said.at))
        try:
            for piece in original.pieces:
                work.step()
                if self._stopping.is_set():
                    raise _Stopped
                conversion.feed(memoryview(piece))
                reach("sealed-half")
            conversion.commit(original=original.row.id, decided=work.decided)
        finally:
            conversion.discard()

    def _tell_held(self, row: SealedRow, why: Why) -> None:
        _LOG.warning(
            "node.original_held",
            sealed=row.id,
            route=row.route,
            code=why.code,
            reason=why.reason,
            path=why.path,
        )
        self._records.tell("original-held", route=row.route, original=row.id, code=why.code, path=why.path)


def _as_it_came(said: Said) -> tuple[Caller, StoreRequest]:
    caller = Caller(AETitle(said.calling), AETitle(said.called), said.address, 0, said.association)
    return caller, StoreRequest(said.sop_class_uid, said.sop_instance_uid, said.transfer_syntax_uid, 0)
