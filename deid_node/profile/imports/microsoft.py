"""Configurations of Microsoft's DICOM anonymizer: `rules`, `defaultSettings`, `customSettings`.

Rows MS-1 to MS-15 and MS-18. The first matching rule wins and unlisted attributes stay, as there; rules
hold at every depth, and a setting of one rule never leaks into the next, unlike there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.imports import jsonc
from deid_node.profile.imports.draft import Draft, Written
from deid_node.profile.imports.imported import Imported, Options
from deid_node.profile.imports.jsonc import Value
from deid_node.profile.imports.microsoft_methods import (
    ALIASES,
    ALREADY_SO,
    FIRST_FORM_DEFAULTS,
    METHODS,
    SETTINGS,
    Method,
    NotCarriedOver,
    SettingError,
    Settings,
    Task,
)
from deid_node.profile.imports.precedence import first_wins
from deid_node.profile.places import Place
from deid_node.profile.selector import Selector

_RULE_KEYS: Final = frozenset({"tag", "vr", "method", "setting", "settings", "params"})
_TOP_KEYS: Final = frozenset({"rules", "defaultsettings", "customsettings", "customizedsettings"})
_FIRST_FORM_KEYS: Final = frozenset({"dicomtagrules", "parameters"})
_FIRST_FORM_RULE_KEYS: Final = frozenset({"tag", "method", "span", "roundto", "rangetype"})
_SETTING: Final = re.compile(r"default(?:setting)?s?$", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")
_WITH_CREATOR: Final = re.compile(
    r"\(?([0-9a-f]{3}[13579bdf]),\s*(?:xx)?[0-9a-f]{0,2}([0-9a-f]{2}):([^)]+)\)?", re.I
)
_ODD_GROUPS: Final = frozenset(f"xxx{digit},xxxx" for digit in "13579bdf")
_PARTS_OF_ZIP: Final = ("enablePartialZipCodesForRedact", "restrictedZipCodeTabulationAreas")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule: what it is about, what is done, and how the source says it."""

    selector: Selector
    method: str
    given: Mapping[str, Value]
    line: int
    source: str


class _Reading:
    """Collects the rules of one file, and everything that is wrong with it."""

    def __init__(self, file: str, draft: Draft) -> None:
        self.file = file
        self.draft = draft
        self.rules: list[_Rule] = []
        self.problems: list[str] = []

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(f"{Place(self.file, line)}: {text}")

    def raise_if_any(self) -> None:
        if self.problems:
            raise ProfileError(*self.problems)

    def selector(self, rule: Value) -> Selector | None:
        """Return what a rule is about, None with the problem noted."""
        given = _tag_of(rule)
        if given is None or not given.is_text:
            self.wrong(rule.line, "a rule has no tag")
            return None
        text = str(given.plain)
        try:
            return Selector.parse(_our_selector(text))
        except ProfileError:
            forms = "(gggg,eeee), a mask such as (60xx,3000), a VR, or a keyword"
            self.wrong(given.line, f"tag {text!r} is none; write {forms}{names.nearest_keyword(text)}")
            return None

    def method(self, rule: Value) -> str | None:
        """Return the name of the method in lower case, None with the problem noted.

        A processor of one's own is listed, and what it is for removed.
        """
        given = rule.get("method")
        if given is None or not given.is_text:
            self.wrong(rule.line, "a rule has no method")
            return None
        name = str(given.plain).casefold()
        if name not in METHODS:
            why = f"there is no method {str(given.plain)!r}"
            near = names.did_you_mean(str(given.plain), METHODS)
            if near:
                self.wrong(given.line, f"{why}{near}")
                return None
            why += ": a processor of your own becomes a function of your own here; removed instead"
            self.draft.leave_out(rule.line, _said(rule), why)
            return "remove"
        return name

    def settings(self, value: Value | None) -> dict[str, Value]:
        """Return settings by their lower case names; one that no method has is listed."""
        if value is not None and not value.is_object and value.plain is not None:
            self.wrong(value.line, "settings are an object")
        found: dict[str, Value] = {}
        for key, line, setting in _members(value):
            name = ALIASES.get(key.casefold(), key.casefold())
            harmless = ALREADY_SO.get(name, ())
            if name not in SETTINGS and str(setting.plain).casefold() not in harmless:
                self.draft.leave_out(line, key, "no setting of a method; it has no effect")
            found[name] = setting
        return found


