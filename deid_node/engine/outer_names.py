"""Names from outside of an object, as those of its file and its folders: shown as they are, or as a code.

Exports are often named after patients, also where the objects inside were de-identified before. So a
name stays only when nothing in it can identify: no identifier of the object, no UID, no date, no long
number, no name of a person, and no word that no list knows.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from deid_node.engine.keys import Pseudonyms
from deid_node.engine.text import Cleaner, CleaningOptions, Identifiers

# Counters stand in most names, with zeros before them and signs between: neither numbers nor what
# looks like a phone number is suspicious for its shape. _LONG_NUMBER decides instead.
_OPTIONS: Final = CleaningOptions(contacts=False, numbers=False, unknown="drop")
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3,}")
_LONG_NUMBER: Final = re.compile(r"[1-9][0-9]{4,}")
_SIGNS: Final = re.compile(r"[\W_]+")
_CODE_BYTES: Final = 10


def veiled(name: str, identifiers: Identifiers, pseudonyms: Pseudonyms) -> str:
    """Return a name as it may be shown: itself, or a keyed code, the same for the same name."""
    if not _may_identify(name, identifiers):
        return name
    digest = pseudonyms.digest("name", name.encode(errors="surrogateescape"))
    return base64.b32encode(digest[:_CODE_BYTES]).decode()


def _may_identify(name: str, identifiers: Identifiers) -> bool:
    if _UID.search(name) or _LONG_NUMBER.search(name):
        return True
    cleaner = Cleaner(identifiers, _OPTIONS)
    return any(cleaner.clean(text)[1] for text in {name, _SIGNS.sub(" ", name)})
