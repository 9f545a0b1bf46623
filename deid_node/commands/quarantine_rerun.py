"""Sends objects of the quarantine to the node again, through its front door: there is one way in.

The original is opened into memory that no file system has, and goes over the loopback interface.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from deid_node.commands.own_node import own_node
from deid_node.dimse.association import StoreAnswer, StoreRequest
from deid_node.dimse.peer import ContextNotAcceptedError
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.dimse.syntaxes import DEFLATED
from deid_node.errors import AssociationError, Malformed
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
    """Sends objects one by one."""

    def __init__(
        self,
        folder: Path,
        private: X25519PrivateKey,
        config: Path | None,
        calling: str | None,
        timeout_s: float,
    ) -> None:
        """Send what lies in a folder to the configured node."""
        self._folder = folder
        self._private = private
        self._config = config
        self._calling = calling
        self._timeout_s = timeout_s

    def __call__(self, note: Note) -> Again:
        """Send one object; what the node has taken is removed here."""
        began = time.time()
        try:
            answer = self._send(note)
        except (SealError, AssociationError, ContextNotAcceptedError, Malformed) as error:
            return Again(note.id, None, None, f"was not sent: {str(error).rstrip('.')}")
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

    def _send(self, note: Note) -> StoreAnswer:
        with opened(self._folder, note.id, self._private) as (request, pieces):
            descriptor = os.memfd_create("original", os.MFD_CLOEXEC)
            with os.fdopen(descriptor, "r+b") as memory:
                for piece in pieces:
                    memory.write(piece)
                memory.flush()
                return self._store(note, request, descriptor, memory.tell())

    def _store(self, note: Note, request: StoreRequest, descriptor: int, length: int) -> StoreAnswer:
        if length == 0 or (length % 2 and request.transfer_syntax_uid != DEFLATED):
            raise Malformed("its dataset is empty or of odd length; `quarantine export` writes it as it is")
        peer, tls = own_node(self._config, self._calling or note.calling, self._timeout_s, note.called)
        contexts = [(request.sop_class_uid, request.transfer_syntax_uid)]
        with Requestor.connect(peer, contexts, tls=tls) as assoc:
            return assoc.store_file(
                descriptor,
                offset=0,
                length=length,
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
            )

    def _put_back(self, note: Note, began: float) -> str | None:
        """Return the id under which the node has put an object into quarantine again."""
        calling = self._calling or note.calling
        for found in reversed(notes(self._folder)):
            if found.at < began - _SKEW_S:
                break
            same = (found.calling, found.called, found.size) == (calling, note.called, note.size)
            if same and found.id != note.id:
                return found.id
        return None
