"""The keys that functions of a profile name: read with suspicion, never printed.

A profile says `key = "site-hash"`; the bytes come from the environment (DEID_NODE_SECRET_SITE_HASH), a
systemd credential or container secret (deid_node_secret_site-hash), or a file of mode 0600 that is
called as the secret in the folder `secrets` of the state. The first of these that is there counts.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from deid_node.errors import ConfigurationError
from deid_node.node.secret_file import UnguardedError, read_secret_file
from deid_node.settings import default_state
from deid_node.settings.load import SECRET_PREFIX, secret_folders

FOLDER: Final = "secrets"
_MAX_BYTES: Final = 65536


def read_secrets(
    names: Iterable[str], state: Path, *, environment: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Return the bytes of every named secret, without the newline that ends a file.

    Args:
        names: as profiles write them.
        state: the state folder of the node.
        environment: stands for `os.environ`.

    Raises:
        ConfigurationError: with every secret that is not there, empty, or readable by others.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for name in sorted(names):
        try:
            found[name] = _read(name, state, environment)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    return found


def account_secrets(names: Iterable[str]) -> dict[str, bytes]:
    """Return the named secrets of this account, without looking at any configuration.

    Raises:
        ConfigurationError: as for `read_secrets`.
    """
    return read_secrets(names, default_state())


def keep_secret(name: str, value: bytes, state: Path) -> Path:
    """Write a secret into the state folder, for this account alone; return its file.

    Where another value has the name, a number is added to it: the file is called as the secret.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    for number in itertools.count(1):
        word = name if number == 1 else f"{name}-{number}"
        file = state / FOLDER / word
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            if _file(word, file) == value:
                return file
            continue
        except OSError as error:
            raise ConfigurationError(
                f"{file}: the secret {word!r} cannot be written ({error.strerror})."
            ) from None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(value + b"\n")
        return file
    raise AssertionError("unreachable")


def variable_of(name: str) -> str:
    """Return the environment variable of a secret."""
    return f"DEID_NODE_{SECRET_PREFIX}{_plain(name)}".upper()


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def _read(name: str, state: Path, environment: Mapping[str, str]) -> bytes:
    variable = variable_of(name)
    if environment.get(variable):
        return environment[variable].encode()
    for folder in reversed(secret_folders(environment)):
        for word in dict.fromkeys((name, _plain(name))):
            for prefix in (f"deid_node_{SECRET_PREFIX}", SECRET_PREFIX):
                file = folder / f"{prefix}{word}"
                if file.is_file():
                    return _file(name, file, environment)
    own = state / FOLDER / name
    if own.exists():
        return _file(name, own, environment)
    raise ConfigurationError(
        f"The secret {name!r} that a profile names is not there; write it into {own} (mode 0600), or set"
        f" {variable}."
    )


def _file(name: str, file: Path, environment: Mapping[str, str] | None = None) -> bytes:
    try:
        secret = read_secret_file(file, _MAX_BYTES, environment=environment)
    except UnguardedError as error:
        raise ConfigurationError(f"{file}: the secret {name!r} {error}.") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: the secret {name!r} cannot be read ({error.strerror}).") from None
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise ConfigurationError(f"{file}: the secret {name!r} is empty.")
    return secret
