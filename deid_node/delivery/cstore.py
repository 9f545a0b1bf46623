"""A downstream AE that gets objects by C-STORE: many on one association, the status decides.

What each answer means is PS3.4 Table B.2-1 and PS3.7 Annex C, classed in `deid_node.dimse.status`. An
association that is lost after the dataset was sent leaves it unknown whether the object was stored: it
is sent again, and a downstream tells the same SOP Instance UID apart.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from pydicom.uid import UID

from deid_node.delivery.destination import Context, Parcel, UnusableError
from deid_node.dimse.association import StoreAnswer
from deid_node.dimse.negotiation import VERIFICATION
from deid_node.dimse.peer import AssociationRejectedError, ContextNotAcceptedError, Peer
from deid_node.dimse.request import MAX_CONTEXTS
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import WARNINGS, StatusClass, StoreStatus, class_of
from deid_node.errors import AssociationError
from deid_node.spool.entry import Entry
from deid_node.spool.failpoint import reach
from deid_node.spool.outcomes import Deferred, Delivered, Held, HeldFor, Outcome, Refused
from deid_node.standard.sop_classes import sop_class_name

_IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"


class Association(Protocol):
    """What a sender needs of an association; `Requestor` is one."""

    def store_file(
        self,
        file: int,
        *,
        offset: int,
        length: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        content: memoryview | None = None,
    ) -> StoreAnswer:
        """Store the dataset in an open file."""
        ...

    def echo(self) -> StoreStatus:
        """Verify the association."""
        ...

    def release(self) -> None:
        """Release it."""
        ...

    def interrupt(self) -> None:
        """End whatever another thread waits for on it."""
        ...


Connect = Callable[[Sequence[Context]], Association]


class CStoreDestination:
    """A downstream AE."""

    def __init__(
        self,
        name: str,
        peer: Peer,
        *,
        tls: ssl.SSLContext | None = None,
        connect: Connect | None = None,
        commits: bool = False,
    ) -> None:
        """Name the AE.

        Args:
            name: the name in the ledger.
            peer: address, AE titles, timeout.
            tls: for a connection with TLS.
            connect: makes an association; by default one with `peer`.
            commits: whether it will be asked to commit itself to keep what it was sent.
        """
        self.name = name
        self.peer = peer
        self.commits = commits
        self._tls = tls
        self.connect = connect or self.requestor

    def requestor(self, contexts: Sequence[Context]) -> Requestor:
        """Return an association of its own for objects that do not come out of the spool."""
        return Requestor.connect(self.peer, contexts, tls=self._tls)

    def sender(self) -> CStoreSender:
        """Return a sender with an association of its own."""
        return CStoreSender(self.connect, commits=self.commits)

    def probe(self) -> str | None:
        """Ask by C-ECHO. An AE that accepts the association but not Verification is usable as well."""
        try:
            association = self.connect([(VERIFICATION, _IMPLICIT_LITTLE_ENDIAN)])
        except AssociationError as error:
            return str(error)
        try:
            association.echo()
        except ContextNotAcceptedError:
            pass
        except AssociationError as error:
            return str(error)
        association.release()
        return None


class CStoreSender:
    """Sends objects over one association at a time, which is kept between deliveries."""

    links = False

    def __init__(self, connect: Connect, *, commits: bool = False) -> None:
        self._connect = connect
        self._commits = commits
        self._association: Association | None = None
        self._proposed: tuple[Context, ...] = ()
        self._has_rested = False

    def deliver(
        self, contexts: frozenset[Context], parcels: Iterator[Parcel]
    ) -> Iterator[tuple[Entry, Outcome]]:
        """Send objects one after the other and yield each answer.

        Raises:
            UnusableError: no association.
        """
        self._has_rested = self._association is not None
        self._ready(sorted(contexts)[:MAX_CONTEXTS])
        for parcel in parcels:
            yield parcel.entry, self._send(parcel, contexts)

    def rest(self) -> None:
        """Release the association."""
        association, self._association = self._association, None
        if association is not None:
            association.release()

    def abort(self) -> None:
        """End what another thread waits for."""
        association = self._association
        if association is not None:
            association.interrupt()

    def _ready(self, wanted: Sequence[Context]) -> Association:
        """Return an association that proposed all that is wanted; contexts of before are kept if they fit."""
        if self._association is not None:
            if set(wanted) <= set(self._proposed):
                return self._association
            self.rest()
        self._has_rested = False
        self._proposed = tuple(dict.fromkeys([*wanted, *self._proposed]))[:MAX_CONTEXTS]
        try:
            self._association = self._connect(self._proposed)
        except AssociationRejectedError as error:
            raise UnusableError(str(error), lasting=not error.is_transient) from error
        except AssociationError as error:
            raise UnusableError(str(error)) from error
        reach("association-open")
        return self._association

    def _send(self, parcel: Parcel, contexts: frozenset[Context]) -> Outcome:
        entry = parcel.entry
        first = [entry.context, *sorted(contexts - {entry.context})][:MAX_CONTEXTS]
        association = self._ready([entry.context] if entry.context in self._proposed else first)
        try:
            answer = _store(association, parcel)
        except ContextNotAcceptedError:
            return Held(f"{HeldFor.NOT_SENDABLE}: not accepted is {_written(entry.context)}")
        except ValueError:  # nothing was sent
            return Held(f"{HeldFor.NOT_SENDABLE}: the dataset is empty or has an odd length")
        except AssociationError as error:
            self._association = None
            if self._has_rested:  # it may have ended while it was idle, which is no fault of this object
                self._has_rested = False
                return self._send(parcel, contexts)
            return Deferred(str(error), aborted=True)
        self._has_rested = False
        reach("answer-read")
        return outcome_of(answer.status, entry.attempt, commits=self._commits)


def _written(context: Context) -> str:
    """Return a presentation context with the names of the standard, as far as it has some."""
    sop_class, transfer_syntax = context
    return f"{sop_class_name(sop_class)} in {UID(transfer_syntax).name}"


def _store(association: Association, parcel: Parcel) -> StoreAnswer:
    entry = parcel.entry
    return association.store_file(
        parcel.content.fd,
        offset=entry.offset,
        length=entry.length,
        sop_class_uid=entry.sop_class_uid,
        sop_instance_uid=entry.sop_instance_uid,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        content=parcel.content.whole,
    )


def outcome_of(status: int, attempt: int, *, commits: bool = False) -> Outcome:
    """Return what the status of a C-STORE response means for an entry.

    0111 (duplicate SOP instance) is plainly good when an earlier answer may have been lost; on a
    first attempt somebody else stored the object before, which an operator should see.
    """
    match class_of(status):
        case StatusClass.DELIVERED:
            unexpected = status == StoreStatus.DUPLICATE_INSTANCE and attempt == 1
            warning = status in WARNINGS or unexpected
            return Delivered(status, warning=warning, awaits_commitment=commits)
        case StatusClass.DEFERRED:
            return Deferred(f"status {status:04X}", status=status)
        case StatusClass.REFUSED:
            return Refused(f"status {status:04X}", status)
