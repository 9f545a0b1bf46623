"""What is wrong with the settings, in sentences that name the place, the key and what would be right.

Values are quoted only where they cannot be secret: a word that was expected to be one of a few.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]

_SINGULAR: Final = {"peers": "peer", "destinations": "destination"}
_EXPECTED: Final = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "path_type": "must be a path in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "missing": "is missing",
    "union_tag_not_found": 'needs kind = "folder" or kind = "ae"',
    "union_tag_invalid": 'needs kind = "folder" or kind = "ae"',
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong: where (a file with its line, a variable), and the rest of the sentence."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


@dataclass(frozen=True, slots=True)
class Origins:
    """Where each setting came from. The flat mappings give (value, variable or file) by name."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    file: Path | None = None
    from_file: Mapping[str, Any] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """Return the source of the setting at `place`, the strongest first."""
        name = "__".join(str(part) for part in place).lower()
        if place and place[0] in self.arguments:
            return "command line"
        for flat in (self.environment, self.secrets):
            for known, (_, source) in flat.items():
                if known == name or known.startswith(f"{name}__") or name.startswith(f"{known}__"):
                    return source
        if self.file is None:
            return "settings"
        line = line_of(self.file, place)
        return f"{self.file} line {line}" if line else str(self.file)

    def sentence(self, place: Place, problem: str) -> Problem:
        """Return a whole sentence: place, key, problem."""
        return Problem(self.where(place), f"{dotted(place)} {problem}")


