"""Bring in the configurations of other tools: each kind becomes the text of a profile.

Nothing is opened here: a text comes in, and the profile, what could not be carried over, and what is
different come out. The result always loads; secrets leave the text and are only named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.imports import ctp, dicom_curate, grand_challenge, microsoft, pfdicom
from deid_node.profile.imports.imported import Imported, LeftOut, Options, Secret

Reader = Callable[[str, str, str, Options], Imported]

READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "grand-challenge": grand_challenge.read,
        "microsoft": microsoft.read,
        "microsoft-poc": microsoft.read_first_form,
        "pfdicom": pfdicom.read,
        "dicom-curate": dicom_curate.read,
        "ctp": ctp.read,
    }
)
KINDS: Final = tuple(READERS)


def read(
    kind: str, source: str | bytes, file: str, *, name: str = "", options: Options | None = None
) -> Imported:
    """Return the profile for a configuration of another tool.

    Args:
        kind: one of `KINDS`.
        source: the text, or its UTF-8 bytes.
        file: how places in the source are called; no path.
        name: name of the profile; else that of the file.

    Raises:
        ProfileError: the source is none of its kind; with every finding and its line.
    """
    reader = READERS.get(kind)
    if reader is None:
        known = f"; known are {', '.join(READERS)}"
        raise ProfileError(f"there is no import from {kind!r}{names.did_you_mean(kind, READERS) or known}")
    return reader(_text(source, file), file, profile_name(name or file), options or Options())


def profile_name(text: str) -> str:
    """Return a name that a profile can have for the name of a file."""
    stem = re.sub(r"\.(json|jsonc|xml|script|properties|txt|toml|js|ts|mjs)$", "", text, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:32] or "imported"


def _text(source: str | bytes, file: str) -> str:
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProfileError(f"{file}: not UTF-8 text") from None


__all__ = ["KINDS", "Imported", "LeftOut", "Options", "Secret", "read"]
