"""The other side of an association that we request, and what can go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deid_node.errors import AssociationError
from deid_node.standard.values import AETitle

# PS3.8 Table 9-21, by source and reason; what is not here is reserved.
_REASONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """An AE to which associations are requested. `timeout_s` bounds each wait for it.

    With TLS its certificate has to carry `certificate_name`, the host when that is empty.
    """

    host: str
    port: int
    called: AETitle
    calling: AETitle
    timeout_s: float = 30
    max_pdu_bytes: int = 131072
    certificate_name: str = ""


class AssociationRejectedError(AssociationError):
    """The peer answered A-ASSOCIATE-RJ; the numbers are those of PS3.8 Table 9-21."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        kind = "for now" if result == 2 else "permanently"
        why = _REASONS.get((source, reason), f"source {source}, reason {reason}")
        super().__init__(f"the association was rejected {kind}: {why}")
        self.result = result
        self.source = source
        self.reason = reason

    @property
    def is_transient(self) -> bool:
        """Whether the same request can succeed later."""
        return self.result == 2


class AssociationAbortedError(AssociationError):
    """The peer sent A-ABORT; source and reason are those of PS3.8 Table 9-26."""

    def __init__(self, source: int, reason: int) -> None:
        super().__init__(f"the peer aborted the association (source {source}, reason {reason})")
        self.source = source
        self.reason = reason


class ContextNotAcceptedError(AssociationError):
    """The peer accepted no presentation context for this SOP class and transfer syntax."""

    def __init__(self, sop_class_uid: str, transfer_syntax_uid: str) -> None:
        super().__init__(
            f"the peer accepted no presentation context for {sop_class_uid} in {transfer_syntax_uid}"
        )
        self.sop_class_uid = sop_class_uid
        self.transfer_syntax_uid = transfer_syntax_uid
