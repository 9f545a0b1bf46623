"""Parameters of the functions of rows, and the readers that check what a profile gives for them.

A reader returns the value in the form that the engine takes, or raises ValueError with what would be
right; no message repeats more than the written word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.template import Template, named_tag

Reader = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: how it is read, its value when it is left out, and what it means.

    `read` raises ValueError with what would be right. A default of `...` means it must be given.
    """

    read: Reader
    default: object
    about: str

    @property
    def is_required(self) -> bool:
        return self.default is ...


def text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def filled_text(value: object) -> str:
    """Read a text that is not empty."""
    if not text(value):
        raise ValueError("expected a text that is not empty")
    return str(value)


_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def secret_name(value: object) -> str:
    """Read the name of a secret; empty means the project key."""
    if value and not _SECRET_NAME.fullmatch(text(value)):
        raise ValueError("expected the name of a secret: letters, digits, '.', '_' and '-'")
    return text(value)


def flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def whole(least: int, most: int) -> Reader:
    """Return a reader of whole numbers in a range."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return value

    return read


def positive(value: object) -> float:
    """Read a number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError("expected a number that is not negative")
    return float(value)


def one_of(*words: str) -> Reader:
    """Return a reader of one of several words."""

    def read(value: object) -> str:
        if value not in words:
            near = names.did_you_mean(str(value), words)
            raise ValueError(f"expected one of {', '.join(words)}{near}")
        return str(value)

    return read


def attribute(value: object) -> int:
    """Read the keyword of an attribute, or its tag; returns the tag."""
    tag = named_tag(text(value))
    if tag is None:
        raise ValueError(f"expected the keyword of an attribute{names.nearest_keyword(str(value))}")
    return tag


def attributes(value: object) -> tuple[int, ...]:
    """Read the keyword of an attribute, or a list of them; returns their tags."""
    if isinstance(value, list) and not value:
        raise ValueError("expected one keyword at least")
    return tuple(map(attribute, value if isinstance(value, list) else [value]))


def attributes_of(value: object) -> tuple[int, ...]:
    """Return the tags of a parameter that `attributes` or `attribute` has read; none when it was left out."""
    if isinstance(value, tuple):
        return tuple(map(int, value))
    return (value,) if isinstance(value, int) and value else ()


def template(value: object) -> Template:
    """Read a template of a value."""
    try:
        return Template.parse(text(value))
    except ProfileError as error:
        raise ValueError(str(error)) from None


def pattern(value: object) -> str:
    """Read a regular expression."""
    try:
        re.compile(filled_text(value))
    except re.error as error:
        raise ValueError(f"expected a regular expression ({error})") from None
    return str(value)


def day(value: object) -> str:
    """Read a date YYYY-MM-DD; empty means none."""
    try:
        return date.fromisoformat(text(value)).isoformat() if value else ""
    except ValueError:
        raise ValueError("expected a date YYYY-MM-DD in quotes") from None


_DURATION: Final = re.compile(
    r"-?P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d{1,6})?S)?)?"
)


def duration(value: object) -> str:
    """Read an ISO 8601 duration."""
    if not _DURATION.fullmatch(text(value)):
        raise ValueError("expected an ISO 8601 duration such as P30D, -P7D or P1Y2M3DT4H5M6S")
    return str(value)


def texts(value: object) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of texts")
    return tuple(value)


def cases(value: object) -> Mapping[str, str]:
    """Read a table of texts."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError('expected a table of texts such as { M = "1", F = "2" }')
    return MappingProxyType(dict(value))
