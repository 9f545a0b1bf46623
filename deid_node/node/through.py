"""Cut-through: an object goes on to its one destination while it arrives, and is never kept here.

The sender hears Success when the destination said so. A destination that stalls stalls the sender;
one that fails is answered for with A700, so that the sender keeps the object and sends it again. The
last bytes leave only when the whole object was de-identified: what is refused here at its end is
aborted there, and no destination takes half an object for a whole one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.outgoing import OutgoingStore
from deid_node.dimse.peer import ContextNotAcceptedError
from deid_node.dimse.request import MAX_CONTEXTS
from deid_node.dimse.status import WARNINGS, StatusClass, StoreStatus, class_of
from deid_node.engine.deidentified import Deidentified, Heading, Summary
from deid_node.errors import AssociationError, SpoolError
from deid_node.spool.content import ContentHash
from deid_node.spool.deadline import Deadline
from deid_node.spool.entry import Commit, Origin, Refusal
from deid_node.spool.ledger import Arrival
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)
_LINGER_S: Final = 5.0
_SWEEP_S: Final = 1.0

_UNREACHABLE: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The destination cannot be reached; send it again"
)
_BUSY: Final = StoreAnswer(StoreStatus.OUT_OF_RESOURCES, "The destination is busy; send it again")
_LOST: Final = StoreAnswer(StoreStatus.OUT_OF_RESOURCES, "The destination was lost; send it again")
_DEFERRED: Final = StoreAnswer(
    StoreStatus.OUT_OF_RESOURCES, "The destination cannot take it now; send it again"
)
_NOT_TAKEN: Final = StoreAnswer(
    StoreStatus.SOP_CLASS_NOT_SUPPORTED, "The destination takes no objects of this kind"
)
_REFUSED: Final = "The destination refused the object"

Context = tuple[str, str]


class NotForwarded(Exception):
    """The destination does not have the object; the sender gets `answer`."""

    def __init__(self, answer: StoreAnswer, why: str) -> None:
        super().__init__(why)
        self.answer = answer
        self.why = why


class Association(Protocol):
    """What is needed of an association; `Requestor` is one."""

    @property
    def is_usable(self) -> bool:
        """Whether another object can be begun."""
        ...

    def begin_store(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> OutgoingStore:
        """Begin an object."""
        ...

    def release(self) -> None:
        """Release it."""
        ...

    def abort(self) -> None:
        """Abort it."""
        ...


@dataclass(slots=True, eq=False)
class _Line:
    """An association with what it proposed."""

    association: Association
    proposed: frozenset[Context]
    idle_since: float = field(default=0.0)


class Through:
    """The associations with one destination, shared by all objects that go straight through to it."""

    def __init__(
        self,
        name: str,
        connect: Callable[[Sequence[Context]], Association],
        *,
        limit: int = 1,
        wait_s: float = 30.0,
        linger_s: float = _LINGER_S,
    ) -> None:
        """Prepare; associations are made as they are needed.

        Args:
            name: of the destination.
            connect: makes an association; raises AssociationError.
            limit: associations at the same time.
            wait_s: how long an object waits for one of them.
            linger_s: how long one that nobody uses is kept.
        """
        self.name = name
        self._connect = connect
        self._limit = limit
        self._wait_s = wait_s
        self._linger_s = linger_s
        self._changed = threading.Condition()
        self._idle: list[_Line] = []
        self._open = 0
        self._seen: dict[Context, None] = {}
        self._closed = False
        self._sweeper: threading.Thread | None = None

    def draft(self, spool: Spool) -> Passage:
        """Begin an object. Raises SpoolError when its row could not be written."""
        if spool.failed is not None:
            raise SpoolError(spool.failed)
        return Passage(self, spool)

    def take(self, context: Context) -> _Line:
        """Return an association for objects of a presentation context.

        Raises:
            NotForwarded: there is none, and none was free in time.
        """
        ended: list[_Line] = []
        try:
            line = self._idle_line(context, ended)
        finally:
            for old in ended:
                if old.association.is_usable:
                    old.association.release()
                else:
                    old.association.abort()
        if line is not None:
            return line
        with self._changed:
            self._remember(context)
            proposed = tuple(self._seen)
        try:
            return _Line(self._connect(proposed), frozenset(proposed))
        except AssociationError as error:
            self._forget()
            raise NotForwarded(_UNREACHABLE, str(error)) from error
        except BaseException:
            self._forget()
            raise

    def give_back(self, line: _Line) -> None:
        """Keep an association for the next object."""
        with self._changed:
            if not self._closed:
                line.idle_since = time.monotonic()
                self._idle.append(line)
                self._changed.notify()
                if self._sweeper is None:
                    self._sweeper = threading.Thread(
                        target=self._sweep, name=f"through-{self.name}", daemon=True
                    )
                    self._sweeper.start()
                return
        line.association.release()
        self._forget()

    def drop(self, line: _Line) -> None:
        """End an association over which an object was not stored to its end."""
        line.association.abort()
        self._forget()

    def close(self) -> None:
        """Release what is idle; what is in use is released when it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._open -= len(idle)
            self._changed.notify_all()
            sweeper = self._sweeper
        for line in idle:
            line.association.release()
        if sweeper is not None:
            sweeper.join(_SWEEP_S * 5)

    def _idle_line(self, context: Context, ended: list[_Line]) -> _Line | None:
        """Return an idle association that proposed the context, or None with the right to make one.

        Those that have to make room, or that the peer has given up, go into `ended`.
        """
        end = time.monotonic() + self._wait_s
        with self._changed:
            while True:
                for line in reversed(self._idle[:]):
                    if not line.association.is_usable:
                        self._idle.remove(line)
                        self._open -= 1
                        ended.append(line)
                    elif context in line.proposed:
                        self._idle.remove(line)
                        return line
                if self._open >= self._limit and self._idle:
                    ended.append(self._idle.pop(0))
                    self._open -= 1
                if self._open < self._limit:
                    self._open += 1
                    return None
                left_s = end - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    raise NotForwarded(_BUSY, "busy")

    def _remember(self, context: Context) -> None:
        """Propose what was seen before as well, the latest last, so that one association serves all."""
        self._seen.pop(context, None)
        self._seen[context] = None
        while len(self._seen) > MAX_CONTEXTS:
            del self._seen[next(iter(self._seen))]

    def _forget(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def _sweep(self) -> None:
        """Release associations that nobody used for a while."""
        while True:
            with self._changed:
                if self._closed:
                    return
                late = time.monotonic() - self._linger_s
                old = [line for line in self._idle if line.idle_since <= late]
                self._idle = [line for line in self._idle if line.idle_since > late]
            for line in old:
                line.association.release()
                self._forget()
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _SWEEP_S)


