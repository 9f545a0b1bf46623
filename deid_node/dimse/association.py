"""What an association is to the rest of the node: who calls, what is stored, who decides.

The protocols here are the seam between the network and the node: acceptors call an `Intake`, and
know nothing of procedures, spool or routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest
from deid_node.dimse.status import StoreStatus
from deid_node.standard.values import AETitle

MAX_COMMENT = 64
"""Characters of Error Comment (0000,0902), VR LO."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The verified certificate of a TLS peer.

    `subject` is the RFC 4514 style text of the distinguished name, `common_name` the CN in it, `names`
    are the DNS names and addresses of the subject alternative name, `fingerprint` is the SHA-256 of the
    DER form in lower case hexadecimal.
    """

    subject: str
    names: tuple[str, ...]
    fingerprint: str
    common_name: str = ""

    def is_named(self, name: str) -> bool:
        """Tell whether a fingerprint, or a name without regard to case, is one of this certificate."""
        wanted = name.casefold()
        return wanted == self.fingerprint or wanted in map(str.casefold, (*self.names, self.common_name))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Caller:
    """The requestor of one association. `association` is a short random id for logs."""

    calling: AETitle
    called: AETitle
    address: str
    port: int
    association: str
    certificate: PeerCertificate | None = None


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One C-STORE-RQ, on the presentation context that carries it. UIDs are without padding."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    message_id: int


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The answer to a C-STORE-RQ: status, and a text of at most 64 characters.

    Ours is fixed and without values. That of a peer may hold anything: it is for the person who sends a
    file, and for no log.
    """

    status: StoreStatus
    comment: str = ""


class _Rejection(NamedTuple):
    result: int
    source: int
    reason: int


class AssociationRejection(Enum):
    """Reasons of A-ASSOCIATE-RJ: result, source, reason (PS3.8 Table 9-21)."""

    NO_REASON = _Rejection(1, 1, 1)
    APPLICATION_CONTEXT_NOT_SUPPORTED = _Rejection(1, 1, 2)
    CALLING_AE_NOT_RECOGNIZED = _Rejection(1, 1, 3)
    CALLED_AE_NOT_RECOGNIZED = _Rejection(1, 1, 7)
    PROTOCOL_VERSION_NOT_SUPPORTED = _Rejection(1, 2, 2)
    TEMPORARY_CONGESTION = _Rejection(2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = _Rejection(2, 3, 2)

    @property
    def result(self) -> int:
        """1 is permanent, 2 is transient."""
        return self.value.result

    @property
    def source(self) -> int:
        """1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation)."""
        return self.value.source

    @property
    def reason(self) -> int:
        """The reason, whose meaning depends on the source."""
        return self.value.reason

    @property
    def word(self) -> str:
        """Return the word under which rejections are counted and logged."""
        return self.name.lower().replace("_", "-")


class ObjectIntake(Protocol):
    """Takes the dataset of one object. Called from one thread, none of the methods raises."""

    def feed(self, piece: memoryview) -> None:
        """Take the next bytes of the dataset; the view is valid until this returns.

        After a refusal the rest is swallowed: the answer is given by `finish`.
        """

    def finish(self) -> StoreAnswer:
        """Return the answer, once, after the last fragment; the object is durable when it is 0000."""
        ...

    def give_up(self) -> StoreAnswer | None:
        """Keep the object no more and return what is answered; None when it is too late for that.

        Called from another thread while `finish` runs, when its answer is overdue.
        """
        ...

    def refuse(self, answer: StoreAnswer) -> None:
        """Forget the object and take note: it is answered with a refusal that is not the intake's."""

    def abort(self) -> None:
        """Forget the object: the association died in the middle of it, and nobody is answered."""


@dataclass(frozen=True, slots=True)
class CommitmentAnswer:
    """The answer to an N-ACTION: its status, and the report when it can be given at once."""

    status: StoreStatus
    report: CommitmentReport | None = None


class Intake(Protocol):
    """Decides about associations and objects. Called from many threads at once."""

    def may_connect(self, address: str) -> bool:
        """Tell whether anybody at an address can be let in; the rest is not listened to at all."""
        ...

    def handshake_failed(self, address: str, reason: str) -> None:
        """Take note that TLS could not be agreed on with an address; a fixed word says why."""

    def admit(self, caller: Caller) -> AssociationRejection | None:
        """Return why the association is rejected, None when it is let in."""
        ...

    def supports(self, caller: Caller, abstract_syntax: str) -> bool:
        """Tell whether a storage SOP class is negotiable for this caller (Verification always is)."""
        ...

    def begin(self, caller: Caller, request: StoreRequest) -> ObjectIntake:
        """Start one object."""
        ...

    def refused(self, caller: Caller, request: StoreRequest, answer: StoreAnswer) -> None:
        """Take note of an object that is refused for its C-STORE-RQ; the UIDs are as they came."""

    def commitment_asked(self, caller: Caller, request: CommitmentRequest) -> CommitmentAnswer:
        """Answer a caller that asks us to keep instances (PS3.4 J.3.2)."""
        ...

    def commitment_reported(self, caller: Caller, report: CommitmentReport) -> StoreStatus:
        """Take the report of a caller that we asked to keep instances (PS3.4 J.3.3)."""
        ...


class Acceptor(Protocol):
    """Listens for associations and hands what arrives to an `Intake`."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the real port once started (port 0 asks for a free one)."""
        ...

    def start(self) -> None:
        """Listen, and return. Raises ConfigurationError when the address cannot be used."""

    def stop(self, grace_s: float) -> None:
        """Take no new association, let running ones finish for `grace_s`, abort the rest, return."""
