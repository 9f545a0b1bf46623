"""A disk that forgets what was not synced: records what the spool does to it, and shows what may be left.

Between two syncs anything may have reached the disk or not, in any order: every page of a write, every
name that was made, moved or removed, each for itself. A rename is a name made in one folder and one
removed in another. The ledger is SQLite's business: a commit that returned is there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deid_node.spool import draft as draft_module
from deid_node.spool import object_files as files_module
from deid_node.spool import spares as spares_module
from deid_node.spool import writer as writer_module

PAGE = 4096


@dataclass(frozen=True)
class Event:
    """One thing that happened: `what` says which fields mean something."""

    what: str
    path: str = ""
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    fact: Any = None


@dataclass
class SimulatedDisk:
    """The calls that the spool made, in order, together with what it promised meanwhile."""

    root: Path
    snapshot: Callable[[], bytes]
    events: list[Event] = field(default_factory=list)
    _inodes: dict[int, int] = field(default_factory=dict)
    _folders: dict[int, str] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)

    def promise(self, what: str, fact: Any) -> None:
        """Note what was told to the outside."""
        self.events.append(Event(what, fact=fact))

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between the spool and the system from now on."""
        system = _Recording(self)
        for module in (draft_module, files_module, spares_module, writer_module):
            monkeypatch.setattr(module, "os", system)

        def reach(name: str) -> None:
            if name == "after-ledger":
                self.events.append(Event("ledger", data=self.snapshot()))

        monkeypatch.setattr(writer_module, "reach", reach)

    # --- what may be left ---------------------------------------------------------------------

    def crash(self, cut: int, chance: random.Random, target: Path) -> None:
        """Make in `target` what the disk may hold when the power fails after `cut` events."""
        names: dict[str, int] = {}
        folders = {"", "incoming", "objects", "spare"}
        loose: dict[str, list[tuple[str, str, int]]] = {}
        synced: dict[int, bytearray] = {}
        unsynced: dict[int, list[tuple[int, bytes | None]]] = {}
        ledger = b""
        for event in self.events[:cut]:
            folder = os.path.dirname(event.path)
            match event.what:
                case "make" | "remove" | "make-folder":
                    loose.setdefault(folder, []).append((event.what, event.path, event.inode))
                case "write":
                    unsynced.setdefault(event.inode, []).append((event.offset, event.data))
                case "cut":
                    unsynced.setdefault(event.inode, []).append((event.offset, None))
                case "sync-file":
                    for offset, data in unsynced.pop(event.inode, []):
                        _put(synced.setdefault(event.inode, bytearray()), offset, data)
                case "sync-folder":
                    for change in loose.pop(event.path, []):
                        _change(names, folders, change)
                case "ledger":
                    ledger = event.data
        for changes in loose.values():
            for change in changes:
                if chance.random() < 0.5:
                    _change(names, folders, change)
        for inode, writes in unsynced.items():
            for offset, data in writes:
                if data is None:
                    if chance.random() < 0.5:
                        _put(synced.setdefault(inode, bytearray()), offset, None)
                    continue
                for start in range(0, len(data), PAGE):
                    if chance.random() < 0.5:
                        content = synced.setdefault(inode, bytearray())
                        _put(content, offset + start, data[start : start + PAGE])
        for folder in sorted(folders):
            (target / folder).mkdir(parents=True, exist_ok=True)
        for path, inode in names.items():
            if os.path.dirname(path) in folders:
                (target / path).write_bytes(synced.get(inode, b""))
        (target / "ledger.sqlite").write_bytes(ledger)


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _change(names: dict[str, int], folders: set[str], change: tuple[str, str, int]) -> None:
    what, path, inode = change
    if what == "make":
        names[path] = inode
    elif what == "remove":
        names.pop(path, None)
    else:
        folders.add(path)


class _Recording:
    """Stands for the module `os`: does what is asked, and writes it down when it was done."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        disk = self._disk
        fd = os.open(path, flags, *args, **options)
        if flags & os.O_CREAT and "dir_fd" in options:
            inode = os.fstat(fd).st_ino
            disk._inodes[fd] = disk._names[path] = inode
            disk._sizes[fd] = 0
            disk.events.append(Event("make", path, inode))
        elif flags & os.O_WRONLY and "dir_fd" in options:  # a spare file, written again
            disk._inodes[fd] = disk._names[path]
            disk._sizes[fd] = 0
        elif flags & os.O_DIRECTORY and "dir_fd" in options:
            disk._folders[fd] = path
        return fd

    def writev(self, fd: int, buffers: Any) -> int:
        disk = self._disk
        written = os.writev(fd, buffers)
        data = b"".join(buffers)[:written]
        disk.events.append(Event("write", inode=disk._inodes[fd], offset=disk._sizes[fd], data=data))
        disk._sizes[fd] += written
        return written

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        self._disk.events.append(Event("cut", inode=self._disk._inodes[fd], offset=size))

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)
        self._disk.events.append(Event("sync-file", inode=self._disk._inodes[fd]))

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        if fd in self._disk._folders:
            self._disk.events.append(Event("sync-folder", self._disk._folders[fd]))

    def rename(self, source: str, target: str, **options: Any) -> None:
        os.rename(source, target, **options)
        inode = self._disk._names.pop(source)
        self._disk._names[target] = inode
        self._disk.events += [Event("make", target, inode), Event("remove", source, inode)]

    def unlink(self, path: str, **options: Any) -> None:
        os.unlink(path, **options)
        self._disk.events.append(Event("remove", path, self._disk._names.pop(path, 0)))

    def mkdir(self, path: str, mode: int = 0o777, **options: Any) -> None:
        os.mkdir(path, mode, **options)
        self._disk.events.append(Event("make-folder", path))

    def close(self, fd: int) -> None:
        os.close(fd)
        for known in (self._disk._inodes, self._disk._folders, self._disk._sizes):
            known.pop(fd, None)