class Passage:
    """One object on its way through; has the methods of a `Draft`."""

    def __init__(self, through: Through, spool: Spool) -> None:
        self._through = through
        self._spool = spool
        self._line: _Line | None = None
        self._outgoing: OutgoingStore | None = None
        self._hash = ContentHash()
        self._size = 0
        self._dataset_at = 0

    def write(self, heading: Heading, part: Deidentified) -> None:
        """Send the next part; waits while the destination does not read.

        Raises:
            NotForwarded: the destination cannot be used; nothing of the object is there.
        """
        try:
            if self._outgoing is None:
                self._begin(heading)
            assert self._outgoing is not None
            for buffer in part.buffers:
                self._hash.update(buffer)
                self._size += len(buffer)
            self._outgoing.write(part.buffers)
        except ContextNotAcceptedError as error:
            self._give_back()
            raise NotForwarded(_NOT_TAKEN, str(error)) from error
        except AssociationError as error:
            self.discard()
            raise NotForwarded(_LOST, str(error)) from error

    def commit(
        self,
        summary: Summary,
        *,
        route: str,
        destinations: Sequence[str],
        origin: Origin = Origin(),  # noqa: B008  # frozen and empty
        profile: str = "",
        epoch: str = "",
        original: int = 0,  # nothing that was sealed goes this way
        deadline: Deadline | None = None,  # the destination's own pace counts
    ) -> Commit:
        """Send the end, wait for the destination's answer, and write it down.

        Raises:
            NotForwarded: the destination does not have the object, or it is not known.
            SpoolError: the destination has it, and that could not be written down.
        """
        status = self._finish()
        heading = summary.heading
        kind = class_of(status)
        if kind is StatusClass.DEFERRED:
            raise NotForwarded(_DEFERRED, f"status {status:04X}")
        if kind is StatusClass.REFUSED:
            why = f"{self._through.name} answered {status:04X}"
            refusal = Refusal(
                route,
                "destination-refused",
                why,
                digest=summary.original_uid_digest,
                sop_class_uid=heading.sop_class_uid,
                origin=origin,
            )
            with contextlib.suppress(SpoolError):  # the answer says it as well
                self._spool.record_refusal(refusal)
            raise NotForwarded(StoreAnswer(passed_on(status), _REFUSED), why)
        passed = Arrival(
            object="",
            digest=self._hash.digest(),
            dataset_at=self._dataset_at,
            size=self._size,
            summary=summary,
            route=route,
            profile=profile,
            origin=origin,
            destinations=tuple(destinations),
            at=time.time(),
            epoch=epoch,
        )
        commit = self._spool.record_passed(passed, status, warning=status in WARNINGS)
        _LOG.info("node.passed_through", destination=self._through.name, item=commit.item, status=status.code)
        return commit

    def discard(self) -> None:
        """Give the object up: the destination must not take it for complete. Nothing after `commit`."""
        line, self._line = self._line, None
        if line is not None:
            if self._outgoing is not None:
                self._outgoing.abort()
            self._through.drop(line)

    def _begin(self, heading: Heading) -> None:
        self._line = self._through.take((heading.sop_class_uid, heading.transfer_syntax_uid))
        self._outgoing = self._line.association.begin_store(
            sop_class_uid=heading.sop_class_uid,
            sop_instance_uid=heading.sop_instance_uid,
            transfer_syntax_uid=heading.transfer_syntax_uid,
        )
        self._hash.update(heading.meta)  # as if it were a file: equal objects are known as such
        self._size = self._dataset_at = len(heading.meta)

    def _finish(self) -> StoreStatus:
        if self._outgoing is None:
            raise SpoolError("An object without bytes cannot be sent.")
        try:
            answer = self._outgoing.finish()
        except (AssociationError, ValueError) as error:
            self.discard()
            raise NotForwarded(_LOST, str(error)) from error
        self._give_back()
        return answer.status

    def _give_back(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._through.give_back(line)


def passed_on(status: int) -> StoreStatus:
    """Return what a refusal of the destination means to the sender.

    The codes that speak of the object (A9xx, Cxxx, 0122) are passed on; the others speak of us as
    sender, or are unknown, and become C000.
    """
    if status in range(0xA900, 0xAA00) or status in range(0xC000, 0xD000):
        return StoreStatus(status)
    if status == StoreStatus.SOP_CLASS_NOT_SUPPORTED:
        return StoreStatus.SOP_CLASS_NOT_SUPPORTED
    return StoreStatus.CANNOT_UNDERSTAND
