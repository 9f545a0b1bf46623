"""De-identifying without a network, from Python: one object in and one out, or any number of them.

Files, or objects in memory; the same engine as on the wire. Nothing is raised for a single object: what
became of it is in its `FileResult`, and one bad object never stops the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deid_node.delivery.template import FILE_FIELDS, PathTemplate
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.private_list import listing_plans
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ConfigurationError
from deid_node.files.draft import FolderTarget, NoTarget, Target
from deid_node.files.index import Index
from deid_node.files.input import EVERYTHING, Filters, Input, Remote, inputs_of
from deid_node.files.memory import MemoryTarget, input_of
from deid_node.files.object import Work
from deid_node.files.result import FileResult, Outcome
from deid_node.files.store import DEFAULT_PART_BYTES, bucket_of
from deid_node.files.tree import Job, deidentify_all, run_alone, stamp_of
from deid_node.files.upload import StoreTarget, WebTarget
from deid_node.files.web import check_address
from deid_node.node.key_file import default_key
from deid_node.node.named_secrets import account_secrets
from deid_node.node.procedures import load_procedure
from deid_node.profile import library
from deid_node.profile.procedure import Procedure
from deid_node.standard.repairs import ALL_REPAIRS, DEFAULT_REPAIRS, Repair

if TYPE_CHECKING:
    from deid_node.files.memory import One

MIRROR = "{input_path}/{input_stem}.dcm"

__all__ = ["Engine", "FileResult", "Filters", "Options", "Outcome", "deidentify", "deidentify_many"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run over many objects goes.

    Attributes:
        template: path of each result, from de-identified attributes, `{input_path}`, `{input_stem}` and
            `{index}`. The default gives results the paths of the inputs.
        keep_names: names of inputs are used as they are. Else one that may identify somebody becomes a
            keyed code.
        leaf: new name of the last folder of each result, with `{}` for the old one.
        filters: which inputs of a tree are taken.
        workers: processes.
        dry_run: nothing is written, no key of the account either; without one, codes and UIDs are others.
        resume: an index file; what it knows and has not changed is not done again.
        headers, target_headers: for web requests that read inputs, that write results.
        endpoint, region: of an object store that is not the one of AWS.
        part_bytes: larger results go to an object store in parts of this size.
        tell_times: whether a web server or object store is told when an input was changed.
        list_private: whether results say which private attributes they have.
        hashes: whether results of a folder have the hashes of input and result; they cost more than all
            else. An index, a web server, an object store and an object of your own get them in any case.
    """

    template: str = MIRROR
    keep_names: bool = False
    leaf: str = ""
    filters: Filters = EVERYTHING
    workers: int = 1
    dry_run: bool = False
    resume: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    target_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint: str = ""
    region: str = ""
    part_bytes: int = DEFAULT_PART_BYTES
    tell_times: bool = False
    list_private: bool = False
    hashes: bool = True


DEFAULT_OPTIONS = Options()


class Engine:
    """A profile with the keys of a project, loaded once, for any number of objects.

    Several threads may use one engine. The objects of `deidentify` are one run: where a profile asks for the
    same value in all objects (`same_value`), they are compared. `close`, or the end of a `with` block,
    forgets the keys and what is remembered of the last objects.
    """

    def __init__(
        self,
        profile: str | Path | Procedure = "basic",
        *,
        key: Key | None = None,
        repairs: Collection[Repair] = DEFAULT_REPAIRS,
    ) -> None:
        """Load a profile.

        Args:
            profile: name of a built-in profile, path of a profile file, or a compiled procedure.
            key: the project key; None takes the one of this account, made on first use.
            repairs: what may be put right in objects, although the standard forbids it (`standard.repairs`).

        Raises:
            ConfigurationError: the profile, a secret that it names, the key or a repair is wrong.
        """
        if unknown := sorted(set(repairs) - ALL_REPAIRS):
            known = ", ".join(sorted(ALL_REPAIRS))
            raise ConfigurationError(
                f"There is no repair {', '.join(map(repr, unknown))}; there are {known}."
            )
        if not isinstance(profile, Procedure):
            profile = load_procedure(profile) if isinstance(profile, str) else library.load(profile)
        self._deidentifier: Deidentifier | None = Deidentifier(
            profile,
            Pseudonyms(key or default_key()),
            limits=Limits(repairs=frozenset(repairs)),
            secrets=account_secrets(profile.secrets),
        )

    def deidentify(self, source: One, target: str | Path | None = None) -> FileResult:
        """De-identify one object.

        Args:
            source: path of a file, a web address, the bytes of a file, a stream of them that was opened in
                binary mode, or a pydicom Dataset. It is read once, and neither closed nor changed.
            target: the file to write; one that is there and differs is never replaced. None returns the
                result as `content`.

        Returns:
            What became of it. Nothing is written or returned unless the outcome is DEIDENTIFIED.

        Raises:
            TypeError: the source is nothing of the kind.
            ValueError: the engine is closed.
        """
        given = input_of(source)
        if target is not None:
            return one_file(self._open(), given, Path(target))
        memory = MemoryTarget()
        result = run_alone(Work(self._open(), memory), given, "object")
        return replace(result, target=None, content=memory.content)

    def deidentify_many(
        self,
        sources: str | Path | Iterable[str | Path],
        target: str | Path | Target,
        options: Options = DEFAULT_OPTIONS,
    ) -> Iterator[FileResult]:
        """De-identify any number of objects; yield what became of each when it is known.

        Args:
            sources: one or several: files, folders, web addresses, s3://BUCKET/PREFIX.
            target: a folder, a web address that takes PUT, s3://BUCKET/PREFIX, or an object of your own.
            options: how the run goes.

        Raises:
            ConfigurationError: the template, a source or the index is wrong.
            ValueError: the engine is closed.
        """
        mine = self._open()
        fields = parse_template(options.template, options.leaf).fields
        plans = listing_plans(mine.procedure) if options.list_private else None
        run = Deidentifier(
            mine.procedure,
            mine.pseudonyms,
            limits=mine.limits,
            capture=fields,
            secrets=mine.secrets,
            plans=plans,
        )
        several = [sources] if isinstance(sources, str | Path) else sources
        inputs = list(inputs_for(several, target, options))
        return deidentify_all(run_of(run, target, options), inputs, options.workers)

    def close(self) -> None:
        """Forget the keys and the last objects; the engine can do nothing after it."""
        self._deidentifier = None

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _open(self) -> Deidentifier:
        if self._deidentifier is None:
            raise ValueError("The engine is closed.")
        return self._deidentifier


