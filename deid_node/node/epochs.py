"""The keys of a project over time: the one in use, and those that were.

An epoch is the time in which one key is used; its name is computed from the key, so that two keys
never share one and every node with the same key agrees. A rotated key stays beside the new one as
`<key file>.<epoch>`: it reads what was written in its time and makes nothing new.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deid_node.engine.keys import Key
from deid_node.errors import ConfigurationError, Problems
from deid_node.node.key_file import KEY_NAME, make_key, missing_key_file, project_key, read_key
from deid_node.settings import Settings

_EPOCH: Final = re.compile("[A-Z2-7]{8}")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key in use and those of former epochs, by epoch."""

    current: Key
    file: Path | None = None
    former: Mapping[str, Key] = field(default_factory=dict)

    @property
    def epoch(self) -> str:
        """The epoch of the key in use."""
        return self.current.epoch

    def key(self, epoch: str) -> Key | None:
        """Return the key of an epoch, None when it is not here."""
        return self.current if epoch == self.epoch else self.former.get(epoch)

    def items(self) -> Iterator[tuple[str, Key]]:
        """Yield every epoch with its key, the one in use first."""
        yield self.epoch, self.current
        yield from self.former.items()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as it may be shown: where, of which epoch, since when, and whether it is in use."""

    file: Path
    epoch: str
    since: float
    in_use: bool


def key_ring(settings: Settings, more: Iterable[Path] = ()) -> KeyRing:
    """Return the keys of the project.

    Args:
        settings: names the key in use; its former ones lie beside its file.
        more: files with further former keys, from an archive.

    Raises:
        ConfigurationError: a key cannot be used (see `project_key`).
    """
    current, file = project_key(settings)
    former: dict[str, Key] = {}
    problems = Problems()
    for path in (*(former_files(file) if file is not None else ()), *more):
        with problems.gather():
            key = read_key(path)
            former[key.epoch] = key
    problems.tell()
    former.pop(current.epoch, None)
    return KeyRing(current, file, former)


def check_keys(settings: Settings) -> None:
    """Find out whether the keys of the project can be used, without making one.

    Raises:
        ConfigurationError: as for `key_ring`.
    """
    if missing_key_file(settings) is None:
        key_ring(settings)


def configured_file(settings: Settings) -> Path:
    """Return the file of the key in use, also when it is not there yet.

    Raises:
        ConfigurationError: the key is a secret of the environment and has no file that could be written.
    """
    if settings.key is not None:
        raise ConfigurationError(
            "The key is given as the secret `key`: make and rotate it where the secret is kept."
        )
    return settings.key_file or settings.state / KEY_NAME


def former_files(file: Path) -> list[Path]:
    """Return the files of former keys beside a key file."""
    if not file.parent.is_dir():
        return []
    start = f"{file.name}."
    return sorted(
        path
        for path in file.parent.iterdir()
        if path.name.startswith(start) and _EPOCH.fullmatch(path.name.removeprefix(start))
    )


def show(file: Path) -> list[KeyFile]:
    """Return the key files of a project, the one in use first; never a key.

    Raises:
        ConfigurationError: a key cannot be used.
    """
    return [
        KeyFile(path, read_key(path).epoch, path.stat().st_mtime, path == file)
        for path in (file, *former_files(file))
    ]


def new_key(file: Path) -> str:
    """Write a new key where none is; return its epoch.

    Raises:
        ConfigurationError: a key is there, or the file cannot be written.
    """
    if file.exists() or file.is_symlink():
        raise ConfigurationError(f"{file}: there is a key already; `key rotate` begins a new epoch.")
    make_key(file)
    return read_key(file).epoch


def rotate(file: Path) -> tuple[str, str]:
    """Put a new key in the place of the one in use, which stays beside it; return both epochs.

    At every moment the file holds one whole key, and the former one has its new name before it loses
    the old.

    Raises:
        ConfigurationError: the key in use cannot be read, or the folder cannot be written.
    """
    former = read_key(file).epoch
    kept = file.with_name(f"{file.name}.{former}")
    made = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    make_key(made)
    try:
        if not kept.exists():
            os.link(file, kept)
        os.rename(made, file)
        descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise ConfigurationError(f"{file}: the key cannot be rotated ({error.strerror}).") from None
    return former, read_key(file).epoch
