"""Settings of what is written down: how pseudonyms are made, the crosswalk, the audit stream."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from deid_node.settings.types import Folder, Section


class PseudonymKind(StrEnum):
    """Where pseudonyms, UIDs and date shifts come from."""

    KEYED = "keyed"
    RANDOM = "random"


class CrosswalkSettings(Section):
    """Who is behind a pseudonym: sealed with the project key, off by default."""

    enabled: bool = Field(default=False, description="Record patients and studies with what stands for them.")
    names: bool = Field(default=False, description="Also record the Patient Name.")
    folder: Folder | None = Field(
        default=None,
        description="Folder of the crosswalk and of random codes; best on a volume without the key. "
        "Unset: `<state>/crosswalk`.",
    )


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
