"""Values that are valid or do not exist: AE titles and UIDs.

PS3.5 section 6.2 (AE) and section 9.1 (UID). Nothing here knows of attributes or of the network.
"""

from __future__ import annotations

import re
from typing import Final

from deid_node.errors import ConfigurationError

MAX_AE_TITLE: Final = 16
MAX_UID: Final = 64

_AE_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")
_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")


class AETitle(str):
    """An AE title of 1 to 16 characters, without the insignificant spaces around it (PS3.5 6.2, AE)."""

    __slots__ = ()

    def __new__(cls, text: str) -> AETitle:
        """Return the title that `text` names.

        Raises:
            ConfigurationError: empty, too long, or with a backslash, a control character or a
                character outside the default repertoire.
        """
        stripped = text.strip(" ")
        if not stripped:
            raise ConfigurationError("An AE title has at least one character that is not a space.")
        if len(stripped) > MAX_AE_TITLE:
            raise ConfigurationError(
                f"An AE title has at most {MAX_AE_TITLE} characters; this one has {len(stripped)}."
            )
        if _AE_TITLE.fullmatch(stripped) is None:
            raise ConfigurationError(
                "An AE title is made of printable ASCII characters without backslash (PS3.5 6.2, AE)."
            )
        return super().__new__(cls, stripped)

    def __repr__(self) -> str:
        return f"AETitle({str(self)!r})"


def is_uid(text: str) -> bool:
    """Tell whether `text` is a UID: at most 64 characters, components without leading zeros (PS3.5 9.1).

    At least two components are asked for: PS3.5 B.1 gives every root two or more.
    """
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None
