"""Objects of a run in several processes: a process that dies takes no object with it.

Workers are forked when all is loaded and all inputs are known, so that neither is made twice or sent: what
goes to a worker is a few numbers, what comes back are results. Inputs that follow each other go to one
worker together, as the engine does the next object of a series in a fraction of the time. The inputs that a
process might have had when it died are tried again one by one, and the one that kills twice is reported.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.context import ForkContext, ForkProcess
from typing import Final

from deid_node.files.input import Input
from deid_node.files.result import FileResult, Outcome
from deid_node.log_discretion import tell_on_stderr

Run = Callable[[tuple[int, Input]], FileResult]
"""De-identifies an input with its number, from 1 on; raises nothing."""

_TOGETHER: Final = 16
"""Inputs that a worker gets at a time, at most: a message costs as much as a small object."""
_AHEAD: Final = 2
"""Messages for each worker: it never waits for the next."""
_SHARE: Final = 4
"""Near the end a worker gets no more than this part of what its share is, so that all end together."""


def run_all(run: Run, inputs: Sequence[Input], workers: int) -> Iterator[FileResult]:
    """De-identify objects in so many processes; yield each result when it is there."""
    pieces = _pieces(len(inputs), workers)
    suspects: list[range] = []
    while True:
        yield from _run_pool(run, inputs, pieces, workers, suspects)
        if not suspects:
            return
        for piece in suspects:
            for index in piece:
                yield _run_alone(run, inputs, index)
        suspects = []


def _pieces(count: int, workers: int) -> Iterator[range]:
    """Cut the numbers below `count` into pieces, smaller ones at the end."""
    start = 0
    while start < count:
        end = start + max(1, min(_TOGETHER, (count - start) // (workers * _SHARE)))
        yield range(start, end)
        start = end


def _run_pool(
    run: Run, inputs: Sequence[Input], pieces: Iterator[range], workers: int, suspects: list[range]
) -> Iterator[FileResult]:
    """Run until the inputs end, or a worker dies; then `suspects` has those without a result."""
    with _pool(run, inputs, workers) as pool:
        waiting: dict[Future[list[FileResult]], range] = {}
        taken = islice(pieces, workers * _AHEAD)
        while True:
            try:
                for piece in taken:
                    suspects.append(piece)
                    waiting[pool.submit(_work, piece)] = piece
                    suspects.pop()
                if not waiting:
                    return
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in [one for one in waiting if one in done]:
                    results = future.result()
                    del waiting[future]
                    yield from results
                taken = islice(pieces, len(done))
            except BrokenProcessPool:
                for future, piece in waiting.items():
                    if future.done() and not future.cancelled() and future.exception() is None:
                        yield from future.result()
                    else:
                        suspects.append(piece)
                return


def _run_alone(run: Run, inputs: Sequence[Input], index: int) -> FileResult:
    with _pool(run, inputs, 1) as pool:
        try:
            return pool.submit(_work, range(index, index + 1)).result()[0]
        except BrokenProcessPool:
            reason = "the process that read it died"
            return FileResult(inputs[index].shown, Outcome.FAILED, code="crash", reason=reason)


def _pool(run: Run, inputs: Sequence[Input], workers: int) -> ProcessPoolExecutor:
    # Forked, so that the compiled procedure is shared and the key is never pickled.
    return ProcessPoolExecutor(workers, mp_context=_Forks(), initializer=_take, initargs=(run, inputs))


class _Worker(ForkProcess):
    """A process that does not print the text of what ends it."""

    def run(self) -> None:
        """Do what a worker does."""
        try:
            super().run()
        except Exception as error:  # the edge of a process; multiprocessing prints a traceback there
            tell_on_stderr(error)
            sys.exit(1)


class _Forks(ForkContext):
    Process = _Worker


_given: tuple[Run, Sequence[Input]]


def _take(run: Run, inputs: Sequence[Input]) -> None:
    global _given
    _given = run, inputs
    gc.freeze()  # the kernel copies what the collector looks at
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the run


def _work(piece: range) -> list[FileResult]:
    run, inputs = _given
    return [run((index + 1, inputs[index])) for index in piece]
