"""The project key, as several commands load it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deid_node.engine.keys import Key
    from deid_node.settings import Settings


def load_project_key(settings: Settings, key_file: Path | None) -> Key:
    """Return the key of the file that was named, else the configured one, made if absent."""
    from deid_node.node.key_file import make_key, project_key, read_key

    if key_file is None:
        return project_key(settings)[0]
    if not key_file.exists():
        make_key(key_file)
    return read_key(key_file)