def deidentify(
    source: One,
    target: str | Path | None = None,
    *,
    profile: str | Path | Procedure = "basic",
    key: Key | None = None,
) -> FileResult:
    """De-identify one object; for several, an `Engine` loads the profile once.

    Args:
        source, target: as for `Engine.deidentify`.
        profile, key: as for `Engine`.

    Returns:
        What became of it. Nothing is written or returned unless the outcome is DEIDENTIFIED.

    Raises:
        ConfigurationError: the profile, a secret that it names, or the key is wrong.
        TypeError: the source is nothing that could be an object.
    """
    with Engine(profile, key=key) as engine:
        return engine.deidentify(source, target)


def one_file(
    deidentifier: Deidentifier, source: Input, target: Path, *, dry_run: bool = False, hashes: bool = True
) -> FileResult:
    """De-identify one object into one file with an engine that is there. Raises nothing."""
    folder = FolderTarget(target.parent, may_rename=False, hashes=hashes)
    work = Work(deidentifier, NoTarget(folder, hashes) if dry_run else folder, hashes=hashes)
    return run_alone(work, source, target.name)


def deidentify_many(
    sources: str | Path | Iterable[str | Path],
    target: str | Path | Target,
    *,
    profile: str | Path | Procedure = "basic",
    key: Key | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> Iterator[FileResult]:
    """De-identify any number of objects; yield what became of each when it is known.

    Args:
        sources, target, options: as for `Engine.deidentify_many`.
        profile, key: as for `Engine`.

    Raises:
        ConfigurationError: the profile, a secret, the key, the template, a source or the index is wrong.
    """
    key = key or default_key(may_make=not options.dry_run)
    return Engine(profile, key=key).deidentify_many(sources, target, options)


def inputs_for(
    sources: Iterable[str | Path], target: str | Path | Target, options: Options
) -> Iterator[Input]:
    """Yield the inputs of a run; results of an earlier run that lie below an input are none.

    Raises:
        ConfigurationError: a source is not there, or cannot be listed.
    """
    is_folder = isinstance(target, Path) or (isinstance(target, str) and "://" not in target)
    remote = Remote(options.headers, options.endpoint, options.region)
    without = Path(str(target)) if is_folder else None
    return inputs_of(sources, without=without, filters=options.filters, remote=remote)


def run_of(deidentifier: Deidentifier, target: str | Path | Target, options: Options) -> Job:
    """Return what is done to every object of a run.

    Raises:
        ConfigurationError: the template, the target or the index is wrong.
    """
    where = target_of(target, options)
    index = None
    if options.resume is not None:
        stamp = stamp_of(deidentifier, options.template, options.leaf, str(options.keep_names), str(target))
        index = Index(options.resume, stamp, is_read_only=options.dry_run)
    uses_store = isinstance(where, StoreTarget)
    hashes = options.hashes or index is not None or not isinstance(where, FolderTarget)
    if isinstance(where, FolderTarget):
        where = replace(where, hashes=hashes)
    if options.dry_run:
        where = NoTarget(where, hashes)
    work = Work(deidentifier, where, tell_times=options.tell_times, hashes=hashes)
    template = parse_template(options.template, options.leaf)
    return Job(work, template, options.leaf, index, uses_store, options.keep_names)


def target_of(target: str | Path | Target, options: Options) -> Target:
    """Return where results go.

    Raises:
        ConfigurationError: the address of an object store is wrong.
    """
    if not isinstance(target, str | Path):
        return target
    text = str(target)
    if text.startswith(("http://", "https://")):
        check_address(text)
        return WebTarget(text, options.target_headers)
    if text.startswith("s3://"):
        bucket, prefix = bucket_of(text, endpoint=options.endpoint, region=options.region)
        return StoreTarget(bucket, prefix, options.part_bytes)
    return FolderTarget(Path(target))


def parse_template(template: str, leaf: str) -> PathTemplate:
    """Return the template of results.

    Raises:
        ConfigurationError: the template or the name of the last folder is wrong.
    """
    if leaf and (("{}" not in leaf and "%s" not in leaf) or "/" in leaf):
        raise ConfigurationError("The name of the last folder has {} for the old name, and no slash.")
    return PathTemplate.parse(template, extra=FILE_FIELDS)
