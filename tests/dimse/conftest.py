"""Acceptors on free ports, stopped at the end of each test, with nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deid_node.dimse.acceptor import ListeningAcceptor
from deid_node.dimse.association import Acceptor
from deid_node.dimse.limits import AssociationLimits
from deid_node.dimse.pynetdicom_acceptor import PynetdicomAcceptor
from deid_node.dimse.stream_acceptor import StreamAcceptor
from tests.dimse.probes import Start
from tests.dimse.recording import RecordingIntake
from tests.peers import wait_for

QUICK = AssociationLimits(
    handshake_s=1.0, request_s=1.0, pdu_s=1.0, idle_s=30.0, send_s=2.0, linger_s=0.3, rate_window_s=1.0
)
"""The default limits, with deadlines that a test can wait for."""


def _association_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dimse-")]


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


@contextmanager
def _starting(kind: type[ListeningAcceptor], intake: RecordingIntake) -> Iterator[Start]:
    """Start acceptors; none of their threads is left at the end."""
    started: list[ListeningAcceptor] = []

    def start(limits: AssociationLimits = QUICK, **keywords: Any) -> ListeningAcceptor:
        acceptor = kind(intake, port=0, limits=limits, **keywords)
        acceptor.start()
        started.append(acceptor)
        return acceptor

    yield start
    for acceptor in started:
        acceptor.stop(0)
    wait_for(lambda: not _association_threads(), "no thread is left")


@pytest.fixture
def stream(intake: RecordingIntake) -> Iterator[Start]:
    """Start acceptors with our own receive loop."""
    with _starting(StreamAcceptor, intake) as start:
        yield start


@pytest.fixture(params=[StreamAcceptor, PynetdicomAcceptor], ids=["stream", "pynetdicom"])
def either(request: pytest.FixtureRequest, intake: RecordingIntake) -> Iterator[Start]:
    """Start acceptors of each kind: what is promised of both."""
    with _starting(request.param, intake) as start:
        yield start


@pytest.fixture(params=[StreamAcceptor, PynetdicomAcceptor], ids=["stream", "pynetdicom"])
def acceptor(request: pytest.FixtureRequest, intake: RecordingIntake) -> Iterator[Acceptor]:
    """A started acceptor of each kind."""
    made: Acceptor = request.param(intake, port=0)
    made.start()
    yield made
    made.stop(0)
    wait_for(lambda: not _association_threads(), "no thread is left")
