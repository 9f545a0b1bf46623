"""Originals that wait on the disk to be de-identified: encrypted, durable, each in one state of the ledger.

The only place where what identifies lies on the disk, and never in the clear. An original is written in
`incoming`, synced, renamed into `sealed`, and then named by the ledger, as de-identified objects are; it is
erased when what was made of it is committed. Off unless a node has the key for it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from deid_node.errors import SpoolError
from deid_node.spool import sealed_rows as rows
from deid_node.spool.deadline import Deadline, TooLate
from deid_node.spool.entry import Origin
from deid_node.spool.envelope import Envelopes, erase_file
from deid_node.spool.failpoint import reach
from deid_node.spool.pieces import PieceWriter
from deid_node.spool.recovery import INCOMING, SEALED, SEALED_SUFFIX, sealed_place
from deid_node.spool.sealed_rows import Deposited, SealedRow, Why
from deid_node.spool.spool import Spool
from deid_node.spool.writer import is_shortage

_RANDOM_BYTES: Final = 16
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of an original inside its envelope: all that de-identifying it needs beside its bytes.

    `uid_digest` is the keyed digest of its SOP Instance UID, in hexadecimal.
    """

    route: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling: str
    called: str
    address: str
    association: str
    at: float
    uid_digest: str

    @property
    def origin(self) -> Origin:
        """Who sent it."""
        return Origin(self.calling, self.called, self.address, self.association)


def _deposited(name: str, said: Said, content: bytes, size: int, why: Why | None = None) -> Deposited:
    return Deposited(
        object=name,
        route=said.route,
        uid_digest=bytes.fromhex(said.uid_digest),
        content_digest=content,
        size=size,
        sop_class_uid=said.sop_class_uid,
        origin=said.origin,
        at=said.at,
        why=why,
    )


def read_deposited(folder: Path, name: str, envelopes: Envelopes) -> Deposited:
    """Read a sealed file to its end and return what a ledger has to know of it.

    Raises:
        SealError: it is damaged, erased, or sealed with another key.
        OSError: it cannot be read.
    """
    with (folder / sealed_place(name)).open("rb") as stream:
        about, pieces = envelopes.open(stream, name)
        said = Said(**about)
        content = envelopes.content(said.transfer_syntax_uid)
        for piece in pieces:
            content.update(piece)
        return _deposited(name, said, content.digest(), os.fstat(stream.fileno()).st_size)


def read_header(folder: Path, name: str, envelopes: Envelopes, max_bytes: int) -> tuple[Said, bytes]:
    """Return what is said of an original and the beginning of its dataset; also beside a running node.

    Raises:
        SealError: it is damaged, erased, or sealed with another key.
        OSError: it cannot be read.
    """
    with (folder / sealed_place(name)).open("rb") as stream:
        about, pieces = envelopes.open(stream, name)
        head = bytearray()
        for piece in pieces:
            head += piece
            if len(head) >= max_bytes:
                break
        return Said(**about), bytes(head)


@dataclass(frozen=True, slots=True)
class Original:
    """An original that was begun: its row, what is said of it, and the pieces of its dataset."""

    row: SealedRow
    said: Said
    pieces: Iterator[bytes]


class SealedStore:
    """The sealed originals of one spool. Used by many threads."""

    def __init__(self, spool: Spool, envelopes: Envelopes) -> None:
        """Look after what waits.

        Raises:
            SpoolError: originals wait here that were sealed with another key.
        """
        self.spool = spool
        self.envelopes = envelopes
        self.bell = threading.Event()
        foreign = sum(not self._is_ours(row.object) for row in spool.desk.sealed())
        if foreign:
            raise SpoolError(
                f"{foreign} sealed originals wait in {spool.folder} that were sealed with another key. Put "
                "that key back until they are gone; `deid-node sealed list` shows them."
            )

    def begin(self, said: Said) -> Deposit:
        """Begin to seal an original.

        Raises:
            SpoolError: the spool has failed or has no room.
            OSError: its file cannot be made.
        """
        if self.spool.failed is not None:
            raise SpoolError(self.spool.failed)
        if not self.spool.has_room():
            raise SpoolError("The file system of the spool has no room for new objects.")
        return Deposit(self, said)

    def is_waiting(self, route: str, uid_digest: bytes) -> bool:
        """Tell whether one waits that came before under the same UID, and goes on by itself."""
        return self.spool.transact(lambda conn: rows.is_waiting(conn, route, uid_digest))

    def claim(self) -> SealedRow | None:
        """Begin the oldest original that waits. Raises SpoolError."""
        now = time.time()
        claimed = self.spool.transact(lambda conn: rows.claim(conn, now))
        reach("after-sealed-claim")
        return claimed

    def open(self, row: SealedRow) -> tuple[BinaryIO, Original]:
        """Open an original; the caller closes the file.

        Raises:
            SealError: it is damaged, or sealed with another key.
            OSError: it cannot be read.
        """
        fd = os.open(
            sealed_place(row.object), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.spool.root_fd
        )
        stream = os.fdopen(fd, "rb")
        try:
            said, pieces = self.envelopes.open(stream, row.object)
            return stream, Original(row, Said(**said), pieces)
        except BaseException:
            stream.close()
            raise

    def hold(self, row: SealedRow, why: Why) -> None:
        """Let an original that was begun wait for what it lacks. Raises SpoolError."""
        now = time.time()
        self.spool.transact(lambda conn: rows.hold(conn, row.id, why, now))

    def suspects(self) -> list[SealedRow]:
        """Return the originals that were under way when the process ended. Raises SpoolError."""
        return self.spool.transact(rows.suspects)

    def accuse(self, row: SealedRow, why: Why) -> None:
        """Hold a suspect that has ended a process again. Raises SpoolError."""
        now = time.time()
        self.spool.transact(lambda conn: rows.accuse(conn, row.id, why, now))

    def give_back(self, row: SealedRow) -> None:
        """Let an original that was begun wait for its turn again. Raises SpoolError."""
        now = time.time()
        self.spool.transact(lambda conn: rows.give_back(conn, row.id, now))

    def try_again(self, row: SealedRow) -> None:
        """Let an original wait for another try that ended its worker; the try counts. Raises SpoolError."""
        now = time.time()
        self.spool.transact(lambda conn: rows.try_again(conn, row.id, now))
        self.bell.set()

    def forget(self, row: SealedRow) -> None:
        """End an original that goes nowhere. Raises SpoolError."""
        self.spool.transact(lambda conn: rows.forget(conn, row.id))
        self.erase(row.object)

    def release_for_settings(self) -> int:
        """Let originals go on that waited for a table or a route, after settings were read again."""
        now = time.time()
        released = self.spool.transact(lambda conn: rows.release(conn, now, codes=rows.WAITS_FOR_SETTINGS))
        if released:
            self.bell.set()
        return released

    def erase(self, name: str) -> None:
        """Erase and remove the file of an original whose row is gone; the next start does what fails here."""
        reach("before-erase")
        with suppress(OSError):
            erase_file(sealed_place(name), self.spool.root_fd, durable=self.spool.durable)

    def _is_ours(self, name: str) -> bool:
        try:
            with (self.spool.folder / sealed_place(name)).open("rb") as stream:
                return self.envelopes.is_ours(stream)
        except OSError:
            return True  # there is nothing that another key could open