def read(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a configuration in the released form.

    Raises:
        ProfileError: the configuration is none; with every finding.
    """
    top = _top(text, file, "rules")
    draft = _draft(file, name)
    reading = _Reading(file, draft)
    defaults: dict[str, dict[str, Value]] = {}
    for key, line, value in _members(top.get("defaultSettings")):
        method_name = _SETTING.sub("", key).casefold()
        defaults[method_name] = reading.settings(value)
        if method_name not in METHODS:
            draft.leave_out(line, f"defaultSettings {key}", "there is no such method")
    custom_settings = top.get("customSettings") or top.get("customizedSettings")
    custom = {key.casefold(): reading.settings(value) for key, _, value in _members(custom_settings)}
    for rule in _rules(top, "rules", reading):
        selector, method = reading.selector(rule), reading.method(rule)
        given = dict(defaults.get(method or "", {}))
        setting = rule.get("setting") or rule.get("settings")
        if setting is not None:
            found = custom.get(str(setting.plain).casefold())
            if found is None:
                near = names.did_you_mean(str(setting.plain), custom)
                reading.wrong(setting.line, f"there are no customSettings {str(setting.plain)!r}{near}")
            given = dict(found or {})
        given.update(reading.settings(rule.get("params")))
        _list_unknown(rule, _RULE_KEYS, draft)
        if selector is not None and method is not None:
            reading.rules.append(_Rule(selector, method, given, rule.line, _said(rule)))
    _list_unknown(top, _TOP_KEYS, draft)
    return _write(reading, draft, METHODS)


def read_first_form(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a configuration in the first form: `dicomTagRules` and `parameters`.

    The first tool came to the released form later; a configuration with `rules` is read as such.

    Raises:
        ProfileError: the configuration is none; with every finding.
    """
    top = _top(text, file, "dicomTagRules", "rules")
    if top.get("dicomTagRules") is None:
        return read(text, file, name, options)
    draft = _draft(file, name)
    reading = _Reading(file, draft)
    parameters = reading.settings(top.get("parameters"))
    for rule in _rules(top, "dicomTagRules", reading):
        selector, method = reading.selector(rule), reading.method(rule)
        own = {key.casefold(): value for key, _, value in rule.members or () if key.casefold() != "tag"}
        _list_unknown(rule, _FIRST_FORM_RULE_KEYS, draft)
        if selector is not None and method is not None:
            given = {**parameters, **own}
            reading.rules.append(_Rule(selector, method, given, rule.line, _said(rule)))
    _list_unknown(top, _FIRST_FORM_KEYS, draft)
    for key in _PARTS_OF_ZIP:
        value = parameters.get(key.casefold())
        if value is not None and (value.plain is True or value.items):
            why = 'no attribute is a postal code; write rows with do = "zip_prefix" where texts hold one'
            draft.leave_out(value.line, key, why)
    methods = {
        **METHODS,
        "perturb": replace(METHODS["perturb"], defaults=FIRST_FORM_DEFAULTS),
        "redact": replace(METHODS["redact"], write=_redact_in_first_form),
    }
    return _write(reading, draft, methods)


def _said(rule: Value) -> str:
    """Return how a rule is called in lists: its method and tag as they are written."""
    tag, method = _tag_of(rule), rule.get("method")
    return f"{method.plain if method else ''} of {tag.plain if tag else ''}"


def _tag_of(rule: Value) -> Value | None:
    """Return what names the attributes: a tag or VR, in the first form inside an object."""
    tag = rule.get("tag")
    holder = tag if tag is not None and tag.is_object else rule
    return (tag if holder is rule else holder.get("value")) or holder.get("VR")


def _redact_in_first_form(task: Task) -> Written:
    """MS-7: there, what is not kept in part is removed."""
    written = METHODS["redact"].write(task)
    return "X" if written == "Z" else written


def _top(text: str, file: str, *rules: str) -> Value:
    top = jsonc.parse(text, file)
    if not top.is_object:
        raise ProfileError(f"{file}: the top is not an object")
    if all(top.get(key) is None for key in rules):
        raise ProfileError(f"{file}: there is no {rules[0]}")
    return top


def _rules(top: Value, key: str, reading: _Reading) -> Iterator[Value]:
    rules = top.get(key)
    if rules is None or rules.items is None:
        reading.wrong(rules.line if rules else 0, f"{key} is a list of objects")
        return
    for rule in rules.items:
        if rule.is_object:
            yield rule
        else:
            reading.wrong(rule.line, "a rule is an object with tag and method")


def _members(value: Value | None) -> tuple[tuple[str, int, Value], ...]:
    return value.members or () if value is not None else ()


def _list_unknown(value: Value, known: Iterable[str], draft: Draft) -> None:
    for key, line, _ in value.members or ():
        if key.casefold() not in known:
            draft.leave_out(line, key, "not a key that this form has a meaning for")


def _draft(file: str, name: str) -> Draft:
    draft = Draft(name, file)
    draft.head = [
        f"Imported from {file}, a configuration of Microsoft's DICOM anonymizer.",
        "As there, attributes without a row stay as they are. Rows hold at every depth.",
    ]
    draft.settings = {"base": "none"}
    draft.tables["unlisted"] = {"sop_class": "catch-all", "attribute": "K", "private": "K"}
    return draft


def _our_selector(text: str) -> str:
    plain = _SPACES.sub("", text)
    creator = _WITH_CREATOR.fullmatch(text.strip())
    if creator is not None:
        return f"{creator[1]}[{creator[3].strip()}]xx{creator[2]}"
    if plain in names.VRS:
        return f"vr:{plain}"
    digits = re.fullmatch(r"\(?([0-9A-Fa-fXx]{4}),?([0-9A-Fa-fXx]{4})\)?", plain)
    if digits is None or re.fullmatch(r"[A-Z][a-z].*", plain):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", plain):
            raise ProfileError(f"{text!r} is no tag")
        return plain
    if "x" in plain.lower():
        return f"{digits[1]},{digits[2]}".lower()
    return names.written(int(digits[1] + digits[2], 16))


# --- the profile ----------------------------------------------------------------------------------


def _write(reading: _Reading, draft: Draft, methods: Mapping[str, Method]) -> Imported:
    order = first_wins([rule.selector for rule in reading.rules])
    hidden = {later for later, _ in order.unreached}
    written: dict[int, Written] = {}
    for number, rule in enumerate(reading.rules):
        if number not in hidden:
            written[number] = _written(rule, methods, draft, reading)
            draft.add(str(rule.selector), written[number], rule.line, rule.source)
    reading.raise_if_any()
    for later, earlier in order.unreached:
        rule, first = reading.rules[later], reading.rules[earlier]
        draft.warn(rule.line, f"{rule.source} is never reached: {first.source} comes first")
    for tag, number in order.exceptions:
        rule = reading.rules[number]
        heading = f"{rule.selector} comes before what is more specific in the source"
        what = _written(replace(rule, selector=Selector.parse(names.written(tag))), methods, draft, reading)
        draft.add(names.written(tag), what, rule.line, rule.source, heading=heading)
    for number, later in order.apart:
        rule, other = reading.rules[number], reading.rules[later]
        text = f"{rule.source}: of private attributes, {other.source} decides"
        draft.warn(rule.line, text)
    _fold_odd_groups(draft)
    _say_dates(draft)
    return draft.finish()


def _written(rule: _Rule, methods: Mapping[str, Method], draft: Draft, reading: _Reading) -> Written:
    method = methods[rule.method]
    settings = Settings(rule.given, method.defaults, rule.line)
    try:
        return method.write(Task(rule.selector, settings, draft))
    except NotCarriedOver as error:
        draft.leave_out(rule.line, rule.source, f"{error}; removed instead")
    except SettingError as error:
        reading.wrong(rule.line, f"{rule.source}: {error}")
    return "X"


def _fold_odd_groups(draft: Draft) -> None:
    """Say in one line what eight masks say: private attributes without a row are removed."""
    odd = [row for row in draft.rows if row.selector in _ODD_GROUPS and row.what == "X"]
    if {row.selector for row in odd} == _ODD_GROUPS:
        draft.rows = [row for row in draft.rows if row not in odd]
        draft.tables["unlisted"]["private"] = "X"


def _say_dates(draft: Draft) -> None:
    if draft.shifts_dates:
        draft.tables["stamps"] = {"dates": "modified"}
