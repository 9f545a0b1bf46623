"""What goes into the spool and what comes out of it: origins, commits, entries, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
NEEDED_ATTRIBUTES: Final = frozenset({STUDY, SERIES})
"""What the ledger counts by; a Summary's attributes should hold these de-identified UIDs."""


class Origin(NamedTuple):
    """Who sent an object: audit fields, never sent on. `association` is its random short id."""

    calling: str = ""
    called: str = ""
    address: str = ""
    association: str = ""


class CommitKind(StrEnum):
    """What the spool had of this object before."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the same content again: no second delivery
    REVISION = "revision"  # other content under the same SOP Instance UID: delivered, flagged


class Commit(NamedTuple):
    """An object that is durable. `item` is its number in the ledger, `revision` counts from 0."""

    kind: CommitKind
    item: int
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One object on its way to one destination, claimed for one attempt.

    `object` is the random name of its file in the spool, and `path` that file, with file meta information:
    the dataset starts at `offset` and is `length` bytes long. `digest` is of the whole file (see `content`).
    `attempt` counts from 1 and was committed before this value existed. `attributes` are de-identified
    (0xGGGGEEEE to text).
    """

    id: int
    item: int
    destination: str
    route: str
    object: str
    path: str
    offset: int
    length: int
    digest: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    attributes: Mapping[int, str]
    attempt: int
    aborts: int
    revision: int
    received_at: float

    @property
    def context(self) -> tuple[str, str]:
        """The presentation context it needs: SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that was not taken: rejected, excluded or quarantined, and why. No values.

    `code` is the fixed word of the error, `path` an attribute path, `digest` the keyed digest of
    the original SOP Instance UID where it is known. Equal refusals are one row that counts.
    """

    route: str
    code: str
    reason: str
    path: str = ""
    digest: bytes = b""
    sop_class_uid: str = ""
    origin: Origin = Origin()  # noqa: RUF009  # immutable
