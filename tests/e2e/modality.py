"""A sender that never gives up: each object until it hears Success, over associations as they come."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.node.part10 import read_part10
from deid_node.standard.values import AETitle
from tests.peers import LOOPBACK


class Modality:
    """Sends its files one after the other, each until it hears Success; what it heard is `acknowledged`."""

    def __init__(self, port: int, files: list[Path], number: int) -> None:
        self.files = files
        self.acknowledged: list[Path] = []
        self.other_answers: list[int] = []
        self.over = threading.Event()
        self._peer = Peer(LOOPBACK, port, AETitle("DEIDNODE"), AETitle(f"MOD{number}"), 5)
        self._assoc: Requestor | None = None
        self.thread = threading.Thread(target=self._send_all, daemon=True)

    def _send_all(self) -> None:
        left = list(reversed(self.files))
        while left and not self.over.is_set():
            try:
                status = self._send(left[-1])
            except (AssociationError, OSError):
                self._assoc = None
                self.over.wait(0.05)
                continue
            if status == StoreStatus.SUCCESS:
                self.acknowledged.append(left.pop())
            else:
                self.other_answers.append(status)

    def _send(self, file: Path) -> int:
        with file.open("rb") as stream:
            part10 = read_part10(stream)
            uids = {
                "sop_class_uid": part10.sop_class_uid,
                "sop_instance_uid": part10.sop_instance_uid,
                "transfer_syntax_uid": part10.transfer_syntax_uid,
            }
            if self._assoc is None:
                contexts = [(part10.sop_class_uid, part10.transfer_syntax_uid)]
                self._assoc = Requestor.connect(self._peer, contexts)
            length = stream.seek(0, os.SEEK_END) - part10.offset
            return int(self._assoc.store_file(stream, offset=part10.offset, length=length, **uids).status)
