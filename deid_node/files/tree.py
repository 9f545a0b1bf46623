"""De-identifying a folder tree: how results are named, and that one bad file never stops the run.

Each file ends in exactly one `FileResult`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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
from deid_node.standard.repairs import DEFAULT_REPAIRS

Numbered = tuple[int, Input]

_EXTENSION: Final = re.compile(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{0,7}$")


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
        from deid_node.log import describe  # with a library that a run without faults does not need

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
    if in_place:
        results: Iterator[FileResult] = map(job.run, enumerate(inputs, start=1))
    else:
        from deid_node.files.pool import run_all

        results = run_all(job.run, inputs, max(workers, 1))
    if job.index is None:
        yield from results
        return
    with job.index.writing() as index:
        for result in results:
            index.add(result)
            yield result
