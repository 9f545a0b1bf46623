"""Reading the settings: arguments, environment, secret files, one TOML file, defaults, in this order.

Every value remembers where it came from, so that a problem can name its place. The file parts of
pydantic-settings are replaced by a flat source of our own: theirs ignore unknown variables and
cannot say which file a nested value came from.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from deid_node.errors import ConfigurationError
from deid_node.settings import Settings
from deid_node.settings.problems import Origins, disagreements, sentences

PREFIX: Final = "deid_node_"
CONFIG_VARIABLE: Final = "DEID_NODE_CONFIG"
CONFIG_PLACES: Final = (Path("deid-node.toml"), Path("/etc/deid-node/deid-node.toml"))
SECRET_FOLDER: Final = Path("/run/secrets")
_NOT_SETTINGS: Final = frozenset({"config"})
SECRET_PREFIX: Final = "secret_"  # noqa: S105  begins the names of keys that profiles name
_MAX_SECRET_BYTES: Final = 65536
_PATHS: Final = (
    ("spool", "folder"),
    ("quarantine", "folder"),
    ("quarantine", "public_key"),
    ("sealed", "key_file"),
    ("crosswalk", "folder"),
    ("audit", "folder"),
    ("tls", "certificate"),
    ("tls", "key"),
    ("tls", "ca"),
)
_SECRET_ONLY: Final = (("key",), ("sealed", "key"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and the TOML file they came from, if any."""

    settings: Settings
    file: Path | None


