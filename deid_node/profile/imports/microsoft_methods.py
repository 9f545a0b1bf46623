"""The methods of Microsoft's DICOM anonymizer as rows: settings in, action or function out.

Rows MS-6 to MS-14. A key is never written into the profile: it becomes a named secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deid_node.profile.imports.draft import Draft, Written, as_template
from deid_node.profile.imports.jsonc import Value
from deid_node.profile.selector import Kind, Selector
from deid_node.standard import dictionary

_MOST_DECIMALS: Final = 28
_OUR_DECIMALS: Final = 15
_LONGEST_SHIFT: Final = 36500
_AES_KEY_BYTES: Final = (16, 24, 32)
_SCOPES: Final = {"studyinstance": "study", "seriesinstance": "series", "sopinstance": "instance"}
_RANGES: Final = {"proportional": "proportional", "fixed": "fixed"}
_HASHES: Final = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}
_TOO_SHORT_FOR_BASE64: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "SH", "TM", "UI"})


class SettingError(ValueError):
    """A setting has a value that it cannot have; the text says what would be right."""


class NotCarriedOver(Exception):
    """A method cannot be said for this attribute; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings of one rule, by lower case names.

    `defaults` are the tool's own. `line` is the rule's.
    """

    given: Mapping[str, Value]
    defaults: Mapping[str, object]
    line: int

    def plain(self, name: str) -> object:
        """Return a setting as it is written, the default where it is not."""
        value = self.given.get(name.casefold())
        return self.defaults.get(name) if value is None or value.plain is None else value.plain

    def text(self, name: str) -> str:
        """Return a setting as text; numbers are accepted."""
        value = self.plain(name)
        return "" if value is None else str(value)

    def line_of(self, name: str) -> int:
        """Return the line a setting stands in."""
        value = self.given.get(name.casefold())
        return self.line if value is None else value.line

    def flag(self, name: str) -> bool:
        """Return true or false.

        Raises:
            SettingError: neither.
        """
        text = str(self.plain(name)).casefold()
        if text not in ("true", "false", "none", ""):
            raise SettingError(f"{name} is true or false")
        return text == "true"

    def number(self, name: str) -> float:
        """Return a number that is not negative, also one in quotes.

        Raises:
            SettingError: it is none.
        """
        try:
            number = float(str(self.plain(name)))
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise SettingError(f"{name} is a number that is not negative")
        return number

    def whole(self, name: str, most: int) -> int:
        """Return a whole number of 0 to `most`.

        Raises:
            SettingError: it is none.
        """
        number = self.number(name)
        if number != int(number) or number > most:
            raise SettingError(f"{name} is a whole number from 0 to {most}")
        return int(number)

    def word(self, name: str, words: Mapping[str, str]) -> str:
        """Return what stands for a word in our language.

        Raises:
            SettingError: not one of the words.
        """
        word = words.get(self.text(name).casefold())
        if word is None:
            raise SettingError(f"{name} is one of {', '.join(words)}")
        return word


@dataclass(frozen=True, slots=True)
class Task:
    """One rule: the attributes, the settings, and the profile it goes into."""

    selector: Selector
    settings: Settings
    draft: Draft

    @property
    def vr(self) -> str:
        """The VR that all attributes meant have, empty for several."""
        last = self.selector.last
        if last.kind is Kind.VR:
            return last.vr
        return dictionary.vr_of(last.tag) if last.tag is not None else ""


def keep(task: Task) -> Written:
    """MS-6."""
    return "K"


def remove(task: Task) -> Written:
    """MS-6."""
    return "X"


def redact(task: Task) -> Written:
    """MS-7: zero length; of ages and dates a part may stay."""
    ages = task.settings.flag("enablePartialAgesForRedact") and task.vr in ("", "AS")
    dates = task.settings.flag("enablePartialDatesForRedact") and task.vr in ("", "DA", "DT")
    if not ages and not dates:
        return "Z"
    written: dict[str, object] = {"do": "redact"}
    if ages:
        written["partial_ages"] = True
    if dates:
        written["partial_dates"] = True
    return written


def perturb(task: Task) -> Written:
    """MS-8."""
    settings = task.settings
    written: dict[str, object] = {"do": "perturb", "span": _short(settings.number("span"))}
    if settings.word("rangeType", _RANGES) == "fixed":
        written["range"] = "fixed"
    decimals = settings.whole("roundTo", _MOST_DECIMALS)
    if decimals > _OUR_DECIMALS:
        task.draft.warn(settings.line_of("roundTo"), f"roundTo {decimals}: {_OUR_DECIMALS} decimals are kept")
    if decimals != 2:
        written["round_to"] = min(decimals, _OUR_DECIMALS)
    return written


def date_shift(task: Task) -> Written:
    """MS-10: the tool's own formula, so that dates move as they did there."""
    settings = task.settings
    if task.vr not in ("", "DA", "DT"):
        raise NotCarriedOver(f"dateShift takes DA and DT, not {task.vr}")
    days = settings.whole("dateShiftRange", _LONGEST_SHIFT)
    per = settings.word("dateShiftScope", _SCOPES)
    if not days:
        raise NotCarriedOver("a dateShiftRange of 0 moves nothing and would keep the dates")
    written: dict[str, object] = {"do": "date_shift"}
    key = settings.text("dateShiftKey")
    if key:
        written["algorithm"] = "microsoft"
        line = settings.line_of("dateShiftKey")
        written["key"] = task.draft.secret("date-shift", key, line, "dateShiftKey")
    return {**written, "days": days, "per": per}


