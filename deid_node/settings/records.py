"""Settings of what is kept beside objects: crosswalk, audit stream, quarantine, sealed originals."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr

from deid_node.settings.types import Folder, Port, Seconds, Section


class PseudonymKind(StrEnum):
    """Where pseudonyms, UIDs and date shifts come from."""

    KEYED = "keyed"
    RANDOM = "random"


class CrosswalkSettings(Section):
    """Who is behind a pseudonym: sealed with the project key, off by default."""

    enabled: bool = Field(default=False, description="Record patients and studies with what stands for them.")
    names: bool = Field(
        default=False,
        description="Also record the Patient Name. What a patient was called earlier is then taken out of "
        "the texts of later objects, too.",
    )
    folder: Folder | None = Field(
        default=None,
        description="Folder of the crosswalk and of random codes; best on a volume without the key. "
        "Unset: `<state>/crosswalk`.",
    )
    keep_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Days after which a link is forgotten, counted from its first record; the codes of "
        '`pseudonyms = "random"` stay. Unset: never.',
    )


class SyslogSettings(Section):
    """A collector of the audit as PS3.15 A.5 messages over TLS syslog; pseudonymous, off by default."""

    host: str = Field(min_length=1, description="Host name or IP address of the collector.")
    port: Port = Field(default=6514, description="TCP port of the collector.")
    ca: Folder = Field(description="PEM file with what the certificate of the collector has to be issued by.")
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name or address that the certificate of the collector has to carry. Unset: `host`.",
    )
    certificate: Folder | None = Field(
        default=None, description="PEM file with our certificate for the collector. Unset: none is shown."
    )
    key: Folder | None = Field(default=None, description="PEM file with its private key, mode 0600.")
    timeout_s: Seconds = Field(default=30.0, description="Longest wait for the connection and for each send.")
    max_waiting_bytes: int = Field(
        default=1 << 30,
        ge=1 << 16,
        description="Bytes of the audit stream that may wait for the collector; beyond it the oldest lines "
        "are passed over, and counted.",
    )


class SealedSettings(Section):
    """Originals that wait in the spool, encrypted, on routes with `intake = "sealed"`, `on_hold = "seal"`."""

    key_file: Folder | None = Field(
        default=None,
        description="File with the key that wraps the key of every original: 64 or more hexadecimal digits, "
        "mode 0600; `deid-node key new --key-file FILE` makes one. It is never made by itself: a node that "
        "needs it and does not have it does not start.",
    )
    key: SecretStr | None = Field(
        default=None,
        description="That key itself, in hexadecimal. Only as a secret file (systemd credential "
        "`deid_node_sealed__key`), never in the TOML file.",
    )
    workers: int = Field(
        default=1, ge=1, le=32, description="Originals that are de-identified at the same time."
    )
    stall_s: Seconds = Field(
        default=300.0,
        description="Seconds without progress after which an original is taken from its worker; the second "
        "time it is held (`poison`).",
    )

    @property
    def has_key(self) -> bool:
        """Whether a key is named."""
        return self.key is not None or self.key_file is not None


class AuditSettings(Section):
    """The audit stream: pseudonymous JSON lines, only ever appended."""

    enabled: bool = Field(default=True, description="Write it. While it cannot be written nothing is taken.")
    folder: Folder | None = Field(default=None, description="Folder of the stream. Unset: `<state>/audit`.")
    max_bytes: int = Field(
        default=64 << 20, ge=4096, description="Bytes after which the file is put aside and a new one begun."
    )
    keep_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Days that a file is kept after it was put aside. Unset: for ever."
    )
    syslog: SyslogSettings | None = Field(
        default=None, description="Where audit messages go as well: see `[audit.syslog]`."
    )


class QuarantineSettings(Section):
    """Where objects of routes with `on_reject = "quarantine"` wait, readable only with a private key."""

    folder: Folder | None = Field(
        default=None, description="Folder of sealed objects. Unset: `<state>/quarantine`."
    )
    public_key: Folder | None = Field(
        default=None,
        description="PEM file with the X25519 public key that objects are sealed to (see `quarantine keys`).",
    )
    max_bytes: int = Field(
        default=10 << 30,
        ge=1 << 20,
        description="Bytes of all sealed objects; beyond it the sender keeps what is rejected (A700).",
    )
    keep_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Days after which an object is removed for good, looked at or not. Unset: never.",
    )
