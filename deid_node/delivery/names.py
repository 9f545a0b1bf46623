"""Names of files and folders that are safe on every file system, whatever they are made of.

Letters, marks and digits of any script and `.`, `_`, `-` stay, in Unicode form NFC; everything else
becomes `_`. What is too long is cut and gets a digest of the whole, so that two long names that begin
alike stay two.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]*")
_RUN: Final = re.compile(r"_{2,}")
_RESERVED: Final = re.compile(r"(?i)(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?:\.|$)")
_MAX_BYTES: Final = 200
_DIGEST: Final = 8
_SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How long names may be, in characters, and what stands for a value that is absent.

    Longer than `component` is cut; a path longer than `path` has its components cut.
    """

    component: int = 64
    path: int = 400
    placeholder: str = "unknown"


def value_text(value: str) -> str:
    """Return the part of a value that may stand in a name, "" when nothing of it may."""
    if _PLAIN.fullmatch(value):
        return value
    normal = unicodedata.normalize("NFC", value.strip())
    safe = "".join(ch if _may_stand(ch) else "_" for ch in normal)
    return _RUN.sub("_", safe).strip("_") if safe != value else safe


def _may_stand(ch: str) -> bool:
    return ch in "._-" or ch.isalnum() or unicodedata.category(ch)[0] == "M"


def component(stem: str, extension: str, limits: Limits) -> str:
    """Return one component of a path: not empty, not hidden, not an option, not reserved, not too long."""
    name = stem.lstrip(".-").rstrip(".") or limits.placeholder
    if _RESERVED.match(name):
        name = f"_{name}"
    return cut(name, limits.component) + extension


def cut(name: str, longest: int) -> str:
    """Return a name of at most `longest` characters (and 200 bytes), with a digest if it was cut."""
    if len(name) <= longest and len(name.encode()) <= _MAX_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    room = max(longest - _DIGEST - 1, 1)
    head = name[:room].encode()[: _MAX_BYTES - _DIGEST - 1].decode(errors="ignore")
    return f"{head.rstrip('.')}-{digest}"


def shortened(names: Sequence[str], limits: Limits) -> tuple[str, ...]:
    """Return the components, cut when the whole path is longer than the limit."""
    if sum(map(len, names)) + len(names) - 1 <= limits.path:
        return tuple(names)
    share = max(limits.path // len(names) - 1, _SHORTEST)
    *folders, file = names
    stem, dot, extension = file.rpartition(".")
    if not dot or len(extension) > _DIGEST:
        stem, dot, extension = file, "", ""
    return (
        *(cut(folder, share) for folder in folders),
        cut(stem, share - len(extension) - 1) + dot + extension,
    )


def alternatives(name: str, sop_instance_uid: str, digest: bytes) -> tuple[str, str, str]:
    """Return the names an object may get: its own, and two for when another object has that one.

    The second is told apart by a digest of the SOP Instance UID, the third by the content as well,
    for another revision of the same object.
    """
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    uid = hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:_DIGEST]
    content = digest.hex()[:_DIGEST]
    return name, f"{stem}-{uid}{dot}{extension}", f"{stem}-{uid}-{content}{dot}{extension}"
