"""Small file systems of their own, to be filled by tests. Needs root; skips without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory; `size` is its option for mount, others may follow after a comma."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("not permitted to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is free, in large and then in small pieces."""
    path = disk / "other"
    with path.open("wb", buffering=0) as file:
        for piece in (1 << 20, 4096, 512):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError:
                continue
    return path


def fill_to(disk: Path, share: float) -> None:
    """Let somebody else's file grow or shrink until that share of the disk is used."""
    path = disk / "other"
    path.touch()
    found = os.statvfs(disk)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    wanted = int(found.f_blocks * found.f_frsize * share) - used + path.stat().st_blocks * 512
    with path.open("r+b") as file:
        file.truncate(wanted)
        os.posix_fallocate(file.fileno(), 0, wanted)
