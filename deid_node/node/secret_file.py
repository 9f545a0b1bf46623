"""Reads a file that holds a secret, after making sure that nobody else could read or replace it.

A regular file of this account or of root, that group and others cannot read. What systemd or a container
engine shows as a secret may have wider modes and other owners: they guard it otherwise.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deid_node.settings.load import secret_folders

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class UnguardedError(Exception):
    """The file is no safe place for a secret; the text says why and what would be right."""


def read_secret_file(path: Path, max_bytes: int, *, environment: Mapping[str, str] | None = None) -> bytes:
    """Return the content of a secret file, of `max_bytes` at most. A symbolic link is followed.

    Raises:
        UnguardedError: it is not a regular file, or others own it or may read it.
        OSError: it cannot be read.
    """
    # Not blocking, so that a pipe that lies there cannot hold up a start.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnguardedError("is a folder" if stat.S_ISDIR(found.st_mode) else "is not a regular file")
        if not _is_shown_as_secret(path, environment):
            _check(found)
        return os.read(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def _check(found: os.stat_result) -> None:
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise UnguardedError(f"may be read by others (mode {mode:04o}); `chmod 600` it")
    if found.st_uid not in (0, os.geteuid()):
        raise UnguardedError(
            f"belongs to another account (uid {found.st_uid}); `chown` it to the one that runs deid-node"
        )


def _is_shown_as_secret(path: Path, environment: Mapping[str, str] | None) -> bool:
    folders = secret_folders(os.environ if environment is None else environment)
    above = Path(os.path.realpath(path)).parents  # where it lies, not by which way it was named
    return any(Path(os.path.realpath(folder)) in above for folder in folders)
