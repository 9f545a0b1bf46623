"""The named parts of a dicom-curate specification in JavaScript: found by a tolerant scan, never run.

Comments and strings are blanked first, so that braces count and words in them do not. A part is a key or
a method at any depth whose name a specification knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile.imports import jsonc
from deid_node.profile.imports.jsonc import Value

OPTIONS: Final = "dicomPS315EOptions"
PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "version": "the version of the specification",
        "hostProps": "values for its functions; write them where rows need them",
        "inputPathPattern": "names of input folders; write the values that it takes from them as [set] rows",
        "dicomPS315EOptions": "options that are no plain list; write them as options of the profile",
        "modifyDicomHeader": "a function that writes attributes; write rows or [set] values",
        "modifyDicomHeaders": "a function that writes attributes; write rows or [set] values",
        "modifications": "a function that writes attributes and paths; write rows, [set] values, a template",
        "outputFilePathComponents": "a function; give a path template with --template",
        "errors": "a function; write [[validate]] rules",
        "validation": "a function; write [[validate]] rules",
        "identifiers": "values for its functions; write them where rows need them",
        "mappingCsvHeaders": 'columns of a CSV table; write [tables] and do = "lookup" rows',
        "additionalData": 'lookups in a CSV table; write [tables] and do = "lookup" rows',
        "excludedFiletypes": "names of files; a profile knows none",
        "preExclude": "a function; write an [[exclude]] gate",
        "postExclude": 'a function; write an [[exclude]] gate with stage = "result"',
        "dateOffset": "a duration; write date_shift rows",
    }
)
_BLANKED: Final = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL
)
_SCRIPT: Final = re.compile(
    r"=>|\bfunction\b|\bexport\b|\bimport\b|\breturn\b|\bconst\b|\blet\b|\bvar\b"
    r"|\brequire\s*\(|\bmodule\.exports\b"
)
_NAME: Final = re.compile(rf"(?<![\w$.])(?P<name>{'|'.join(PARTS)})\s*(?P<after>[:(,=}}])")
_MEMBER: Final = re.compile(r"([A-Za-z_$][\w$]*)\s*(?=[:(,}])|\S")
_IN_BACKTICKS: Final = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL)
_OPENING: Final = "({["
_CLOSING: Final = ")}]"


@dataclass(frozen=True, slots=True)
class Part:
    """A named part: its line, and the text of its value when that is a literal."""

    name: str
    line: int
    value: str

    @property
    def advice(self) -> str:
        """What a person does about it."""
        known = PARTS.get(self.name, "not a part of a specification that is known here")
        return f"JavaScript cannot be carried over: {known}"


def is_script(text: str) -> bool:
    """Tell whether a text is a program and no JSON."""
    blank = _blanked(text)
    if _SCRIPT.search(blank):
        return True
    return blank.lstrip()[:1] not in ("{", "[", "") and _NAME.search(blank) is not None


def parts(text: str) -> Iterator[Part]:
    """Yield the named parts in their order, each name once, but all options: a specification may be composed.

    Beside the names that are known, everything that stands beside the options is a part.
    """
    text = _unwrapped(text)
    blank = _blanked(text)
    named = {
        found.start(): (found["name"], found.end())
        for found in _NAME.finditer(blank)
        if found["after"] != "," or _is_in_object(blank, found.start())
    }
    for position, (name, _) in list(named.items()):
        if name == OPTIONS:
            named.update((at, (other, end)) for at, other, end in _beside(blank, position))
    seen: set[str] = set()
    for position, (name, begin) in sorted(named.items()):
        if name not in seen or name == OPTIONS:
            seen.add(name)
            yield Part(name, text.count("\n", 0, position) + 1, _value(text, blank, begin))


def literal(part: Part, file: str) -> Value | None:
    """Return the value of a part that is a plain literal, None for one that has to be computed."""
    try:
        padded = "\n" * (part.line - 1) + part.value
        return jsonc.parse(padded, file, relaxed=True)
    except ProfileError:
        return None


def _unwrapped(text: str) -> str:
    """Return a program that stands in a text of another one, at its lines; others as they are."""
    if OPTIONS in _blanked(text):
        return text
    for found in _IN_BACKTICKS.finditer(text):
        if OPTIONS in found[1]:
            return "\n" * text.count("\n", 0, found.start(1)) + found[1]
    return text


def _opening(blank: str, position: int) -> int:
    """Return where the bracket around a position opens, -1 when nothing is around it."""
    depth = 0
    for begin in range(position - 1, -1, -1):
        if blank[begin] in _CLOSING:
            depth += 1
        elif blank[begin] in _OPENING:
            if depth == 0:
                return begin
            depth -= 1
    return -1


def _beside(blank: str, position: int) -> Iterator[tuple[int, str, int]]:
    """Yield (position, name, end) of the members of the object that a member stands in."""
    begin = _opening(blank, position)
    depth = 0
    is_new = True
    for found in _MEMBER.finditer(blank, begin + 1):
        character = found[0][0]
        if depth == 0 and is_new and found[1]:
            yield found.start(), found[1], found.end() + 1
        is_new = depth == 0 and character == ","
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth < 0:
            return


def _blanked(text: str) -> str:
    return _BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _is_in_object(blank: str, position: int) -> bool:
    """Tell whether a bare name is a shorthand member: what stands before it is a brace or a comma."""
    return blank[:position].rstrip()[-1:] in ("{", ",")


def _value(text: str, blank: str, begin: int) -> str:
    """Return the text from a colon up to the comma or bracket that ends the value."""
    depth = 0
    for position in range(begin, len(blank)):
        character = blank[position]
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        if depth < 0 or (depth == 0 and character in ",;"):
            return text[begin:position].strip()
    return text[begin:].strip()
