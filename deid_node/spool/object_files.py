"""The files of a spool's objects: how they are named, opened and removed, and which were written last."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from typing import Final

from deid_node.spool.content import former_digest_of
from deid_node.spool.recovery import OBJECTS, place
from deid_node.spool.spares import Spares
from deid_node.spool.written import Written

_PER_FOLDER: Final = 2048
_RANDOM_BYTES: Final = 15
_NAMES_AT_A_TIME: Final = 64
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class ObjectFiles:
    """The folder of a spool as far as files are concerned. Used by many threads."""

    def __init__(self, root_fd: int, *, durable: bool) -> None:
        """Look after the folder with this descriptor; `durable` syncs what is made in it."""
        self.root_fd = root_fd
        self.durable = durable
        self.written = Written(root_fd)
        self.spares = Spares(root_fd)
        self._naming = threading.Lock()
        self._prefix = ""
        self._names_left = 0
        self._random = ""

    def new_name(self) -> str:
        """Return a random name for an object; its first two characters are its folder.

        One folder takes many objects in a row, so that one sync of it serves all that arrive together.

        Raises:
            OSError: the folder cannot be made.
        """
        with self._naming:
            if not self._names_left:
                self._prefix = os.urandom(1).hex()
                self._names_left = _PER_FOLDER
                self._make_folder(f"{OBJECTS}/{self._prefix}")
            if not self._random:
                self._random = os.urandom(_NAMES_AT_A_TIME * _RANDOM_BYTES).hex()
            self._names_left -= 1
            name, self._random = self._random[: 2 * _RANDOM_BYTES], self._random[2 * _RANDOM_BYTES :]
            return self._prefix + name

    def former_digest(self, name: str) -> bytes:
        """Return the digest of an object as ledgers before version 6 have it. Raises OSError."""
        fd = os.open(place(name), _FILE, dir_fd=self.root_fd)
        try:
            return former_digest_of(fd)
        finally:
            os.close(fd)

    def release(self, names: Iterable[str]) -> None:
        """Give up the files of objects that nothing needs any more, as their durable rows say."""
        for name in names:
            size = self.written.own_size(name)
            self.written.forget(name)
            if size is None or not self.spares.keep(place(name), size):
                self.unlink(place(name))

    def unlink(self, path: str) -> None:
        """Remove a file of the spool; one that cannot be removed is an orphan for the next start."""
        with contextlib.suppress(OSError):
            os.unlink(path, dir_fd=self.root_fd)

    def _make_folder(self, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700, dir_fd=self.root_fd)
            if self.durable:
                fd = os.open(OBJECTS, _FOLDER, dir_fd=self.root_fd)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
