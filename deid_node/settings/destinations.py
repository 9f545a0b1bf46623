"""Where objects go: a folder store or a downstream AE, with its pace and its patience."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from deid_node.settings.types import Folder, Hours, Mode, Port, Seconds, Section, Title, listed

DEFAULT_TEMPLATE: Final = "{PatientID}/{StudyInstanceUID}/{Modality}_{SeriesInstanceUID}/{SOPInstanceUID}.dcm"


class _DestinationSettings(Section):
    """What every destination can be told about its pace and its patience."""

    first_pause_s: Seconds = Field(
        default=5.0, description="Longest pause after the first failed attempt; it doubles with each failure."
    )
    longest_pause_s: Seconds = Field(default=900.0, description="Longest pause between two attempts.")
    max_age_s: Annotated[float, Field(gt=0)] = Field(
        default=14 * 86400.0, description="An object that still fails at this age is held for a person."
    )
    alarms_s: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(3600.0, 86400.0),
        description="Ages in seconds of the oldest object that waits, each of which is told in the log "
        "(`node.destination_behind`). An empty list: never.",
    )
    objects_per_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Most objects a second. Unset: as fast as it goes."
    )
    bytes_per_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Most bytes a second. Unset: as fast as it goes."
    )
    hours: Hours | None = Field(
        default=None, description="Daily window of local time for sending, like `20:00-06:00`. Unset: always."
    )
    fallback: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        default=(), description="Destinations that take over, the first usable one, when this one is out."
    )
    fallback_after_s: Seconds = Field(
        default=300.0, description="Seconds out of use after which a fallback takes over."
    )


class FolderSettings(_DestinationSettings):
    """A folder store: every object becomes a file whose path is made from de-identified attributes."""

    kind: Literal["folder"] = Field(description='`"folder"`')
    path: Folder = Field(description="Folder that receives the files; made when absent.")
    template: str = Field(
        default=DEFAULT_TEMPLATE,
        min_length=1,
        description="Path of a file below `path`, from de-identified attributes.",
    )
    may_link: bool = Field(
        default=True,
        description="Hard-link files from the spool when both lie on one file system. `false` for programs "
        "that edit files in place.",
    )
    folder_mode: Mode = Field(default=0o700, description="Mode of new folders, in octal.")
    file_mode: Mode = Field(default=0o600, description="Mode of files, in octal.")


class AESettings(_DestinationSettings):
    """A downstream AE that gets the objects by C-STORE."""

    kind: Literal["ae"] = Field(description='`"ae"`')
    host: str = Field(min_length=1, description="Host name or IP address of the AE.")
    port: Port = Field(description="TCP port of the AE.")
    ae_title: Title = Field(description="Called AE title.")
    calling_ae_title: Title | None = Field(
        default=None, description="Calling AE title. Unset: `ae_title` of the node."
    )
    timeout_s: Seconds = Field(
        default=30.0, description="Seconds without progress after which an association is given up."
    )
    senders: int = Field(
        default=1,
        ge=1,
        le=32,
        description="Associations that send at the same time; as many again for routes with `acknowledge = "
        '"through"`, whose objects wait for a free one.',
    )
    commitment: bool = Field(
        default=False,
        description="Ask the AE by storage commitment to keep what it was sent, and keep the files here "
        "until it does. To report on associations of its own the AE has to be listed in `peers`.",
    )
    tls: bool = Field(default=False, description="Connect with TLS, 1.2 or newer.")
    tls_name: str | None = Field(
        default=None,
        min_length=1,
        description="Name or address that the certificate of the AE has to carry. Unset: `host`.",
    )
    tls_ca: Folder | None = Field(
        default=None,
        description="PEM file with what the certificate of the AE has to be issued by. Unset: `tls.ca`.",
    )
    tls_certificate: Folder | None = Field(
        default=None, description="PEM file with our certificate for this AE. Unset: `tls.certificate`."
    )
    tls_key: Folder | None = Field(
        default=None, description="PEM file with its private key, mode 0600. Unset: `tls.key`."
    )


Destination = Annotated[FolderSettings | AESettings, Field(discriminator="kind")]