def crypto_hash(task: Task) -> Written:
    """MS-11."""
    settings = task.settings
    written: dict[str, object] = {"do": "hash"}
    algorithm = settings.word("cryptoHashType", _HASHES)
    if algorithm != "sha256":
        written["algorithm"] = algorithm
    if settings.flag("matchInputStringLength"):
        written["match_length"] = True
    key = settings.text("cryptoHashKey")
    if key:
        line = settings.line_of("cryptoHashKey")
        written["key"] = task.draft.secret("hash", key, line, "cryptoHashKey")
    return written


def encrypt(task: Task) -> Written:
    """MS-12; without a key of its own, ours."""
    settings = task.settings
    key = settings.text("encryptKey")
    if key and len(key.encode()) not in _AES_KEY_BYTES:
        raise SettingError("encryptKey has 16, 24 or 32 bytes")
    if task.vr in _TOO_SHORT_FOR_BASE64:
        raise NotCarriedOver(f"an encrypted value does not fit VR {task.vr}")
    written: dict[str, object] = {"do": "encrypt"}
    if key:
        written["algorithm"] = "aes-cbc"
        line = settings.line_of("encryptKey")
        written["key"] = task.draft.secret("encrypt", key, line, "encryptKey")
    written["fit"] = "remove"
    return written


def substitute(task: Task) -> Written:
    """MS-13."""
    text = task.settings.text("replaceWith")
    return {"value": as_template(text)} if text else "Z"


def refresh_uid(task: Task) -> Written:
    """MS-14."""
    return "U"


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is written, and the tool's own settings where a file gives none."""

    write: Callable[[Task], Written]
    defaults: Mapping[str, object]


def _method(write: Callable[[Task], Written], **defaults: object) -> Method:
    return Method(write, MappingProxyType(defaults))


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "keep": _method(keep),
        "remove": _method(remove),
        "redact": _method(redact, enablePartialAgesForRedact=False, enablePartialDatesForRedact=False),
        "perturb": _method(perturb, span=1, rangeType="Proportional", roundTo=2),
        "dateshift": _method(date_shift, dateShiftRange=50, dateShiftScope="SeriesInstance"),
        "cryptohash": _method(crypto_hash, cryptoHashType="Sha256", matchInputStringLength=False),
        "encrypt": _method(encrypt),
        "substitute": _method(substitute, replaceWith="ANONYMOUS"),
        "refreshuid": _method(refresh_uid),
    }
)
# Lower case names: what a method asks for, what only the first form has, what earlier versions called so.
SETTINGS: Final = frozenset(
    "enablepartialagesforredact enablepartialdatesforredact enablepartialzipcodesforredact"
    " restrictedzipcodetabulationareas span roundto rangetype dateshiftkey dateshiftscope dateshiftrange"
    " cryptohashkey cryptohashtype matchinputstringlength encryptkey replacewith".split()
)
ALIASES: Final[Mapping[str, str]] = MappingProxyType({"cryptohashfunction": "cryptohashtype"})
ALREADY_SO: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"distribution": ("uniform",), "encryptfunction": ("aes", "symmetric")}
)
FIRST_FORM_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {"span": 0, "rangeType": "Fixed", "roundTo": 2}
)


def _short(number: float) -> float | int:
    return int(number) if number == int(number) else number
