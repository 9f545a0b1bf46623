"""Storage Commitment Push Model: who asks whom to keep what, and the answer (PS3.4 Annex J).

An SCU asks by N-ACTION with a Transaction UID and the instances; the SCP answers, on this association
or a later one, by N-EVENT-REPORT: event 1 when it keeps all of them, event 2 when some are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class."""

PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP Instance."""

ACTION_REQUEST: Final = 1
EVENT_SUCCESS: Final = 1
EVENT_FAILURES: Final = 2


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP instance by its class and its UID."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """What an SCU asks for (PS3.4 Table J.3-1)."""

    transaction_uid: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an SCP answers (PS3.4 Table J.3-2); `failed` holds instances with Failure Reason (0008,1197)."""

    transaction_uid: str
    committed: tuple[Instance, ...] = ()
    failed: tuple[tuple[Instance, int], ...] = ()

    @property
    def event_type(self) -> int:
        """Event Type ID: 1 when nothing failed, otherwise 2."""
        return EVENT_FAILURES if self.failed else EVENT_SUCCESS


def refusal_of(request: CommitmentRequest, reason: int) -> CommitmentReport:
    """Return the report that nothing of a request is kept."""
    return CommitmentReport(request.transaction_uid, (), tuple((one, reason) for one in request.instances))
