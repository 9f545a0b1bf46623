"""Gives objects of the quarantine to the node again, through the operator's door of this machine.

The original is opened into memory that no file system has, and goes over a Unix socket: no network, no
AE title and no certificate is asked, and the node takes it on the way of all objects.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from deid_node.dimse import association
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.node import operator_door
from deid_node.node.quarantine import Note, notes, opened, purge
from deid_node.spool.pieces import SealError

_SKEW_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Again:
    """What became of one object: `status` of the node, `again` its id when it is in quarantine again."""

    id: str
    status: str | None
    again: str | None
    told: str

    @property
    def is_taken(self) -> bool:
        """Whether the node took it and did not put it back."""
        return self.status == "0000" and self.again is None


class Rerun:
    """Gives objects one by one."""

    def __init__(self, folder: Path, private: X25519PrivateKey, state: Path, timeout_s: float) -> None:
        """Give what lies in a folder to the node with a state folder."""
        self._folder = folder
        self._private = private
        self._state = state
        self._timeout_s = timeout_s

    def __call__(self, note: Note) -> Again:
        """Give one object; what the node has taken is removed here."""
        began = time.time()
        try:
            answer = self._give(note)
        except (SealError, AssociationError) as error:
            return Again(note.id, None, None, f"was not given: {str(error).rstrip('.')}")
        except OSError as error:
            return Again(note.id, None, None, f"cannot be read ({error.strerror})")
        status = f"{answer.status:04X}"
        if answer.status != StoreStatus.SUCCESS:
            said = f" ({answer.comment})" if answer.comment else ""
            return Again(note.id, status, None, f"stays: the node answers {status}H{said}")
        back = self._put_back(note, began)
        try:
            purge(self._folder, [note.id])
        except OSError as error:
            return Again(note.id, status, back, f"was taken, and cannot be removed here ({error.strerror})")
        if back is not None:
            return Again(note.id, status, back, f"is in quarantine again, as {back}")
        return Again(note.id, status, None, "was taken")

    def _give(self, note: Note) -> association.StoreAnswer:
        memory = os.fdopen(os.memfd_create("original", os.MFD_CLOEXEC), "w+b")
        with memory, opened(self._folder, note.id, self._private) as (request, pieces):
            for piece in pieces:  # to the last one: before it nothing may be used
                memory.write(piece)
            memory.flush()
            again = operator_door.Again(request, note.calling, note.called, note.address, memory.tell())
            return operator_door.give(self._state, again, memory, self._timeout_s)

    def _put_back(self, note: Note, began: float) -> str | None:
        """Return the id under which the node has put an object into quarantine again."""
        for found in reversed(notes(self._folder)):
            if found.at < began - _SKEW_S:
                break
            same = (found.calling, found.called, found.size) == (note.calling, note.called, note.size)
            if same and found.id != note.id:
                return found.id
        return None
