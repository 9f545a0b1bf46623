"""Functions on text: masks, separators, case, postal codes, lists of cases, invented names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Final

from deid_node.engine.functions_context import Context, Params, Result, missing_value

_NO_WORD: Final = re.compile(r"\W+")


def masked(value: str, params: Params, context: Context) -> Result:
    """Return a value under a mask (row PF-5)."""
    return mask(value, str(params["mask"]))


def mask(value: str, pattern: str) -> str:
    """Go through a value: `*` keeps a character, another one replaces it; the shorter of both ends it."""
    return "".join(old if new == "*" else new for old, new in zip(value, pattern, strict=False))


def without_space(value: str, params: Params, context: Context) -> Result:
    """Return a value with runs of non-word characters replaced (row PF-6)."""
    return no_space(value, str(params.get("with", "")))


def no_space(value: str, separator: str) -> str:
    """Replace runs of non-word characters by a separator, none at the ends."""
    return separator.join(part for part in _NO_WORD.split(value) if part)


def initials(value: str, params: Params, context: Context) -> Result:
    """Return the initials of a person name; X when there is none."""
    return initials_of(value)


def initials_of(name: str) -> str:
    """Return the first letters of the parts of a name in upper case, that of the family name last."""
    parts = re.split(r"[\s^]+", name.partition("=")[0].strip(" ^"))
    first = [part[0] for part in parts if part]
    return "".join([*first[1:], *first[:1]]).upper() or "X"


def in_case(value: str, params: Params, context: Context) -> Result:
    """Return a value in upper or lower case."""
    return value.upper() if params["to"] == "upper" else value.lower()


def cut(value: str, params: Params, context: Context) -> Result:
    """Return the first characters of a value, or the last ones."""
    to = int(str(params["to"]))
    return value[:to] if to >= 0 else value.strip()[to:]


def part(value: str, params: Params, context: Context) -> Result:
    """Return the part of a value at a place between separators, counted from either end."""
    parts = value.split(str(params.get("separator", "/")))
    at = int(str(params["at"]))
    if -len(parts) <= at < len(parts):
        return parts[at]
    return missing_value(str(params.get("missing", "empty")), value, "")


def replaced(value: str, params: Params, context: Context) -> Result:
    """Return a value with what a regular expression finds replaced."""
    return re.sub(str(params["pattern"]), str(params.get("with", "")), value)


def zip_prefix(value: str, params: Params, context: Context) -> Result:
    """Keep the first letters and digits of a postal code and write 0 for the others (row MS-7)."""
    kept = int(str(params.get("digits", 3)))
    plain = "".join(filter(str.isalnum, value))
    restricted = params.get("restricted") or ()
    assert isinstance(restricted, tuple | list)
    if any(plain.startswith(str(prefix)) for prefix in restricted if prefix):
        kept = 0
    seen = 0
    out: list[str] = []
    for character in value:
        if character.isalnum():
            seen += 1
            character = character if seen <= kept else "0"
        out.append(character)
    return "".join(out)


def mapped(value: str, params: Params, context: Context) -> Result:
    """Return what a list of cases says about a value."""
    cases = params["cases"]
    assert isinstance(cases, Mapping)
    if value in cases:
        return str(cases[value])
    return missing_value(
        str(params.get("otherwise", "reject")), value, "a value is not among the cases of its row"
    )


def fake_name(value: str, params: Params, context: Context) -> Result:
    """Return an invented name, the same for equal values of the seed attribute."""
    seed = context.original(int(str(params.get("seed", 0x00100020)))) or value
    return invented_name(context.pseudonyms.digest("fake-name", seed.encode()), context.vr)


def invented_name(digest: bytes, vr: str = "PN") -> str:
    """Return LAST^FIRST^ANON for 32 bytes (row PF-7), LAST FIRST in VRs without components."""
    surnames, given_names = _invented()
    surname = surnames[int.from_bytes(digest[:8], "big") % len(surnames)]
    given = given_names[int.from_bytes(digest[8:16], "big") % len(given_names)]
    if vr == "PN":
        return f"{surname}^{given}^ANON"
    return f"{surname} {given}"[: 16 if vr == "SH" else None].strip()


@lru_cache(maxsize=1)
def _invented() -> tuple[list[str], list[str]]:
    text = (resources.files("deid_node.engine") / "words" / "invented.txt").read_text(encoding="utf-8")
    surnames, given_names = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return surnames, given_names
