"""The options of the basic profile: PS3.15 E.3, coded in CID 7050."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum

from deid_node.errors import ProfileError


class Option(Enum):
    """An option: its name in a profile, its CID 7050 code, its column of Table E.1-1 ("" for none)."""

    CLEAN_PIXEL_DATA = ("clean-pixel-data", "113101", "")
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = ("clean-recognizable-visual-features", "113102", "")
    CLEAN_GRAPHICS = ("clean-graphics", "113103", "clean_graph")
    CLEAN_STRUCTURED_CONTENT = ("clean-structured-content", "113104", "clean_struct_cont")
    CLEAN_DESCRIPTORS = ("clean-descriptors", "113105", "clean_desc")
    RETAIN_LONGITUDINAL_FULL = ("retain-longitudinal-full", "113106", "retain_long_full")
    RETAIN_LONGITUDINAL_MODIFIED = ("retain-longitudinal-modified", "113107", "retain_long_modified")
    RETAIN_PATIENT_CHARACTERISTICS = ("retain-patient-characteristics", "113108", "retain_patient_chars")
    RETAIN_DEVICE_IDENTITY = ("retain-device-identity", "113109", "retain_device_id")
    RETAIN_UIDS = ("retain-uids", "113110", "retain_uids")
    RETAIN_SAFE_PRIVATE = ("retain-safe-private", "113111", "retain_safe_private")
    RETAIN_INSTITUTION_IDENTITY = ("retain-institution-identity", "113112", "retain_institution_id")

    def __init__(self, text: str, code: str, column: str) -> None:
        self.text = text
        self.code = code
        self.column = column

    def __str__(self) -> str:
        return self.text


_PIXELS_UNTOUCHED = (
    "Option {option} cannot be applied: pixels are not changed by this version. Leave the option out and "
    "reject objects that may show identity, with a [[reject]] row."
)
_BOTH_DATES = (
    "Options retain-longitudinal-full and retain-longitudinal-modified contradict each other: a date is "
    "either kept or shifted. Name one of them."
)


def problems(options: Iterable[Option]) -> list[str]:
    """Return, in a sentence each, why these options cannot be applied together; nothing when they can."""
    chosen = set(options)
    found = [
        _PIXELS_UNTOUCHED.format(option=option)
        for option in (Option.CLEAN_PIXEL_DATA, Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES)
        if option in chosen
    ]
    if {Option.RETAIN_LONGITUDINAL_FULL, Option.RETAIN_LONGITUDINAL_MODIFIED} <= chosen:
        found.append(_BOTH_DATES)
    return found


def parse_options(texts: Iterable[str]) -> frozenset[Option]:
    """Return the options of these names.

    Raises:
        ProfileError: a name is unknown, an option cannot be applied, or two contradict each other;
            with every finding.
    """
    known = {option.text: option for option in Option}
    chosen = set()
    found = []
    for text in texts:
        if text in known:
            chosen.add(known[text])
        else:
            near = get_close_matches(text, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(known)}."
            found.append(f"There is no option {text!r}.{hint}")
    found += problems(chosen)
    if found:
        raise ProfileError(*found)
    return frozenset(chosen)


def method_code_values(options: Iterable[Option]) -> tuple[str, ...]:
    """Return the CID 7050 code values of the basic profile with these options, in order."""
    return ("113100", *sorted(option.code for option in options))
