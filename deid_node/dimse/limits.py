"""What one peer, and all of them together, may ask of an acceptor before anything is trusted.

Every bound holds without authentication. A peer that passes one is answered (A-ASSOCIATE-RJ,
A-ABORT or a status) within the deadline that the bound names, while others are served.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AssociationLimits:
    """Bounds of an acceptor.

    Connections that have not yet sent an acceptable A-ASSOCIATE-RQ are counted apart from
    associations; when too many wait, the one that waited longest gives way, so that silent peers
    cannot keep others out.
    """

    associations: int = 128
    associations_per_address: int = 16
    waiting: int = 64
    waiting_per_address: int = 16

    handshake_s: float = 5.0  # TLS
    request_s: float = 10.0  # from the connection to the last byte of A-ASSOCIATE-RQ
    pdu_s: float = 15.0  # from the first to the last byte of any other PDU
    idle_s: float = 300.0  # between two messages
    answer_s: float = 8.0  # from the last byte of a dataset to its answer
    send_s: float = 15.0  # until the peer takes an answer
    linger_s: float = 1.0  # until the peer closes after a rejection or an abort
    min_rate_bytes_s: int = 64 * 1024  # of a dataset, while waiting for the peer
    rate_window_s: float = 30.0

    max_pdu_bytes: int = 128 * 1024  # announced, PS3.8 D.1
    max_request_bytes: int = 256 * 1024  # A-ASSOCIATE-RQ
    max_contexts: int = 128
    max_transfer_syntaxes: int = 64  # of one presentation context
    max_user_items: int = 512
    max_command_bytes: int = 16 * 1024
    max_dataset_bytes: int = 2 * 1024**3
