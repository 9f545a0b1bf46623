"""Find, load, show and compare profiles.

Shipped profiles go by name. Others are files: the caller passes a path object, since this package opens
no file but its own. A profile's `extends` and `base` are looked for beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Protocol, Self

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.compile import Compiled, compile_chain, no_tables, problems_of_parts
from deid_node.profile.grand_challenge import JSONProcedure, built_in, compile_json, read_json
from deid_node.profile.language import Base, Description
from deid_node.profile.lookup import Lookup, LookupSource, read_lookup
from deid_node.profile.places import Place
from deid_node.profile.procedure import Procedure
from deid_node.profile.reading import read_what_is_right

DEFAULT: Final = "basic"


class File(Protocol):
    """What is asked of a path: `pathlib.Path` and packaged files have it."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        ...

    def joinpath(self, *parts: str) -> Self:
        """Return a path below this one, or an absolute one."""
        ...

    def exists(self) -> bool:
        """Tell whether there is something of this name."""
        ...

    def is_file(self) -> bool:
        """Tell whether there is a file."""
        ...

    def read_text(self, encoding: str | None = None) -> str:
        """Return the text of the file."""
        ...


def load(profile: str | File, folder: File | None = None) -> Procedure:
    """Return the procedure of a profile.

    Args:
        profile: the name of a shipped profile, or a file: a path object, or its path as text, which
            is looked for in `folder`. A file that ends in .json is a Grand-Challenge procedure.
        folder: where a path as text begins; an absolute one needs any folder.

    Raises:
        ProfileError: not found, or wrong; with every finding and its line.
    """
    return load_with_notes(profile, folder).procedure


def load_with_notes(profile: str | File, folder: File | None = None) -> Compiled:
    """Return the procedure of a profile and what is to be known about it; see `load`."""
    source = _find(profile, folder, "")
    if source.name.endswith(".json"):
        text = _text(source)
        return Compiled(_json_procedure(source.name, text), ())
    chain = _Chain()
    chain.add(source, ())
    if chain.problems:
        raise ProfileError(*chain.problems, *problems_of_parts(chain.descriptions))
    return compile_chain(chain.descriptions, chain.read_base, chain.read_table)


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped profiles."""
    return tuple(sorted(_shipped()))


@cache
def _shipped() -> Mapping[str, str]:
    """Return name to text: of the package, or of the repository the package lies in."""
    package = files("deid_node")
    for folder in (package.joinpath("profiles"), package.joinpath("..", "profiles")):
        if folder.is_dir():
            found = (entry for entry in folder.iterdir() if entry.name.endswith(".toml"))
            return MappingProxyType(
                {entry.name.removesuffix(".toml"): entry.read_text("utf-8") for entry in found}
            )
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a profile comes from; a shipped one has its text and no folder."""

    name: str
    text: str | None
    file: File | None
    folder: File | None

    @property
    def identity(self) -> str:
        """Equal for the same profile, however it is written; a shipped one is no file of its name."""
        return f"shipped/{self.name}" if self.file is None else str(self.file)


def _find(profile: str | File, folder: File | None, asked_by: str) -> _Source:
    begin = f"{asked_by}: " if asked_by else ""
    if not isinstance(profile, str):
        parent = getattr(profile, "parent", None)
        return _Source(profile.name, None, profile, parent)
    if profile in _shipped():
        return _Source(f"{profile}.toml", _shipped()[profile], None, None)
    if not profile.endswith((".toml", ".json")):
        near = names.did_you_mean(profile, _shipped())
        raise ProfileError(
            f"{begin}there is no profile {profile!r}{near or '; shipped are ' + ', '.join(shipped())};"
            " a file is given by its path, ending in .toml or .json"
        )
    if folder is None:
        raise ProfileError(f"{begin}profile file {profile!r} has no folder to be looked for in")
    file = folder.joinpath(profile)
    if not file.is_file():
        raise ProfileError(f"{begin}there is no profile file {profile!r}")
    return _find(file, None, asked_by)


def _text(source: _Source) -> str:
    if source.text is not None:
        return source.text
    if source.file is None:
        raise ProfileError(f"{source.name}: there is no such profile file")
    try:
        if source.file.exists() and not source.file.is_file():
            raise ProfileError(f"{source.name}: is no regular file")  # a pipe may never end
        return source.file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ProfileError(f"{source.name}: not UTF-8 text") from None
    except OSError as error:
        raise ProfileError(f"{source.name}: cannot be read: {error.strerror}") from None


class _Chain:
    """The profiles of one `extends` tree, what lies below first, each once."""

    def __init__(self) -> None:
        self.descriptions: list[Description] = []
        self.problems: list[str] = []
        self._done: set[str] = set()
        self._bases: dict[str, tuple[str, File | None]] = {}
        self._folders: dict[Place, File | None] = {}

    def add(self, source: _Source, on_the_way: tuple[str, ...]) -> None:
        """Add a profile after those it extends; what is wrong with any of them goes to `problems`.

        Raises:
            ProfileError: the profile cannot be read at all.
        """
        if source.identity in self._done:
            return
        self._done.add(source.identity)
        description, problems = read_what_is_right(_text(source), source.name)
        self.problems += problems
        way = (*on_the_way, source.identity)
        place = description.places.get("extends", description.place)
        for other in description.extends:
            try:
                below = _find(other, source.folder, str(place))
                if below.identity in way:
                    circle = [
                        _last_part(step) for step in (*way[way.index(below.identity) :], below.identity)
                    ]
                    raise ProfileError(
                        f"{place}: profiles extend each other in a circle: {' -> '.join(circle)}"
                    )
                self.add(below, way)
            except ProfileError as error:
                self.problems += error.problems
        if description.base is not None:
            self._bases[description.base] = (str(description.places["base"]), source.folder)
        for table in description.tables.values():
            self._folders[table.place] = source.folder
        self.descriptions.append(description)

    def read_base(self, base: str) -> JSONProcedure:
        """Read the procedure JSON that a base names, beside the profile that names it."""
        if base == Base.GRAND_CHALLENGE:
            return built_in()
        place, folder = self._bases[base]
        source = _find(base, folder, place)
        return read_json(_text(source), source.name)

    def read_table(self, source: LookupSource) -> Lookup:
        """Read a lookup table beside the profile that names it."""
        folder = self._folders[source.place]
        if folder is None:
            return no_tables(source)
        file = folder.joinpath(source.file)
        if not file.is_file():
            raise ProfileError(f"{source.place}: there is no table file {source.file!r}")
        text = _text(_Source(file.name, None, file, None))
        try:
            return replace(read_lookup(text, file.name, source.keys, source.value), path=str(file))
        except ProfileError as error:
            raise ProfileError(*(f"{source.place}: {problem}" for problem in error.problems)) from None


def _json_procedure(name: str, text: str) -> Procedure:
    read = read_json(text, name)
    return compile_json(read, name.removesuffix(".json"), hashlib.sha256(text.encode()).hexdigest())


def _last_part(identity: str) -> str:
    return identity.replace("\\", "/").rsplit("/", 1)[-1]