def dotted(place: Place) -> str:
    """Return the key as TOML would name it, list positions in brackets."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the settings"


def sentences(error: ValidationError, model: type[BaseModel], origins: Origins) -> list[Problem]:
    """Return one sentence for each problem that pydantic found."""
    return [
        _sentence(problem, model, origins) for problem in error.errors(include_url=False, include_input=True)
    ]


def _sentence(problem: ErrorDetails, model: type[BaseModel], origins: Origins) -> Problem:
    place, keys = _resolve(problem["loc"], model)
    kind = problem["type"]
    if kind == "extra_forbidden":
        return origins.sentence(place, _unknown(str(place[-1]), keys))
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
        return origins.sentence(place, _one_of(words, problem.get("input")))
    if kind == "value_error":
        return origins.sentence(place, f"is not usable: {problem['ctx']['error']}.".replace("..", "."))
    if kind in _EXPECTED:
        return origins.sentence(place, _EXPECTED[kind] + ".")
    # The rest (greater_than_equal and the like) says its limit and never its input.
    return origins.sentence(place, problem["msg"].replace("Input should be", "must be") + ".")


def _unknown(word: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    if near:
        return f'is not a setting; did you mean "{near[0]}"?'
    return f"is not a setting; valid here: {', '.join(sorted(valid))}."


def _one_of(words: Sequence[str], value: object) -> str:
    allowed = " or ".join(f'"{word}"' for word in words)
    near = difflib.get_close_matches(value, words, n=1, cutoff=0.6) if isinstance(value, str) else []
    meant = f'; did you mean "{near[0]}"?' if near else "."
    return f"must be {allowed}{meant}"


def place_of(loc: Place, model: type[BaseModel]) -> Place:
    """Return the place that a problem of pydantic is about."""
    return _resolve(loc, model)[0]


def _resolve(loc: Place, model: type[BaseModel]) -> tuple[Place, list[str]]:
    """Return the place without the tags pydantic puts in for unions, and the keys valid beside its end."""
    place: list[str | int] = []
    at: Any = model
    keys: list[str] = []
    for part in loc:
        at = _plain(at)
        if get_origin(at) in (Union, UnionType) and isinstance(part, str):
            at = next((a for a in map(_plain, get_args(at)) if _tag(a) == part), at)
            if isinstance(at, type):
                continue
        if part == "[key]":
            continue
        place.append(part)
        if isinstance(at, type) and issubclass(at, BaseModel):
            keys = list(at.model_fields)
            found = at.model_fields.get(str(part))
            at = found.annotation if found else None
        elif get_args(at):
            at = get_args(at)[-1]
    return tuple(place), keys


def _plain(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[0]
    if get_origin(annotation) is UnionType:  # a table that may be left out
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _tag(model: Any) -> str | None:
    kind = (
        model.model_fields.get("kind") if isinstance(model, type) and issubclass(model, BaseModel) else None
    )
    return str(get_args(kind.annotation)[0]) if kind else None


def disagreements(layers: Sequence[Mapping[str, Any]], origins: Origins) -> list[Problem]:
    """Return what contradicts itself between the tables: names that do not exist, titles bound twice.

    Works on the raw layers, the strongest first, so that these problems are told together with those
    of single values.
    """
    tables: dict[str, dict[str, Any]] = {"peers": {}, "destinations": {}, "routes": {}}
    for layer in layers:
        for name, table in tables.items():
            found = layer.get(name)
            for key, entry in found.items() if isinstance(found, Mapping) else ():
                merged = table.setdefault(key, {})
                for setting, value in entry.items() if isinstance(entry, Mapping) else ():
                    merged.setdefault(setting, value)
    problems: list[Problem] = []
    titles: dict[str, str] = {}
    for name, entry in tables["destinations"].items():
        for word in _words(entry.get("fallback")):
            if word not in tables["destinations"] or word == name:
                place = ("destinations", name, "fallback")
                others = [other for other in tables["destinations"] if other != name]
                problems.append(origins.sentence(place, _no_such("destination", word, others)))
    if _is_false(_first(layers, "audit", "enabled")) and _first(layers, "audit", "syslog"):
        problem = "needs audit.enabled: what is sent is read from the audit stream."
        problems.append(origins.sentence(("audit", "syslog"), problem))
    quarantine = _first(layers, "quarantine", "public_key")
    sealing = _first(layers, "sealed", "key_file") or _first(layers, "sealed", "key")
    for route, entry in tables["routes"].items():
        for kind in ("destinations", "peers"):
            for word in _words(entry.get(kind)):
                if word not in tables[kind]:
                    place = ("routes", route, kind)
                    problems.append(
                        origins.sentence(place, _no_such(_SINGULAR[kind], word, list(tables[kind])))
                    )
        for title in _words(entry.get("called")):
            if titles.setdefault(title.strip(), route) != route:
                problem = f'has "{title}", which is bound to route "{titles[title.strip()]}" already.'
                problems.append(origins.sentence(("routes", route, "called"), problem))
        if entry.get("acknowledge") == "through" and not _is_one_ae(entry, tables["destinations"]):
            problem = 'is "through", which needs exactly one destination, and that one of kind "ae".'
            problems.append(origins.sentence(("routes", route, "acknowledge"), problem))
        problems += _sealing_problems(route, entry, bool(sealing), origins)
        problems += _commitment_problems(route, entry, tables["destinations"], origins)
        if entry.get("on_reject") == "quarantine" and not quarantine:
            problem = "needs quarantine.public_key, so that nothing identified lies on the disk in clear."
            problems.append(origins.sentence(("routes", route, "on_reject"), problem))
    return problems


def _sealing_problems(route: str, entry: Mapping[str, Any], has_key: bool, origins: Origins) -> list[Problem]:
    """Return why a route cannot keep originals, if it wants to."""
    found = []
    for setting, word in (("intake", "sealed"), ("on_hold", "seal")):
        if entry.get(setting) != word:
            continue
        problems = []
        if not has_key:
            problems.append("needs sealed.key_file, so that nothing identified lies on the disk in clear.")
        if entry.get("acknowledge") == "through":
            problems.append('needs acknowledge = "store": what goes through is never kept.')
        if setting == "intake" and entry.get("on_reject") == "quarantine":
            problems.append('keeps what is rejected in any case; leave on_reject = "quarantine" out.')
        found += [origins.sentence(("routes", route, setting), problem) for problem in problems]
    return found


def _commitment_problems(
    route: str, entry: Mapping[str, Any], destinations: Mapping[str, Mapping[str, Any]], origins: Origins
) -> list[Problem]:
    """Return why a route cannot answer for its destinations, if it wants to."""
    if entry.get("commitment") != "downstream":
        return []
    found = []
    if not _is_true(entry.get("originals_are_kept_elsewhere")):
        found.append(
            "needs originals_are_kept_elsewhere = true: a sender may delete its original after a success."
        )
    if entry.get("acknowledge") == "through":
        found.append('needs acknowledge = "store": nothing is known here of what went through.')
    found += [
        f'needs commitment = true of the destination "{name}".'
        for name in _words(entry.get("destinations"))
        if name in destinations and not _is_true(destinations[name].get("commitment"))
    ]
    return [origins.sentence(("routes", route, "commitment"), problem) for problem in found]


def _is_true(value: object) -> bool:
    return value is True or str(value).lower() in ("true", "1", "yes", "on")


def _is_one_ae(route: Mapping[str, Any], destinations: Mapping[str, Mapping[str, Any]]) -> bool:
    names = _words(route.get("destinations"))
    return len(names) == 1 and destinations.get(names[0], {}).get("kind") in ("ae", None)


def _is_false(value: object) -> bool:
    return value is False or str(value).lower() in ("false", "0", "no", "off")


def _first(layers: Sequence[Mapping[str, Any]], section: str, key: str) -> object:
    for layer in layers:
        table = layer.get(section)
        if isinstance(table, Mapping) and table.get(key) not in (None, ""):
            return table[key]
    return None


def _words(value: object) -> list[str]:
    if isinstance(value, StrEnum | str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list | tuple) else []


def _no_such(what: str, word: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    known = f"; configured: {', '.join(sorted(valid))}." if valid else "."
    meant = f'; did you mean "{near[0]}"?' if near else known
    return f'names the {what} "{word}", which is not configured{meant}'


_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT: Final = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def line_of(file: Path, place: Place) -> int | None:
    """Return the line of a TOML file where the setting, or the nearest table around it, is written."""
    wanted = tuple(str(part) for part in place)
    best: tuple[int, int] | None = None
    table: tuple[str, ...] = ()
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        header = _HEADER.match(line)
        assignment = _ASSIGNMENT.match(line)
        if header:
            here = table = _parts(header.group(2))
        elif assignment:
            here = table + _parts(assignment.group(1))
        else:
            continue
        if here == wanted[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(key))
