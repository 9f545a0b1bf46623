"""Objects that could not be de-identified and that a route wants kept: sealed, for a person.

The original is sealed while it arrives; no byte of it lies on the disk in clear. Beside it stands what
an operator may see without the private key: when, who, why. The private key need not be on this host.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from deid_node.dimse.association import Caller, StoreRequest
from deid_node.engine.heading import heading_of
from deid_node.errors import ObjectRefused, SpoolError
from deid_node.node.sealing import Seal, unseal
from deid_node.spool.pieces import label, split_label

_SEALED: Final = ".sealed"
_NOTE: Final = ".json"
_PART: Final = ".part"
_LOOK_S: Final = 10.0
_DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Note:
    """What may be known of a quarantined object without the private key.

    `at` is when it came by the clock of the machine, `steady_at` by the one that ages are counted by; 0 in
    notes of earlier versions.
    """

    id: str
    at: float
    route: str
    code: str
    reason: str
    path: str
    sop_class_uid: str
    calling: str
    called: str
    address: str
    size: int
    steady_at: float = 0.0


class Quarantine:
    """The folder of sealed objects of one node."""

    def __init__(
        self,
        folder: Path,
        recipient: X25519PublicKey,
        *,
        durable: bool = True,
        max_bytes: int = sys.maxsize,
        steady: Callable[[], float] = time.time,
    ) -> None:
        """Open the folder, made when it is absent, and remove what was left unfinished.

        Args:
            folder: of sealed objects alone.
            recipient: who can open them.
            durable: sync what is written.
            max_bytes: of all objects; more are not kept.
            steady: the clock that ages are counted by.

        Raises:
            SpoolError: the folder cannot be used.
        """
        self._folder = folder
        self._recipient = recipient
        self._durable = durable
        self._room = _Room(folder, max_bytes)
        self._steady = steady
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in folder.glob(f"*{_PART}"):
                part.unlink()
            for note in folder.glob(f"*{_NOTE}"):
                if not note.with_suffix(_SEALED).exists():
                    note.unlink()
        except OSError as error:
            raise SpoolError(f"The quarantine {folder} cannot be used ({error.strerror}).") from None

    def begin(self, caller: Caller, request: StoreRequest, route: str) -> SealedObject:
        """Start to seal an object. Raises OSError."""
        return SealedObject(
            self._folder,
            self._recipient,
            caller,
            request,
            route,
            self._room.take,
            self._steady,
            durable=self._durable,
        )


class _Room:
    """How much may still be kept. Counts what this process adds, and looks again now and then."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held = 0
        self._looked_at = -_LOOK_S

    def take(self, size: int) -> None:
        """Count one more object. Raises OSError when there is no room for it."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_S:  # a person may have removed some
                self._held = sum(entry.stat().st_size for entry in self._folder.glob(f"*{_SEALED}"))
                self._looked_at = now
            if self._held + size > self._max_bytes:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
            self._held += size


class SealedObject:
    """One object on its way into the quarantine, or to nowhere when it could be de-identified."""

    def __init__(
        self,
        folder: Path,
        recipient: X25519PublicKey,
        caller: Caller,
        request: StoreRequest,
        route: str,
        take: Callable[[int], None],
        steady: Callable[[], float],
        *,
        durable: bool,
    ) -> None:
        self._folder = folder
        self._id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(6)}"
        self._caller = caller
        self._request = request
        self._route = route
        self._take = take
        self._steady = steady
        self._durable = durable
        self._size = 0
        self._part = folder / f"{self._id}{_PART}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._stream: BinaryIO = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        try:
            self._seal = Seal(self._stream, recipient)
            self._seal.write(label(asdict(request)))
        except OSError:
            self.discard()
            raise

    def feed(self, piece: memoryview) -> None:
        """Seal and write the next bytes. Raises OSError."""
        self._size += len(piece)
        self._seal.write(piece)

    def keep(self, refusal: ObjectRefused) -> None:
        """Make the sealed object and its note durable. Raises OSError."""
        self._take(self._size)
        self._seal.finish()
        self._stream.flush()
        if self._durable:
            os.fsync(self._stream.fileno())
        self._stream.close()
        caller = self._caller
        note = Note(
            id=self._id,
            at=time.time(),
            route=self._route,
            code=refusal.code,
            reason=refusal.reason,
            path=refusal.path,
            sop_class_uid=self._request.sop_class_uid,
            calling=caller.calling,
            called=caller.called,
            address=caller.address,
            size=self._size,
            steady_at=self._steady(),
        )
        with (self._folder / f"{self._id}{_NOTE}").open("x", encoding="utf-8") as stream:
            json.dump(asdict(note), stream)
            stream.flush()
            if self._durable:
                os.fsync(stream.fileno())
        os.rename(self._part, self._folder / f"{self._id}{_SEALED}")
        if self._durable:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def discard(self) -> None:
        """Remove it, also after `keep`."""
        with suppress(OSError):
            self._stream.close()
        for suffix in (_PART, _SEALED, _NOTE):
            with suppress(OSError):
                (self._folder / f"{self._id}{suffix}").unlink()


def notes(folder: Path) -> list[Note]:
    """Return what is known of every object in quarantine, the oldest first."""
    found = []
    for sealed in sorted(folder.glob(f"*{_SEALED}")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Note(**json.loads(sealed.with_suffix(_NOTE).read_text("utf-8"))))
    return found


def expired(folder: Path, keep_days: float, now: float) -> list[str]:
    """Return the ids of objects that came longer ago; `now` is of the steady clock."""
    before = now - keep_days * _DAY_S
    return [note.id for note in notes(folder) if (note.steady_at or note.at) < before]


def purge(folder: Path, ids: list[str]) -> None:
    """Remove objects for good. Raises OSError."""
    for id_ in ids:
        (folder / f"{id_}{_SEALED}").unlink()
        with suppress(FileNotFoundError):
            (folder / f"{id_}{_NOTE}").unlink()


@contextmanager
def opened(
    folder: Path, id_: str, private: X25519PrivateKey
) -> Iterator[tuple[StoreRequest, Iterator[bytes]]]:
    """Open an object: what its C-STORE-RQ said, and its dataset in pieces.

    No piece is to be used before the last one has come.

    Raises:
        SealError: it cannot be opened with this key.
        OSError: the file cannot be read.
    """
    with (folder / f"{id_}{_SEALED}").open("rb") as sealed:
        pieces = unseal(sealed, private)
        said, first = split_label(next(pieces))
        yield StoreRequest(**said), chain((first,), pieces)


def export(folder: Path, id_: str, private: X25519PrivateKey, output: Path) -> None:
    """Write the original of an object as a DICOM file of mode 0600. It identifies the patient.

    Raises:
        SealError: it cannot be opened with this key.
        OSError: a file cannot be read or written, or `output` is there already.
    """
    with opened(folder, id_, private) as (request, pieces):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(output, flags, 0o600), "wb") as stream:
            try:
                uids = request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid
                stream.write(heading_of(*uids).meta)
                for piece in pieces:
                    stream.write(piece)
            except BaseException:
                output.unlink()
                raise


def sealed_ids(folder: Path) -> Iterator[str]:
    """Yield the ids of all objects in quarantine."""
    return (sealed.stem for sealed in sorted(folder.glob(f"*{_SEALED}")))
