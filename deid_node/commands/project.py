"""The project key and the pseudonyms, as several commands load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deid_node.engine.keys import Key, Pseudonyms
    from deid_node.settings import Settings


def load_project_key(settings: Settings, key_file: Path | None) -> Key:
    """Return the key of the file that was named, else the configured one, made if absent."""
    from deid_node.node.key_file import make_key, project_key, read_key

    if key_file is None:
        return project_key(settings)[0]
    if not key_file.exists():
        make_key(key_file)
    return read_key(key_file)


def load_pseudonyms(settings: Settings, key_file: Path | None) -> Pseudonyms:
    """Return the pseudonyms that the settings ask for, of the key that was named or configured.

    Random codes are those of the node; what is drawn is kept at once, so that commands agree with it.
    """
    from deid_node.engine.keys import Pseudonyms, RandomPseudonyms
    from deid_node.node.crosswalk_codes import RandomCodes
    from deid_node.node.epochs import key_ring
    from deid_node.node.records import open_vault
    from deid_node.settings.records import PseudonymKind

    if key_file is not None or settings.pseudonyms is not PseudonymKind.RANDOM:
        return Pseudonyms(load_project_key(settings, key_file))
    ring = key_ring(settings)
    vault = open_vault(settings, ring)
    assert vault is not None
    return RandomPseudonyms(ring.current, RandomCodes(vault, at_once=True))
