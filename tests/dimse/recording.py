"""An intake that remembers what an acceptor did with it, and what an object needs to be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

from deid_node.dimse.association import (
    AssociationRejection,
    Caller,
    CommitmentAnswer,
    StoreAnswer,
    StoreRequest,
)
from deid_node.dimse.commitment import CommitmentReport, CommitmentRequest
from deid_node.dimse.status import StoreStatus

SUCCESS = StoreAnswer(StoreStatus.SUCCESS)


@dataclass
class Taken:
    """One object that was begun."""

    caller: Caller
    request: StoreRequest
    answer: StoreAnswer | None
    content: bytearray = field(default_factory=bytearray)
    refused: list[StoreAnswer] = field(default_factory=list)
    late_answer: StoreAnswer | None = None
    pieces: int = 0
    finished: int = 0
    aborted: int = 0
    before_answer: Callable[[], object] = lambda: None

    def feed(self, piece: memoryview) -> None:
        self.content += piece
        self.pieces += 1

    def finish(self) -> StoreAnswer:
        self.before_answer()
        self.finished += 1
        if self.answer is None:
            raise RuntimeError("PATIENT^NAME in the text of an exception")
        return self.answer

    def give_up(self) -> StoreAnswer | None:
        return self.late_answer

    def refuse(self, answer: StoreAnswer) -> None:
        self.refused.append(answer)
        self.aborted += 1

    def abort(self) -> None:
        self.aborted += 1


class RecordingIntake:
    """Lets everybody in, supports every class but one, answers as told. `answer` None raises."""

    NOT_SUPPORTED = "1.2.840.10008.5.1.4.1.1.104.1"

    def __init__(self, answer: StoreAnswer | None = SUCCESS) -> None:
        self.answer = answer
        self.late_answer: StoreAnswer | None = None
        self.asked: list[CommitmentRequest] = []
        self.reported: list[CommitmentReport] = []
        self.report: Callable[[CommitmentRequest], CommitmentReport | None] = lambda request: None
        self.unwelcome: set[str] = set()
        self.rejection: AssociationRejection | None = None
        self.before_answer: Callable[[], object] = lambda: None
        self.callers: list[Caller] = []
        self.handshakes: list[tuple[str, str]] = []
        self.objects: list[Taken] = []
        self.noted: list[tuple[StoreRequest, StoreAnswer]] = []
        self._lock = threading.Lock()

    def may_connect(self, address: str) -> bool:
        return address not in self.unwelcome

    def handshake_failed(self, address: str, reason: str) -> None:
        self.handshakes.append((address, reason))

    def admit(self, caller: Caller) -> AssociationRejection | None:
        with self._lock:
            self.callers.append(caller)
        return self.rejection

    def supports(self, caller: Caller, abstract_syntax: str) -> bool:
        return abstract_syntax != self.NOT_SUPPORTED

    def commitment_asked(self, caller: Caller, request: CommitmentRequest) -> CommitmentAnswer:
        self.asked.append(request)
        return CommitmentAnswer(StoreStatus.SUCCESS, self.report(request))

    def commitment_reported(self, caller: Caller, report: CommitmentReport) -> StoreStatus:
        self.reported.append(report)
        return StoreStatus.SUCCESS

    def refused(self, caller: Caller, request: StoreRequest, answer: StoreAnswer) -> None:
        self.noted.append((request, answer))

    def begin(self, caller: Caller, request: StoreRequest) -> Taken:
        taken = Taken(caller, request, self.answer, before_answer=self.before_answer)
        taken.late_answer = self.late_answer
        with self._lock:
            self.objects.append(taken)
        return taken


@dataclass(frozen=True)
class Sample:
    """A file of the pydicom wheel, as what it takes to send it."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    dataset: bytes

    @property
    def context(self) -> tuple[str, str]:
        return self.sop_class_uid, self.transfer_syntax_uid

    @property
    def keywords(self) -> dict[str, object]:
        """The keyword arguments of Requestor.store_file."""
        return {
            "offset": self.offset,
            "length": len(self.dataset),
            "sop_class_uid": self.sop_class_uid,
            "sop_instance_uid": self.sop_instance_uid,
            "transfer_syntax_uid": self.transfer_syntax_uid,
        }


def sample(name: str) -> Sample:
    """Return a file of the pydicom wheel."""
    path = Path(str(get_testdata_file(name, download=False)))
    ds = dcmread(path, stop_before_pixels=True)
    content = path.read_bytes()
    offset = 132 + 12 + ds.file_meta.FileMetaInformationGroupLength
    return Sample(
        path,
        str(ds.SOPClassUID),
        str(ds.SOPInstanceUID),
        str(ds.file_meta.TransferSyntaxUID),
        offset,
        content[offset:],
    )
