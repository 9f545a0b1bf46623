"""Associations for storage commitment that we request, with pynetdicom's own services (PS3.4 J.3).

Few and small: nothing here is in the way of objects. pynetdicom answers a lost association with an
empty status; here that is an AssociationError.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.dsutils import decode

from deid_node.dimse.commitment import (
    ACTION_REQUEST,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    CommitmentRequest,
)
from deid_node.dimse.commitment_dataset import (
    SYNTAXES,
    CommitmentError,
    decode_report,
    encode_report,
    encode_request,
)
from deid_node.dimse.implementation import silence_libraries
from deid_node.dimse.peer import Peer
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.syntaxes import IMPLICIT_LITTLE
from deid_node.dimse.wire import prompt
from deid_node.errors import AssociationError
from deid_node.standard.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_LOOK_S: Final = 0.05
_LOST: Final = "the association was lost before the answer"

Reported = Callable[[CommitmentReport], StoreStatus]
"""Takes a report, and returns the status to answer it with."""


def ask(
    peer: Peer,
    request: CommitmentRequest,
    reported: Reported,
    *,
    tls: ssl.SSLContext | None = None,
    listen_s: float = 0.0,
) -> StoreStatus:
    """Ask a peer to commit itself to instances; return the status of the N-ACTION response.

    Args:
        reported: called, from another thread, for reports on the same association.
        listen_s: how long the association is kept for such a report after the request was accepted.

    Raises:
        AssociationError: no association, or it was lost; whether the request arrived is not known.
    """
    seen: list[str] = []

    def on_report(event: Any) -> tuple[int, None]:
        try:
            content = event.request.EventInformation
            report = decode_report(content.getvalue() if content else b"", str(event.context.transfer_syntax))
            status = reported(report)
        except CommitmentError:
            return int(StoreStatus.INVALID_ARGUMENT), None
        except Exception:
            return int(StoreStatus.PROCESSING_FAILURE), None
        seen.append(report.transaction_uid)
        return int(status), None

    assoc = _associate(peer, tls, [(evt.EVT_N_EVENT_REPORT, on_report)])
    try:
        answer, _ = assoc.send_n_action(
            _dataset(encode_request(request, IMPLICIT_LITTLE)),
            ACTION_REQUEST,
            PUSH_MODEL,
            PUSH_MODEL_INSTANCE,
        )
        status = _status(answer)
        end = time.monotonic() + listen_s
        while (
            status == StoreStatus.SUCCESS
            and request.transaction_uid not in seen
            and assoc.is_established
            and time.monotonic() < end
        ):
            time.sleep(_LOOK_S)
        return status
    except RuntimeError:  # lost a moment ago
        raise AssociationError(_LOST) from None
    finally:
        _end(assoc)


def report(peer: Peer, result: CommitmentReport, *, tls: ssl.SSLContext | None = None) -> StoreStatus:
    """Report to a peer that asked us; return the status of the N-EVENT-REPORT response.

    Raises:
        AssociationError: no association in which we are the SCP, or it was lost.
    """
    assoc = _associate(peer, tls, [], as_scp=True)
    if not any(context.as_scp for context in assoc.accepted_contexts):
        _end(assoc)
        raise AssociationError("the peer takes no reports: it did not accept the SCP role")
    try:
        answer, _ = assoc.send_n_event_report(
            _dataset(encode_report(result, IMPLICIT_LITTLE)),
            result.event_type,
            PUSH_MODEL,
            PUSH_MODEL_INSTANCE,
        )
        return _status(answer)
    except RuntimeError:  # lost a moment ago
        raise AssociationError(_LOST) from None
    finally:
        _end(assoc)


def _associate(peer: Peer, tls: ssl.SSLContext | None, handlers: list[Any], *, as_scp: bool = False) -> Any:
    silence_libraries()
    _config.LOG_HANDLER_LEVEL = "none"
    ae = AE(ae_title=str(peer.calling))
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = peer.max_pdu_bytes
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
    ae.add_requested_context(PUSH_MODEL, list(SYNTAXES))

    def opened(event: Any) -> None:
        sock = event.assoc.dul.socket.socket
        sock.settimeout(peer.timeout_s)  # pynetdicom has no deadline for sending
        prompt(sock)

    assoc = ae.associate(
        peer.host,
        peer.port,
        ae_title=str(peer.called),
        max_pdu=peer.max_pdu_bytes,
        ext_neg=[build_role(PUSH_MODEL, scp_role=True)] if as_scp else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, opened), *handlers],
        tls_args=(tls, peer.certificate_name or peer.host) if tls is not None else None,
    )
    if assoc.is_established:
        return assoc
    place = f"{peer.host} port {peer.port}"
    if assoc.is_rejected:
        raise AssociationError(f"the association was rejected by {place}")
    if assoc.acceptor.primitive is not None and not assoc.accepted_contexts:
        raise AssociationError(f"{place} does not take storage commitment")
    raise AssociationError(f"no association with {place}")


def _dataset(encoded: bytes) -> Dataset:
    """Return what pynetdicom wants; pydicom reads no further into it than it must."""
    ds: Dataset = decode(BytesIO(encoded), True, True)
    return ds


def _status(answer: Any) -> StoreStatus:
    value = answer.get("Status")
    if value is None:
        raise AssociationError(_LOST)
    return StoreStatus(int(value))


def _end(assoc: Any) -> None:
    if assoc.is_established:
        assoc.release()
    else:
        assoc.kill()
