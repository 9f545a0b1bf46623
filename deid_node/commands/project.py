"""The project key and the pseudonyms, as several commands load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deid_node.engine.keys import Key, Pseudonyms, RandomPseudonyms
    from deid_node.settings import Settings


def load_pseudonyms(settings: Settings, key_file: Path | None, *, keeps: bool = True) -> Pseudonyms:
    """Return the pseudonyms that the settings ask for, of the key that was named or configured.

    Random codes are those of the node; what is drawn is kept at once, so that commands agree with it.

    Args:
        settings: name the key, and say whether codes are random.
        key_file: a key that is taken instead; made if absent.
        keeps: False writes nothing. Where there is no key, and where codes are random, others stand in,
            and a line on stderr says so.
    """
    from deid_node.engine.keys import Pseudonyms
    from deid_node.settings.records import PseudonymKind

    is_random = key_file is None and settings.pseudonyms is PseudonymKind.RANDOM
    if not keeps:
        return Pseudonyms(_key_or_stand_in(settings, key_file, is_random=is_random))
    if not is_random:
        return Pseudonyms(_project_key(settings, key_file))
    return _random_pseudonyms(settings)


def _random_pseudonyms(settings: Settings) -> RandomPseudonyms:
    from deid_node.engine.keys import RandomPseudonyms
    from deid_node.node.crosswalk_codes import RandomCodes
    from deid_node.node.epochs import key_ring
    from deid_node.node.records import open_vault

    ring = key_ring(settings)
    vault = open_vault(settings, ring)
    assert vault is not None
    return RandomPseudonyms(ring.current, RandomCodes(vault, at_once=True))


def _project_key(settings: Settings, key_file: Path | None) -> Key:
    from deid_node.node.key_file import make_key, project_key, read_key

    if key_file is None:
        return project_key(settings)[0]
    if not key_file.exists():
        make_key(key_file)
    return read_key(key_file)


def _key_or_stand_in(settings: Settings, key_file: Path | None, *, is_random: bool) -> Key:
    from deid_node.commands.terminal import complain
    from deid_node.node.key_file import missing_key_file, stand_in_key

    missing = missing_key_file(settings, key_file)
    if missing is not None:
        complain(f"{missing}: there is no key yet, and none is made now; codes and UIDs will be others.")
        return stand_in_key()
    if is_random:
        complain("Codes, UIDs and date shifts are random here; those that will be drawn are others.")
    return _project_key(settings, key_file)
