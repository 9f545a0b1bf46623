"""The reference of all settings as Markdown, made from the settings themselves.

`python -m deid_node.settings.reference > docs/reference/settings.md` writes it; a test holds that the
file says what the program does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.network import PeerSettings
from deid_node.settings.routes import RouteSettings
from deid_node.standard.values import AETitle

_HEAD = """\
<!-- Made by `python -m deid_node.settings.reference`; change deid_node/settings instead. -->
# Settings

Without any configuration `deid-node serve` is a node: AE title DEIDNODE on port 11112, profile basic,
objects into the folder store `<state>/out`, callers of the same machine only.

Settings come from these places; the first one that names a setting wins, tables are merged:

1. the command line (`--port`, `--state`),
2. the environment: `DEID_NODE_PORT=104`, with `__` between levels:
   `DEID_NODE_DESTINATIONS__PACS__HOST=10.0.0.5`; lists are separated by commas,
3. secret files named like the variables in lower case (`deid_node_key`): systemd credentials
   (`$CREDENTIALS_DIRECTORY`, where the prefix may be left out), then `/run/secrets`,
4. one TOML file: `--config`, else `DEID_NODE_CONFIG`, else `./deid-node.toml`, else
   `/etc/deid-node/deid-node.toml`. Paths in it are relative to it,
5. the defaults below.

`deid-node check` says whether they are right, and names every problem with its place.
A running node takes over `peers`, `routes`, profiles and a renewed certificate of its own on SIGHUP, all
of them or none; the rest needs a restart.
"""

_EXAMPLE = """\
## Example

```toml
ae_title = "DEIDNODE"
state = "/var/lib/deid-node"

[peers.ct1]
ae_title = "CT1"
address = "10.0.4.17"

[peers.radiology]
ae_title = "*"
address = ["10.1.0.0/16", "10.2.0.0/16"]

[routes.research]
called = ["RESEARCH"]
profile = "basic"
destinations = ["archive", "store"]

[destinations.store]
kind = "folder"
path = "/srv/research"
template = "{PatientID}/{StudyInstanceUID}/{SeriesNumber:03}/{InstanceNumber:05}.dcm"

[destinations.archive]
kind = "ae"
host = "archive.example.org"
port = 104
ae_title = "ARCHIVE"
```
"""

# Named tables, with what stands for the name.
_NAMED: dict[str, tuple[str, tuple[type[BaseModel], ...]]] = {
    "peers": ("ct1", (PeerSettings,)),
    "routes": ("research", (RouteSettings,)),
    "destinations": ("pacs", (FolderSettings, AESettings)),
}


# Shown after what is special to one kind of destination.
_SHARED = FolderSettings.model_fields.keys() & AESettings.model_fields.keys() - {"kind"}


def reference() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *_sections(), _EXAMPLE])


def _sections() -> Iterator[str]:
    fields = Settings.model_fields
    found = {name: _section(field) for name, field in fields.items()}
    sections = {name: model for name, model in found.items() if model is not None}
    plain = {name: field for name, field in fields.items() if name not in sections and name not in _NAMED}
    yield _table("## The node", "", plain)
    for name, model in sections.items():
        inner = {field: below for field, info in model.model_fields.items() if (below := _section(info))}
        own = {field: info for field, info in model.model_fields.items() if field not in inner}
        yield _table(f"## `[{name}]`", _summary(model), own)
        for field, below in inner.items():
            yield _table(f"## `[{name}.{field}]`", _summary(below), below.model_fields)
    for name, (example, models) in _NAMED.items():
        for model in models:
            kind = model.model_fields.get("kind")
            title = f"## `[{name}.{example}]`" + (f' with kind = "{_words(kind.annotation)}"' if kind else "")
            note = f"`{example}` is a name of your choice: a-z, 0-9, - and _."
            yield _table(title, f"{_summary(model)} {note}", model.model_fields)


def _table(title: str, text: str, fields: dict[str, FieldInfo]) -> str:
    lines = [
        title,
        "",
        *([text, ""] if text else []),
        "| setting | value | default | |",
        "| --- | --- | --- | --- |",
    ]
    for name, field in fields.items():
        cells = (f"`{name}`", _type(field.annotation, field), _default(field), field.description or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    for kind in get_args(annotation) if isinstance(annotation, UnionType) else (annotation,):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _summary(model: type[BaseModel]) -> str:
    return re.sub(r"\s+", " ", model.__doc__ or "").strip()


def _words(annotation: Any) -> str:
    return str(get_args(annotation)[0])


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return what kind of value a setting takes, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0], field)
    if origin in (Union, UnionType):
        kinds = dict.fromkeys(_type(part) for part in inner if part is not NoneType)
        return " or ".join(kinds)
    if origin is Literal:
        return " or ".join(f'`"{word}"`' for word in inner)
    if origin is tuple:
        return f"{_type(inner[0])}, or a list"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f'`"{member.value}"`' for member in annotation)
    if field is not None and "octal" in (field.description or ""):
        return "octal digits in quotes"
    for kind, word in _KINDS:
        if isinstance(annotation, type) and issubclass(annotation, kind):
            return word + _range(field)
    return "address or CIDR block" if "Network" in str(annotation) else "text"


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "number"),
    (float, "number"),
    (SecretStr, "secret text"),
    (PurePath, "path"),
    (AETitle, "AE title"),
)


def _range(field: FieldInfo | None) -> str:
    bounds = {
        word: bound
        for limit in (field.metadata if field else ())
        for word in ("ge", "gt", "le")
        if (bound := getattr(limit, word, None)) is not None
    }
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le")
    if low is not None and high is not None:
        return f" {low} to {high}" if "ge" in bounds else f" up to {high}"
    return f" from {low}" if "ge" in bounds else " above 0" if low is not None else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default is None:
        return "unset"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, int) and "mode" in (field.description or "").lower():
        return f'`"{value:04o}"`'
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, tuple) and value:
        return f"`[{', '.join(f'{part:g}' if isinstance(part, float) else repr(part) for part in value)}]`"
    return "none" if value == () else f"`{value}`"


if __name__ == "__main__":
    print(reference(), end="")
