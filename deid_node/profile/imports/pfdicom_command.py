"""Tag structures of pfdicom_tagSub as they stand in scripts: in quotes, or on the tool's command line."""

from __future__ import annotations

import shlex
from dataclasses import replace

from deid_node.errors import ProfileError
from deid_node.profile.imports.imported import Options

_STRUCTURE = ("--tagStruct", "-T")
_INFO = ("--tagInfo",)
_TOKEN = ("--splitToken", "-s")
_KEY_VALUE = ("--splitKeyValue", "-k")
_REMOVES_PRIVATE = "--removePrivateTags"


def unwrapped(text: str, file: str, options: Options) -> tuple[str, Options]:
    """Return the tag structure or information of a text at its lines, with what the command line says beside.

    Raises:
        ProfileError: a command line with an open quote, with both, or with none of the two.
    """
    if not any(option in text.split() for option in ("--tagStruct", "--tagInfo")):
        return _without_quotes(text), options
    try:
        words = shlex.split(text.replace("\\\n", "  \n"))
    except ValueError as error:
        raise ProfileError(f"{file}: a command line with an error: {str(error).lower()}") from None
    structure, info = _after(words, _STRUCTURE), _after(words, _INFO)
    if (structure is None) == (info is None):
        raise ProfileError(f"{file}: a command line has --tagStruct or --tagInfo, one of the two")
    options = replace(
        options,
        split_token=_after(words, _TOKEN) or options.split_token,
        split_key_value=_after(words, _KEY_VALUE) or options.split_key_value,
        remove_private=options.remove_private or _REMOVES_PRIVATE in words,
    )
    found = structure if structure is not None else info or ""
    before = text.partition(found)[0] if found in text else ""
    return "\n" * before.count("\n") + found, options


def _after(words: list[str], names: tuple[str, ...]) -> str | None:
    """Return what follows the last of these options, None without one."""
    at = [number for number, word in enumerate(words[:-1]) if word in names]
    return words[at[-1] + 1] if at else None


def _without_quotes(text: str) -> str:
    """Return a text without the quotes around the whole of it."""
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        begin = text.index(bare)
        return text[:begin] + bare[1:-1]
    return text
