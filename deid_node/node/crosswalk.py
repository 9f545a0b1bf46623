"""The crosswalk: who is behind a pseudonym. Off unless the settings switch it on.

A record, not the source of truth: pseudonyms come from the key, or from the table of random codes. It
holds one row for each patient and study and what stands for it, sealed (see `crosswalk_vault`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from deid_node.engine.original import Original
from deid_node.node.crosswalk_vault import Vault

PATIENT_ID: Final = 0x00100020
STUDY_INSTANCE_UID: Final = 0x0020000D
_REMEMBERED: Final = 100_000
_NAMES_KEPT: Final = 16
# What more originals than this share is no pseudonym of one patient, but a constant of the profile.
_IDS_OF_ONE: Final = 16
_ASKED_AGAIN_S: Final = 60.0
_PATIENTS_AT_HAND: Final = 10_000
_AT_A_TIME: Final = 1000
_DAY_S: Final = 86400.0


class LinkKind(StrEnum):
    """What a row links."""

    PATIENT = "patient"
    STUDY = "study"


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """One original and what stands for it. `at` is when it was seen first, in seconds since 1970.

    `name` is empty unless names are recorded; a patient that was met under several has them all, the
    oldest first, with a backslash between. `days` is None where no date of the patient moved, `patient`
    is the pseudonym of the patient of a study.
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
        self._recorded: set[tuple[LinkKind, str, str, int | None, str]] = set()
        self._at_hand: dict[str, tuple[float, tuple[tuple[str, str], ...]]] = {}

    def record(self, original: Original, pseudonym: str, study_uid: str) -> None:
        """Record the patient and the study of an object, durably, unless they are known.

        Args:
            original: who the object is of.
            pseudonym: its de-identified Patient ID.
            study_uid: its de-identified Study Instance UID.

        Raises:
            SpoolError: it cannot be written; the object must not be acknowledged.
        """
        if self._vault.has_changed_elsewhere():  # somebody may have let it forget
            self._forget_what_is_at_hand()
        name = original.patient_name if self._names else ""
        patient = (LinkKind.PATIENT, original.patient_id, pseudonym, original.days, name)
        study = (LinkKind.STUDY, original.study_uid, study_uid, None, "")
        new = [link for link in (patient, study) if link[1] and link[2] and link not in self._recorded]
        if not new:
            return
        at = time.time()
        links = [
            Link(
                kind,
                text,
                stands,
                at,
                name=name,
                days=days,
                patient=pseudonym if kind is LinkKind.STUDY else "",
            )
            for kind, text, stands, days, name in new
        ]
        self.add(links)
        if len(self._recorded) > _REMEMBERED:
            self._recorded.clear()
        self._recorded.update(new)

    def add(self, links: list[Link]) -> int:
        """Record links; returns how many were not known. The first record of a link stays.

        A date shift or a name that was not known when the patient was recorded is added.

        Raises:
            SpoolError: nothing of them was recorded.
        """
        vault = self._vault
        added = 0
        with vault.transaction() as conn:
            for link in links:
                known = self._find(conn, link)
                merged = link if known is None else _merged(known[1], link)
                if known is not None and merged == known[1]:
                    continue
                self._at_hand.pop(link.original, None)
                lookup = vault.index(link.kind, link.original)
                reverse = vault.index(f"{link.kind}/pseudonym", link.pseudonym)
                content = asdict(merged)
                del content["epoch"]
                if known is not None:
                    conn.execute("DELETE FROM link WHERE lookup = ? AND reverse = ?", (known[0], known[2]))
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

    def known(self, patient_id: str) -> tuple[tuple[str, str], ...]:
        """Return what is known of a patient for the cleaning of texts: (kind, text), see `engine.identity`.

        Names under which the patient was met, and other IDs that have the same pseudonym. What another
        process records is seen within a minute.

        Raises:
            SpoolError: the file cannot be read, or the key of a row's epoch is not here.
        """
        now = time.monotonic()
        at_hand = self._at_hand.get(patient_id)
        if at_hand is not None and now - at_hand[0] < _ASKED_AGAIN_S:
            return at_hand[1]
        facts: set[tuple[str, str]] = set()
        with self._vault.transaction() as conn:
            for link in self._of_patient(conn, patient_id):
                facts.update(("name", name) for name in link.name.split("\\") if name)
                if link.original != patient_id:
                    facts.add(("id", link.original))
        if len(self._at_hand) >= _PATIENTS_AT_HAND:
            self._at_hand.clear()
        found = tuple(sorted(facts))
        self._at_hand[patient_id] = now, found
        return found

    def _of_patient(self, conn: Any, patient_id: str) -> Iterator[Link]:
        """Yield the links of an original Patient ID, and those that share its pseudonym."""
        vault = self._vault
        reverses: set[bytes] = set()
        for index in vault.indices(LinkKind.PATIENT, patient_id):
            rows = conn.execute("SELECT * FROM link WHERE lookup = ?", (index,)).fetchall()
            reverses.update(reverse for _, reverse, _, _ in rows)
            yield from self._links(rows)
        for reverse in reverses:
            query = "SELECT * FROM link WHERE reverse = ? LIMIT ?"
            rows = conn.execute(query, (reverse, _IDS_OF_ONE + 1)).fetchall()
            if len(rows) <= _IDS_OF_ONE:
                yield from self._links(rows)

    def links(self) -> list[Link]:
        """Return all links, the oldest first.

        Raises:
            SpoolError: the file cannot be read, or the key of a row's epoch is not here.
        """
        return sorted((link for _, link in self._all()), key=lambda link: link.at)

    def belonging(self, value: str) -> tuple[list[Link], int]:
        """Return what goes with an identifier or pseudonym, and how many studies cannot be told apart.

        A patient takes its studies along. Where other patients have the same pseudonym, which a profile can
        make a constant, nobody knows whose the studies under it are: these are only counted.

        Raises:
            SpoolError: the file cannot be read, or the key of a row's epoch is not here.
        """
        chosen = {_named(link): link for link in self.lookup(value)}
        pseudonyms = {link.pseudonym for link in chosen.values() if link.kind is LinkKind.PATIENT}
        if not pseudonyms:
            return list(chosen.values()), 0
        shared: set[str] = set()
        studies: dict[tuple[str, ...], Link] = {}
        for _, link in self._all():
            if link.kind is LinkKind.PATIENT:
                if link.pseudonym in pseudonyms and _named(link) not in chosen:
                    shared.add(link.pseudonym)
            elif link.patient in pseudonyms:
                studies[_named(link)] = link
        chosen.update((name, link) for name, link in studies.items() if link.patient not in shared)
        return list(chosen.values()), len(studies.keys() - chosen.keys())

    def forget(self, links: Iterable[Link]) -> int:
        """Delete links for good and return how many were there.

        Raises:
            SpoolError: nothing of them was deleted.
        """
        vault = self._vault
        rows = [
            pair
            for link in links
            for pair in zip(
                vault.indices(link.kind, link.original),
                vault.indices(f"{link.kind}/pseudonym", link.pseudonym),
                strict=True,
            )
        ]
        return self._delete(rows)

    def forget_older(self, days: float, now: float) -> int:
        """Delete the links that were recorded first so many days before `now`, in seconds since 1970.

        Rows whose key is not here stay: nobody can read how old they are, nor anything else of them.

        Raises:
            SpoolError: the file cannot be read or written.
        """
        before = now - days * _DAY_S
        old = [row for row, link in self._all(only_readable=True) if link.at < before]
        return sum(self._delete(old[at : at + _AT_A_TIME]) for at in range(0, len(old), _AT_A_TIME))

    def _delete(self, rows: Iterable[tuple[bytes, bytes]]) -> int:
        deleted = 0
        with self._vault.transaction() as conn:
            for row in rows:
                deleted += conn.execute("DELETE FROM link WHERE lookup = ? AND reverse = ?", row).rowcount
        self._forget_what_is_at_hand()
        if deleted:
            self._vault.flush()
        return deleted

    def _forget_what_is_at_hand(self) -> None:
        self._recorded.clear()
        self._at_hand.clear()

    def _all(self, *, only_readable: bool = False) -> Iterator[tuple[tuple[bytes, bytes], Link]]:
        """Yield all rows, in transactions so short that a node beside it can write."""
        query = "SELECT * FROM link WHERE (lookup, reverse) > (?, ?) ORDER BY lookup, reverse LIMIT ?"
        after = (b"", b"")
        while True:
            with self._vault.transaction() as conn:
                rows = conn.execute(query, (*after, _AT_A_TIME)).fetchall()
            for row in rows:
                if not only_readable or self._vault.has_key(row[2]):
                    [link] = self._links([row])
                    yield (row[0], row[1]), link
            if len(rows) < _AT_A_TIME:
                return
            after = rows[-1][:2]

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


def _named(link: Link) -> tuple[str, ...]:
    return (link.kind, link.original, link.pseudonym)


def _merged(known: Link, link: Link) -> Link:
    """Return a known link with the date shift and the name of another record of it."""
    names = known.name.split("\\") if known.name else []
    if link.name and link.name not in names:
        names = [*names[: _NAMES_KEPT - 1], link.name]
    return replace(known, name="\\".join(names), days=link.days if known.days is None else known.days)
