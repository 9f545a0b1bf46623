"""Settings of what faces the network: who may call, with which certificates, within which limits."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from deid_node.settings.types import CallerTitle, Folder, Network, Port, Seconds, Section, listed
from deid_node.standard.repairs import WAIVERS, Repair


def _certificate(value: str) -> str:
    """Write a fingerprint in one way: lower case, without colons; a name stays as it is."""
    bare = re.sub(r"(?i)^sha-?256[:= ]", "", value).replace(":", "").lower()
    if re.fullmatch("[0-9a-f]{64}", bare):
        return bare
    if re.search(r"[\s=]", value):
        raise ValueError(
            "a certificate is named by its SHA-256 fingerprint, or by a subject alternative name or common "
            "name that it carries"
        )
    return value


CertificateName = Annotated[str, AfterValidator(_certificate), Field(min_length=1)]


class TLSSettings(Section):
    """TLS 1.2 and 1.3 by BCP 195 (PS3.15 B.12). With a certificate the node accepts nothing else."""

    certificate: Folder | None = Field(
        default=None,
        description="PEM file with the certificate of the node and those between it and the authority. "
        "Setting it switches TLS on.",
    )
    key: Folder | None = Field(
        default=None, description="PEM file with its private key, mode 0600, without a password."
    )
    ca: Folder | None = Field(
        default=None, description="PEM file with the authorities that issue the certificates of peers."
    )
    mutual: bool = Field(
        default=True, description="Ask every caller for a certificate, and let nobody in without."
    )


class PeerSettings(Section):
    """One AE, or several behind one address block, that may open associations with the node."""

    ae_title: CallerTitle = Field(description='Calling AE title; `"*"` admits every title from the address.')
    address: Annotated[tuple[Network, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="IP address or CIDR block, or a list of them. Host names are not looked up."
    )
    certificate: Annotated[tuple[CertificateName, ...], BeforeValidator(listed)] = Field(
        default=(),
        description="Certificates that belong to this AE title, by SHA-256 fingerprint or by a name they "
        "carry; the title cannot be used without one of them, not even on this machine.",
    )

    report_port: Port | None = Field(
        default=None,
        description="TCP port on which the peer takes storage commitment reports. Unset: it is told at once, "
        "on the association on which it asked.",
    )


class LimitSettings(Section):
    """What one peer or one object may ask for. What passes a limit is rejected, answered or aborted."""

    associations: int = Field(
        default=128, ge=1, le=4096, description="Associations at the same time; more are rejected."
    )
    associations_per_address: int = Field(
        default=16, ge=1, le=4096, description="Associations of one address at the same time."
    )
    waiting: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Connections that have not asked for an association yet; the oldest gives way.",
    )
    waiting_per_address: int = Field(default=16, ge=1, le=4096, description="The same, of one address.")
    handshake_s: Seconds = Field(default=5.0, description="Seconds for the TLS handshake.")
    request_s: Seconds = Field(
        default=10.0, description="Seconds from the connection to the end of the association request."
    )
    pdu_s: Seconds = Field(default=15.0, description="Seconds from the first to the last byte of a PDU.")
    idle_s: Seconds = Field(
        default=300.0, description="Seconds without a message after which an association is aborted."
    )
    answer_s: Seconds = Field(
        default=8.0,
        description="Seconds from the last byte of an object to its answer. What is not durable by then is "
        "not kept, and answered with A700.",
    )
    send_s: Seconds = Field(default=15.0, description="Seconds that a peer may take to read an answer.")
    min_rate_bytes_s: int = Field(
        default=64 << 10, ge=1, description="Bytes a second that a sender has to reach within a message."
    )
    rate_window_s: Seconds = Field(default=30.0, description="Seconds over which that rate is measured.")
    pdu_bytes: int = Field(
        default=128 << 10, ge=4096, le=1 << 20, description="Longest PDU; announced to peers."
    )
    request_bytes: int = Field(
        default=256 << 10, ge=4096, le=4 << 20, description="Bytes of an association request."
    )
    contexts: int = Field(default=128, ge=1, le=128, description="Presentation contexts of a request.")
    transfer_syntaxes: int = Field(
        default=64, ge=1, le=1024, description="Transfer syntaxes of one presentation context."
    )
    user_items: int = Field(default=512, ge=8, le=4096, description="User information items of a request.")
    command_bytes: int = Field(default=16 << 10, ge=1024, le=1 << 20, description="Bytes of a command set.")
    object_bytes: int = Field(default=8 << 30, ge=1 << 20, description="Bytes of one dataset.")
    header_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="Bytes of one dataset before its pixels; held in memory."
    )
    memory_bytes: int | None = Field(
        default=None,
        ge=1 << 20,
        description="Bytes of all datasets that are held in memory at the same time. Beyond it the node "
        "stops reading, then answers A700. Unset: a quarter of the memory.",
    )
    depth: int = Field(default=32, ge=1, le=128, description="Deepest nesting of sequences.")
    elements: int = Field(default=5_000_000, ge=1000, description="Data elements of one object.")
    items: int = Field(default=2_000_000, ge=1000, description="Sequence items of one object.")
    repairs: Annotated[tuple[Repair, ...], BeforeValidator(listed)] = Field(
        default=tuple(WAIVERS),
        description="What is put right in objects, although the standard forbids it; by default what objects "
        "of real devices need (see defences.md). An object that needs another repair is refused with C101.",
    )
