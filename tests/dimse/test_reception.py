"""What the intake is promised, and what happens when it breaks its own promise."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from deid_node.dimse.association import Caller, StoreAnswer, StoreRequest
from deid_node.dimse.command import read_command
from deid_node.dimse.pdu import ProtocolViolation
from deid_node.dimse.reception import Reception, receive
from deid_node.dimse.status import StoreStatus
from deid_node.standard.values import AETitle
from tests.dimse.raw import CT, EXPLICIT, store_rq

CALLER = Caller(AETitle("A"), AETitle("B"), "127.0.0.1", 1, "id")
REQUEST = read_command(store_rq())
PIECE = memoryview(bytes(10))


@dataclass
class Faulty:
    """An intake and its object; raises in the steps that are named."""

    steps: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list)

    def _call(self, step: str) -> None:
        self.calls.append(step)
        if step in self.steps:
            raise RuntimeError(step)

    def admit(self, caller: Caller) -> None:
        return None

    def supports(self, caller: Caller, abstract_syntax: str) -> bool:
        return True

    def begin(self, caller: Caller, request: StoreRequest) -> Faulty:
        self._call("begin")
        return self

    def feed(self, piece: memoryview) -> None:
        self._call("feed")

    def finish(self) -> StoreAnswer:
        self._call("finish")
        return StoreAnswer(StoreStatus.SUCCESS)

    def refuse(self, answer: StoreAnswer) -> None:
        self._call(f"refuse {answer.status.code}")

    def refused(self, caller: Caller, request: StoreRequest, answer: StoreAnswer) -> None:
        self._call(f"refused {answer.status.code}")

    def abort(self) -> None:
        self._call("abort")


def reception_of(intake: Faulty, max_bytes: int = 1000) -> Reception:
    return Reception(REQUEST, 1, receive(intake, CALLER, REQUEST, CT, EXPLICIT), max_bytes)


@pytest.mark.parametrize(
    ("steps", "calls", "status"),
    [
        ((), ["begin", "feed", "feed", "finish"], StoreStatus.SUCCESS),
        (("begin",), ["begin"], StoreStatus.PROCESSING_FAILURE),
        (("feed",), ["begin", "feed", "refuse 0110"], StoreStatus.PROCESSING_FAILURE),
        (("feed", "refuse 0110"), ["begin", "feed", "refuse 0110"], StoreStatus.PROCESSING_FAILURE),
        (("finish",), ["begin", "feed", "feed", "finish"], StoreStatus.PROCESSING_FAILURE),
    ],
)
def test_a_fault_of_the_intake_is_0110_and_ends_the_object_once(
    steps: tuple[str, ...], calls: list[str], status: StoreStatus
) -> None:
    intake = Faulty(steps)
    reception = reception_of(intake)

    reception.feed(PIECE)
    reception.feed(PIECE)
    answer = reception.finish()
    reception.abort()

    assert answer.status == status
    assert intake.calls == calls


def test_an_abort_reaches_the_intake_once() -> None:
    intake = Faulty()
    reception = reception_of(intake)

    reception.feed(PIECE)
    reception.abort()
    reception.abort()

    assert intake.calls == ["begin", "feed", "abort"]


def test_a_dataset_over_the_limit_is_forgotten_read_on_and_then_given_up() -> None:
    intake = Faulty()
    reception = reception_of(intake, max_bytes=20)

    for _ in range(4):
        reception.feed(PIECE)
    with pytest.raises(ProtocolViolation, match="dataset-too-long"):
        reception.feed(PIECE)

    assert intake.calls == ["begin", "feed", "feed", "refuse C102"]
    assert reception.finish().status == StoreStatus.LIMIT_EXCEEDED


def test_a_request_that_is_refused_before_its_dataset_is_told_in_the_log() -> None:
    request = read_command(store_rq(instance="no UID"))

    intake = Faulty()

    with capture_logs() as events:
        answer = receive(intake, CALLER, request, CT, EXPLICIT).finish()

    assert answer.status == StoreStatus.INVALID_INSTANCE
    assert intake.calls == ["refused 0117"]
    assert events == [
        {
            "event": "dimse.store_refused",
            "log_level": "info",
            "association": "id",
            "status": "0117",
            "reason": answer.comment,
        }
    ]
