"""Scripts of CTP's DICOM anonymizer: XML (`p`, `e`, `k`, `r`) or the older properties, read as they are.

No document type and no entity is accepted. What the actions mean is in `ctp_actions` and `ctp_rsna`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.places import Place
from deid_node.standard import dictionary

REMOVES: Final = ("curves", "overlays", "privategroups", "unspecifiedelements")
_HEX: Final = re.compile(r"[(\[]?\s*([0-9A-Fa-f]{4})\s*,?\s*([0-9A-Fa-f]{4})\s*[)\]]?")
_PRIVATE: Final = re.compile(
    r"([0-9A-Fa-f]{1,4})\s*,?\s*\[([^\]]+)\]\s*,?\s*(?:xx)?([0-9A-Fa-f]{2})", re.IGNORECASE
)
_MASK: Final = re.compile(r"([0-9A-Fa-fXx]{4}),?([0-9A-Fa-fXx]{4})")
_CREATOR: Final = re.compile(r"[0-9A-Fa-f]{1,4}\s*,?\s*00\[[^\]]+\]")
_ROOTS: Final = ("script", "anonymizer-script")
_SAFE: Final = "safe"
_GROUP: Final = re.compile(r"(?:0x)?([0-9A-Fa-f]{1,4})")
_PROPERTY: Final = re.compile(
    r"(?P<off>#?)\s*(?P<kind>set|keep|remove|param)\.(?P<key>(?:[^=\\]|\\.)*)(?:=(?P<value>.*))?"
)
_SET: Final = re.compile(r"\[(?P<tag>(?:[^\[\]]|\[[^\]]*\])*)\](?P<name>.*)")


@dataclass(frozen=True, slots=True)
class Element:
    """One `e`: the selector in our language, the action as written, and where it stands.

    `is_on` unless it is switched off; `has_no_switch` when it does not say.
    """

    selector: str
    tag: int | None
    action: str
    line: int
    is_on: bool = True
    has_no_switch: bool = False

    @property
    def source(self) -> str:
        """How lists call it."""
        return (
            f"{self.selector} {self.action}".strip() if self.action else f"{self.selector} without an action"
        )


@dataclass(slots=True)
class Script:
    """What a script says; of keeps and removes only what is switched on.

    `keeps_safe_private` is the line that says so, 0 when none does.
    """

    params: dict[str, str] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    keeps: list[tuple[str, int]] = field(default_factory=list)
    removes: dict[str, int] = field(default_factory=dict)
    keeps_safe_private: int = 0
    has_globals: bool = False  # a p, k or r that only CTP has, also one that is switched off
    names_private_groups: bool = False  # an r that scripts of RSNA's Anonymizer have as well
    unknown: list[tuple[str, str, int]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def tag_named(self, name: str) -> int | None:
        """Return the tag of an element that an action names: a keyword, a tag, or a name of the script."""
        name = name.strip().removeprefix("root:")
        digits = _HEX.fullmatch(name)
        if digits is not None:
            return int(digits[1] + digits[2], 16)
        return dictionary.tag_of(name) or self.names.get(name)


def parse(text: str, file: str) -> Script:
    """Return what a script says.

    Raises:
        ProfileError: neither XML of the right form nor properties; with the line.
    """
    first = text.lstrip()[:1]
    if first in ("{", "["):
        raise ProfileError(f"{file}: a script is XML or properties, and this seems to be JSON")
    return _read_xml(text, file) if first == "<" else _read_properties(text, file)


# --- XML ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """An element of the XML while it is read."""

    name: str
    attributes: Mapping[str, str]
    line: int
    text: list[str] = field(default_factory=list)


class _XML:
    def __init__(self, file: str) -> None:
        self.file = file
        self.script = Script()
        self.problems: list[str] = []
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self._open: list[_Open] = []

    def _refuse(self, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise ProfileError(f"{Place(self.file, line)}: a document type or an entity is not accepted")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if not self._open and name not in _ROOTS:
            raise ProfileError(f"{Place(self.file, line)}: the root element is {name!r}, not 'script'")
        self._open.append(_Open(name, attributes, line))

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            kind = element.name
            text = "".join(element.text).strip()
            switch = element.attributes.get("en", "").strip()
            problem = _take(self.script, kind, element.attributes, text, element.line, switch)
            if problem:
                self.problems.append(f"{Place(self.file, element.line)}: {problem}")


def _read_xml(text: str, file: str) -> Script:
    reading = _XML(file)
    try:
        reading.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ProfileError(f"{Place(file, error.lineno)}: not XML: {expat.ErrorString(error.code)}") from None
    if reading.problems:
        raise ProfileError(*reading.problems)
    return reading.script


def _take(script: Script, kind: str, attributes: Mapping[str, str], text: str, line: int, switch: str) -> str:
    """Put one element into the script; return what is wrong with it. `switch` is T, F, or not there."""
    target = attributes.get("t", "").strip()
    if switch.upper() not in ("T", "F", ""):
        return f"en {switch!r} is neither T nor F"
    enabled = switch.upper() != "F"
    if kind == "e":
        return _take_element(script, target, attributes.get("n", ""), text, line, switch.upper())
    if kind == "p":
        script.has_globals = True
        script.params[target] = text
        return "" if target else "a p has no t"
    if kind == "k":
        script.has_globals = True
        if _SAFE in target.lower():
            script.keeps_safe_private = line if enabled else 0
            return ""
        group = _GROUP.fullmatch(target)
        if enabled and group is not None:
            script.keeps.append((group[1].zfill(4).upper(), line))
        return "" if group is not None else f"{target!r} is no group"
    if kind == "r":
        if target.lower() == "privategroups":
            script.names_private_groups = True
        else:
            script.has_globals = True
        if target.lower() not in REMOVES:
            return f"there is no r {target!r}{names.did_you_mean(target, REMOVES)}"
        if enabled:
            script.removes[target.lower()] = line
        return ""
    script.unknown.append((f"<{kind}>", "no element of a script", line))
    return ""


def _take_element(script: Script, target: str, name: str, text: str, line: int, switch: str) -> str:
    digits, private, mask = _HEX.fullmatch(target), _PRIVATE.fullmatch(target), _MASK.fullmatch(target)
    tag = int(digits[1] + digits[2], 16) if digits is not None else None
    if _CREATOR.fullmatch(target):
        why = "a private creator stays where something of its block does"
        script.unknown.append((f"{target} {text}".strip(), why, line))
        return ""
    if tag is not None:
        script.names.setdefault(name.strip(), tag)
        selector = names.written(tag)
    elif private is not None:
        selector = f"{private[1].zfill(4).upper()}[{private[2].strip()}]xx{private[3].upper()}"
    elif mask is not None:
        selector = f"{mask[1]},{mask[2]}".lower()
    else:
        return f"{target!r} is no tag; a tag has eight hexadecimal digits"
    script.elements.append(Element(selector, tag, text, line, switch != "F", not switch))
    return ""


# --- properties -----------------------------------------------------------------------------------


def _read_properties(text: str, file: str) -> Script:
    script = Script()
    problems = []
    is_one = any(_PROPERTY.fullmatch(written.strip()) for written in text.splitlines())
    for line, written in enumerate(text.splitlines(), 1):
        found = _PROPERTY.fullmatch(written.strip())
        if found is None:
            if written.strip() and not written.lstrip().startswith(("#", "!")):
                problems.append(f"{Place(file, line)}: not XML, and no property of a script")
                if not is_one:
                    break  # nor is any other line
            continue
        key = re.sub(r"\\(.)", r"\1", found["key"]).strip()
        value = re.sub(r"\\([:=#! ])", r"\1", found["value"] or "").strip()
        switch = "F" if found["off"] else "T"
        problem = _take_property(script, found["kind"], key, value, line, switch)
        if problem and not found["off"]:  # else a comment
            problems.append(f"{Place(file, line)}: {problem}")
    if not problems and not (script.elements or script.has_globals or script.names_private_groups):
        problems.append(f"{file}: there is no element of a script")
    if problems:
        raise ProfileError(*problems)
    return script


def _take_property(script: Script, kind: str, key: str, value: str, line: int, switch: str) -> str:
    if kind == "set":
        found = _SET.fullmatch(key)
        if found is None:
            return f"{key!r} is no tag; a tag is written [gggg,eeee]"
        return _take_element(script, found["tag"].strip(), found["name"], value, line, switch)
    if kind == "keep":
        key = key.removeprefix("group")
    short = {"keep": "k", "remove": "r", "param": "p"}[kind]
    return _take(script, short, {"t": key}, value, line, switch)
