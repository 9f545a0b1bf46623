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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from deid_node.delivery.names import alternatives
from deid_node.engine.deidentified import Deidentified

_NO_LINK: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_MAX_BUFFERS: Final = min(os.sysconf("SC_IOV_MAX"), 512)

Names = tuple[str, ...]


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
        """The hash of what was written, in hexadecimal."""
        ...


class Target(Protocol):
    """Where results go. Used in several processes; names are those of `PathTemplate.render`."""

    def begin(self) -> Draft:
        """Start a result."""
        ...

    def shown(self, names: Names) -> Path | str:
        """Return how a result with this name is called."""
        ...

    def has(self, shown: str) -> bool:
        """Tell whether a result is there. Raises OSError."""
        ...


class Tally:
    """Size and hash of what is written."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, views: list[memoryview]) -> None:
        """Count bytes."""
        for view in views:
            self.size += len(view)
            self._hash.update(view)

    @property
    def sha256(self) -> str:
        """The hash so far, in hexadecimal."""
        return self._hash.hexdigest()


def views_of(part: Deidentified) -> list[memoryview]:
    """Return the bytes as views that are not empty."""
    return [memoryview(buffer).cast("B") for buffer in part.buffers if len(buffer)]


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder. When another object has a name, `may_rename` gives the result one of its own."""

    folder: Path
    may_rename: bool = True

    def begin(self) -> FolderDraft:
        """Start a file under a temporary name."""
        return FolderDraft(self.folder, self.may_rename)

    def shown(self, names: Names) -> Path:
        """Return the path."""
        return self.folder.joinpath(*names)

    def has(self, shown: str) -> bool:
        """Tell whether the file is there."""
        return Path(shown).is_file()


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Writes nothing and says where results would go."""

    instead_of: Target

    def begin(self) -> NoDraft:
        """Start a result that goes nowhere."""
        return NoDraft(self.instead_of)

    def shown(self, names: Names) -> Path | str:
        """Return what the real target would say."""
        return self.instead_of.shown(names)

    def has(self, shown: str) -> bool:
        """Ask the real target."""
        return self.instead_of.has(shown)


class NoDraft:
    """A result that goes nowhere; its size and hash are known."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._tally = Tally()
        self._begun = False

    def begin(self, meta: bytes) -> None:
        """Count the file meta information, once."""
        if not self._begun:
            self._begun = True
            self._tally.add([memoryview(meta)])

    def write(self, part: Deidentified) -> None:
        """Count bytes."""
        self._tally.add(views_of(part))

    def place(self, names: Names, about: About) -> Path | str:
        """Return where it would be."""
        return self._target.shown(names)

    def discard(self) -> None:
        """There is nothing."""

    @property
    def size(self) -> int:
        """The bytes."""
        return self._tally.size

    @property
    def sha256(self) -> str:
        """The hash."""
        return self._tally.sha256


class FolderDraft:
    """A file that is being written under a temporary name."""

    def __init__(self, folder: Path, may_rename: bool) -> None:
        self._folder = folder
        self._may_rename = may_rename
        self._path = folder / f".deid-node-{secrets.token_hex(8)}.part"
        self._descriptor: int | None = None
        self._tally = Tally()

    @property
    def size(self) -> int:
        """The bytes that were written."""
        return self._tally.size

    @property
    def sha256(self) -> str:
        """The hash of what was written."""
        return self._tally.sha256

    def begin(self, meta: bytes) -> None:
        """Write the file meta information, once, before the first bytes of the dataset."""
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o666)  # as the umask of the person allows
            self._write_all([memoryview(meta)])

    def write(self, part: Deidentified) -> None:
        """Write bytes of the dataset."""
        views = views_of(part)
        for start in range(0, len(views), _MAX_BUFFERS):
            self._write_all(views[start : start + _MAX_BUFFERS])

    def _write_all(self, views: list[memoryview]) -> None:
        if self._descriptor is None:
            raise AssertionError("written before it was begun")
        self._tally.add(views)
        while views:
            written = os.writev(self._descriptor, views)
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views and written:
                views[0] = views[0][written:]

    def place(self, names: Names, about: About) -> Path:
        """Link the file to its name, or to one of its own when another object has it."""
        self._close()
        target = self._folder.joinpath(*names)
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._is_placed(target):
            return target
        if self._may_rename:
            sha256 = bytes.fromhex(self.sha256)
            for other in alternatives(target.name, about.sop_instance_uid, sha256)[1:]:
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
            self._path.unlink()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
