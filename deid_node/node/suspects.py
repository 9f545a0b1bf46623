"""Which objects the process dies over, so that no object can do that again and again.

A library can end the process at an object by a fatal signal; the service manager starts the node, the
sender sends the object again, and nobody is served any more. So every thread that takes an object in
notes its keyed digest in a small file that outlives the process, and the interpreter's fault handler
writes which thread it was. kill -9 leaves no such trace: it makes nothing suspect.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
import re
import struct
import threading
import time
from pathlib import Path
from typing import IO, Final

from deid_node.dimse.association import ObjectIntake, StoreAnswer
from deid_node.spool.lock import lock

_DEATHS: Final = 2
_REMEMBERED_S: Final = 86400.0
_SLOTS: Final = 4096 + 64  # an association each
_SLOT: Final = struct.Struct("<Q32s")
_ANEW: Final = os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_THREAD: Final = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
_CAUSE: Final = re.compile(r"^Fatal Python error: ([A-Za-z ]{1,40})", re.MULTILINE)


class Suspects:
    """The objects at work, and those that the process died over within a day. `open` makes one."""

    def __init__(
        self, known: dict[str, tuple[int, float]], at_work: mmap.mmap, trace: IO[str], lock_fd: int
    ) -> None:
        """For `open` only."""
        self.died_of = ""
        self._known = known
        self._at_work = at_work
        self._trace = trace
        self._lock_fd = lock_fd
        self._free = list(range(_SLOTS))

    @classmethod
    def open(cls, folder: Path) -> Suspects:
        """Find out what the process before died over, and watch this one.

        `died_of` is the signal in words, "" when it did not die by a fault of its own.

        Raises:
            SpoolError: another process notes its objects here.
            OSError: the folder cannot be used.
        """
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = lock(folder, "state")  # the other's notes are mapped: cut short they would end it
        try:
            return cls._watching(folder, lock_fd)
        except BaseException:
            os.close(lock_fd)
            raise

    @classmethod
    def _watching(cls, folder: Path, lock_fd: int) -> Suspects:
        told = _read(folder / "fault").decode("ascii", errors="replace")
        now = time.time()
        known = {
            digest: (deaths, at) for digest, (deaths, at) in _load(folder).items() if now - at < _REMEMBERED_S
        }
        thread = _THREAD.search(told)
        if thread and (digest := _held_by(int(thread[1], 16), _read(folder / "at-work"))):
            known[digest] = (known.get(digest, (0, 0.0))[0] + 1, now)
        _save(folder, known)
        at_work = os.open(folder / "at-work", _ANEW | os.O_RDWR, 0o600)
        try:
            os.ftruncate(at_work, _SLOTS * _SLOT.size)
            memory = mmap.mmap(at_work, _SLOTS * _SLOT.size)
        finally:
            os.close(at_work)
        trace = os.fdopen(os.open(folder / "fault", _ANEW | os.O_WRONLY, 0o600), "w")
        faulthandler.enable(trace)  # of all threads: only then it names the one that died
        suspects = cls(known, memory, trace, lock_fd)
        cause = _CAUSE.search(told)
        suspects.died_of = cause[1] if cause else ""
        return suspects

    def close(self) -> None:
        """Watch no more; also twice."""
        if not self._trace.closed:
            faulthandler.disable()
            self._trace.close()
            self._at_work.close()
            os.close(self._lock_fd)

    def is_poison(self, digest: bytes) -> bool:
        """Whether the process died over this object twice within a day."""
        return self._known.get(digest.hex(), (0, 0.0))[0] >= _DEATHS

    def watch(self, digest: bytes, intake: ObjectIntake) -> ObjectIntake:
        """Return an intake of the calling thread whose object is known to be at work until it ends."""
        try:
            slot = self._free.pop()  # an atomic step, as is giving it back: no lock
        except IndexError:
            return intake
        _SLOT.pack_into(self._at_work, slot * _SLOT.size, threading.get_ident(), digest)
        return _Watched(self, slot, intake)

    def end(self, slot: int) -> None:
        """Forget an object that has ended; for `_Watched`."""
        try:
            _SLOT.pack_into(self._at_work, slot * _SLOT.size, 0, b"")
        except ValueError:  # closed: the node stops
            return
        self._free.append(slot)


class _Watched:
    """An object at work."""

    __slots__ = ("_intake", "_slot", "_suspects", "feed", "give_up")

    def __init__(self, suspects: Suspects, slot: int, intake: ObjectIntake) -> None:
        self._suspects = suspects
        self._slot = slot
        self._intake = intake
        self.feed = intake.feed
        self.give_up = intake.give_up

    def finish(self) -> StoreAnswer:
        """Return the answer."""
        try:
            return self._intake.finish()
        finally:
            self._end()

    def _end(self) -> None:
        slot, self._slot = self._slot, -1
        if slot >= 0:
            self._suspects.end(slot)

    def refuse(self, answer: StoreAnswer) -> None:
        """Forget the object, which is refused."""
        try:
            self._intake.refuse(answer)
        finally:
            self._end()

    def abort(self) -> None:
        """Forget the object."""
        try:
            self._intake.abort()
        finally:
            self._end()


def _held_by(thread: int, at_work: bytes) -> str | None:
    whole = len(at_work) // _SLOT.size * _SLOT.size
    for ident, digest in _SLOT.iter_unpack(at_work[:whole]):
        if ident == thread:
            return str(digest.hex())
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _load(folder: Path) -> dict[str, tuple[int, float]]:
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        found = json.loads(_read(folder / "suspects.json") or b"{}")
        return {str(digest): (int(deaths), float(at)) for digest, (deaths, at) in found.items()}
    return {}  # half written by a power cut: what it knew comes again


def _save(folder: Path, known: dict[str, tuple[int, float]]) -> None:
    new = folder / "suspects.new"
    with os.fdopen(os.open(new, _ANEW | os.O_WRONLY, 0o600), "w") as file:
        json.dump(known, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, folder / "suspects.json")
