"""Work that is tried in a child process: its end is noticed, its exceptions and results are not."""

from __future__ import annotations

import os
import signal
import time

from deid_node.node.trial import survives


def test_work_that_ends_or_raises_has_survived() -> None:
    def fails() -> None:
        raise ValueError

    assert survives(lambda: None, 30)
    assert survives(fails, 30)


def test_work_that_kills_its_process_has_not() -> None:
    assert not survives(lambda: os.kill(os.getpid(), signal.SIGKILL), 30)


def test_work_that_takes_too_long_is_ended_and_proves_nothing() -> None:
    assert survives(lambda: time.sleep(600), 0.05)
