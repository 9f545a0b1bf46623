"""The audit stream: who brought, took or looked at what, one JSON object a line, only ever appended.

Pseudonymous: de-identified UIDs, AE titles, addresses, codes and counts; no value of a patient. It has
a file of its own, which is locked for every write, so that commands may write beside the node, and put
aside when it is full. What goes out of memory is synced; what a crash took of the objects that were
stored is written again from the ledger at the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import structlog

from deid_node.errors import SpoolError
from deid_node.log import describe

_LOG: Final = structlog.get_logger(__name__)
NAME: Final = "audit.jsonl"
STORED: Final = "object-stored"
STARTED: Final = "node-started"
DROPPED: Final = "audit-messages-dropped"
_ASIDE: Final = "audit-*.jsonl"
_TAIL_BYTES: Final = 1 << 20
_GATHER_S: Final = 0.1
_RETRY_S: Final = 1.0
_MOST_WAITING: Final = 10_000
_DAY_S: Final = 86400.0

Fields = Mapping[str, object]


class AuditTrail:
    """The audit stream of one node or command. Safe for threads."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 64 << 20,
        keep_days: float | None = None,
        durable: bool = True,
        is_needed: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Open the stream in a folder, made when it is not there.

        Args:
            folder: of the stream alone.
            max_bytes: after so many bytes the file is put aside as audit-<time>.jsonl.
            keep_days: a file that was put aside longer ago is removed; None keeps all.
            durable: sync what is written.
            is_needed: whether a file of this name that was put aside has to be kept in spite of its age.

        Raises:
            SpoolError: the folder cannot be used.
        """
        self._folder = folder
        self._path = folder / NAME
        self._max_bytes = max_bytes
        self._keep_days = keep_days
        self._durable = durable
        self._is_needed = is_needed
        self._waiting: deque[str] = deque()
        self._writing = threading.Lock()
        self._bell = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the state, if it is new
            folder.mkdir(mode=0o700, exist_ok=True)
            os.close(self._open())
        except OSError as error:
            raise SpoolError(f"The audit stream in {folder} cannot be written ({error.strerror}).") from None

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be written that nothing new may happen."""
        return len(self._waiting) >= _MOST_WAITING

    def write(self, event: str, **fields: object) -> None:
        """Write one event; it is durable on return.

        Raises:
            SpoolError: it cannot be written; what it tells of must not be done.
        """
        try:
            with self._writing:
                self._append([_line(event, fields)])
        except OSError as error:
            raise SpoolError(f"The audit stream cannot be written ({error.strerror}).") from error

    def post(self, event: str, **fields: object) -> None:
        """Write one event soon; after an error it waits until it can be written."""
        self._waiting.append(_line(event, fields))
        if self._thread is None:
            self._start()
        if not self._bell.is_set():
            self._bell.set()

    def close(self) -> None:
        """Write what waits and stop; also twice."""
        self._closing = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join()

    def recent(self) -> list[dict[str, Any]]:
        """Return the last events, of a mebibyte or two.

        Raises:
            SpoolError: the stream cannot be read.
        """
        try:
            return [event for path in (*aside(self._folder)[-1:], self._path) for event in _tail(path)]
        except OSError as error:
            raise SpoolError(f"The audit stream cannot be read ({error.strerror}).") from error

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._attend, name="audit", daemon=True)
                self._thread.start()

    def _attend(self) -> None:
        troubled = False
        while True:
            self._bell.wait()
            self._bell.clear()
            lines = list(self._waiting)
            try:
                with self._writing:
                    self._append(lines)
            except OSError as error:
                if not troubled:
                    _LOG.error("node.audit_not_written", **describe(error))
                troubled = True
                if self._closing:
                    return
                time.sleep(_RETRY_S)
                self._bell.set()
                continue
            troubled = False
            for _ in lines:
                self._waiting.popleft()
            if self._closing and not self._waiting:
                return
            time.sleep(0 if self._closing else _GATHER_S)  # one sync for what comes together
            if self._waiting:
                self._bell.set()

    def _append(self, lines: list[str]) -> None:
        """Append whole lines to the file in use. Raises OSError; a part of a line is taken back."""
        if not lines:
            return
        data = "".join(lines).encode()
        fd = self._locked()
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":  # the end of a line that a crash cut
                data = b"\n" + data
            try:
                written = 0
                while written < len(data):
                    written += os.write(fd, data[written:])
                if self._durable:
                    os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            if size + len(data) >= self._max_bytes:
                self._put_aside()
        finally:
            os.close(fd)

    def _locked(self) -> int:
        """Return the file in use, locked until it is closed."""
        while True:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    return fd
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # put aside by another process meanwhile

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._path, flags, 0o600)

    def _put_aside(self) -> None:
        at = datetime.now(UTC)
        name = f"audit-{at:%Y%m%dT%H%M%S%f}"
        last = max((path.stem for path in aside(self._folder)), default="")
        if name <= last:  # the clock was set back; the order of names is the order of lines
            name = f"{last}1"
        os.rename(self._path, self._folder / f"{name}.jsonl")
        if self._keep_days is None:
            return
        for path in aside(self._folder):
            with contextlib.suppress(OSError):
                if (
                    not self._is_needed(path.name)
                    and path.stat().st_mtime < at.timestamp() - self._keep_days * _DAY_S
                ):
                    path.unlink()


def aside(folder: Path) -> list[Path]:
    """Return the files of a stream that were put aside, the oldest first."""
    return sorted(folder.glob(_ASIDE), key=lambda path: path.stem)


def who() -> dict[str, object]:
    """Return the account that runs a command, for the audit of what people do."""
    try:
        return {"account": getpass.getuser(), "user": os.getuid()}
    except (OSError, KeyError):  # no entry for the number of the account
        return {"user": os.getuid()}


def _line(event: str, fields: Fields) -> str:
    told = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "process": os.getpid(),
    }
    for name, value in fields.items():
        if value is not None:
            told[name] = value
    return _as_json(told) + "\n"


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else str(value)


_as_json: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode


def _tail(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the last lines of a file; a line that was cut is left out."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "event" in found:
                yield found