class _FlatSource(PydanticBaseSettingsSource):
    """Names with `__` between the levels, as environment variables and secret files have them."""

    def __init__(self, settings_cls: type[BaseSettings], nested: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._nested = nested

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._nested.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._nested


def load_settings(
    config: Path | None = None, *, environment: Mapping[str, str] | None = None, **arguments: Any
) -> Loaded:
    """Return the settings in force.

    Args:
        config: the TOML file; None looks at DEID_NODE_CONFIG, ./deid-node.toml and
            /etc/deid-node/deid-node.toml, and goes on without one.
        environment: stands for `os.environ`.
        arguments: settings that win over every source.

    Raises:
        ConfigurationError: with every problem found.
    """
    environment = os.environ if environment is None else environment
    file = _config_file(config, environment)
    from_file = _read_toml(file) if file is not None else {}
    flat_environment = _from_environment(environment)
    flat_secrets = _from_secret_files(environment)
    origins = Origins(
        arguments=arguments,
        environment=flat_environment,
        secrets=flat_secrets,
        file=file,
        from_file=from_file,
    )
    problems: list[str] = []
    nested_environment = _nested(flat_environment, problems)
    nested_secrets = _nested(flat_secrets, problems)
    if file is not None:
        _make_absolute(from_file, file.parent)
    problems += _exposed_keys(from_file, flat_environment, origins)

    class FromSources(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            *_: Any,
            **__: Any,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                init_settings,
                _FlatSource(settings_cls, nested_environment),
                _FlatSource(settings_cls, nested_secrets),
                InitSettingsSource(settings_cls, from_file),
            )

    try:
        settings = FromSources(**arguments)
    except ValidationError as error:
        problems += sentences(error, Settings, origins)
        settings = None
    problems += disagreements([arguments, nested_environment, nested_secrets, from_file], origins)
    if problems or settings is None:
        raise ConfigurationError(*dict.fromkeys(problems))
    return Loaded(settings, file)


def _config_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the TOML file to read. One that was named must exist; the usual places may be empty."""
    named = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is None:
        return next((place for place in CONFIG_PLACES if place.is_file()), None)
    if not named.is_file():
        by = "--config" if config else CONFIG_VARIABLE
        raise ConfigurationError(f"{named}: {by} names this file, but there is no such file.")
    return named


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: is not valid TOML: {error}.") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return setting names to (value, variable) of all DEID_NODE_ variables."""
    found = {}
    for variable, value in environment.items():
        name = variable.lower()
        if name.startswith(PREFIX + SECRET_PREFIX):
            continue
        if name.startswith(PREFIX) and name[len(PREFIX) :] not in _NOT_SETTINGS:
            found[name[len(PREFIX) :]] = (value, variable)
    return found


def secret_folders(environment: Mapping[str, str]) -> list[Path]:
    """Return where systemd credentials and container secrets lie, the stronger last."""
    folders = [SECRET_FOLDER]
    if environment.get("CREDENTIALS_DIRECTORY"):
        folders.append(Path(environment["CREDENTIALS_DIRECTORY"]))
    return folders


def _from_secret_files(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return setting names to (text, path) of all secret files called deid_node_<setting>.

    A systemd credential belongs to one unit: there the prefix may be left out.
    """
    found = {}
    own = environment.get("CREDENTIALS_DIRECTORY")
    for folder in secret_folders(environment):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = path.name.lower()
            bare = name.removeprefix(PREFIX)
            if bare.startswith(SECRET_PREFIX):
                continue
            known = bare.split("__")[0] in Settings.model_fields
            if not path.is_file() or (bare == name and not (known and str(folder) == own)):
                continue
            try:
                with path.open("rb") as stream:
                    text = stream.read(_MAX_SECRET_BYTES).decode("utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{path}: cannot be read ({error.strerror}).") from None
            except UnicodeDecodeError:
                raise ConfigurationError(f"{path}: is not UTF-8 text.") from None
            found[bare] = (text, str(path))
    return found


def _nested(flat: Mapping[str, tuple[str, str]], problems: list[str]) -> dict[str, Any]:
    """Split names at `__` into nested tables."""
    tree: dict[str, Any] = {}
    for name, (value, source) in sorted(flat.items()):
        *parents, last = name.split("__")
        table = tree
        for parent in parents:
            below = table.setdefault(parent, {})
            table = below if isinstance(below, dict) else {}
            if table is not below:
                problems.append(f"{source}: {parent} is set as a value and as a table.")
        table[last] = value
    return tree


def _make_absolute(table: dict[str, Any], folder: Path) -> None:
    """Make paths of the file relative to the folder of the file, not to where the node was started."""
    for top in ("state", "key_file"):
        _rebase(table, top, folder)
    for section, key in _PATHS:
        _rebase(table.get(section), key, folder)
    audit = table.get("audit")
    for key in ("ca", "certificate", "key"):
        _rebase(audit.get("syslog") if isinstance(audit, dict) else None, key, folder)
    for destination in _tables(table.get("destinations")):
        for key in ("path", "tls_ca", "tls_certificate", "tls_key"):
            _rebase(destination, key, folder)
    for holder in (table, *_tables(table.get("routes"))):
        if is_path(holder.get("profile")):
            _rebase(holder, "profile", folder)


def is_path(profile: object) -> bool:
    """Tell whether a profile setting is a path and not the name of a built-in profile."""
    return isinstance(profile, str) and ("/" in profile or profile.endswith((".toml", ".json")))


def _exposed_keys(
    from_file: Mapping[str, Any], environment: Mapping[str, tuple[str, str]], origins: Origins
) -> list[str]:
    """Return which keys stand where they are read by others: in the TOML file, or in the environment."""
    found = []
    for *sections, name in _SECRET_ONLY:
        table: object = from_file
        for section in sections:
            table = table.get(section) if isinstance(table, Mapping) else None
        file_setting = ".".join([*sections, "key_file"])
        if isinstance(table, Mapping) and name in table:
            problem = f"is not read from a TOML file; set {file_setting} instead."
            found.append(origins.sentence((*sections, name), problem))
        _, variable = environment.get("__".join([*sections, name]), ("", ""))
        if variable:  # which is inherited, listed and logged
            found.append(
                f"{variable}: {'.'.join([*sections, name])} is not read from the environment; set "
                f"{file_setting}, or give the key as a systemd credential or container secret."
            )
    return found


def _tables(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value.values() if isinstance(entry, dict)] if isinstance(value, dict) else []


def _rebase(table: object, key: str, folder: Path) -> None:
    if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
        table[key] = str(folder.absolute() / Path(table[key]).expanduser())
