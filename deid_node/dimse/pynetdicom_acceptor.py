"""The second acceptor: pynetdicom negotiates and reads, within the limits of the first one.

Connections, addresses, TLS and association requests are looked at by the same code; what follows is
pynetdicom's own state machine over a socket with limits. It holds each object in memory and polls, so it
is slower and serves as a way out where a peer and the first one cannot talk.
"""

from __future__ import annotations

import ssl
from typing import Any

from pynetdicom import AE, _config

from deid_node.dimse.accepted import AcceptedAssociation
from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.association import Intake
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.memory import MemoryBudget, default_budget
from deid_node.dimse.pynetdicom_association import PynetdicomAssociation
from deid_node.dimse.wire import Wire
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


class PynetdicomAcceptor(ListeningAcceptor):
    """Hands each association that was let in to pynetdicom. `memory` bounds what all of them hold."""

    def __init__(
        self,
        intake: Intake,
        *,
        host: str = "127.0.0.1",
        port: int = 11112,
        limits: AssociationLimits | None = None,
        tls: ssl.SSLContext | None = None,
        memory: MemoryBudget | None = None,
    ) -> None:
        super().__init__(intake, host=host, port=port, limits=limits, tls=tls)
        self._memory = memory or MemoryBudget(default_budget())
        self._ae = self._make_ae()

    def start(self) -> None:
        """Listen, and return.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        _config.LOG_HANDLER_LEVEL = "none"  # its handlers write datasets to the log
        _config.STORE_RECV_CHUNKED_DATASET = False  # it writes identified bytes to the disk
        super().start()

    def _make_ae(self) -> Any:
        ae = AE()
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = self._limits.max_pdu_bytes
        ae.maximum_associations = self._limits.associations + 1  # counted before it gets there
        ae.acse_timeout = self._limits.request_s
        # Its timers follow the wall clock; the deadlines of the wire do not.
        ae.network_timeout = None
        ae.dimse_timeout = None
        return ae

    def _association(self, wire: Wire) -> AcceptedAssociation:
        return PynetdicomAssociation(
            wire, self._intake, self._limits, self._hall, self._tls, self._ae, self._memory.share()
        )
