"""De-identifying a folder tree on all cores: one bad file never stops the run.

Each file ends in exactly one `FileResult`. A worker process that dies takes no other file with it:
the files it might have had are tried again one by one, and the one that kills twice is reported.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from deid_node.delivery.template import PathTemplate
from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Deidentifier
from deid_node.files import FileResult, Outcome, deidentify_file
from deid_node.log import describe

Numbered = tuple[int, Path]

_AHEAD: Final = 8
"""Files that wait for each worker: enough to keep it busy, few enough for a tree of any size."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to every file of a run: results are named by `template` below `target`.

    `source` is the folder that the fields `input_path` and `input_stem` of a template are relative to.
    """

    deidentifier: Deidentifier
    source: Path
    target: Path
    template: PathTemplate

    def run(self, numbered: tuple[int, Path]) -> FileResult:
        """De-identify one file. Raises nothing."""
        index, file = numbered

        def name(done: Summary) -> Path:
            relative = file.relative_to(self.source)
            above = "" if relative.parent == Path() else relative.parent.as_posix()
            extra = {"input_path": above, "input_stem": relative.stem, "index": str(index)}
            return self.target.joinpath(*self.template.render(done.attributes, extra))

        try:
            return deidentify_file(self.deidentifier, file, name, self.target, may_rename=True)
        except Exception as error:  # the edge: a fault of ours in one file must not end the run
            told = describe(error)
            frames = told["frames"]
            where = frames[-1] if isinstance(frames, list) and frames else ""
            reason = f"an error in deid-node itself ({told['error']} in {where})"
            return FileResult(file, Outcome.FAILED, code="internal", reason=reason)


def files_below(folder: Path, *, without: Path) -> Iterator[Path]:
    """Yield the files of a tree in a stable order; not those below `without`, where results go."""
    shut_out = without.resolve()
    for at, folders, names in os.walk(folder):
        here = Path(at)
        folders[:] = sorted(name for name in folders if (here / name).resolve() != shut_out)
        for name in sorted(names):
            yield here / name


def deidentify_tree(job: Job, files: Iterable[Path], workers: int) -> Iterator[FileResult]:
    """De-identify files, `workers` at a time; yield each result when it is there."""
    left = enumerate(files, start=1)
    if workers <= 1:
        yield from map(job.run, left)
        return
    suspects: list[Numbered] = []
    while True:
        yield from _run_pool(job, left, workers, suspects)
        if not suspects:
            return
        for file in suspects:
            yield _run_alone(job, file)
        suspects = []


def _run_pool(
    job: Job, files: Iterator[Numbered], workers: int, suspects: list[Numbered]
) -> Iterator[FileResult]:
    """Run until the files end, or a worker dies; then `suspects` has the files without a result."""
    with _pool(job, workers) as pool:
        waiting: dict[Future[FileResult], Numbered] = {}
        taken = islice(files, workers * _AHEAD)
        while True:
            try:
                for file in taken:
                    suspects.append(file)
                    waiting[pool.submit(_work, file)] = file
                    suspects.pop()
                if not waiting:
                    return
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    del waiting[future]
                    yield result
                taken = islice(files, len(done))
            except BrokenProcessPool:
                for future, file in waiting.items():
                    if future.done() and not future.cancelled() and future.exception() is None:
                        yield future.result()
                    else:
                        suspects.append(file)
                return


def _run_alone(job: Job, file: Numbered) -> FileResult:
    with _pool(job, 1) as pool:
        try:
            return pool.submit(_work, file).result()
        except BrokenProcessPool:
            reason = "the process that read it died"
            return FileResult(file[1], Outcome.FAILED, code="crash", reason=reason)


def _pool(job: Job, workers: int) -> ProcessPoolExecutor:
    # Forked, so that the compiled procedure is shared and the key is never pickled.
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_take_job, initargs=(job,))


_job: Job


def _take_job(job: Job) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the run


def _work(file: Numbered) -> FileResult:
    return _job.run(file)
