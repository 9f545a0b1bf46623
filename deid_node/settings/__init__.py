"""What an operator can set: typed, frozen, and wrong settings do not exist.

Every field has a description: `docs/reference/settings.md` is made from them. Where the values come
from (TOML file, environment, secret files) is the business of `settings.load`.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from deid_node.settings.destinations import AESettings, Destination, FolderSettings
from deid_node.settings.network import LimitSettings, PeerSettings, TLSSettings
from deid_node.settings.records import (
    AuditSettings,
    CrosswalkSettings,
    PseudonymKind,
    QuarantineSettings,
    SealedSettings,
)
from deid_node.settings.routes import (
    IntakeKind,
    OnHold,
    RouteSettings,
)
from deid_node.settings.types import (
    Folder,
    Name,
    Seconds,
    Section,
    Title,
)
from deid_node.standard.values import AETitle

DEFAULT_AE_TITLE: Final = AETitle("DEIDNODE")
DEFAULT_PORT: Final = 11112
DEFAULT_ROUTE: Final = "default"
DEFAULT_DESTINATION: Final = "out"


class AcceptorKind(StrEnum):
    """Which receive loop listens."""

    STREAM = "stream"
    PYNETDICOM = "pynetdicom"


class LogFormat(StrEnum):
    """How log events are written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe event that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def default_state() -> Path:
    """Return where state lies when nothing is set: systemd's state directory, else the XDG one.

    Not the working directory: the key lies here, and the same person in another folder must get the
    same pseudonyms.
    """
    from_systemd = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if from_systemd:
        return Path(from_systemd)
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "deid-node"


class SpoolSettings(Section):
    """The durable store between receiving and delivering."""

    folder: Folder | None = Field(
        default=None, description="Folder of the spool and the ledger. Unset: `<state>/spool`."
    )
    durable: bool = Field(
        default=True,
        description="Sync to the disk before Success is answered. `false` can lose objects: for benchmarks.",
    )
    high_water: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.85,
        description="Share of the spool's file system, in bytes or in inodes, from which on no new object is "
        "taken: senders wait for seconds, then hear A700, and after half a minute associations are rejected.",
    )
    low_water: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.75, description="Share below which objects are taken again."
    )
    enough_bytes: Annotated[int, Field(ge=0)] = Field(
        default=8 << 30,
        description="Free bytes with which objects are taken whatever share of the bytes is used.",
    )
    keep_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Seconds that a file is kept after its last delivery."
    )
    history_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Days after which rows of settled objects are deleted; their counts stay. An object that "
        "is sent again later is taken for a new one. Unset: never.",
    )

    @model_validator(mode="after")
    def _marks_in_order(self) -> Self:
        if self.low_water > self.high_water:
            raise ValueError("low_water must not be above high_water")
        return self


class LogSettings(Section):
    """Structured events, never attribute values."""

    level: LogLevel = Field(default=LogLevel.INFO, description="The least severe event that is written.")
    format: LogFormat = Field(
        default=LogFormat.AUTO, description="`auto`: for people on a terminal, JSON elsewhere."
    )


class Settings(BaseSettings):
    """Everything that can be set, with what holds when nothing is."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    ae_title: Title = Field(default=DEFAULT_AE_TITLE, description="AE title of the node.")
    host: str = Field(
        default="0.0.0.0",  # noqa: S104  only loopback and listed peers are let in
        min_length=1,
        description="Address to listen on. Associations are accepted from loopback and from `peers` only.",
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    acceptor: AcceptorKind = Field(
        default=AcceptorKind.STREAM,
        description="Receive loop: `stream` de-identifies while the object arrives. `pynetdicom`, for peers "
        "that cannot talk with it, holds each object in memory first; the limits are the same.",
    )
    profile: str = Field(
        default="basic", min_length=1, description="Profile of the route that exists when none is configured."
    )
    state: Folder = Field(
        default_factory=default_state,
        description="Folder of everything the node keeps. Unset: `$STATE_DIRECTORY`, else "
        "`$XDG_STATE_HOME/deid-node`, else `~/.local/state/deid-node`.",
    )
    key_file: Folder | None = Field(
        default=None,
        description="File with the project key: 64 or more hexadecimal digits, mode 0600. When set, it must "
        "exist. Unset: `<state>/project.key`, made on first use.",
    )
    key: SecretStr | None = Field(
        default=None,
        description="The project key itself, in hexadecimal. Only as a secret file, never in the TOML file "
        "or the environment.",
    )
    pseudonyms: PseudonymKind = Field(
        default=PseudonymKind.KEYED,
        description="`keyed`: computed from the original with the project key. `random`: drawn and kept in a "
        "table, for rules that forbid codes derived from the person.",
    )
    stop_limit_s: Seconds = Field(
        default=30.0, description="Seconds that running associations get to finish on stop."
    )
    i_accept_cleartext: bool = Field(
        default=False,
        description="Let peers with public addresses in without TLS: what they send can be read on its way.",
    )
    tls: TLSSettings = Field(default=TLSSettings(), description="TLS.")
    limits: LimitSettings = Field(default=LimitSettings(), description="Limits.")
    spool: SpoolSettings = Field(default=SpoolSettings(), description="Spool.")
    crosswalk: CrosswalkSettings = Field(default=CrosswalkSettings(), description="Crosswalk.")
    audit: AuditSettings = Field(default=AuditSettings(), description="Audit.")
    quarantine: QuarantineSettings = Field(default=QuarantineSettings(), description="Quarantine.")
    sealed: SealedSettings = Field(default=SealedSettings(), description="Sealed originals.")
    log: LogSettings = Field(default=LogSettings(), description="Log.")
    peers: dict[Name, PeerSettings] = Field(default={}, description="Peers by name.")
    routes: dict[Name, RouteSettings] = Field(default={}, description="Routes by name.")
    destinations: dict[Name, Destination] = Field(default={}, description="Destinations by name.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments only; `settings.load` adds the other sources, each with its name."""
        return (init_settings,)

    @property
    def effective_routes(self) -> dict[str, RouteSettings]:
        """The routes; when none is configured, one that takes everything to every destination."""
        if self.routes:
            return self.routes
        names = tuple(self.effective_destinations)
        route = RouteSettings(called=(self.ae_title,), profile=self.profile, destinations=names)
        return {DEFAULT_ROUTE: route}

    @property
    def effective_destinations(self) -> dict[str, FolderSettings | AESettings]:
        """The destinations; when none is configured, the folder `<state>/out`."""
        if self.destinations:
            return self.destinations
        return {DEFAULT_DESTINATION: FolderSettings(kind="folder", path=self.state / "out")}

    @property
    def spool_folder(self) -> Path:
        """Where the spool and the ledger lie."""
        return self.spool.folder or self.state / "spool"

    @property
    def sealing_routes(self) -> tuple[str, ...]:
        """The routes that may seal originals."""
        return tuple(
            name
            for name, route in self.effective_routes.items()
            if route.intake is IntakeKind.SEALED or route.on_hold is OnHold.SEAL
        )

    @property
    def quarantine_folder(self) -> Path:
        """Where sealed objects lie."""
        return self.quarantine.folder or self.state / "quarantine"

    @property
    def crosswalk_folder(self) -> Path:
        """Where the crosswalk and random codes lie."""
        return self.crosswalk.folder or self.state / "crosswalk"

    @property
    def audit_folder(self) -> Path:
        """Where the audit stream lies."""
        return self.audit.folder or self.state / "audit"
