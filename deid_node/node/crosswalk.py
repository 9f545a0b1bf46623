"""The crosswalk: who is behind a pseudonym. Off unless the settings switch it on.

A record, not the source of truth: pseudonyms come from the key, or from the table of random codes. It
holds one row for each patient and study and what stands for it, sealed (see `crosswalk_vault`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from deid_node.engine.original import Original
from deid_node.node.crosswalk_vault import Vault

PATIENT_ID: Final = 0x00100020
STUDY_INSTANCE_UID: Final = 0x0020000D
_REMEMBERED: Final = 100_000


class LinkKind(StrEnum):
    """What a row links."""

    PATIENT = "patient"
    STUDY = "study"


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """One original and what stands for it. `at` is when it was seen first, in seconds since 1970.

    `name` is empty unless names are recorded, `days` is None where no date of the patient moved,
    `patient` is the pseudonym of the patient of a study.
    """

    kind: LinkKind
    original: str
    pseudonym: str
    at: float
    epoch: str = ""
    name: str = ""
    days: int | None = None
    patient: str = ""

    def __repr__(self) -> str:
        return "Link(...)"


class Crosswalk:
    """The links of one project."""

    def __init__(self, vault: Vault, *, names: bool = False) -> None:
        """Use the links in a vault; `names`: also record the Patient Name."""
        self._vault = vault
        self._names = names
        self._recorded: set[tuple[LinkKind, str, str, int | None]] = set()

    def record(self, original: Original, pseudonym: str, study_uid: str) -> None:
        """Record the patient and the study of an object, durably, unless they are known.

        Args:
            original: who the object is of.
            pseudonym: its de-identified Patient ID.
            study_uid: its de-identified Study Instance UID.

        Raises:
            SpoolError: it cannot be written; the object must not be acknowledged.
        """
        patient = (LinkKind.PATIENT, original.patient_id, pseudonym, original.days)
        study = (LinkKind.STUDY, original.study_uid, study_uid, None)
        new = [name for name in (patient, study) if name[1] and name[2] and name not in self._recorded]
        if not new:
            return
        at = time.time()
        links = [
            Link(
                kind,
                text,
                stands,
                at,
                name=original.patient_name if self._names and kind is LinkKind.PATIENT else "",
                days=days,
                patient=pseudonym if kind is LinkKind.STUDY else "",
            )
            for kind, text, stands, days in new
        ]
        self.add(links)
        if len(self._recorded) > _REMEMBERED:
            self._recorded.clear()
        self._recorded.update(new)

    def add(self, links: list[Link]) -> int:
        """Record links; returns how many were not known. The first record of a link stays.

        A date shift that was not known when the patient was recorded is added.

        Raises:
            SpoolError: nothing of them was recorded.
        """
        vault = self._vault
        added = 0
        with vault.transaction() as conn:
            for link in links:
                known = self._find(conn, link)
                if known is not None and (link.days is None or known[1].days is not None):
                    continue
                lookup = vault.index(link.kind, link.original)
                reverse = vault.index(f"{link.kind}/pseudonym", link.pseudonym)
                content = asdict(link)
                del content["epoch"]
                if known is not None:
                    conn.execute("DELETE FROM link WHERE lookup = ? AND reverse = ?", (known[0], known[2]))
                    content["at"] = known[1].at
                row = lookup + reverse
                conn.execute(
                    "INSERT INTO link VALUES (?, ?, ?, ?)",
                    (lookup, reverse, vault.epoch, vault.seal(row, content)),
                )
                added += known is None
        return added

    def lookup(self, value: str) -> list[Link]:
        """Return the links of an original identifier or of a pseudonym.

        Raises:
            SpoolError: the file cannot be read, or the key of a row's epoch is not here.
        """
        found: list[Link] = []
        with self._vault.transaction() as conn:
            for kind in LinkKind:
                for index in self._vault.indices(kind, value):
                    found += self._links(conn.execute("SELECT * FROM link WHERE lookup = ?", (index,)))
                for index in self._vault.indices(f"{kind}/pseudonym", value):
                    found += self._links(conn.execute("SELECT * FROM link WHERE reverse = ?", (index,)))
        return list({(link.kind, link.original, link.pseudonym): link for link in found}.values())

    def links(self) -> list[Link]:
        """Return all links, the oldest first.

        Raises:
            SpoolError: the file cannot be read, or the key of a row's epoch is not here.
        """
        with self._vault.transaction() as conn:
            return sorted(self._links(conn.execute("SELECT * FROM link")), key=lambda link: link.at)

    def _find(self, conn: Any, link: Link) -> tuple[bytes, Link, bytes] | None:
        vault = self._vault
        for lookup, reverse in zip(
            vault.indices(link.kind, link.original),
            vault.indices(f"{link.kind}/pseudonym", link.pseudonym),
            strict=True,
        ):
            query = "SELECT * FROM link WHERE lookup = ? AND reverse = ?"
            for found in self._links(conn.execute(query, (lookup, reverse))):
                return lookup, found, reverse
        return None

    def _links(self, rows: Any) -> Iterator[Link]:
        for lookup, reverse, epoch, sealed in rows:
            content = self._vault.unseal(lookup + reverse, epoch, sealed)
            kind = LinkKind(content.pop("kind"))
            yield Link(kind=kind, epoch=epoch, **content)
