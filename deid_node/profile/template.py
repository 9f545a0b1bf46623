"""Templates of values: literal text with fields in braces, "{pseudonym}-{hash:PatientID:8}".

Parsed when a profile is loaded; the engine supplies the fields. Every field reads the original
object, never a value that was already replaced. A doubled brace is a brace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.standard import dictionary


@dataclass(frozen=True, slots=True)
class FieldKind:
    """One name that may stand first in braces.

    `arguments` are what follows, separated by colons: "attribute" is a keyword or tag, "number" a
    positive count, "count" a whole number, "text" anything; a "?" marks one that may be left out.
    """

    arguments: tuple[str, ...]
    about: str


FIELDS: Final[Mapping[str, FieldKind]] = {
    "pseudonym": FieldKind((), "the patient's pseudonym"),
    "keyword": FieldKind((), "keyword of the attribute that is written"),
    "value": FieldKind((), "original value of the attribute that is written"),
    "uid": FieldKind(("attribute",), "the new UID for the attribute's UID"),
    "hash": FieldKind(("attribute", "number?"), "keyed hash of a value, first N hexadecimal digits"),
    "digits": FieldKind(("attribute", "number?"), "keyed hash of a value, first N decimal digits"),
    "md5": FieldKind(
        ("attribute", "number?"), "unkeyed MD5 of a value: only to repeat another tool's output"
    ),
    "shifted": FieldKind(("attribute",), "a date, moved by the patient's shift"),
    "mask": FieldKind(("text", "attribute"), "a value, character by character: * keeps, another replaces"),
    "no_space": FieldKind(("text", "attribute"), "a value with runs of non-word characters replaced"),
    "fake_name": FieldKind(("attribute",), "an invented name, the same for the same value"),
    "initials": FieldKind(("attribute",), "initials of a name, those of the family name last"),
    "today": FieldKind(("text?",), "the day it is done, YYYYMMDD, with a text between the parts"),
    "now": FieldKind(("text?",), "the time of day it is done, HHMMSS, with a text between the parts"),
    "upper": FieldKind(("attribute",), "a value in upper case"),
    "lower": FieldKind(("attribute",), "a value in lower case"),
    "cut": FieldKind(("count", "attribute"), "the first characters of a value, with a minus the last"),
    "part": FieldKind(
        ("text", "count", "attribute"), "a part of a value between separators, counted from 0; -1 is the last"
    ),
    "interval": FieldKind(
        ("text", "attribute", "attribute"), "days of a date since the one of a lookup table for an attribute"
    ),
    "lookup": FieldKind(("text", "attribute"), "the value's replacement in a lookup table"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a template.

    `name` is of FIELDS, or "original" for a bare attribute. `tag` is the attribute it reads, None
    when it reads none; `argument` the text argument; `length` a count, 0 when none is given. `by` is the
    attribute that is looked up in a table, where that is another.
    """

    name: str
    tag: int | None = None
    argument: str = ""
    length: int = 0
    by: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template; prints back as written."""

    text: str
    parts: tuple[str | Field, ...] = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse a template.

        Raises:
            ProfileError: a field is unknown or a brace is not closed; says what would be right.
        """
        return cls(text, tuple(_parts(text)))

    def __str__(self) -> str:
        return self.text

    @property
    def tags(self) -> frozenset[int]:
        """The attributes of the original object that it reads."""
        fields = [part for part in self.parts if isinstance(part, Field)]
        return frozenset(tag for field in fields for tag in (field.tag, field.by) if tag)

    @property
    def tells_the_day(self) -> bool:
        """It gives another value tomorrow."""
        return any(isinstance(part, Field) and part.name in ("today", "now") for part in self.parts)

    @property
    def copies_original(self) -> bool:
        """An original value comes out as it is."""
        plain = ("original", "value", "upper", "lower", "cut", "part")
        return any(isinstance(part, Field) and part.name in plain for part in self.parts)

    def render(self, value_of: Callable[[Field], str]) -> str:
        """Return the text with every field replaced by what `value_of` says."""
        return "".join(part if isinstance(part, str) else value_of(part) for part in self.parts)


_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


def _parts(text: str) -> list[str | Field]:
    parts: list[str | Field] = []
    for piece in _PIECE.finditer(text):
        inner = piece[1]
        if inner is not None:
            parts.append(_field(inner, text))
            continue
        if piece[0] in ("{", "}"):
            raise ProfileError(f"Template {text!r}: a single {piece[0]!r}; a brace itself is written twice")
        literal = {"{{": "{", "}}": "}"}.get(piece[0], piece[0])
        if parts and isinstance(parts[-1], str):
            parts[-1] += literal
        else:
            parts.append(literal)
    return parts


def _field(inner: str, text: str) -> Field:
    name, *arguments = inner.split(":")
    kind = FIELDS.get(name)
    if kind is None:
        tag = named_tag(name)
        if tag is None or arguments:
            near = names.did_you_mean(name, (*FIELDS, *dictionary.keywords()))
            raise ProfileError(f"Template {text!r}: {{{inner}}} is no field{near}")
        return Field("original", tag)
    return _filled(name, kind, arguments, text)


def _filled(name: str, kind: FieldKind, given: list[str], text: str) -> Field:
    if kind.arguments == ("text?",):
        given = [":".join(given)] if given else []
    needed = sum(not argument.endswith("?") for argument in kind.arguments)
    if not needed <= len(given) <= len(kind.arguments):
        form = ":".join((name, *kind.arguments))
        raise ProfileError(f"Template {text!r}: the field is written {{{form}}}")
    tags: list[int] = []
    words, length = "", 0
    for argument, value in zip(kind.arguments, given, strict=False):
        if argument == "attribute":
            tags.append(_known_tag(value, text))
        elif argument in ("number?", "count"):
            length = _count(value, text, signed=argument == "count")
        else:
            words = value
    return Field(name, tags[0] if tags else None, words, length, tags[1] if len(tags) > 1 else 0)


def _known_tag(value: str, text: str) -> int:
    tag = named_tag(value)
    if tag is None:
        near = names.nearest_keyword(value)
        raise ProfileError(f"Template {text!r}: {value!r} is no attribute{near}")
    return tag


def _count(value: str, text: str, *, signed: bool) -> int:
    if not value.removeprefix("-" if signed else "").isdecimal() or (not signed and int(value) == 0):
        what = "whole number" if signed else "number of characters"
        raise ProfileError(f"Template {text!r}: {value!r} is no {what}")
    return int(value)


def named_tag(text: str) -> int | None:
    """Return the tag of an attribute by its keyword or its digits, None when there is none."""
    digits = re.fullmatch(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?", text)
    return int(digits[1] + digits[2], 16) if digits else dictionary.tag_of(text)
