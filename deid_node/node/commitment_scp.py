"""Answers peers that ask us to keep instances (storage commitment as SCP, PS3.4 J.3), truthfully.

What a peer asks about are originals, which are not kept here: it may delete them after a yes. So the
answer is no (`refuse`), or it is what the destinations have said of the de-identified objects, where
the settings say that the originals are kept elsewhere (`downstream`). A request names originals: while
it waits it lies in the ledger encrypted.
"""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deid_node.dimse import commitment_scu
from deid_node.dimse.association import Caller, CommitmentAnswer
from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest, Instance, refusal_of
from deid_node.dimse.peer import Peer
from deid_node.dimse.status import StoreStatus
from deid_node.engine.keys import Pseudonyms
from deid_node.errors import AssociationError, SpoolError
from deid_node.settings.routes import CommitmentMode
from deid_node.spool.commitments import Asked, Commitments, Kept
from deid_node.standard.values import AETitle

_LOG: Final = structlog.get_logger(__name__)

_AT_A_TIME: Final = 32
_NONCE: Final = 12
_PURPOSE: Final = "commitment-request"
_REASONS: Final = {
    Kept.UNKNOWN: StoreStatus.NO_SUCH_INSTANCE,
    Kept.OTHER_CLASS: StoreStatus.CLASS_INSTANCE_CONFLICT,
    Kept.FAILED: StoreStatus.PROCESSING_FAILURE,
    Kept.WAITING: StoreStatus.PROCESSING_FAILURE,
}


@dataclass(frozen=True, slots=True)
class ReportingPolicy:
    """How peers are told.

    Attributes:
        poll_s: how often waiting requests are looked at.
        decide_s: the age at which what is still on its way counts as not kept.
        give_up_s: the age at which a peer that takes no report is forgotten.
        first_pause_s, longest_pause_s: after reports that were not taken.
        timeout_s: for each answer of a peer.
    """

    poll_s: float = 2.0
    decide_s: float = 86400.0
    give_up_s: float = 2 * 86400.0
    first_pause_s: float = 30.0
    longest_pause_s: float = 3600.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request as it waits: what is asked, by whom, and where the report goes."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    route: str
    calling: str
    called: str
    address: str
    port: int
    certificate_name: str

    @property
    def request(self) -> CommitmentRequest:
        return CommitmentRequest(self.transaction_uid, tuple(Instance(*one) for one in self.instances))


class Reporter:
    """Answers requests, at once or by a report later."""

    def __init__(
        self,
        commitments: Commitments,
        pseudonyms: Pseudonyms,
        mode_of: Callable[[str], CommitmentMode],
        *,
        tls: ssl.SSLContext | None = None,
        policy: ReportingPolicy = ReportingPolicy(),  # frozen
    ) -> None:
        """Answer for the routes whose mode `mode_of` tells; `tls` is for reports."""
        self._commitments = commitments
        self._pseudonyms = pseudonyms
        self._mode_of = mode_of
        self._tls = tls
        self._policy = policy
        self._cipher = AESGCM(pseudonyms.digest(_PURPOSE, b"key"))
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Report in a thread, until stopped."""
        self._thread = threading.Thread(target=self._serve, name="commitment-reports", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; a report under way is given the time of its deadlines."""
        self._stopping.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join(self._policy.timeout_s)

    def asked(
        self, caller: Caller, route: str, request: CommitmentRequest, port: int | None, certificate_name: str
    ) -> CommitmentAnswer:
        """Take a request. Without a port to report to, the report is given at once, on this association."""
        if port is None:
            return CommitmentAnswer(StoreStatus.SUCCESS, self.decide(route, request, is_last=True))
        waiting = _Waiting(
            request.transaction_uid,
            tuple((one.sop_class_uid, one.sop_instance_uid) for one in request.instances),
            route,
            caller.calling,
            caller.called,
            caller.address,
            port,
            certificate_name,
        )
        who = f"{caller.calling}\0{request.transaction_uid}".encode()
        self._commitments.keep_request(self._pseudonyms.digest(_PURPOSE, who), self._seal(waiting))
        self._bell.set()
        return CommitmentAnswer(StoreStatus.SUCCESS)

    def decide(self, route: str, request: CommitmentRequest, *, is_last: bool) -> CommitmentReport | None:
        """Return the report on a request, None while it may still become better.

        Nothing is ever committed but what every destination has committed itself to, and nothing at
        all unless the route says `downstream`.
        """
        if self._mode_of(route) is not CommitmentMode.DOWNSTREAM:
            return refusal_of(request, StoreStatus.PROCESSING_FAILURE)
        originals = [
            (self._pseudonyms.digest("duplicate", one.sop_instance_uid.encode("ascii")), one.sop_class_uid)
            for one in request.instances
        ]
        found = self._commitments.kept(route, originals)
        if Kept.WAITING in found and not is_last:
            return None
        pairs = list(zip(request.instances, found, strict=True))
        return CommitmentReport(
            request.transaction_uid,
            tuple(one for one, kept in pairs if kept is Kept.COMMITTED),
            tuple((one, _REASONS[kept]) for one, kept in pairs if kept is not Kept.COMMITTED),
        )

    def report(self) -> None:
        """Look at the requests whose time has come, and report on those that are decided.

        Raises:
            SpoolError: the ledger cannot be written.
        """
        for asked in self._commitments.requests(_AT_A_TIME):
            waiting = self._unseal(asked)
            age_s = time.time() - asked.at
            if waiting is None:
                self._commitments.forget_request(asked)
                continue
            result = self.decide(waiting.route, waiting.request, is_last=age_s > self._policy.decide_s)
            if result is None:
                self._commitments.postpone_request(asked, self._policy.poll_s, tried=False)
            elif self._tell(waiting, result) or age_s > self._policy.give_up_s:
                self._commitments.forget_request(asked)
            else:
                pause_s = self._policy.first_pause_s * 2.0 ** min(asked.tries, 16)
                self._commitments.postpone_request(
                    asked, min(pause_s, self._policy.longest_pause_s), tried=True
                )

    def _tell(self, waiting: _Waiting, result: CommitmentReport) -> bool:
        """Report to a peer; tell whether it needs no other report."""
        peer = Peer(
            waiting.address,
            waiting.port,
            AETitle(waiting.calling),
            AETitle(waiting.called),
            self._policy.timeout_s,
            certificate_name=waiting.certificate_name,
        )
        log = _LOG.bind(route=waiting.route, committed=len(result.committed), failed=len(result.failed))
        try:
            status = commitment_scu.report(peer, result, tls=self._tls)
        except AssociationError as error:
            log.warning("node.commitment_report_failed", reason=str(error))
            return False
        log.info("node.commitment_report_answered", status=status.code)
        return status not in (StoreStatus.PROCESSING_FAILURE, StoreStatus.RESOURCE_LIMITATION)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                self.report()
            except SpoolError as error:  # a shortage; a spool that has failed ends the node
                _LOG.warning("node.commitment_reports_wait", error=type(error).__name__)
            self._bell.wait(self._policy.poll_s)

    def _seal(self, waiting: _Waiting) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(asdict(waiting)).encode(), None)

    def _unseal(self, asked: Asked) -> _Waiting | None:
        try:
            plain = self._cipher.decrypt(asked.sealed[:_NONCE], asked.sealed[_NONCE:], None)
        except InvalidTag:  # of another key: nobody can answer it any more
            _LOG.warning("node.commitment_request_lost", reason="another-key")
            return None
        values = json.loads(plain)
        values["instances"] = tuple((one[0], one[1]) for one in values["instances"])
        return _Waiting(**values)
