"""A sender that never gives up: each object until it hears Success, over associations as they come."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
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

    def __init__(self, port: int, files: Iterable[Path], number: int) -> None:
        self.files = files
        self.acknowledged: list[Path] = []
        self.other_answers: list[int] = []
        self.over = threading.Event()
        self._peer = Peer(LOOPBACK, port, AETitle("DEIDNODE"), AETitle(f"MOD{number}"), 5)
        self._assoc: Requestor | None = None
        self.thread = threading.Thread(target=self._send_all, daemon=True)

    def _send_all(self) -> None:
        for file in self.files:
            while not self.over.is_set() and not self._is_acknowledged(file):
                pass

    def _is_acknowledged(self, file: Path) -> bool:
        try:
            status = self._send(file)
        except (AssociationError, OSError):
            self._assoc = None
            self.over.wait(0.05)
            return False
        if status == StoreStatus.SUCCESS:
            self.acknowledged.append(file)
            return True
        self.other_answers.append(status)
        return False

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
