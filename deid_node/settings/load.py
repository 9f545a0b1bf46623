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
from deid_node.settings.problems import Origins, Place, Problem, disagreements, sentences
from deid_node.settings.remainder import Layers, without_wrong

PREFIX: Final = "deid_node_"
CONFIG_VARIABLE: Final = "DEID_NODE_CONFIG"
CONFIG_PLACES: Final = (Path("deid-node.toml"), Path("/etc/deid-node/deid-node.toml"))
SECRET_FOLDER: Final = Path("/run/secrets")
_NOT_SETTINGS: Final = frozenset({"config"})
SECRET_PREFIX: Final = "secret_"  # noqa: S105  begins the names of keys that profiles name
_MAX_SECRET_BYTES: Final = 65536
_TRIES: Final = 5
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


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading the settings gave.

    `settings` lack what is wrong with them, at the places `left_out`: they are for finding more problems, and
    None where nothing can be made of them.
    """

    settings: Settings | None
    file: Path | None
    problems: tuple[Problem, ...]
    origins: Origins
    left_out: tuple[Place, ...] = ()


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
    reading = read_settings(config, environment=environment, **arguments)
    if reading.problems or reading.settings is None:
        raise ConfigurationError(*(str(problem) for problem in reading.problems))
    return Loaded(reading.settings, reading.file)


def read_settings(
    config: Path | None = None, *, environment: Mapping[str, str] | None = None, **arguments: Any
) -> Reading:
    """Read the settings as `load_settings` does, and go on after problems as far as that leads."""
    environment = os.environ if environment is None else environment
    problems: list[Problem] = []
    file = _config_file(config, environment, problems)
    from_file = _read_toml(file, problems) if file is not None else {}
    is_readable = not problems
    flat_environment = _from_environment(environment)
    flat_secrets = _from_secret_files(environment, problems)
    origins = Origins(
        arguments=arguments,
        environment=flat_environment,
        secrets=flat_secrets,
        file=file,
        from_file=from_file,
    )
    nested_environment = _nested(flat_environment, problems)
    nested_secrets = _nested(flat_secrets, problems)
    if file is not None:
        _make_absolute(from_file, file.parent)
    problems += _exposed_keys(from_file, flat_environment, origins)
    layers = [arguments, nested_environment, nested_secrets, from_file]
    settings, left_out = _settings(layers, origins, problems)
    problems += disagreements(layers, origins)
    found = tuple(dict.fromkeys(problems))
    return Reading(settings if is_readable else None, file, found, origins, left_out)


def _settings(
    layers: Layers, origins: Origins, problems: list[Problem]
) -> tuple[Settings | None, tuple[Place, ...]]:
    """Return the settings of some layers, and the places of what is wrong, which were left out."""
    left_out: tuple[Place, ...] = ()
    for attempt in range(_TRIES):
        try:
            return _from_layers(layers), left_out
        except ValidationError as error:
            if not attempt:  # what is wrong later is wrong for what was left out
                problems += sentences(error, Settings, origins)
            layers, places = without_wrong(layers, error, Settings)
            left_out += places
    return None, left_out


def _from_layers(layers: Layers) -> Settings:
    arguments, environment, secrets, from_file = map(dict, layers)

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
                _FlatSource(settings_cls, environment),
                _FlatSource(settings_cls, secrets),
                InitSettingsSource(settings_cls, from_file),
            )

    return FromSources(**arguments)


def _config_file(config: Path | None, environment: Mapping[str, str], problems: list[Problem]) -> Path | None:
    """Return the TOML file to read. One that was named must exist; the usual places may be empty."""
    named = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is None:
        return next((place for place in CONFIG_PLACES if place.is_file()), None)
    if not named.is_file():
        by = "--config" if config else CONFIG_VARIABLE
        problems.append(Problem(str(named), f"{by} names this file, but there is no such file."))
        return None
    return named


def _read_toml(file: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        text = f"cannot be read ({error.strerror})."
    except UnicodeDecodeError:
        text = "is not UTF-8 text."
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        text = f"is not valid TOML: {error}."
    problems.append(Problem(str(file), text))
    return {}


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


def _from_secret_files(environment: Mapping[str, str], problems: list[Problem]) -> dict[str, tuple[str, str]]:
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
                problems.append(Problem(str(path), f"cannot be read ({error.strerror})."))
                continue
            except UnicodeDecodeError:
                problems.append(Problem(str(path), "is not UTF-8 text."))
                continue
            found[bare] = (text, str(path))
    return found


def _nested(flat: Mapping[str, tuple[str, str]], problems: list[Problem]) -> dict[str, Any]:
    """Split names at `__` into nested tables."""
    tree: dict[str, Any] = {}
    for name, (value, source) in sorted(flat.items()):
        *parents, last = name.split("__")
        table = tree
        for parent in parents:
            below = table.setdefault(parent, {})
            table = below if isinstance(below, dict) else {}
            if table is not below:
                problems.append(Problem(source, f"{parent} is set as a value and as a table."))
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
) -> list[Problem]:
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
            setting = ".".join([*sections, name])
            problem = (
                f"{setting} is not read from the environment; set {file_setting}, or give the key as a "
                "systemd credential or container secret."
            )
            found.append(Problem(variable, problem))
    return found


def _tables(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value.values() if isinstance(entry, dict)] if isinstance(value, dict) else []


def _rebase(table: object, key: str, folder: Path) -> None:
    if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
        table[key] = str(folder.absolute() / Path(table[key]).expanduser())
