"""Builds a procedure in the Grand-Challenge JSON schema, step by step, from the standard alone.

base (the standard decides, null where it does not) + manual rows = candidate; its nulls are the
worklist; final has a version and no null. The steps are those of row GC-17 of the union design: module
usage, retired, basic profile, Type. What they leave open, our own basic profile can decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from deid_node.errors import ProfileError
from deid_node.profile.basic import resolve
from deid_node.profile.builder_manual import Manual
from deid_node.profile.procedure import Action, Rule
from deid_node.standard import confidentiality, iod
from deid_node.standard.dictionary import attribute, keyword_of, parse_mask
from deid_node.standard.iod import Use
from deid_node.standard.sop_classes import sop_class_name, storage_sop_classes

Document = dict[str, Any]

UNSUPPORTED_CLASS: Final = "Unsupported SOP Class"
UNSUPPORTED_ELEMENT: Final = "Unsupported data element"

_BY_TYPE: Final = {
    "Z/D": {"1": "D", "2": "Z"},
    "X/Z": {"2": "Z", "3": "X"},
    "X/D": {"1": "D", "3": "X"},
    "X/Z/D": {"1": "D", "2": "Z", "3": "X"},
    "X/Z/U*": {"1": "U", "2": "Z", "3": "X"},
}
# What is done where a compound code says nothing of a Type: the Grand-Challenge builder takes the same
# three answers for every compound code.
_BY_TYPE_ELSE: Final = {"1": "D", "2": "Z", "3": "X"}
_NOT_IN_PS3_15: Final = {"1": "K", "2": "Z", "3": "X"}


def by_module_usage(usages: Iterable[str]) -> str | None:
    """Return X for an attribute that only user optional modules have, None when undecided."""
    found = set(usages)
    if not found <= {"M", "C", "U"}:
        raise ProfileError("A module usage is M, C or U (PS3.3 A.1.3).")
    return "X" if found == {"U"} else None


def by_basic_profile(code: str, types: Iterable[str]) -> str | None:
    """Return the action for a Basic column code of Table E.1-1, None when the Types do not decide it."""
    if "/" not in code:
        return code
    found = set(types)
    if len(found) != 1:
        return None
    return _BY_TYPE[code].get(type_ := found.pop(), _BY_TYPE_ELSE.get(type_))


def by_type(types: Iterable[str]) -> str | None:
    """Return the action for an attribute that Table E.1-1 does not list, None when undecided."""
    found = set(types)
    return _NOT_IN_PS3_15.get(found.pop()) if len(found) == 1 else None


def build_base(sop_class_uids: Iterable[str]) -> Document:
    """Return what the standard alone decides, null where it leaves a choice.

    Raises:
        ProfileError: not a storage SOP class of the standard.
    """
    return {
        "default": "R",
        "dicomStandardVersion": confidentiality.EDITION,
        "justification": UNSUPPORTED_CLASS,
        "sopClass": {uid: _base_of(uid) for uid in _known(sop_class_uids)},
    }


def _known(sop_class_uids: Iterable[str]) -> list[str]:
    uids = list(sop_class_uids)
    unknown = [uid for uid in uids if uid not in storage_sop_classes()]
    if unknown:
        raise ProfileError(*(f"{uid} is not a storage SOP class of the standard." for uid in unknown))
    return uids


def _base_of(uid: str) -> Document:
    uses = iod.uses_anywhere(storage_sop_classes()[uid].iod_key)
    return {
        "default": "X",
        "justification": UNSUPPORTED_ELEMENT,
        "tag": {written_tag(tag): _base_entry(tag, found) for tag, found in uses.items()},
    }


def _base_entry(tag: int, uses: tuple[Use, ...]) -> Document:
    types = {use.type for use in uses}
    row = _confidentiality(tag)
    known = attribute(tag)
    steps = (
        ("Module usage", by_module_usage(use.usage for use in uses)),
        ("Retired", "X" if known is not None and known.retired else None),
        ("Basic Profile", by_basic_profile(row.basic, types) if row is not None else None),
        ("Attribute-Module type", by_type(types) if row is None else None),
    )
    for name, action in steps:
        if action is not None:
            return {"default": action, "justification": f"[AUTO] {name}"}
    return {"default": None, "justification": ""}


def _confidentiality(tag: int) -> confidentiality.Confidentiality | None:
    row = confidentiality.by_tag().get(tag)
    if row is not None:
        return row
    return next((row for mask, value, row in confidentiality.by_mask() if tag & mask == value), None)


def build_candidate(base: Document, manual: Manual) -> Document:
    """Return the base with the manual rows over it; a manual row wins over a decided one, too.

    Raises:
        ProfileError: a row speaks of a SOP class that the base does not have.
    """
    unknown = manual.keys() - base["sopClass"].keys()
    if unknown:
        raise ProfileError(
            *(f"The base has no SOP class {sop_class_name(uid)} ({uid})." for uid in sorted(unknown))
        )
    classes = {}
    for uid, table in base["sopClass"].items():
        rows = {
            written_tag(tag): {"default": row.action.value, "justification": row.because}
            for tag, row in manual.get(uid, {}).items()
        }
        classes[uid] = {**table, "tag": dict(sorted({**table["tag"], **rows}.items()))}
    return {**base, "sopClass": classes}


def undecided(document: Document) -> dict[str, list[int]]:
    """Return the tags without an action by SOP class UID; classes without such a tag are left out."""
    found = {
        uid: [tag_of_text(text) for text, entry in table["tag"].items() if entry["default"] is None]
        for uid, table in document["sopClass"].items()
    }
    return {uid: tags for uid, tags in found.items() if tags}


def decide_undecided(document: Document) -> Document:
    """Return the document with our basic profile's action wherever it has none, and the reason.

    C cannot be said in the schema: a dummy stands in for it.
    """
    classes = {}
    for uid, table in document["sopClass"].items():
        rules = resolve(uid)
        rows = {}
        for text, entry in table["tag"].items():
            if entry["default"] is None:
                tag = tag_of_text(text)
                entry = schema_entry(tag, rules.rule_for(tag, _vr(tag)))
            rows[text] = entry
        classes[uid] = {**table, "tag": rows}
    return {**document, "sopClass": classes}


def build_final(candidate: Document, version: str, *, only_reachable: bool = True) -> Document:
    """Return the procedure as it is published.

    Args:
        candidate: without undecided entries (see `decide_undecided`).
        version: of the procedure.
        only_reachable: leave out tags that stand only inside sequences that are not kept, as the
            releases of the Grand-Challenge procedure do since 2025.10.0.

    Raises:
        ProfileError: an entry is undecided; every one is named.
    """
    open_entries = [
        f"{sop_class_name(uid)}: {keyword_of(tag) or written_tag(tag)} is undecided."
        for uid, tags in undecided(candidate).items()
        for tag in tags
    ]
    if open_entries:
        open_entries.append("Write rows for them, or let the basic profile decide: build candidate --decide.")
    if not version.strip():
        open_entries.append("A final procedure has a version.")
    if open_entries:
        raise ProfileError(*open_entries)
    classes = {
        uid: {**table, "tag": _reachable(uid, table["tag"]) if only_reachable else table["tag"]}
        for uid, table in candidate["sopClass"].items()
    }
    return {"version": version, **candidate, "sopClass": classes}


def _reachable(uid: str, rows: Mapping[str, Document]) -> Document:
    top = iod.top(storage_sop_classes()[uid].iod_key)
    found = set(top.types)
    waiting, seen = [top], {top}
    while waiting:
        for tag, items in waiting.pop().items.items():
            kept = rows.get(written_tag(tag), {}).get("default") == "K"
            if kept and items not in seen:
                seen.add(items)
                found.update(items.types)
                waiting.append(items)
    in_iod = iod.uses_anywhere(storage_sop_classes()[uid].iod_key)
    return {
        text: entry
        for text, entry in rows.items()
        if tag_of_text(text) in found or tag_of_text(text) not in in_iod
    }


def schema_entry(tag: int, rule: Rule) -> Document:
    """Return a rule as an entry of the schema, which knows neither C nor functions nor item tables."""
    because = "; ".join(part for part in (rule.because, rule.decided_by) if part)
    action = rule.action
    if action is Action.C:
        action = Action.K if _vr(tag) == "SQ" else Action.D
        because = f"{because} (the schema has no C)"
    return {"default": action.value, "justification": because or "no justification"}


def written_tag(tag: int) -> str:
    """Return a tag as the schema writes it: upper case, 60XX for the overlay groups."""
    group = f"{tag >> 16:04X}"
    if group[:2] in ("50", "60"):
        group = f"{group[:2]}XX"
    return f"({group},{tag & 0xFFFF:04X})"


def tag_of_text(text: str) -> int:
    """Return the tag of a key of the schema; of a mask the first one."""
    return parse_mask(text[1:5] + text[6:10])[1]


def _vr(tag: int) -> str:
    known = attribute(tag)
    return known.vrs[0] if known is not None else "UN"
