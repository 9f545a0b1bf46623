"""Path templates of a folder store: `{PatientID}/{StudyDate}_{Modality}/{InstanceNumber:05}.dcm`.

A template is parsed once, with every mistake named, and then makes relative paths of de-identified
attributes. It is pure: nothing is opened here. Every component is made safe whatever the values are;
`deid_node.delivery.names` says how.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deid_node.delivery.names import Limits, component, shortened, value_text
from deid_node.errors import ConfigurationError
from deid_node.standard.dictionary import keywords, tag_of, vr_of

INPUT_PATH: Final = "input_path"
FILE_FIELDS: Final = frozenset({"input_stem", INPUT_PATH, "index"})
"""Fields that exist only where files are de-identified: name and folder of the input, its number."""

_NOT_TEXT: Final = frozenset({"SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN", "AT"})
_NUMBER: Final = re.compile(r"0?[1-9][0-9]?")
_LENGTH: Final = re.compile(r"\.[1-9][0-9]?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_EXTENSION: Final = re.compile(r"(\.[A-Za-z0-9]{1,8})$")


@dataclass(frozen=True, slots=True)
class _Field:
    """One `{...}`: a tag, or the name of an extra field; at least `width` digits, or `longest` characters."""

    tag: int | None
    name: str
    width: int = 0
    fill: str = ""
    longest: int | None = None

    def text(self, attributes: Mapping[int, str], extra: Mapping[str, str]) -> str:
        """Return the value as it may stand in a name, "" when there is none."""
        value = extra.get(self.name, "") if self.tag is None else attributes.get(self.tag, "")
        if self.width and _INTEGER.fullmatch(number := value.split("\\")[0].strip()):
            return format(int(number), f"{self.fill}{self.width}").replace(" ", "_")
        return value_text(value)[: self.longest]


_Part = str | _Field


@dataclass(frozen=True, slots=True)
class _Component:
    """What is between two slashes; `extension` only in the last one."""

    parts: tuple[_Part, ...]
    extension: str = ""


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template. `fields` are the tags (0xGGGGEEEE) whose values it needs."""

    source: str
    fields: frozenset[int]
    limits: Limits
    _components: tuple[_Component, ...]

    def __str__(self) -> str:
        return self.source

    @classmethod
    def parse(
        cls,
        source: str,
        *,
        extra: Collection[str] = frozenset(),
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> PathTemplate:
        """Parse a template.

        Args:
            source: components between slashes, with `{Keyword}`, `{Keyword:05}` for numbers and
                `{Keyword:.8}` for the first characters.
            extra: names of fields that are no attributes, `FILE_FIELDS` for files.
            limits: how long a component and the whole may be.

        Raises:
            ConfigurationError: every mistake, each with the field it is in.
        """
        problems: list[str] = []
        pieces = source.split("/")
        components = tuple(_parse(piece, extra, problems) for piece in pieces)
        for parsed in components:
            names = [part.name for part in parsed.parts if isinstance(part, _Field)]
            if INPUT_PATH in names and (len(parsed.parts) > 1 or parsed is components[-1]):
                problems.append(
                    f"Template: {{{INPUT_PATH}}} stands for folders; write it as a component alone."
                )
        if problems:
            raise ConfigurationError(*problems)
        last = components[-1]
        if (
            last.parts
            and isinstance(literal := last.parts[-1], str)
            and (found := _EXTENSION.search(literal))
        ):
            rest = literal[: found.start()]
            parts = (*last.parts[:-1], rest) if rest else last.parts[:-1]
            components = (*components[:-1], _Component(parts, found.group(1)))
        tags = {
            part.tag
            for parsed in components
            for part in parsed.parts
            if isinstance(part, _Field) and part.tag is not None
        }
        return cls(source, frozenset(tags), limits, components)

    def render(self, attributes: Mapping[int, str], extra: Mapping[str, str] = {}) -> tuple[str, ...]:
        """Return the components of the path of one object, the last one being the file's name.

        No component is empty, `.` or `..`, begins with a dot or a dash, holds a separator or a control
        character, or is a reserved name of Windows.
        """
        names: list[str] = []
        for parsed in self._components:
            if (
                len(parsed.parts) == 1
                and isinstance(only := parsed.parts[0], _Field)
                and only.name == INPUT_PATH
            ):
                folders = extra.get(INPUT_PATH, "").replace("\\", "/").split("/")
                names += [component(value_text(folder), "", self.limits) for folder in folders if folder]
                continue
            stem = "".join(
                part if isinstance(part, str) else part.text(attributes, extra) or self.limits.placeholder
                for part in parsed.parts
            )
            names.append(component(stem, parsed.extension, self.limits))
        return shortened(names, self.limits)


def _parse(piece: str, extra: Collection[str], problems: list[str]) -> _Component:
    if piece in {"", ".", ".."}:
        problems.append(
            "Template: a component is empty, '.' or '..'; write a relative path with single slashes."
        )
        return _Component(())
    try:
        parsed = list(string.Formatter().parse(piece))
    except ValueError as error:
        problems.append(f"Template: {piece!r}: {error}.")
        return _Component(())
    parts: list[_Part] = []
    for literal, name, spec, conversion in parsed:
        if literal:
            if value_text(literal) != literal:
                problems.append(f"Template: {literal!r} has characters that cannot stand in a file name.")
            parts.append(literal)
        if name is None:
            continue
        if conversion:
            problems.append(f"Template: {{{name}!{conversion}}}: there are no conversions.")
        parts.append(_field(name, spec or "", extra, problems))
    return _Component(tuple(parts))


def _field(name: str, spec: str, extra: Collection[str], problems: list[str]) -> _Field:
    tag = None if name in extra else tag_of(name)
    if tag is None and name not in extra:
        problems.append(f"Template: {{{name}}} is not the keyword of an attribute{_nearest(name, extra)}")
    elif tag is not None and vr_of(tag) in _NOT_TEXT:
        problems.append(f"Template: {{{name}}} is not text (VR {vr_of(tag)}).")
    if not spec:
        return _Field(tag, name)
    if _NUMBER.fullmatch(spec):
        return _Field(tag, name, width=int(spec), fill="0" if spec.startswith("0") else "")
    if _LENGTH.fullmatch(spec):
        return _Field(tag, name, longest=int(spec[1:]))
    problems.append(
        f"Template: {{{name}:{spec}}}: write :05 for at least five digits, :.8 for eight characters."
    )
    return _Field(tag, name)


def _nearest(name: str, extra: Collection[str]) -> str:
    known: Sequence[str] = [*keywords(), *extra]
    by_lower = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {{{by_lower[found[0]]}}}?" if found else "."
