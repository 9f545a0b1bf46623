"""The bytes of one object on their way into the spool.

Written once, under a random name in `incoming` or into a file that is needed no more, hashed on the way
by the writing thread, synced, renamed into `objects`, and only then named by the ledger. Whatever fails
leaves no file behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from deid_node.engine.deidentified import Buffers, Deidentified, Heading, Summary
from deid_node.errors import SpoolError
from deid_node.spool import ledger
from deid_node.spool.content import ContentHash
from deid_node.spool.deadline import Deadline, TooLate
from deid_node.spool.entry import Commit, Origin
from deid_node.spool.failpoint import reach
from deid_node.spool.object_files import ObjectFiles
from deid_node.spool.recovery import place
from deid_node.spool.writer import is_shortage

Record = Callable[[ledger.Arrival, Deadline | None], Commit]

_SMALL: Final = 4096
_SMALL_TOGETHER: Final = 64 << 10
_IOV_MAX: Final = min(os.sysconf("SC_IOV_MAX"), 1024)
_AGAIN: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW: Final = _AGAIN | os.O_CREAT | os.O_EXCL


class Draft:
    """One object that is being received. Used by one thread; ends with `commit` or `discard`."""

    __slots__ = (
        "_dataset_at",
        "_fail",
        "_fd",
        "_files",
        "_hash",
        "_name",
        "_path",
        "_record",
        "_size",
        "_spare_bytes",
    )

    def __init__(self, files: ObjectFiles, record: Record, fail: Callable[[str], None]) -> None:
        """For `Spool.draft`.

        Args:
            files: where it gets its file.
            record: commits its rows when the file is whole.
            fail: ends the spool, when what is durable is not known any more.
        """
        self._files = files
        self._record = record
        self._fail = fail
        self._fd = -1
        self._name = ""
        self._path = ""
        self._spare_bytes = 0
        self._size = 0
        self._dataset_at = 0
        self._hash = ContentHash()

    def write(self, heading: Heading, part: Deidentified) -> None:
        """Append a part; before the first one the file is made and gets its file meta information.

        Raises:
            SpoolError: the part could not be written; the draft is discarded.
        """
        try:
            if self._fd < 0:
                self._create()
                self._dataset_at = len(heading.meta)
                self._append([heading.meta, *part.buffers])
                reach("draft-half")
            elif part.buffers:
                self._append(part.buffers)
        except OSError as error:
            self.discard()
            raise self._trouble("written", error) from error

    def commit(
        self,
        summary: Summary,
        *,
        route: str,
        destinations: Sequence[str],
        origin: Origin = Origin(),  # noqa: B008  # frozen and empty
        profile: str = "",
        epoch: str = "",
        original: int = 0,
        deadline: Deadline | None = None,
    ) -> Commit:
        """Make the object durable: its bytes, its name, its rows for every destination.

        Args:
            summary: what the engine did; its digest recognizes a resent object within `route`.
            route: name of the route.
            destinations: at least one name; each gets a row of its own.
            origin: who sent it.
            profile: digest of the procedure.
            epoch: of the key it was made with.
            original: number of the sealed original it was made of, whose row goes with this commit.
            deadline: after which it is withdrawn.

        Raises:
            TooLate: it was durable after the deadline, or was given up; it is withdrawn.
            SpoolError: the object is not durable and is withdrawn; the sender keeps it.
        """
        if self._fd < 0 or not destinations:
            self.discard()
            raise SpoolError("An object without bytes or without a destination cannot be kept.")
        reach("draft-written")
        try:
            self._finish_file()
        except OSError as error:
            self.discard()
            raise self._trouble("made durable", error) from error
        if deadline is not None and deadline.is_over:
            self._files.unlink(place(self._name))
            raise TooLate("The object was on the disk too late.")
        arrival = ledger.Arrival(
            object=self._name,
            digest=self._hash.digest(),
            dataset_at=self._dataset_at,
            size=self._size,
            summary=summary,
            route=route,
            profile=profile,
            origin=origin,
            destinations=tuple(destinations),
            at=time.time(),
            epoch=epoch,
            original=original,
        )
        return self._record(arrival, deadline)

    def discard(self) -> None:
        """Forget the object; no file of it remains. Does nothing after `commit`."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        os.close(fd)
        self._files.unlink(self._path)

    def _create(self) -> None:
        self._name = self._files.new_name()
        if not self._open_spare():
            self._path = f"incoming/{self._name}"
            self._fd = os.open(self._path, _NEW, 0o600, dir_fd=self._files.root_fd)
        reach("draft-created")

    def _open_spare(self) -> bool:
        spare = self._files.spares.take()
        if spare is None:
            return False
        try:
            self._fd = os.open(spare.path, _AGAIN, dir_fd=self._files.root_fd)
        except OSError:  # somebody removed it, or descriptors are short
            self._files.unlink(spare.path)
            return False
        self._path, self._spare_bytes = spare.path, spare.size
        return True

    def _append(self, buffers: Buffers) -> None:
        if len(buffers) > 1:
            buffers = _join_small(buffers)
        update = self._hash.update
        total = 0
        for buffer in buffers:
            update(buffer)
            total += len(buffer)
        self._size += total
        for start in range(0, len(buffers), _IOV_MAX):
            _write_all(self._fd, buffers[start : start + _IOV_MAX])

    def _finish_file(self) -> None:
        """Cut, sync, close, rename. A sync that failed is not tried again: the pages may be lost by then."""
        files, name = self._files, self._name
        if self._spare_bytes > self._size:
            os.ftruncate(self._fd, self._size)
        if files.durable:
            reach("before-sync")
            os.fdatasync(self._fd)
        reach("after-sync")
        os.rename(self._path, place(name), src_dir_fd=files.root_fd, dst_dir_fd=files.root_fd)
        fd, self._fd = self._fd, -1
        files.written.note(name, fd)
        os.close(fd)
        reach("after-rename")

    def _trouble(self, what: str, error: OSError) -> SpoolError:
        if not is_shortage(error):
            self._fail(f"A spool file cannot be {what} ({error.strerror}).")
        return SpoolError(f"The object could not be {what} ({error.strerror}).")


def _join_small(buffers: Buffers) -> Buffers:
    """Join runs of small buffers: a header is hundreds of them, and each costs a call to hash."""
    if sum(map(len, buffers)) <= _SMALL_TOGETHER:
        return [b"".join(buffers)]
    joined: Buffers = []
    run: Buffers = []
    for buffer in buffers:
        if len(buffer) < _SMALL:
            run.append(buffer)
            continue
        if run:
            joined.append(b"".join(run))
            run = []
        joined.append(buffer)
    if run:
        joined.append(b"".join(run))
    return joined


def _write_all(fd: int, buffers: Buffers) -> None:
    """Write all buffers in order; a short write is followed by the rest."""
    left = sum(map(len, buffers))
    while True:
        written = os.writev(fd, buffers)
        left -= written
        if left <= 0:
            return
        while written >= len(buffers[0]):
            written -= len(buffers[0])
            buffers = buffers[1:]
        buffers = [memoryview(buffers[0])[written:], *buffers[1:]]
