"""Random codes: drawn once for each patient, UID and date shift, and kept in the crosswalk file.

The table is what makes them consistent, so it is backed up like the ledger and shared by no two
projects. Rows hold the code alone; the original is found by its keyed index and is not in them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.crosswalk_vault import Vault

MARK: Final = "random-codes"
_DRAWN: Final = 32
_CACHED: Final = 100_000


def refuse_lost_codes(table: Path, mark: Path) -> None:
    """Begin no new table where one was that is gone: known patients would get new codes.

    Args:
        table: the file of the table, before it is opened.
        mark: a file that says that there is a table; made here.

    Raises:
        ConfigurationError: the table is gone, or the mark cannot be written.
    """
    check_codes(table, mark)
    try:
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{mark}: cannot be written ({error.strerror}).") from None


def check_codes(table: Path, mark: Path) -> None:
    """Find out whether the table of random codes is there if there was one. Makes nothing.

    Raises:
        ConfigurationError: the table is gone.
    """
    if mark.exists() and not table.exists():
        raise ConfigurationError(
            f"{table}: the table of random codes is gone. Put it back from where it is kept; without it "
            f"known patients get new codes. To begin anew, remove {mark}."
        )


class RandomCodes:
    """The table of codes of one project (a `CodeTable` of the engine)."""

    def __init__(self, vault: Vault, *, at_once: bool = False) -> None:
        """Use the table in a vault.

        Args:
            vault: of the project.
            at_once: make every code durable when it is drawn, for commands that may run side by side.

        Raises:
            ConfigurationError: the key of an epoch is missing, so that known patients would get new codes.
        """
        missing = vault.missing_epochs("code")
        if missing:
            raise ConfigurationError(
                f"{vault.path}: random codes of epoch {', '.join(missing)} cannot be read; put the key of "
                "that epoch beside the one in use. Without it known patients would get new codes."
            )
        self._vault = vault
        self._at_once = at_once
        self._known: dict[tuple[str, str], str] = {}
        self._new: dict[bytes, tuple[tuple[str, str], str]] = {}

    def code(self, kind: str, original: str, make: Callable[[bytes], str]) -> str:
        """Return the code of an original, drawn when it has none; durable after `keep`."""
        name = (kind, original)
        known = self._known.get(name)
        if known is not None:
            return known
        with self._vault.lock:
            known = self._known.get(name)
            if known is None:
                if len(self._known) >= _CACHED and not self._new:
                    self._known.clear()
                with self._vault.transaction() as conn:
                    known = self._read(conn, kind, original)
                    if known is None:
                        known = make(os.urandom(_DRAWN))
                        if self._at_once:
                            self._insert(conn, kind, original, known)
                        else:
                            self._new[self._vault.index(f"code/{kind}", original)] = (name, known)
                self._known[name] = known
        return known

    def keep(self) -> None:
        """Make new codes durable.

        Raises:
            SpoolError: they are not, or another process drew one for the same original first.
        """
        if not self._new:
            return
        vault = self._vault
        lost = []
        with vault.lock:
            with vault.transaction() as conn:
                for lookup, (name, code) in self._new.items():
                    row = (lookup, vault.epoch, vault.seal(lookup, {"code": code}))
                    if not conn.execute(
                        "INSERT INTO code VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
                    ).rowcount:
                        lost.append(name)
            self._new.clear()
            if lost:
                self._known.clear()
        if lost:
            raise SpoolError("Another process drew codes for the same originals; send the object again.")

    def put_all(self, given: Iterable[tuple[str, str, str]]) -> int:
        """Take over codes that were given elsewhere: kind, original, code. All of them or none.

        Returns how many were not known.

        Raises:
            ConfigurationError: an original has another code.
        """
        vault = self._vault
        added = 0
        with vault.transaction() as conn:
            for kind, original, code in given:
                stored = self._read(conn, kind, original)
                if stored == code:
                    continue
                if stored is not None:
                    raise ConfigurationError(
                        f"An original ({kind}) has another code already; codes never change."
                    )
                self._insert(conn, kind, original, code)
                added += 1
        return added

    def remove(self, given: Iterable[tuple[str, str]]) -> int:
        """Delete codes: kind, original; returns how many were there.

        No process that has them in memory may run: it would go on by them.

        Raises:
            SpoolError: nothing of them was deleted.
        """
        vault = self._vault
        deleted = 0
        with vault.transaction() as conn:
            for kind, original in given:
                for lookup in vault.indices(f"code/{kind}", original):
                    deleted += conn.execute("DELETE FROM code WHERE lookup = ?", (lookup,)).rowcount
        self._known.clear()
        vault.flush()
        return deleted

    def _insert(self, conn: sqlite3.Connection, kind: str, original: str, code: str) -> None:
        vault = self._vault
        lookup = vault.index(f"code/{kind}", original)
        row = (lookup, vault.epoch, vault.seal(lookup, {"code": code}))
        conn.execute("INSERT INTO code VALUES (?, ?, ?)", row)

    def _read(self, conn: sqlite3.Connection, kind: str, original: str) -> str | None:
        for lookup in self._vault.indices(f"code/{kind}", original):
            row = conn.execute("SELECT epoch, sealed FROM code WHERE lookup = ?", (lookup,)).fetchone()
            if row is not None:
                return str(self._vault.unseal(lookup, row[0], row[1])["code"])
        return None