class Deposit:
    """One original on its way into the store. Used by one thread; ends with `commit` or `discard`."""

    def __init__(self, store: SealedStore, said: Said) -> None:
        self._store = store
        self._spool = store.spool
        self._said = said
        self._name = secrets.token_hex(_RANDOM_BYTES)
        self._content = store.envelopes.content(said.transfer_syntax_uid)
        fd = os.open(self._incoming, _FLAGS, 0o600, dir_fd=self._spool.root_fd)
        self._stream: BinaryIO | None = os.fdopen(fd, "w+b")
        reach("sealed-created")
        try:
            self._writer: PieceWriter = store.envelopes.seal(self._stream, self._name, asdict(said))
        except OSError:
            self.discard()
            raise

    @property
    def _incoming(self) -> str:
        return f"{INCOMING}/{self._name}{SEALED_SUFFIX}"

    def feed(self, piece: memoryview) -> None:
        """Seal and write the next bytes.

        Raises:
            SpoolError: they could not be written; the deposit is discarded.
        """
        self._content.update(piece)
        try:
            self._writer.write(piece)
        except OSError as error:
            raise self._trouble("written", error) from error

    def commit(self, *, deadline: Deadline | None = None, why: Why | None = None) -> int:
        """Make the original durable and return its number; 0 when the same one waits here already.

        Args:
            deadline: after which it is not kept.
            why: it is held from the beginning.

        Raises:
            TooLate: it was durable after the deadline; nothing of it is left.
            SpoolError: it is not durable; nothing of it is left.
        """
        stream = self._stream
        assert stream is not None
        try:
            size = self._finish_file(stream)
        except OSError as error:
            raise self._trouble("made durable", error) from error
        new = _deposited(self._name, self._said, self._content.digest(), size, why)
        number = self._record(new, deadline)
        if not number:
            self._store.erase(self._name)
        else:
            self._store.bell.set()
        return number

    def discard(self) -> None:
        """Erase what was written; does nothing after `commit`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
            with suppress(OSError):
                erase_file(self._incoming, self._spool.root_fd, durable=False)

    def _finish_file(self, stream: BinaryIO) -> int:
        reach("sealed-written")
        self._writer.finish()
        stream.flush()
        if self._spool.durable:
            reach("before-sealed-sync")
            os.fdatasync(stream.fileno())
        reach("after-sealed-sync")
        size = os.fstat(stream.fileno()).st_size
        root = self._spool.root_fd
        os.rename(self._incoming, sealed_place(self._name), src_dir_fd=root, dst_dir_fd=root)
        self._stream = None
        stream.close()
        reach("after-sealed-rename")
        return size

    def _record(self, new: Deposited, deadline: Deadline | None) -> int:
        spool = self._spool
        try:
            if deadline is not None and deadline.is_over:
                raise TooLate("The original was on the disk too late.")
            return spool.transact(
                lambda conn: rows.deposit(conn, new), folder=SEALED, deadline=deadline, undo=rows.withdraw
            )
        except SpoolError:
            if spool.failed is None:
                self._store.erase(self._name)
            raise

    def _trouble(self, what: str, error: OSError) -> SpoolError:
        self.discard()
        if not is_shortage(error):
            self._spool.fail(f"A sealed file cannot be {what} ({error.strerror}).")
        return SpoolError(f"The original could not be {what} ({error.strerror}).")
