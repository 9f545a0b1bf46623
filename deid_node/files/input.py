"""Where objects come from outside of the network: files, folder trees, web addresses, object stores.

An input is opened once and read from its beginning to its end; nothing of it is written anywhere. What
is shown of a web address has neither its query nor a user, which may be secrets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from deid_node.errors import ConfigurationError
from deid_node.files.store import Bucket, bucket_of
from deid_node.files.web import check_address, get
from deid_node.node.part10 import NotDicom


class Stream(Protocol):
    """Bytes that come one after the other."""

    def read(self, count: int, /) -> bytes | None:
        """Return the next bytes, at most so many; nothing at the end. Raises OSError."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read the next bytes into a buffer and return how many came, 0 at the end. Raises OSError."""

    def close(self) -> None:
        """Read no more."""


class Input(Protocol):
    """One object that is to be read."""

    @property
    def shown(self) -> Path | str:
        """How it is called in results."""
        ...

    @property
    def relative(self) -> PurePosixPath:
        """Its path below the folder, address or prefix that was named."""
        ...

    @property
    def stamp(self) -> tuple[int, int]:
        """Its size in bytes and its time of change in nanoseconds; 0 where unknown. Raises OSError."""
        ...

    def open(self) -> Stream:
        """Open it for reading. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine; a pipe only where it was named itself: nobody may ever write into it."""

    path: Path
    relative: PurePosixPath
    may_be_pipe: bool = False

    @property
    def shown(self) -> Path:
        """The path."""
        return self.path

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of change."""
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns

    def open(self) -> Stream:
        """Open the file. Raises NotDicom for what is none, as a pipe in a tree."""
        if self.may_be_pipe:
            return FileIO(self.path)
        stream = FileIO(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.close()
            raise NotDicom("is no regular file")
        return stream


@dataclass(frozen=True, slots=True)
class ClosedFolder:
    """A folder that is not gone into: every try to read it tells why. No filter passes over it."""

    path: Path
    relative: PurePosixPath
    error: OSError | NotDicom

    @property
    def shown(self) -> Path:
        """The path."""
        return self.path

    @property
    def stamp(self) -> tuple[int, int]:
        """Raises why it is closed."""
        raise self.error

    def open(self) -> Stream:
        """Raises why it is closed."""
        raise self.error


@dataclass(frozen=True, slots=True)
class WebFile:
    """What a web address answers."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The address without user and query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def relative(self) -> PurePosixPath:
        """The last part of the address."""
        return PurePosixPath(PurePosixPath(unquote(urlsplit(self.url).path)).name or "object")

    @property
    def stamp(self) -> tuple[int, int]:
        """Unknown before it is read."""
        return 0, 0

    def open(self) -> Stream:
        """Ask for it."""
        return get(self.url, self.headers)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of an object store."""

    bucket: Bucket
    key: str
    size: int
    changed_ns: int
    relative: PurePosixPath

    @property
    def shown(self) -> str:
        """The address."""
        return f"s3://{self.bucket.name}/{self.key}"

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of change, as listed."""
        return self.size, self.changed_ns

    def open(self) -> Stream:
        """Open the object."""
        return self.bucket.open(self.key)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which files of a tree are taken. Texts are looked for inside names; nothing given takes all.

    `names`, `folders`: one of the texts is enough, all of them are asked for with `every_name` and
    `every_folder`. `depth`: folders between the one that was named and the file, at most. `skipped`:
    whole names that are left out, without regard to case.
    """

    names: tuple[str, ...] = ()
    every_name: bool = False
    folders: tuple[str, ...] = ()
    every_folder: bool = False
    depth: int | None = None
    skipped: tuple[str, ...] = ()

    def take(self, relative: PurePosixPath) -> bool:
        """Tell whether a file is taken."""
        folders = relative.parts[:-1]
        if self.depth is not None and len(folders) > self.depth:
            return False
        if relative.name.casefold() in {name.casefold() for name in self.skipped}:
            return False
        inside = [any(text in folder for folder in folders) for text in self.folders]
        named = [text in relative.name for text in self.names]
        return _enough(named, self.every_name) and _enough(inside, self.every_folder)


EVERYTHING: Final = Filters()


def _enough(found: list[bool], every: bool) -> bool:
    return not found or (all(found) if every else any(found))


@dataclass(frozen=True, slots=True)
class Remote:
    """What remote inputs need: headers of web requests, and how an object store is reached."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint: str = ""
    region: str = ""


NO_REMOTE: Final = Remote()


def inputs_of(
    sources: Iterable[str | Path],
    *,
    without: Path | None = None,
    filters: Filters = EVERYTHING,
    remote: Remote = NO_REMOTE,
) -> Iterator[Input]:
    """Yield every input, those of a tree in a stable order.

    Args:
        sources: paths of files and folders, web addresses, s3://BUCKET/PREFIX.
        without: a folder that is not gone into: where results go.

    Raises:
        ConfigurationError: a source is not there, or cannot be listed.
    """
    for source in sources:
        text = str(source)
        if text.startswith(("http://", "https://")):
            check_address(text)
            found: Iterator[Input] = iter((WebFile(text, remote.headers),))
        elif text.startswith("s3://"):
            bucket, prefix = bucket_of(text, endpoint=remote.endpoint, region=remote.region)
            found = _stored(bucket, prefix)
        else:
            found = _local(Path(source), without)
        yield from (one for one in found if isinstance(one, ClosedFolder) or filters.take(one.relative))


def _stored(bucket: Bucket, prefix: str) -> Iterator[Input]:
    for key, size, changed_ns in bucket.listed(prefix):
        below = key[len(prefix) :].lstrip("/") if key != prefix else PurePosixPath(key).name
        yield StoredObject(bucket, key, size, changed_ns, PurePosixPath(below))


def _local(source: Path, without: Path | None) -> Iterator[Input]:
    if source.is_dir():
        yield from _tree(source, without)
    elif source.exists():
        yield LocalFile(source, PurePosixPath(source.name), may_be_pipe=True)
    else:
        raise ConfigurationError(f"{source}: there is no such file or folder.")


def _tree(root: Path, without: Path | None) -> Iterator[Input]:
    """Yield the files of a tree in a stable order, and its folders that are not gone into.

    Not those below `without`, where results go.
    """
    shut_out = without.resolve() if without is not None else None
    closed: list[ClosedFolder] = []

    def close(path: Path, error: OSError | NotDicom) -> None:
        closed.append(ClosedFolder(path, PurePosixPath(path.relative_to(root).as_posix()), error))

    for at, folders, names in os.walk(root, onerror=lambda error: close(Path(error.filename), error)):
        here = Path(at)
        folders[:] = sorted(name for name in folders if (here / name).resolve() != shut_out)
        for name in folders:
            if os.path.islink(here / name):  # False of one whose name is too long
                close(here / name, NotDicom("is a link to a folder, which is not followed"))
        yield from closed
        closed.clear()
        for name in sorted(names):
            path = here / name
            yield LocalFile(path, PurePosixPath(path.relative_to(root).as_posix()))
    yield from closed
