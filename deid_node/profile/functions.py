"""The functions of `do = "..."`: their names, parameters and VRs. Described here, applied in `engine`.

The table is the reference: profiles/README.md lists what stands here, and a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.procedure import Action, Call
from deid_node.profile.template import Template
from deid_node.standard import dictionary

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


@dataclass(frozen=True, slots=True)
class Function:
    """What a row may do with an attribute.

    `action` is the action code that stands for it in a table. `vrs` are those it can be applied to;
    empty means all. A function that is no more than its action code has `is_action` and no call.
    """

    action: Action
    about: str
    params: Mapping[str, Param] = MappingProxyType({})
    vrs: frozenset[str] = frozenset()
    is_action: bool = False


_TEXT_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATE_VRS: Final = frozenset({"DA", "DT"})
_NUMBER_VRS: Final = frozenset(
    {"AS", "DS", "FD", "FL", "IS", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"}
)
_HASH_VRS: Final = _TEXT_VRS | {"AS", "DA", "DS", "DT", "IS", "OB", "TM", "UI", "UN"}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def _filled_text(value: object) -> str:
    if not _text(value):
        raise ValueError("expected a text that is not empty")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _whole(least: int, most: int) -> Reader:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return value

    return read


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError("expected a number that is not negative")
    return float(value)


def _one_of(*words: str) -> Reader:
    def read(value: object) -> str:
        if value not in words:
            near = names.did_you_mean(str(value), words)
            raise ValueError(f"expected one of {', '.join(words)}{near}")
        return str(value)

    return read


def _attribute(value: object) -> int:
    tag = dictionary.tag_of(_text(value))
    if tag is None:
        raise ValueError(f"expected the keyword of an attribute{names.nearest_keyword(str(value))}")
    return tag


def _template(value: object) -> Template:
    try:
        return Template.parse(_text(value))
    except ProfileError as error:
        raise ValueError(str(error)) from None


_DURATION: Final = re.compile(
    r"-?P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d{1,6})?S)?)?"
)


def _duration(value: object) -> str:
    if not _DURATION.fullmatch(_text(value)):
        raise ValueError("expected an ISO 8601 duration such as P30D, -P7D or P1Y2M3DT4H5M6S")
    return str(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of texts")
    return tuple(value)


def _cases(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError('expected a table of texts such as { M = "1", F = "2" }')
    return MappingProxyType(dict(value))


_FIT: Final = Param(
    _one_of("fail", "truncate", "remove"), "fail", "what to do with a result too long for the VR"
)
_KEY: Final = Param(_filled_text, "", "name of a secret of the node; empty means the project key")
_SCOPE: Final = Param(_one_of("patient", "study", "series", "instance"), "patient", "what shares one result")
_ALPHABET: Final = Param(_one_of("hex", "base32", "decimal"), "hex", "characters of the result")

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "keep": Function(Action.K, "keeps the attribute", is_action=True),
        "remove": Function(Action.X, "removes the attribute", is_action=True),
        "empty": Function(Action.Z, "leaves a zero-length value"),
        "dummy": Function(Action.D, "writes a dummy that is valid for VR and VM", is_action=True),
        "set": Function(
            Action.D, "writes a value", {"value": Param(_template, ..., "template of the value"), "fit": _FIT}
        ),
        "uid": Function(
            Action.U,
            "writes a new UID, the same for the same UID",
            {
                "algorithm": Param(
                    _one_of("keyed", "dicom-curate", "radiopaedia"),
                    "keyed",
                    "others than keyed only repeat another tool's output, and warn",
                )
            },
            frozenset({"UI"}),
        ),
        "redact": Function(
            Action.Z,
            "empties the value; of ages and dates a part may stay",
            {
                "partial_ages": Param(_flag, False, "ages up to 89 years stay"),
                "partial_dates": Param(_flag, False, "the year of a date stays, as YYYY0101"),
            },
        ),
        "date_shift": Function(
            Action.C,
            "moves dates by whole days, or by a fixed duration",
            {
                "duration": Param(_duration, "", "fixed ISO 8601 duration, the same for everybody"),
                "days": Param(
                    _whole(1, 36500), 0, "longest keyed shift in days; 0: longest_shift_days of [dates]"
                ),
                "scope": _SCOPE,
                "algorithm": Param(
                    _one_of("keyed", "microsoft"), "keyed", "microsoft repeats that tool's shift, and warns"
                ),
                "key": _KEY,
            },
            _DATE_VRS | {"TM"},
        ),
        "perturb": Function(
            Action.C,
            "adds keyed noise to a number",
            {
                "span": Param(_positive, 1.0, "width of the noise"),
                "range": Param(
                    _one_of("proportional", "fixed"),
                    "proportional",
                    "span is a factor of the value, or absolute",
                ),
                "round_to": Param(_whole(0, 15), 2, "decimals of the result"),
            },
            _NUMBER_VRS,
        ),
        "hash": Function(
            Action.D,
            "writes the keyed hash of the value",
            {
                "algorithm": Param(
                    _one_of("sha256", "sha384", "sha512", "md5"),
                    "sha256",
                    "HMAC; md5 is unkeyed, only repeats another tool's output, and warns",
                ),
                "length": Param(
                    _whole(1, 128), 0, "characters of the result; left out: as many as fit the VR"
                ),
                "alphabet": _ALPHABET,
                "match_length": Param(_flag, False, "decimal digits, as many as the value has characters"),
                "key": _KEY,
                "fit": _FIT,
            },
            _HASH_VRS,
        ),
        "encrypt": Function(
            Action.D,
            "writes the encrypted value as Base64, for those who hold the key",
            {
                "algorithm": Param(
                    _one_of("aes-siv", "aes-gcm", "aes-cbc"), "aes-siv", "aes-siv gives equal for equal"
                ),
                "key": _KEY,
                "fit": _FIT,
            },
            _HASH_VRS - {"UI", "CS", "DA", "DT", "TM", "IS", "DS", "AS", "AE"},
        ),
        "substitute": Function(
            Action.D,
            "writes a fixed text; a backslash separates values",
            {"with": Param(_text, "ANONYMOUS", "the text"), "fit": _FIT},
        ),
        "mask": Function(
            Action.D,
            "goes through the value: * keeps a character, another one replaces it; the rest is cut",
            {"mask": Param(_filled_text, ..., "such as ******01"), "fit": _FIT},
            _TEXT_VRS | {"AS", "DA", "DT", "TM", "DS", "IS"},
        ),
        "no_space": Function(
            Action.D,
            "replaces runs of non-word characters",
            {"with": Param(_text, "", "what stands for a run"), "fit": _FIT},
            _TEXT_VRS,
        ),
        "fake_name": Function(
            Action.D,
            "writes an invented name",
            {"seed": Param(_attribute, 0x00100020, "attribute whose equal values get equal names")},
            frozenset({"PN", "LO", "SH", "UC", "UT", "LT", "ST"}),
        ),
        "round": Function(
            Action.C,
            "rounds a number",
            {"to": Param(_positive, 1.0, "multiple to round to")},
            _NUMBER_VRS,
        ),
        "age_cap": Function(
            Action.C,
            "writes ages above a limit as the limit plus one year",
            {"limit": Param(_whole(1, 998), 89, "largest age in years that stays")},
            frozenset({"AS"}),
        ),
        "date_truncate": Function(
            Action.C,
            "sets the day, or day and month, to 01 and the time of day to zero",
            {"to": Param(_one_of("year", "month"), "year", "what stays")},
            _DATE_VRS,
        ),
        "zip_prefix": Function(
            Action.C,
            "keeps the first digits of a postal code and writes 0 for the others",
            {
                "digits": Param(_whole(0, 10), 3, "digits that stay"),
                "restricted": Param(_texts, (), "prefixes that are zeroed as well"),
            },
            _TEXT_VRS,
        ),
        "case": Function(
            Action.D,
            "changes upper and lower case",
            {"to": Param(_one_of("upper", "lower"), ..., "the case")},
            _TEXT_VRS,
        ),
        "map": Function(
            Action.D,
            "writes what a list of cases says",
            {
                "cases": Param(_cases, ..., "original value to new value"),
                "otherwise": Param(
                    _one_of("reject", "remove", "empty", "keep"), "reject", "for a value that is not listed"
                ),
                "fit": _FIT,
            },
        ),
        "lookup": Function(
            Action.D,
            "writes what a lookup table says",
            {
                "table": Param(_filled_text, ..., "name of a table of [tables]"),
                "by": Param(_attribute, 0, "attribute that is looked up; left out: the attribute itself"),
                "missing": Param(
                    _one_of("reject", "hold", "empty", "remove", "hash"),
                    "reject",
                    "for a value without a row",
                ),
                "fit": _FIT,
            },
        ),
    }
)
_COMPATIBLE_ONLY: Final = frozenset({"dicom-curate", "radiopaedia", "microsoft", "md5", "aes-cbc"})


def describe(name: str, given: Mapping[str, object]) -> tuple[Action, Call | None]:
    """Return the action code and the call for `do = name` with its parameters.

    Raises:
        ProfileError: unknown function or parameter, or a value that cannot be; every finding at once.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        raise ProfileError(f"{name!r} is no function{names.did_you_mean(name, FUNCTIONS)}")
    problems: list[str] = []
    for word in given.keys() - function.params.keys():
        offered = ", ".join(function.params) or "none"
        near = names.did_you_mean(word, function.params)
        problems.append(f"{name} has no parameter {word!r}{near or f'; it has {offered}'}")
    params: dict[str, object] = {}
    for word, param in function.params.items():
        try:
            if word in given:
                params[word] = param.read(given[word])
            elif param.is_required:
                problems.append(f"{name} needs the parameter {word!r}: {param.about}")
            else:
                params[word] = param.default
        except ValueError as error:
            problems.append(f"{name}, parameter {word!r}: {error}")
    if problems:
        raise ProfileError(*sorted(problems))
    if function.is_action:
        return function.action, None
    return function.action, Call(name, MappingProxyType(_set(name, params)))


def _set(name: str, params: dict[str, object]) -> dict[str, object]:
    if name == "set":
        params["template"] = params.pop("value")
    return params


def is_compatible_only(call: Call) -> bool:
    """Tell whether a call exists only to repeat the output of another tool (no keyed function)."""
    return call.params.get("algorithm") in _COMPATIBLE_ONLY


def cannot_take(call: Call, vr: str) -> str:
    """Return why a call cannot be applied to a VR, empty if it can."""
    name = call.name
    vrs = FUNCTIONS[name].vrs if name in FUNCTIONS else frozenset()
    if not vrs or vr in vrs:
        return (
            ""
            if vr != "SQ" or vrs or name in ("empty", "redact")
            else f"{name} cannot be applied to a sequence"
        )
    return f"{name} cannot be applied to VR {vr}; it takes {', '.join(sorted(vrs))}"
