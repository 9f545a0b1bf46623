"""The functions of `do = "..."`: their names, parameters and VRs. Described here, applied in `engine`.

The table is the reference: profiles/README.md lists what stands here, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names, params, plugins
from deid_node.profile.params import Param
from deid_node.profile.procedure import Action, Apply, Call
from deid_node.standard.dictionary import vr_of


@dataclass(frozen=True, slots=True)
class Function:
    """What a row may do with an attribute.

    `action` is the action code that stands for it in a table. `vrs` are those it can be applied to;
    empty means all. A function that is no more than its action code has `is_action` and no call.
    `apply` is that of a plug-in.
    """

    action: Action
    about: str
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))
    vrs: frozenset[str] = frozenset()
    is_action: bool = False
    apply: Apply | None = None


_PLAIN_NUMBERS: Final = frozenset({"AS", "DS", "IS"})
_TEXT_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATE_VRS: Final = frozenset({"DA", "DT"})
_TIME_VRS: Final = _DATE_VRS | {"TM"}
_NUMBER_VRS: Final = frozenset(
    {"AS", "DS", "FD", "FL", "IS", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"}
)
_BINARY_VRS: Final = _NUMBER_VRS - _PLAIN_NUMBERS | {"OB", "UN", "SQ"}
_COUNTED: Final = frozenset({"DS", "IS"})
_HASH_VRS: Final = _TEXT_VRS | {"AS", "DA", "DS", "DT", "IS", "OB", "TM", "UI", "UN"}


_FIT: Final = Param(
    params.one_of("fail", "truncate", "remove"), "fail", "what to do with a result too long for the VR"
)
_KEY: Final = Param(params.secret_name, "", "name of a secret of the node; empty means the project key")
_OF: Final = Param(params.attribute, 0, "attribute whose value is taken; left out: the own one")
_PER: Final = Param(
    params.one_of("patient", "study", "series", "instance"), "patient", "what shares one result"
)
_ALPHABET: Final = Param(params.one_of("hex", "base32", "decimal"), "hex", "characters of the result")

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "keep": Function(Action.K, "keeps the attribute", is_action=True),
        "remove": Function(Action.X, "removes the attribute", is_action=True),
        "empty": Function(Action.Z, "leaves a zero-length value"),
        "dummy": Function(Action.D, "writes a dummy that is valid for VR and VM", is_action=True),
        "set": Function(
            Action.D,
            "writes a value",
            {"value": Param(params.template, ..., "template of the value"), "fit": _FIT},
        ),
        "uid": Function(
            Action.U,
            "writes a new UID, the same for the same UID",
            {
                "algorithm": Param(
                    params.one_of("keyed", "dicom-curate", "radiopaedia"),
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
                "partial_ages": Param(params.flag, False, "ages up to 89 years stay"),
                "partial_dates": Param(params.flag, False, "the year of a date stays, as YYYY0101"),
            },
        ),
        "date_shift": Function(
            Action.C,
            "moves dates by whole days, or by a fixed duration",
            {
                "duration": Param(params.duration, "", "fixed ISO 8601 duration, the same for everybody"),
                "days": Param(
                    params.whole(1, 36500), 0, "longest keyed shift in days; 0: longest_shift_days of [dates]"
                ),
                "per": _PER,
                "algorithm": Param(
                    params.one_of("keyed", "microsoft"),
                    "keyed",
                    "microsoft repeats that tool's shift, and warns",
                ),
                "key": _KEY,
                "table": Param(params.text, "", "name of a table of [tables] that holds days to move by"),
                "by": Param(params.attribute, 0, "attribute that is looked up in it; left out: PatientID"),
                "of": _OF,
            },
            _TIME_VRS,
        ),
        "perturb": Function(
            Action.C,
            "adds keyed noise to a number",
            {
                "span": Param(params.positive, 1.0, "width of the noise"),
                "range": Param(
                    params.one_of("proportional", "fixed"),
                    "proportional",
                    "span is a factor of the value, or absolute",
                ),
                "round_to": Param(params.whole(0, 15), 2, "decimals of the result"),
            },
            _NUMBER_VRS,
        ),
        "hash": Function(
            Action.D,
            "writes the keyed hash of the value",
            {
                "algorithm": Param(
                    params.one_of("sha256", "sha384", "sha512", "md5"),
                    "sha256",
                    "HMAC; md5 is unkeyed, only repeats another tool's output, and warns",
                ),
                "length": Param(
                    params.whole(1, 128), 0, "characters of the result; left out: as many as fit the VR"
                ),
                "alphabet": _ALPHABET,
                "match_length": Param(
                    params.flag, False, "decimal digits, as many as the value has characters"
                ),
                "key": _KEY,
                "of": _OF,
                "fit": _FIT,
            },
            _HASH_VRS,
        ),
        "encrypt": Function(
            Action.D,
            "writes the encrypted value as Base64, for those who hold the key",
            {
                "algorithm": Param(
                    params.one_of("aes-siv", "aes-gcm", "aes-cbc"), "aes-siv", "aes-siv gives equal for equal"
                ),
                "key": _KEY,
                "of": _OF,
                "fit": _FIT,
            },
            _HASH_VRS - {"UI", "CS", "DA", "DT", "TM", "IS", "DS", "AS", "AE"},
        ),
        "substitute": Function(
            Action.D,
            "writes a fixed text; a backslash separates values",
            {"with": Param(params.text, "ANONYMOUS", "the text"), "fit": _FIT},
        ),
        "mask": Function(
            Action.D,
            "goes through the value: * keeps a character, another one replaces it; the rest is cut",
            {"mask": Param(params.filled_text, ..., "such as ******01"), "of": _OF, "fit": _FIT},
            _TEXT_VRS | _TIME_VRS | _PLAIN_NUMBERS,
        ),
        "no_space": Function(
            Action.D,
            "replaces runs of non-word characters",
            {"with": Param(params.text, "", "what stands for a run"), "of": _OF, "fit": _FIT},
            _TEXT_VRS,
        ),
        "fake_name": Function(
            Action.D,
            "writes an invented name",
            {"seed": Param(params.attribute, 0x00100020, "attribute whose equal values get equal names")},
            frozenset({"PN", "LO", "SH", "UC", "UT", "LT", "ST"}),
        ),
        "initials": Function(
            Action.D,
            "writes the initials of a name, those of the family name last",
            {"of": _OF, "fit": _FIT},
            _TEXT_VRS,
        ),
        "round": Function(
            Action.C,
            "rounds a number",
            {"to": Param(params.positive, 1.0, "multiple to round to"), "of": _OF},
            _NUMBER_VRS,
        ),
        "age_cap": Function(
            Action.C,
            "writes ages above a limit as the limit plus one year",
            {"limit": Param(params.whole(1, 998), 89, "largest age in years that stays")},
            frozenset({"AS"}),
        ),
        "date_truncate": Function(
            Action.C,
            "sets the day, or day and month, to 01 and the time of day to zero",
            {"to": Param(params.one_of("year", "month"), "year", "what stays"), "of": _OF},
            _DATE_VRS,
        ),
        "date_set": Function(
            Action.C,
            "sets parts of a date; a day that the month does not have runs on into the next",
            {
                "year": Param(params.whole(0, 9999), 0, "the year; left out: it stays"),
                "month": Param(params.whole(0, 12), 0, "the month; left out: it stays"),
                "day": Param(params.whole(0, 31), 0, "the day; left out: it stays"),
                "of": _OF,
            },
            _DATE_VRS,
        ),
        "date_interval": Function(
            Action.C,
            "counts the days since a date of a lookup table, from another date where one is given",
            {
                "table": Param(params.filled_text, ..., "name of a table of [tables]; its values are dates"),
                "by": Param(params.attribute, ..., "attribute that is looked up"),
                "origin": Param(
                    params.day, "", "date YYYY-MM-DD that stands for that of the table; else a number of days"
                ),
                "missing": Param(
                    params.one_of("reject", "hold", "empty", "remove"), "reject", "for a value without a row"
                ),
                "of": _OF,
                "fit": _FIT,
            },
            _DATE_VRS,
        ),
        "zip_prefix": Function(
            Action.C,
            "keeps the first digits of a postal code and writes 0 for the others",
            {
                "digits": Param(params.whole(0, 10), 3, "digits that stay"),
                "restricted": Param(params.texts, (), "prefixes that are zeroed as well"),
            },
            _TEXT_VRS,
        ),
        "case": Function(
            Action.D,
            "changes upper and lower case",
            {"to": Param(params.one_of("upper", "lower"), ..., "the case"), "of": _OF},
            _TEXT_VRS,
        ),
        "cut": Function(
            Action.D,
            "keeps the first characters of a value, or the last ones",
            {
                "to": Param(params.whole(-1024, 1024), ..., "how many stay; with a minus the last ones"),
                "of": _OF,
                "fit": _FIT,
            },
            _TEXT_VRS | _TIME_VRS | _PLAIN_NUMBERS,
        ),
        "part": Function(
            Action.D,
            "keeps one part of a value that separators divide, such as a path",
            {
                "at": Param(params.whole(-1024, 1024), ..., "which part, from 0; -1 is the last"),
                "separator": Param(params.filled_text, "/", "what stands between two parts"),
                "missing": Param(
                    params.one_of("keep", "empty", "remove"), "empty", "for a value without such a part"
                ),
                "of": _OF,
                "fit": _FIT,
            },
            _TEXT_VRS,
        ),
        "replace": Function(
            Action.D,
            "replaces what a regular expression finds",
            {
                "pattern": Param(params.pattern, ..., "regular expression"),
                "with": Param(params.text, "", "what stands for it; \\1 is the first group"),
                "of": _OF,
                "fit": _FIT,
            },
            _TEXT_VRS,
        ),
        "map": Function(
            Action.D,
            "writes what a list of cases says",
            {
                "cases": Param(params.cases, ..., "original value to new value"),
                "otherwise": Param(
                    params.one_of("reject", "remove", "empty", "keep"),
                    "reject",
                    "for a value that is not listed",
                ),
                "fit": _FIT,
            },
        ),
        "lookup": Function(
            Action.D,
            "writes what a lookup table says",
            {
                "table": Param(params.filled_text, ..., "name of a table of [tables]"),
                "by": Param(
                    params.attributes,
                    (),
                    "attribute that is looked up, or a list for several keys; left out: the attribute itself",
                ),
                "missing": Param(
                    params.one_of("reject", "hold", "empty", "remove", "hash", "keep"),
                    "reject",
                    "for a value without a row",
                ),
                "default": Param(params.text, "", "text for a value without a row, in place of missing"),
                "fit": _FIT,
            },
        ),
    }
)
_COMPATIBLE_ONLY: Final = frozenset({"dicom-curate", "radiopaedia", "microsoft", "md5", "aes-cbc"})


def function_of(name: str) -> Function | None:
    """Return the function of a name, built in or of a plug-in, None if there is none.

    Raises:
        ProfileError: a plug-in that cannot be used, or one that is called as another function.
    """
    plugins.refuse_names(FUNCTIONS)
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name not in plugins.offered():
        return None
    plugin = plugins.load(name)
    given = MappingProxyType({"fit": _FIT, **plugin.params})
    return Function(plugin.action, plugin.about, given, plugin.vrs, apply=plugin.apply)


def known_names() -> tuple[str, ...]:
    """Return the names of all functions, those of plug-ins last."""
    return (*FUNCTIONS, *sorted(plugins.offered().keys() - FUNCTIONS.keys()))


def describe(name: str, given: Mapping[str, object]) -> tuple[Action, Call | None]:
    """Return the action code and the call for `do = name` with its parameters.

    Raises:
        ProfileError: unknown function or parameter, or a value that cannot be; every finding at once.
    """
    function = function_of(name)
    if function is None:
        raise ProfileError(f"{name!r} is no function{names.did_you_mean(name, known_names())}")
    problems: list[str] = []
    for word in given.keys() - function.params.keys():
        offered = ", ".join(function.params) or "none"
        near = names.did_you_mean(word, function.params)
        problems.append(f"{name} has no parameter {word!r}{near or f'; it has {offered}'}")
    values: dict[str, object] = {}
    for word, param in function.params.items():
        try:
            if word in given:
                values[word] = param.read(given[word])
            elif param.is_required:
                problems.append(f"{name} needs the parameter {word!r}: {param.about}")
            else:
                values[word] = param.default
        except ValueError as error:
            problems.append(f"{name}, parameter {word!r}: {error}")
    if problems:
        raise ProfileError(*sorted(problems))
    if function.is_action:
        return function.action, None
    if name == "set":
        values["template"] = values.pop("value")
    return function.action, Call(name, MappingProxyType(values), function.apply)


def is_compatible_only(call: Call) -> bool:
    """Tell whether a call exists only to repeat the output of another tool (no keyed function)."""
    return call.params.get("algorithm") in _COMPATIBLE_ONLY


def cannot_take(call: Call, vr: str) -> str:
    """Return why a call cannot be applied to a VR, empty if it can."""
    name = call.name
    function = FUNCTIONS.get(name) if call.apply is None else function_of(name)
    vrs = function.vrs if function is not None else frozenset()
    of = int(str(call.params.get("of") or 0))
    source = vr_of(of) if of else vr
    what = f"{names.written(of)}, which has VR {source}" if of else f"VR {vr}"
    if vrs and source not in vrs:
        return f"{name} cannot be applied to {what}; it takes {', '.join(sorted(vrs))}"
    if of and source in _BINARY_VRS:
        return f"{name} cannot be applied to {what}: its values are no text"
    counts = name == "date_interval" and not call.params.get("origin")
    if (of or counts) and vr not in _TEXT_VRS | (_COUNTED if counts else {source}):
        made = "a number of days" if counts else f"what {name} makes of {what},"
        return f"{made} is no value of VR {vr}"
    if vr == "SQ" and not vrs and name not in ("empty", "redact"):
        return f"{name} cannot be applied to a sequence"
    return ""
