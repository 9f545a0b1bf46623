"""An AE that stores and commits itself to keep what it stored, as a test tells it to."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt

from deid_node.dimse import commitment_scu
from deid_node.dimse.commitment import PUSH_MODEL, CommitmentReport, CommitmentRequest
from deid_node.dimse.commitment_dataset import decode_request
from deid_node.dimse.peer import Peer
from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle
from tests.peers import LOOPBACK


class Archive:
    """An AE that stores and commits itself, as a test tells it to."""

    def __init__(self) -> None:
        self.asked: list[CommitmentRequest] = []
        self.stored: list[str] = []
        self.action_status = 0x0000
        self.reason: int | None = None  # of every failure; None commits to everything
        self.same_association = False
        self.reports = True
        self.node_port = 0
        self.answers: list[int] = []
        ae = AE("ARCHIVE")
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(PUSH_MODEL)
        self._server = ae.start_server(
            (LOOPBACK, 0),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action)],
        )
        self.port: int = self._server.socket.getsockname()[1]

    def close(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    def _action(self, event: Any) -> tuple[int, None]:
        request = decode_request(
            event.request.ActionInformation.getvalue(), str(event.context.transfer_syntax)
        )
        self.asked.append(request)
        if self.reports and not self.action_status:
            threading.Timer(0.05, self.report, (self.result(request),)).start()
        return self.action_status, None

    def result(self, request: CommitmentRequest) -> CommitmentReport:
        if self.reason is None:
            return CommitmentReport(request.transaction_uid, request.instances)
        failed = tuple((one, self.reason) for one in request.instances)
        return CommitmentReport(request.transaction_uid, (), failed)

    def report(self, report: CommitmentReport) -> None:
        peer = Peer(LOOPBACK, self.node_port, AETitle("DEIDNODE"), AETitle("ARCHIVE"), 5)
        with contextlib.suppress(AssociationError):  # the node died over it
            self.answers.append(int(commitment_scu.report(peer, report)))
