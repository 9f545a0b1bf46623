"""Procedures in the Grand-Challenge JSON schema: read as they are, checked as a whole, written as TOML.

The semantics are those of grand-challenge-dicom-de-identifier, with its dummies; masks match here, and
BurnedInAnnotation is found at every depth and among several values. The package
`grand-challenge-dicom-de-id-procedure` is the built-in one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.conditions import Condition
from deid_node.profile.layers import even
from deid_node.profile.procedure import Action, Dummies, Gate, Procedure, Rule, Table
from deid_node.standard import dictionary
from deid_node.standard.values import is_uid

PACKAGE: Final = "grand_challenge_dicom_de_id_procedure"
ACTIONS: Final = (Action.X, Action.K, Action.D, Action.Z, Action.U, Action.R)
BURNED_IN: Final = Gate(
    Condition.parse("BurnedInAnnotation == 'YES'"),
    "BurnedInAnnotation is YES: text is burned into the pixels",
)
_TOP_KEYS: Final = ("version", "default", "dicomStandardVersion", "justification", "sopClass")
_CLASS_KEYS: Final = ("default", "justification", "tag")
_TAG_KEYS: Final = ("default", "justification")
# The published schema asks for the defaults too; their absence has a safe meaning (R, X) and is read.
_OPTIONAL: Final = frozenset({"default"})
_TAG: Final = re.compile(r"\(([0-9A-FX]{4}),([0-9A-FX]{4})\)")
_SOP_CLASS_UID: Final = 0x00080016
_ALL_BITS: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class JSONProcedure:
    """A procedure JSON, read and checked."""

    version: str
    standard: str
    tables: Mapping[str, Table]
    unlisted_sop_class: Rule
    text: str


def read_json(text: str, file: str) -> JSONProcedure:
    """Read a procedure JSON.

    Args:
        text: the JSON text.
        file: how problems call the file; no path.

    Raises:
        ProfileError: it breaks the schema; with every finding and where it is.
    """
    try:
        top = json.loads(text, object_pairs_hook=_no_duplicates)
    except (json.JSONDecodeError, _DuplicateKey, RecursionError) as error:
        raise ProfileError(f"{file}: not JSON: {error}") from None
    problems = list(_problems(top))
    if problems:
        raise ProfileError(*(f"{file}: {problem}" for problem in problems))
    return JSONProcedure(
        version=top["version"],
        standard=top["dicomStandardVersion"],
        tables=MappingProxyType({uid: _table(table, file) for uid, table in top["sopClass"].items()}),
        unlisted_sop_class=_unlisted_sop_class(top, file),
        text=text,
    )


@cache
def built_in() -> JSONProcedure:
    """Return the procedure of the package `grand-challenge-dicom-de-id-procedure`."""
    text = (files(PACKAGE) / "procedure.json").read_text("utf-8")
    return read_json(text, "grand-challenge procedure.json")


def compile_json(read: JSONProcedure, name: str, digest: str) -> Procedure:
    """Return the procedure that a JSON alone describes."""
    return Procedure(
        name=name,
        version=read.version,
        tables=read.tables,
        unlisted_sop_class=read.unlisted_sop_class,
        method=f"deid_node: {name} procedure {read.version}"[:64],
        dummies=Dummies.GRAND_CHALLENGE,
        rejects=(BURNED_IN,),
        digest=digest,
    )


class _DuplicateKey(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise _DuplicateKey(f"{', '.join(twice)} stands twice in one object")
    return table


# --- schema ---------------------------------------------------------------------------------------


def _problems(top: object) -> Iterator[str]:
    if not isinstance(top, dict):
        yield "the top is not an object"
        return
    yield from _shape("top", top, _TOP_KEYS)
    classes = top.get("sopClass", {})
    if not isinstance(classes, dict):
        yield "sopClass is not an object"
        return
    for uid, table in classes.items():
        where = f"sopClass {uid}"
        if not is_uid(uid):
            yield f"{where}: the key is no UID"
        if not isinstance(table, dict):
            yield f"{where}: not an object"
            continue
        yield from _shape(where, table, _CLASS_KEYS)
        tags = table.get("tag", {})
        if not isinstance(tags, dict):
            yield f"{where}: tag is not an object"
            continue
        for tag, entry in tags.items():
            yield from _entry_problems(f"{where}, tag {tag}", tag, entry)


def _entry_problems(where: str, tag: str, entry: object) -> Iterator[str]:
    if not _TAG.fullmatch(tag):
        yield f"{where}: a tag is written (GGGG,EEEE) with upper case digits, X for any digit"
    if not isinstance(entry, dict):
        yield f"{where}: not an object"
        return
    yield from _shape(where, entry, _TAG_KEYS, optional=frozenset())
    if tag == "(0008,0016)" and entry.get("default") in ("X", "D", "Z", "U"):
        yield f"{where}: SOPClassUID is needed to read the object; the action can only be K or R"


def _shape(
    where: str, table: Mapping[str, object], keys: Iterable[str], optional: frozenset[str] = _OPTIONAL
) -> Iterator[str]:
    keys = tuple(keys)
    for key in table:
        if key not in keys:
            yield f"{where}: unknown key {key!r}{names.did_you_mean(key, keys)}"
    for key in keys:
        if key not in table:
            if key not in optional:
                yield f"{where}: {key} is missing"
        elif key == "default":
            if table[key] not in list(ACTIONS):
                yield f"{where}: default {table[key]!r} is not one of {', '.join(ACTIONS)}"
        elif key not in ("tag", "sopClass") and (not isinstance(table[key], str) or not table[key]):
            yield f"{where}: {key} is not a text with at least one character"


# --- tables ---------------------------------------------------------------------------------------


def _table(table: Mapping[str, Any], file: str) -> Table:
    rules: dict[int, Rule] = {}
    masks: list[tuple[int, int, Rule]] = []
    for text, entry in table["tag"].items():
        mask, value = dictionary.parse_mask(text[1:5] + text[6:10])
        rule = Rule(Action(entry["default"]), entry["justification"], f"{file} {text}")
        if mask == _ALL_BITS:
            rules[value] = rule
        else:
            masks.append((*even(mask, value), rule))
    unlisted = Rule(Action(table.get("default", "X")), table["justification"], f"{file} default")
    masks.sort(key=lambda row: -row[0].bit_count())
    return Table(MappingProxyType(rules), unlisted, masks=tuple(masks))


def _unlisted_sop_class(top: Mapping[str, Any], file: str) -> Rule:
    """K keeps everything; every other default cannot make an object of an unknown SOP class: R."""
    keeps = top.get("default", "R") == "K"
    return Rule(Action.K if keeps else Action.R, top["justification"], f"{file} default")
