"""A folder store: every object becomes a file whose path a template makes of de-identified attributes.

The file is a hard link to the spool's where both are on one file system, else a copy that gets its name
when it is complete. No file is ever replaced: the same content is delivered already, another object
under the same name gets a name of its own. Nothing leaves the root: folders are walked by descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deid_node.delivery.destination import Context, Parcel, UnusableError
from deid_node.delivery.names import alternatives
from deid_node.delivery.template import PathTemplate
from deid_node.errors import ConfigurationError
from deid_node.spool.content import is_content
from deid_node.spool.entry import Entry
from deid_node.spool.failpoint import reach
from deid_node.spool.outcomes import Deferred, Delivered, Held, HeldFor, Outcome

_INCOMING: Final = ".incoming"
_STALE_S: Final = 3600.0
_GROUP: Final = 32
_GROUP_BYTES: Final = 64 << 20
_COPY: Final = 1 << 24
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS}
)


class FolderDestination:
    """A folder that receives files."""

    def __init__(
        self,
        name: str,
        root: Path,
        template: PathTemplate,
        *,
        durable: bool = True,
        may_link: bool = True,
        folder_mode: int = 0o700,
        file_mode: int = 0o600,
    ) -> None:
        """Make the folder when it is absent, and remove what an earlier process left unfinished.

        Args:
            name: the name in the ledger.
            root: no file is made outside of it.
            template: makes the paths below `root`.
            durable: sync files and folders before an object counts as delivered.
            may_link: hard-link from the spool where that can be done. A program that edits files in
                place must not be given links.
            folder_mode: mode of new folders.
            file_mode: mode of files.

        Raises:
            ConfigurationError: the folder cannot be made or written.
        """
        self.name = name
        self.root = root
        self.template = template
        self.durable = durable
        self.may_link = may_link
        self.folder_mode = folder_mode
        self.file_mode = file_mode
        try:
            root.mkdir(mode=folder_mode, parents=True, exist_ok=True)
            (root / _INCOMING).mkdir(mode=0o700, exist_ok=True)
            _remove_stale(root / _INCOMING)
        except OSError as error:
            raise ConfigurationError(
                f"Destination {name}: the folder {root} cannot be used ({error.strerror})."
            ) from error

    def sender(self) -> FolderSender:
        """Return a sender; several may write at the same time."""
        return FolderSender(self)

    def probe(self) -> str | None:
        """Return why no file can be made in the folder, None when one can."""
        probe = self.root / _INCOMING / os.urandom(8).hex()
        try:
            os.close(os.open(probe, _NEW_FILE, 0o600))
            probe.unlink()
        except OSError as error:
            return str(error.strerror)
        return None


class _DamagedError(Exception):
    """The content of a file is not what was committed."""


class FolderSender:
    """Places files for one thread of a lane."""

    def __init__(self, destination: FolderDestination) -> None:
        self._to = destination
        self.links = destination.may_link

    def deliver(
        self,
        contexts: frozenset[Context],  # a folder takes everything
        parcels: Iterator[Parcel],
    ) -> Iterator[tuple[Entry, Outcome]]:
        """Place files; outcomes come in groups, after one sync of the folders of a group.

        Raises:
            UnusableError: the folder cannot be opened.
        """
        try:
            root_fd = os.open(self._to.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UnusableError(f"the folder cannot be opened ({error.strerror})") from error
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, root_fd)
            while True:
                folders = _Folders(root_fd, self._to.folder_mode)
                with contextlib.closing(folders):
                    group = self._place_group(parcels, folders)
                    failed = self._sync(folders)
                if not group:
                    return
                for entry, outcome in group:
                    yield entry, (failed if failed and isinstance(outcome, Delivered) else outcome)

    def rest(self) -> None:
        """Nothing is held open between deliveries."""

    def abort(self) -> None:
        """A file is placed in one piece; the lane ends the parcels."""

    def _place_group(self, parcels: Iterator[Parcel], folders: _Folders) -> list[tuple[Entry, Outcome]]:
        group: list[tuple[Entry, Outcome]] = []
        size = 0
        for parcel in parcels:
            group.append((parcel.entry, self._place(parcel, folders)))
            size += parcel.entry.length
            if len(group) >= _GROUP or size >= _GROUP_BYTES:
                break
        return group

    def _place(self, parcel: Parcel, folders: _Folders) -> Outcome:
        entry = parcel.entry
        *path, name = self._to.template.render(entry.attributes)
        try:
            folder_fd = folders.open(tuple(path))
            for candidate in alternatives(name, entry.sop_instance_uid, entry.digest):
                try:
                    self._put(parcel, folders.root_fd, folder_fd, candidate)
                except FileExistsError:
                    if not _is_there(folder_fd, candidate, entry):
                        continue
                else:
                    folders.made.append((folder_fd, candidate))
                return Delivered()
        except _DamagedError:
            return Held(HeldFor.DAMAGED)
        except OSError as error:
            if error.errno in {errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR}:
                return Held(f"{HeldFor.NOT_SENDABLE}: {error.strerror}")
            return Deferred(f"the file cannot be written: {error.strerror}")
        return Held(f"{HeldFor.NOT_SENDABLE}: another file has its name")

    def _put(self, parcel: Parcel, root_fd: int, folder_fd: int, name: str) -> None:
        """Give the object its name in a folder; FileExistsError when something has it."""
        if self.links:
            try:
                os.link(parcel.entry.path, name, dst_dir_fd=folder_fd, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                self.links = False
            else:
                if self._to.file_mode != 0o600:
                    os.chmod(name, self._to.file_mode, dir_fd=folder_fd)
                reach("folder-named")
                return
        if not parcel.content.is_checked and not is_content(parcel.content.fd, parcel.entry.digest):
            raise _DamagedError
        self._copy(parcel, root_fd, folder_fd, name)

    def _copy(self, parcel: Parcel, root_fd: int, folder_fd: int, name: str) -> None:
        unfinished = f"{_INCOMING}/{os.urandom(12).hex()}"
        fd = os.open(unfinished, _NEW_FILE, 0o600, dir_fd=root_fd)
        try:
            try:
                size = parcel.entry.offset + parcel.entry.length
                offset = 0
                while offset < size:
                    sent = os.sendfile(fd, parcel.content.fd, offset, min(_COPY, size - offset))
                    if not sent:
                        raise OSError(errno.EIO, os.strerror(errno.EIO))
                    offset += sent
                os.fchmod(fd, self._to.file_mode)
                if self._to.durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            reach("folder-temp-written")
            _name(unfinished, root_fd, name, folder_fd)
            reach("folder-named")
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=root_fd)

    def _sync(self, folders: _Folders) -> Deferred | None:
        if not self._to.durable:
            return None
        try:
            folders.sync()
        except OSError as error:
            # A sync is not tried again, it may say yes without having written: the next attempt makes
            # the names anew.
            folders.withdraw()
            return Deferred(f"the folder cannot be synced: {error.strerror}")
        return None


class _Folders:
    """The folders one group of files goes to, opened step by step from the root, never through a link."""

    def __init__(self, root_fd: int, mode: int) -> None:
        self.root_fd = root_fd
        self._mode = mode
        self._open: dict[tuple[str, ...], int] = {}
        self._changed: set[tuple[str, ...]] = set()
        self.made: list[tuple[int, str]] = []  # files: folder and name

    def open(self, path: tuple[str, ...]) -> int:
        """Return a descriptor of the folder, made when it is absent, that lives until `close`."""
        fd = self._walk(path)
        self._changed.add(path)
        return fd

    def sync(self) -> None:
        """Make the names in every folder that changed durable."""
        for path in self._changed:
            os.fsync(self._open[path] if path else self.root_fd)

    def withdraw(self) -> None:
        """Take back the names that were given to files."""
        for folder_fd, name in self.made:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder_fd)

    def close(self) -> None:
        """Close every folder but the root."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _walk(self, path: tuple[str, ...]) -> int:
        if not path:
            return self.root_fd
        known = self._open.get(path)
        if known is not None:
            return known
        parent = self._walk(path[:-1])
        try:
            fd = os.open(path[-1], _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path[-1], self._mode, dir_fd=parent)
            self._changed.add(path[:-1])
            fd = os.open(path[-1], _FOLDER, dir_fd=parent)
        self._open[path] = fd
        return fd


def _name(unfinished: str, root_fd: int, name: str, folder_fd: int) -> None:
    """Give a complete file its name without replacing anything."""
    try:
        os.link(unfinished, name, src_dir_fd=root_fd, dst_dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        # A file system without hard links: the name is taken first, then the complete file replaces it.
        os.close(os.open(name, _NEW_FILE, 0o600, dir_fd=folder_fd))
        os.rename(unfinished, name, src_dir_fd=root_fd, dst_dir_fd=folder_fd)


def _is_there(folder_fd: int, name: str, entry: Entry) -> bool:
    """Whether the file with this name is the object itself, from an earlier attempt."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        return os.fstat(fd).st_size == entry.offset + entry.length and is_content(fd, entry.digest)
    except OSError:
        return False
    finally:
        os.close(fd)


def _remove_stale(folder: Path) -> None:
    """Remove unfinished files that nobody can be writing any more."""
    oldest = time.time() - _STALE_S
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.path)
