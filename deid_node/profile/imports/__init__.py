"""Bring in the configurations of other tools: each kind becomes the text of a profile.

Nothing is opened here: a text comes in, and the profile, what could not be carried over, and what is
different come out. The result always loads; secrets leave the text and are only named.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.imports import ctp, dicom_curate, grand_challenge, microsoft, pfdicom
from deid_node.profile.imports.imported import Imported, LeftOut, LookupFile, Options, Secret
from deid_node.profile.imports.recognise import Seems, recognise

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
_ALSO_READ: Final = MappingProxyType({"microsoft-poc": ("microsoft",)})
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_XML_ENCODING: Final = re.compile(rb"\s*<\?xml[^>]{0,100}encoding=[\"']([A-Za-z0-9._-]{1,40})[\"']")


def read(
    kind: str, source: str | bytes, file: str, *, name: str = "", options: Options | None = None
) -> Imported:
    """Return the profile for a configuration of another tool.

    Args:
        kind: one of `KINDS`.
        source: the text, or its bytes; see `text_of`.
        file: how places in the source are called; no path.
        name: name of the profile; else that of the file.

    Raises:
        ProfileError: the source is none of its kind; with every finding and its line.
    """
    reader = READERS.get(kind)
    if reader is None:
        known = f"; known are {', '.join(READERS)}"
        raise ProfileError(f"there is no import from {kind!r}{names.did_you_mean(kind, READERS) or known}")
    text = text_of(source, file)
    seems = recognise(text)
    if seems is not None and seems.kind not in (kind, *_ALSO_READ.get(kind, ())):
        raise ProfileError(f"{file}: {_wrong_kind(kind, seems)}")
    return reader(text, file, profile_name(name or file), options or Options())


def _wrong_kind(kind: str, seems: Seems) -> str:
    """Return what is wrong with a configuration of another tool, and what would be right."""
    right = f"; import it with --from {seems.kind}" if seems.kind else ""
    return f"seems to be {seems.what}{right}, not from {kind}" if right else f"seems to be {seems.what}"


def profile_name(text: str) -> str:
    """Return a name that a profile can have for the name of a file."""
    stem = re.sub(r"\.(json|jsonc|xml|script|properties|txt|toml|js|ts|mjs)$", "", text, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:32] or "imported"


def text_of(source: str | bytes, file: str) -> str:
    """Return the text of a file: UTF-8, or what a byte order mark or an XML declaration says.

    Raises:
        ProfileError: it is in no encoding that it names, or in another than UTF-8 without naming one.
    """
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    declared = _XML_ENCODING.match(source)
    encoding = declared[1].decode("ascii") if declared is not None else "utf-8"
    encoding = next((name for mark, name in _BOMS if source.startswith(mark)), encoding)
    try:
        return source.decode(encoding)
    except LookupError:
        raise ProfileError(f"{file}: there is no encoding {encoding!r}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{file}: not {encoding.upper()} text; save it as UTF-8") from None


__all__ = ["KINDS", "Imported", "LeftOut", "LookupFile", "Options", "Secret", "read", "text_of"]
