"""What no rule may touch, and values that a rule may not write.

Without these attributes an object cannot be read: its SOP class, its character set and the
description of its pixels (PS3.3 C.7.6.3). Value formats are those of PS3.5 Table 6.2-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from deid_node.profile import names
from deid_node.profile.functions import cannot_take
from deid_node.profile.procedure import Action, Call
from deid_node.profile.template import Template
from deid_node.standard import dictionary
from deid_node.standard.values import is_uid

_PIXEL_DESCRIPTION: Final = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    "FrameIncrementPointer",
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
    *("SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData"),
    "SegmentedBluePaletteColorLookupTableData",
)


def _tags(keywords: Iterable[str]) -> frozenset[int]:
    return frozenset(tag for keyword in keywords if (tag := dictionary.tag_of(keyword)) is not None)


PROTECTED: Final = _tags(("SOPClassUID", "SpecificCharacterSet", *_PIXEL_DESCRIPTION))
_REBUILT_GROUPS: Final = (0x0000, 0x0002)

_MAX_CHARS: Final = {
    "AE": 16,
    "CS": 16,
    "DS": 16,
    "IS": 12,
    "LO": 64,
    "LT": 10240,
    "PN": 194,
    "SH": 16,
    "ST": 1024,
}
_FORMATS: Final = {
    "AS": (re.compile(r"\d{3}[DWMY]"), "an age such as 045Y"),
    "CS": (re.compile(r"[A-Z0-9 _]*"), "upper case letters, digits, space and underscore"),
    "DA": (re.compile(r"\d{8}"), "a date YYYYMMDD"),
    "DS": (re.compile(r" *[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)? *"), "a decimal number"),
    "DT": (re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([-+]\d{4})?"), "a moment YYYYMMDDHHMMSS"),
    "IS": (re.compile(r" *[-+]?\d+ *"), "a whole number"),
    "TM": (re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"), "a time HHMMSS"),
}
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "UR"})
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_UID_OR_ITEMS: Final = frozenset({"UI", "SQ", "UN"})
_EMPTYING: Final = frozenset({"empty", "redact"})


def empties(action: Action, call: Call | None) -> bool:
    """Tell whether a rule leaves no value."""
    if action is Action.X:
        return True
    if call is None:
        return action is Action.Z
    template = call.params.get("template")
    wrote_nothing = isinstance(template, Template) and not template.parts
    return call.name in _EMPTYING or wrote_nothing or call.params.get("with") == ""


def is_rebuilt(tag: int) -> bool:
    """Tell whether an attribute belongs to the command set or the file meta, which are always made new."""
    return tag >> 16 in _REBUILT_GROUPS


def problem(tag: int, action: Action, call: Call | None) -> str:
    """Return why a row that names this one attribute cannot do this, empty if it can."""
    name = names.written(tag)
    if is_rebuilt(tag):
        return f"{name} is not of the dataset: command set and file meta information are always made new"
    if tag in PROTECTED and action not in (Action.K, Action.R):
        return f"{name} is needed to read the object and always kept; write K, or R to reject what has it"
    unfit = cannot_apply_to(tag, action, call)
    if unfit:
        return f"{name}: {unfit}"
    template = call.params.get("template") if call is not None else None
    if isinstance(template, Template) and all(isinstance(part, str) for part in template.parts):
        wrong = value_problem(dictionary.written_vr(tag), "".join(map(str, template.parts)))
        return f"{name}: {wrong}" if wrong else ""
    return ""


def cannot_apply_to(tag: int, action: Action, call: Call | None) -> str:
    """Return why what a row does cannot be done to an attribute, empty if it can."""
    makes = call is not None and makes_text(call)
    return cannot_apply(dictionary.written_vr(tag) if makes else dictionary.vr_of(tag), action, call)


def makes_text(call: Call) -> bool:
    """Tell whether a function makes a text of other things than the value of the attribute itself."""
    return "template" in call.params or bool(call.params.get("of") or call.params.get("by"))


def cannot_apply(vr: str, action: Action, call: Call | None) -> str:
    """Return why what a row does cannot be done to a VR, empty if it can."""
    if call is None:
        makes_no_uid = action is Action.U and vr not in _UID_OR_ITEMS
        return f"U makes UIDs, not values of VR {vr}" if makes_no_uid else ""
    if vr in _BINARY and "template" in call.params:
        return f"a value cannot be written for VR {vr}"
    return cannot_take(call, vr)


def value_problem(vr: str, text: str) -> str:
    """Return why a text is no value of a VR, empty if it is one."""
    values = [text] if vr in _ONE_VALUE else text.split("\\")
    for value in values:
        if len(value) > _MAX_CHARS.get(vr, len(value)):
            return f"VR {vr} has at most {_MAX_CHARS[vr]} characters, {value!r} has {len(value)}"
        if vr == "UI" and value and not is_uid(value):
            return f"VR UI holds UIDs, {value!r} is none"
        form, right = _FORMATS.get(vr, (None, ""))
        if form is not None and value and not form.fullmatch(value):
            return f"VR {vr} holds {right}, {value!r} is none"
    return ""
