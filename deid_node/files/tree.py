"""De-identifying a folder tree on all cores: one bad file never stops the run.

Each file ends in exactly one `FileResult`. A worker process that dies takes no other file with it:
the files it might have had are tried again one by one, and the one that kills twice is reported.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing.context import ForkContext, ForkProcess
from typing import Final

from deid_node import __version__
from deid_node.delivery.names import component, value_text
from deid_node.delivery.template import PathTemplate
from deid_node.engine.deidentified import Summary
from deid_node.engine.rewrite import Deidentifier
from deid_node.files.index import Index, Known
from deid_node.files.input import Input, StoredObject
from deid_node.files.object import Name, Work
from deid_node.files.result import FileResult, Outcome
from deid_node.log import describe
from deid_node.log_discretion import tell_on_stderr
from deid_node.standard.repairs import DEFAULT_REPAIRS

Numbered = tuple[int, Input]

_EXTENSION: Final = re.compile(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{0,7}$")
_AHEAD: Final = 8
"""Files that wait for each worker: enough to keep it busy, few enough for a tree of any size."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to every object of a run: results are named by `template`.

    `leaf` renames the last folder of each result, with `{}` or `%s` for the old name. `index` knows what
    an earlier run did. `uses_store`: results go to an object store. `keeps_names`: names of inputs are used
    as they are, also those that may identify somebody.
    """

    work: Work
    template: PathTemplate
    leaf: str = ""
    index: Index | None = None
    uses_store: bool = False
    keeps_names: bool = False

    def run(self, numbered: Numbered) -> FileResult:
        """De-identify one object. Raises nothing."""
        index, source = numbered

        def name(done: Summary, veil: Callable[[str], str]) -> tuple[str, ...]:
            *folders, stem = (*source.relative.parts[:-1], _stem(source.relative.name))
            if not self.keeps_names:
                *folders, stem = map(veil, (*folders, stem))
            extra = {"input_path": "/".join(folders), "input_stem": stem, "index": str(index)}
            return self._in_leaf(self.template.render(done.attributes, extra))

        known = self.index.known.get(str(source.shown)) if self.index is not None else None
        return _guarded(self.work, source, name, known)

    def _in_leaf(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if not self.leaf or len(names) < 2:
            return names
        old = names[-2]
        leaf = component(
            value_text(self.leaf.replace("{}", old).replace("%s", old)), "", self.template.limits
        )
        return (*names[:-2], leaf, names[-1])


def run_alone(work: Work, source: Input, name: str) -> FileResult:
    """De-identify one object into the place with a name. Raises nothing."""
    return _guarded(work, source, lambda *_: (name,), None)


def _guarded(work: Work, source: Input, name: Name, known: Known | None) -> FileResult:
    try:
        return work.run(source, name, known)
    except Exception as error:  # the edge: a fault of ours in one object must not end the run
        told = describe(error)
        frames = told["frames"]
        where = frames[-1] if isinstance(frames, list) and frames else ""
        reason = f"an error in deid-node itself ({told['error']} in {where})"
        return FileResult(source.shown, Outcome.FAILED, code="internal", reason=reason)


def _stem(name: str) -> str:
    """Return a file name without its extension; the last number of a UID is none."""
    return _EXTENSION.sub("", name)


def stamp_of(deidentifier: Deidentifier, *texts: str) -> str:
    """Return what is equal for two runs that make the same results of the same inputs.

    Keyed: the lookup tables have a part in it.
    """
    procedure = deidentifier.procedure
    tables = sorted((name, sorted(rows.items())) for name, rows in deidentifier.tables.items())
    repairs = sorted(deidentifier.limits.repairs ^ DEFAULT_REPAIRS)
    text = "\0".join([__version__, procedure.digest, repr(tables), *texts, *repairs])
    return deidentifier.pseudonyms.digest("resume", text.encode()).hex()


def deidentify_all(job: Job, inputs: Iterable[Input], workers: int) -> Iterator[FileResult]:
    """De-identify objects, `workers` at a time; yield each result when it is there.

    Raises:
        ConfigurationError: the index cannot be written.
    """
    inputs = list(inputs)
    in_place = (
        workers <= 1 and not job.uses_store and not any(isinstance(one, StoredObject) for one in inputs)
    )
    results = map(job.run, enumerate(inputs, start=1)) if in_place else _run_all(job, inputs, max(workers, 1))
    if job.index is None:
        yield from results
        return
    with job.index.writing() as index:
        for result in results:
            index.add(result)
            yield result


def _run_all(job: Job, inputs: Iterable[Input], workers: int) -> Iterator[FileResult]:
    left = enumerate(inputs, start=1)
    suspects: list[Numbered] = []
    while True:
        yield from _run_pool(job, left, workers, suspects)
        if not suspects:
            return
        for one in suspects:
            yield _run_alone(job, one)
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
                for future in [one for one in waiting if one in done]:
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
            return FileResult(file[1].shown, Outcome.FAILED, code="crash", reason=reason)


def _pool(job: Job, workers: int) -> ProcessPoolExecutor:
    # Forked, so that the compiled procedure is shared and the key is never pickled.
    return ProcessPoolExecutor(workers, mp_context=_Forks(), initializer=_take_job, initargs=(job,))


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


_job: Job


def _take_job(job: Job) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the run


def _work(file: Numbered) -> FileResult:
    return _job.run(file)
