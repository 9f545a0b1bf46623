"""The project key on disk: read with suspicion, made once with mode 0600.

A key file is text: 64 or more hexadecimal digits, as `openssl rand -hex 32` prints them. Binary keys
are not read: a newline that an editor adds would silently change every pseudonym.
"""

from __future__ import annotations

import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.engine.keys import MIN_KEY_BYTES, Key
from deid_node.errors import ConfigurationError
from deid_node.node.secret_file import UnguardedError, read_secret_file
from deid_node.settings import Settings, default_state

if TYPE_CHECKING:
    from deid_node.spool.envelope import Envelopes

KEY_NAME: Final = "project.key"
_MAX_KEY_FILE: Final = 4096
_RIGHT: Final = (
    f"{2 * MIN_KEY_BYTES} or more hexadecimal digits (`openssl rand -hex {MIN_KEY_BYTES}` prints some)"
)


@dataclass(frozen=True, slots=True)
class _What:
    """How messages speak of a key."""

    name: str
    when_gone: str
    when_read: str


_PROJECT: Final = _What(
    "the project key",
    "Put the key of the project back, or leave key_file unset to have a new one made; a new key makes other "
    "pseudonyms.",
    "can recompute every pseudonym",
)
_SEALING: Final = _What(
    "the key of sealed originals",
    "Put it back: what waits was sealed with it. Where nothing waits, `deid-node key new --key-file` makes "
    "one.",
    "can open every original that waits",
)


def project_key(
    settings: Settings, *, environment: Mapping[str, str] | None = None
) -> tuple[Key, Path | None]:
    """Return the project key and the file it lies in; make the default file when it is absent.

    Raises:
        ConfigurationError: absent although configured, readable by others, too short, not hexadecimal.
    """
    if settings.key is not None:
        return _parse(settings.key.get_secret_value(), "the secret `key`"), None
    if settings.key_file is not None:
        return read_key(settings.key_file, environment=environment), settings.key_file
    path = settings.state / KEY_NAME
    _refuse_lost_key(settings, path)
    return _read_or_make(path, environment), path


def _refuse_lost_key(settings: Settings, path: Path) -> None:
    """Make no new key where objects were made with one that is gone: every pseudonym would change."""
    if path.exists():
        return
    from deid_node.spool.upkeep import holds_objects  # with all of the spool, which only a node needs

    if holds_objects(settings.spool_folder):
        raise ConfigurationError(
            f"{path}: the project key is gone, and the ledger has objects that were made with it. Put it "
            "back from where it is kept; `deid-node key new` makes another one, and other pseudonyms."
        )


def missing_key_file(settings: Settings, key_file: Path | None = None) -> Path | None:
    """Return the file in which a key would be made now, None when there is one or it has to be there.

    Args:
        settings: name the key.
        key_file: a file that was named beside them, as commands have it.

    Raises:
        ConfigurationError: the key that objects were made with is gone.
    """
    if key_file is None and (settings.key is not None or settings.key_file is not None):
        return None
    path = key_file or settings.state / KEY_NAME
    if path.exists() or path.is_symlink():
        return None
    if key_file is None:
        _refuse_lost_key(settings, path)
    return path


def stand_in_key() -> Key:
    """Return a key that is nowhere kept, for looking at what would become of objects."""
    return Key(secrets.token_bytes(MIN_KEY_BYTES))


def open_envelopes(settings: Settings, *, environment: Mapping[str, str] | None = None) -> Envelopes | None:
    """Return what seals and opens originals, None when no key is named.

    Raises:
        ConfigurationError: the key is absent, readable by others, too short, not hexadecimal.
    """
    from deid_node.spool.envelope import Envelopes

    if settings.sealed.key is not None:
        where = "the secret `sealed__key`"
        return Envelopes(_parse(settings.sealed.key.get_secret_value(), where, _SEALING))
    if settings.sealed.key_file is None:
        return None
    return Envelopes(read_key(settings.sealed.key_file, environment=environment, what=_SEALING))


def check_sealing_key(settings: Settings) -> None:
    """Find out whether originals can be sealed where they have to be.

    Raises:
        ConfigurationError: as for `open_envelopes`, or no key is named.
    """
    if open_envelopes(settings) is None and settings.sealing_routes:
        raise ConfigurationError(
            f"sealed.key_file: is not set, and the route {settings.sealing_routes[0]!r} keeps originals. "
            "`deid-node key new --key-file FILE` makes a key."
        )


def default_key(*, may_make: bool = True) -> Key:
    """Return the project key of this account, without looking at any configuration.

    Args:
        may_make: make it when it is absent; else a key stands in that is nowhere kept.

    Raises:
        ConfigurationError: as for `project_key`.
    """
    path = default_state() / KEY_NAME
    if not may_make and not path.exists():
        return stand_in_key()
    return _read_or_make(path, None)


def _read_or_make(path: Path, environment: Mapping[str, str] | None) -> Key:
    if not path.exists():
        make_key(path)
    return read_key(path, environment=environment)


def make_key(path: Path) -> None:
    """Write a new random key; a key that another process made meanwhile is left as it is.

    The key is complete before it has its name: a reader never sees half of one.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_hex(MIN_KEY_BYTES).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)  # not rename: a link never replaces a key that is there
        except FileExistsError:
            return
        finally:
            temporary.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path}: the project key cannot be written ({error.strerror}).") from None


def read_key(path: Path, *, environment: Mapping[str, str] | None = None, what: _What = _PROJECT) -> Key:
    """Return the key in a file.

    Args:
        what: which key it is, for messages.

    Raises:
        ConfigurationError: see `project_key`.
    """
    try:
        text = read_secret_file(path, _MAX_KEY_FILE + 1, environment=environment)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: {what.name} is not there. {what.when_gone}") from None
    except UnguardedError as error:
        raise ConfigurationError(f"{path}: {what.name} {error}. Whoever reads it {what.when_read}.") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {what.name} cannot be read ({error.strerror}).") from None
    return _parse(text.decode("ascii", errors="replace"), str(path), what)


def _parse(text: str, where: str, what: _What = _PROJECT) -> Key:
    digits = text.strip()
    try:
        secret = binascii.unhexlify(digits)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where}: {what.name} must be {_RIGHT}.") from None
    if len(secret) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"{where}: {what.name} is too short ({len(digits)} digits); it must be {_RIGHT}."
        )
    return Key(secret)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
