"""Writes any procedure in the Grand-Challenge JSON schema, as far as that schema can say it.

It has six actions and one table a SOP class: C becomes D (K on a sequence), a function becomes its
action, a table for the items of one sequence and private creators are left out. `losses` names each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from deid_node.profile.builder import Document, schema_entry, written_tag
from deid_node.profile.names import written
from deid_node.profile.procedure import Action, Procedure, Rule, Table
from deid_node.standard import confidentiality, iod
from deid_node.standard.sop_classes import sop_class_name, storage_sop_classes

_NAMED: Final = 5  # attributes of a loss that are named; their rows say it, each


def to_grand_challenge(procedure: Procedure, sop_class_uids: Iterable[str] | None = None) -> Document:
    """Return a procedure in the schema.

    Args:
        procedure: any compiled procedure.
        sop_class_uids: which of its tables; None for all.
    """
    uids = list(procedure.tables) if sop_class_uids is None else list(sop_class_uids)
    unlisted = procedure.unlisted_sop_class
    keeps = isinstance(unlisted, Rule) and unlisted.action is Action.K
    because = unlisted.because if isinstance(unlisted, Rule) else ""
    return {
        "version": procedure.version,
        "default": "K" if keeps else "R",
        "dicomStandardVersion": confidentiality.EDITION,
        "justification": because or "SOP class has no table in the procedure",
        "sopClass": {uid: _table(procedure.table_for(uid), uid) for uid in uids},
    }


def _table(table: Table, uid: str) -> Document:
    known = storage_sop_classes().get(uid)
    in_iod = iod.uses_anywhere(known.iod_key) if known is not None else {}
    default = schema_entry(0, table.unlisted)
    rows = {
        written_tag(tag): schema_entry(tag, rule)
        for tag, rule in sorted(table.rules.items())
        if tag in in_iod or rule.action is not table.unlisted.action
    }
    for mask, value, rule in table.masks:
        key = _masked(mask, value)
        if key is not None and rule.action is not table.unlisted.action:
            rows[key] = schema_entry(value, rule)
    return {**default, "tag": rows}


def _masked(mask: int, value: int) -> str | None:
    """Return a mask as a key of the schema, None when it is not made of whole digits."""
    digits = ""
    for shift in range(28, -4, -4):
        part = mask >> shift & 0xF
        if part not in (0x0, 0xF):
            return None
        digits += f"{value >> shift & 0xF:X}" if part else "X"
    return f"({digits[:4]},{digits[4:]})"


def losses(procedure: Procedure, sop_class_uids: Iterable[str] | None = None) -> Iterator[str]:
    """Return, a sentence for each kind and SOP class, what `to_grand_challenge` cannot carry over."""
    uids = list(procedure.tables) if sop_class_uids is None else list(sop_class_uids)
    if isinstance(procedure.unlisted_sop_class, Table):
        yield "The table for all other SOP classes is left out: the schema rejects or keeps them."
    for uid in uids:
        table = procedure.table_for(uid)
        name = sop_class_name(uid)
        for loss, tags in _lost_in(table).items():
            number = f"{len(tags)} attributes" if len(tags) > 1 else "an attribute"
            verb = "are" if len(tags) > 1 else "is"
            more = f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else ""
            named = ", ".join(written(tag) for tag in tags[:_NAMED])
            yield f"{name}: {number} {verb} {loss}: {named}{more}."
        if table.private:
            yield f"{name}: {len(table.private)} private attributes are left out."


def _lost_in(table: Table) -> dict[str, list[int]]:
    """Return what is lost, with the tags of which it is."""
    lost: dict[str, list[int]] = {}
    for tag, rule in sorted(table.rules.items()):
        if rule.items is not None:
            lost.setdefault("sequences whose items follow the table of the object", []).append(tag)
        if rule.action is Action.C:
            lost.setdefault("replaced, not cleaned", []).append(tag)
        elif rule.call is not None:
            lost.setdefault(f"written without their function {rule.call.name}", []).append(tag)
    return lost
