"""The options of dicom-curate, `dicomPS315EOptions`, read and checked (rows DC-13 to DC-25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from deid_node.profile import names
from deid_node.profile.imports.jsonc import Value
from deid_node.profile.places import Place


@dataclass(slots=True)
class CurateOptions:
    """`dicomPS315EOptions` as they take effect, with the tool's defaults."""

    line: int = 0
    descriptors: bool = True
    exceptions: list[tuple[str, int]] = field(default_factory=list)
    dates: str = "off"
    characteristics: list[tuple[str, int]] | None = None
    device: bool = False
    uids: str = "hashed"
    private: bool = False
    institution: bool = False


class OptionsReader:
    """Reads the options of one file, and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(f"{Place(self.file, line)}: {text}")

    def options(self, value: Value) -> CurateOptions:
        options = CurateOptions(value.line)
        for key, line, given in value.members or ():
            read = READERS.get(key)
            if read is None:
                near = names.did_you_mean(key, READERS) or f"; known are {', '.join(READERS)}"
                self.wrong(line, f"there is no option {key!r}{near}")
            else:
                read(self, options, given, key)
        return options

    def flag(self, value: Value, key: str) -> bool:
        """Read true, false, 'On' or 'Off'."""
        if isinstance(value.plain, bool):
            return value.plain
        return self.word(value, key, ("on", "off")) == "on"

    def word(self, value: Value, key: str, words: tuple[str, ...]) -> str:
        """Read one of several words in any case."""
        word = str(value.plain).casefold() if value.is_text else ""
        if word not in words:
            self.wrong(value.line, f"{key} is one of {', '.join(words)}, or true or false for on and off")
            return words[0]
        return word

    def keywords(self, value: Value, key: str) -> list[tuple[str, int]] | None:
        """Read false, or a list of keywords."""
        if value.plain is False:
            return None
        if value.items is None or not all(item.is_text for item in value.items):
            self.wrong(value.line, f"{key} is false, or a list of keywords")
            return None
        return [(str(item.plain), item.line) for item in value.items]


def _descriptors(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.descriptors = reading.flag(value, key)


def _exceptions(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.exceptions = reading.keywords(value, key) or []


def _dates(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.dates = reading.word(value, key, ("off", "full", "offset"))


def _characteristics(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.characteristics = reading.keywords(value, key)


def _device(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.device = reading.flag(value, key)


def _uids(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    if isinstance(value.plain, bool):
        options.uids = "on" if value.plain else "hashed"
    else:
        options.uids = reading.word(value, key, ("hashed", "on", "off"))


def _private(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    if isinstance(value.plain, bool):
        options.private = value.plain
    else:
        options.private = reading.word(value, key, ("off", "quarantine")) == "quarantine"


def _institution(reading: OptionsReader, options: CurateOptions, value: Value, key: str) -> None:
    options.institution = reading.flag(value, key)


Read = Callable[[OptionsReader, CurateOptions, Value, str], None]
READERS: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "cleanDescriptorsOption": _descriptors,
        "cleanDescriptorsExceptions": _exceptions,
        "retainLongitudinalTemporalInformationOptions": _dates,
        "retainPatientCharacteristicsOption": _characteristics,
        "retainDeviceIdentityOption": _device,
        "retainUIDsOption": _uids,
        "retainSafePrivateOption": _private,
        "retainInstitutionIdentityOption": _institution,
    }
)
_UNITED: Final = ("cleanDescriptorsExceptions", "retainPatientCharacteristicsOption")


def composed(below: Value | None, above: Value) -> Value:
    """Return the options of two parts of a specification (row DC-29).

    Those of the later part win; of two lists of keywords both count, unless the later says false. 'Off'
    takes all options back, and what comes after it begins anew.
    """
    if below is None or not below.is_object or not above.is_object:
        return above
    members = {key: (key, line, value) for key, line, value in below.members or ()}
    for key, line, value in above.members or ():
        former = members.get(key)
        if key in _UNITED and value.items is not None and former is not None:
            value = replace(value, items=(*(former[2].items or ()), *value.items))
        members[key] = (key, line, value)
    return replace(above, members=tuple(members.values()))
