"""A result while it is written, and the folder it goes to.

A result is complete under its name or not there: it is written beside its place and then linked to it,
and it never replaces another object.
"""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from deid_node.delivery.names import alternatives
from deid_node.engine.deidentified import Buffers, Deidentified

_NO_LINK: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_MAX_BUFFERS: Final = min(os.sysconf("SC_IOV_MAX"), 512)

Names = tuple[str, ...]
T = TypeVar("T")


class NameTakenError(Exception):
    """Another object has the name that was asked for."""


@dataclass(frozen=True, slots=True)
class About:
    """What may be told of an object beside its result.

    `source_digest` is a keyed digest of the bytes that were read, in hexadecimal, `source_changed_ns` the
    time of change of the input; both empty unless they may be told. `known_sha256` is the hash of the
    result that an earlier run left under the same name.
    """

    sop_instance_uid: str
    source_size: int = 0
    source_changed_ns: int = 0
    source_digest: str = ""
    known_sha256: str = ""


class Draft(Protocol):
    """A result that is being written."""

    def begin(self, meta: bytes) -> None:
        """Take the file meta information, once, before the first bytes of the dataset."""

    def write(self, part: Deidentified) -> None:
        """Take bytes of the dataset."""

    def place(self, names: Names, about: About) -> Path | str:
        """Give the complete result its name, and return where it is. Raises NameTakenError, OSError."""
        ...

    def discard(self) -> None:
        """Leave nothing behind but a placed result."""

    @property
    def size(self) -> int:
        """The bytes that were written."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hexadecimal; "" where none is wanted."""
        ...


class Target(Protocol):
    """Where results go. Used in several processes; names are those of `PathTemplate.render`."""

    def begin(self) -> Draft:
        """Start a result."""
        ...

    def shown(self, names: Names) -> Path | str:
        """Return how a result with this name is called."""
        ...

    def has(self, shown: str, size: int) -> bool:
        """Tell whether a result of so many bytes is there. Raises OSError."""
        ...


class Tally:
    """Size of what is written, and its hash unless nobody wants it: hashing costs more than writing."""

    def __init__(self, *, hashes: bool = True) -> None:
        self.size = 0
        self._hash = hashlib.sha256() if hashes else None

    def add(self, buffers: Buffers) -> None:
        """Count bytes."""
        for buffer in buffers:
            self.size += len(buffer)
            if self._hash is not None:
                self._hash.update(buffer)

    @property
    def sha256(self) -> str:
        """The hash so far, in hexadecimal; "" where none is wanted."""
        return self._hash.hexdigest() if self._hash is not None else ""


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder. When another object has a name, `may_rename` gives the result one of its own.

    `hashes`: whether the hashes of results are wanted.
    """

    folder: Path
    may_rename: bool = True
    hashes: bool = field(default=True, kw_only=True)

    def begin(self) -> FolderDraft:
        """Start a file under a temporary name."""
        return FolderDraft(self.folder, self.may_rename, Tally(hashes=self.hashes))

    def shown(self, names: Names) -> Path:
        """Return the path."""
        return self.folder.joinpath(*names)

    def has(self, shown: str, size: int) -> bool:
        """Tell whether a file of so many bytes is there."""
        file = Path(shown)
        return file.is_file() and file.stat().st_size == size


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Writes nothing and says where results would go."""

    instead_of: Target
    hashes: bool = True

    def begin(self) -> NoDraft:
        """Start a result that goes nowhere."""
        return NoDraft(self.instead_of, Tally(hashes=self.hashes))

    def shown(self, names: Names) -> Path | str:
        """Return what the real target would say."""
        return self.instead_of.shown(names)

    def has(self, shown: str, size: int) -> bool:
        """Ask the real target."""
        return self.instead_of.has(shown, size)


class Counted:
    """What every draft says of the bytes that it was given, by its tally."""

    _tally: Tally

    @property
    def size(self) -> int:
        """The bytes that were written."""
        return self._tally.size

    @property
    def sha256(self) -> str:
        """The hash of what was written."""
        return self._tally.sha256


class NoDraft(Counted):
    """A result that goes nowhere; its size and hash are known."""

    def __init__(self, target: Target, tally: Tally) -> None:
        self._target = target
        self._tally = tally
        self._begun = False

    def begin(self, meta: bytes) -> None:
        """Count the file meta information, once."""
        if not self._begun:
            self._begun = True
            self._tally.add([meta])

    def write(self, part: Deidentified) -> None:
        """Count bytes."""
        self._tally.add(part.buffers)

    def place(self, names: Names, about: About) -> Path | str:
        """Return where it would be."""
        return self._target.shown(names)

    def discard(self) -> None:
        """There is nothing."""


class FolderDraft(Counted):
    """A file that is being written under a temporary name."""

    def __init__(self, folder: Path, may_rename: bool, tally: Tally) -> None:
        self._folder = folder
        self._may_rename = may_rename
        self._path = f"{folder}/.deid-node-{secrets.token_hex(8)}.part"
        self._descriptor: int | None = None
        self._tally = tally
        self._waiting: Buffers = []

    def begin(self, meta: bytes) -> None:
        """Take the file meta information, once; it is written with the first bytes of the dataset."""
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            open_it = partial(os.open, self._path, flags, 0o666)  # as the umask of the person allows
            self._descriptor = _in_folder(self._folder, open_it)
            self._waiting = [meta]

    def write(self, part: Deidentified) -> None:
        """Write bytes of the dataset."""
        buffers, self._waiting = [*self._waiting, *filter(len, part.buffers)], []
        for start in range(0, len(buffers), _MAX_BUFFERS):
            self._write_all(buffers[start : start + _MAX_BUFFERS])

    def _write_all(self, buffers: Buffers) -> None:
        if self._descriptor is None:
            raise AssertionError("written before it was begun")
        self._tally.add(buffers)
        while buffers:
            written = os.writev(self._descriptor, buffers)
            while buffers and written >= len(buffers[0]):
                written -= len(buffers.pop(0))
            if buffers and written:
                buffers[0] = memoryview(buffers[0])[written:]

    def place(self, names: Names, about: About) -> Path:
        """Link the file to its name, or to one of its own when another object has it."""
        self._close()
        target = self._folder.joinpath(*names)
        if _in_folder(target.parent, partial(self._is_placed, target)):
            return target
        if self._may_rename:
            with open(self._path, "rb") as written:
                digest = hashlib.file_digest(written, "sha256").digest()
            for other in alternatives(target.name, about.sop_instance_uid, digest)[1:]:
                if self._is_placed(target.with_name(other)):
                    return target.with_name(other)
        raise NameTakenError(target)

    def _is_placed(self, target: Path) -> bool:
        """Link the file to a name; False when a different file has it."""
        try:
            os.link(self._path, target)  # not rename, which would replace
        except FileExistsError:
            # The same input, profile and key give the same bytes: a second run finds its own result.
            is_file = target.is_file() and not target.is_symlink()
            return is_file and filecmp.cmp(self._path, target, shallow=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            # No hard links on this file system: take the name first, then replace what we just made.
            try:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
            except FileExistsError:
                return target.is_file() and filecmp.cmp(self._path, target, shallow=False)
            os.rename(self._path, target)
        return True

    def discard(self) -> None:
        """Remove the temporary name, whatever happened before."""
        self._close()
        with suppress(OSError):
            os.unlink(self._path)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _in_folder(folder: Path, do: Callable[[], T]) -> T:
    """Do something in a folder, which is made when it is not there yet."""
    try:
        return do()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return do()
