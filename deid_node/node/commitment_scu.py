"""Asks destinations whether they keep what they were sent (storage commitment as SCU, PS3.4 J.3).

One thread for each destination with `commitment = true`. A transaction is in the ledger before it is
asked; a report counts by its Transaction UID and its sender. What is not committed is sent or asked
again, with growing pauses, and its file stays here.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from dataclasses import dataclass
from typing import Final

import structlog

from deid_node.dimse import commitment_scu
from deid_node.dimse.association import Caller
from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest, Instance
from deid_node.dimse.peer import Peer
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError, SpoolError
from deid_node.spool.commitments import Commitments

_LOG: Final = structlog.get_logger(__name__)
_LONGEST_PAUSE_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class AskingPolicy:
    """How destinations are asked.

    Attributes:
        at_a_time: instances of one transaction.
        poll_s: how often the ledger is looked at, and the first pause after a failure.
        listen_s: how long the association is kept for a report on it.
        patience_s: how long a report is waited for before the same is asked anew.
    """

    at_a_time: int = 500
    poll_s: float = 5.0
    listen_s: float = 5.0
    patience_s: float = 86400.0


class Asker:
    """Asks one destination."""

    def __init__(
        self,
        name: str,
        peer: Peer,
        commitments: Commitments,
        *,
        tls: ssl.SSLContext | None = None,
        policy: AskingPolicy = AskingPolicy(),  # frozen
    ) -> None:
        self.name = name
        self.peer = peer
        self._commitments = commitments
        self._tls = tls
        self._policy = policy
        self._failures = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Ask in a thread, until stopped."""
        self._thread = threading.Thread(target=self._serve, name=f"commitment-{self.name}", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin no transaction any more."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop; a request under way is given the time of its deadlines."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(self.peer.timeout_s + self._policy.listen_s)

    def is_caller(self, caller: Caller) -> bool:
        """Tell whether a caller is this destination, calling us by the name under which we call it."""
        return caller.calling == self.peer.called and caller.called == self.peer.calling

    def ask(self) -> bool:
        """Ask for what is due; tell whether there was anything and the destination took the request.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        again = self._commitments.give_up(self.name, self._policy.patience_s)
        if again:
            _LOG.warning("node.commitment_not_reported", destination=self.name, transactions=again)
        uid = f"2.25.{secrets.randbits(128)}"
        named = self._commitments.begin(self.name, uid, self._policy.at_a_time)
        if not named:
            return False
        request = CommitmentRequest(uid, tuple(Instance(*one) for one in named))
        try:
            status = commitment_scu.ask(
                self.peer, request, self.reported, tls=self._tls, listen_s=self._policy.listen_s
            )
        except AssociationError as error:
            why: str | None = str(error)
        else:
            why = None if status == StoreStatus.SUCCESS else f"status {status.code}"
        if why is None:
            self._failures = 0
            self._commitments.accepted(uid)
            _LOG.info("node.commitment_asked", destination=self.name, objects=len(named))
            return True
        self._failures += 1
        self._commitments.withdraw(uid, why)
        _LOG.warning("node.commitment_not_asked", destination=self.name, objects=len(named), reason=why)
        return False

    def reported(self, report: CommitmentReport) -> StoreStatus:
        """Take a report of this destination; also twice."""
        try:
            known = self._commitments.report(
                self.name,
                report.transaction_uid,
                frozenset((one.sop_class_uid, one.sop_instance_uid) for one in report.committed),
                {(one.sop_class_uid, one.sop_instance_uid): reason for one, reason in report.failed},
            )
        except SpoolError:
            return StoreStatus.PROCESSING_FAILURE
        log = _LOG.bind(destination=self.name, committed=len(report.committed), failed=len(report.failed))
        if not known:
            log.warning("node.commitment_unknown")
            return StoreStatus.INVALID_ARGUMENT
        if report.failed:
            log.warning("node.commitment_incomplete")
        else:
            log.info("node.commitment_reported")
        return StoreStatus.SUCCESS

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                worked = self.ask()
            except SpoolError:  # a shortage; a spool that has failed ends the node
                worked = False
            if not worked:
                pause_s = self._policy.poll_s * 2.0 ** min(self._failures, 16)
                self._stopping.wait(min(_LONGEST_PAUSE_S, pause_s))
