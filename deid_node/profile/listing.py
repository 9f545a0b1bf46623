"""Show a compiled procedure to a person: its rows with their reasons, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from deid_node.errors import SOPClassNotSupported
from deid_node.profile import names, params
from deid_node.profile.functions import FUNCTIONS
from deid_node.profile.procedure import Call, Procedure, Rule, Table
from deid_node.standard import dictionary, iod
from deid_node.standard.sop_classes import storage_sop_classes


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row of a resolved table, as text.

    `selector` is a keyword, tag, mask, private element or VR, with the path before it; `action` the
    action code; `how` the function and its parameters, empty for the plain action.
    """

    selector: str
    vr: str
    action: str
    how: str
    because: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A row in which two tables differ; None where one has no such row."""

    selector: str
    before: ShownRow | None
    after: ShownRow | None


def show(procedure: Procedure, sop_class_uid: str, *, every: bool = False) -> list[ShownRow]:
    """Return the rows of the table of a SOP class, in the order of tags; those with a condition last.

    Args:
        every: also attributes that no IOD of the SOP class has.

    Raises:
        SOPClassNotSupported: the procedure has no table for it.
    """
    table = procedure.table_for(sop_class_uid)
    known = storage_sop_classes().get(sop_class_uid)
    wanted = None if every or known is None else frozenset(iod.top(known.iod_key).types)
    rows = list(_rows(table, "", wanted, {id(table)}))
    for number, condition in enumerate(procedure.conditions):
        under = procedure.table_for(sop_class_uid, frozenset((number,)))
        unconditional = set(rows)
        rows += (
            replace(row, selector=f"{row.selector} when {condition}")
            for row in _rows(under, "", wanted, {id(under)})
            if row not in unconditional
        )
    return rows


def _rows(table: Table, path: str, wanted: frozenset[int] | None, shown: set[int]) -> Iterator[ShownRow]:
    for tag in sorted(table.rules):
        rule = table.rules[tag]
        if wanted is None or tag in wanted or "line" in rule.decided_by:
            yield _row(path + names.written(tag), dictionary.vr_of(tag), rule)
        if rule.items is not None and id(rule.items) not in shown and (wanted is None or tag in wanted):
            shown.add(id(rule.items))
            yield from _changed(table, rule.items, f"{path}{names.written(tag)}.", shown)
    yield from _wide_rows(table, path)


def _wide_rows(table: Table, path: str) -> Iterator[ShownRow]:
    for (group, creator, element), rule in sorted(table.private.items()):
        yield _row(f"{path}{group:04X}[{creator}]xx{element:02X}", "", rule)
    for mask, value, rule in table.masks:
        yield _row(path + _masked(mask, value), "", rule)
    for vr, rule in sorted(table.vrs.items()):
        yield _row(f"{path}vr:{vr}", vr, rule)
    yield _row(f"{path}*", "", table.unlisted)


def _changed(outer: Table, inner: Table, path: str, shown: set[int]) -> Iterator[ShownRow]:
    """Yield the rows of an item's table that differ from the enclosing one."""
    for tag in sorted(inner.rules):
        rule, same = inner.rules[tag], outer.rules.get(tag)
        if same is None or (rule.action, rule.call) != (same.action, same.call):
            yield _row(path + names.written(tag), dictionary.vr_of(tag), rule)
        if rule.items is not None and id(rule.items) not in shown:
            shown.add(id(rule.items))
            yield from _changed(inner, rule.items, f"{path}{names.written(tag)}.", shown)


def _masked(mask: int, value: int) -> str:
    digits = ""
    for shift in range(28, -1, -4):
        fixed = mask >> shift & 15
        digits += f"{value >> shift & 15:X}" if fixed == 15 else "x"
    if mask & 0x00010000 and mask >> 16 & 15 != 15:
        return f"{digits[:4]} {'odd' if value & 0x00010000 else 'even'},{digits[4:]}"
    return f"{digits[:4]},{digits[4:]}"


def _row(selector: str, vr: str, rule: Rule) -> ShownRow:
    return ShownRow(selector, vr, str(rule.action), written(rule.call), rule.because, rule.decided_by)


def written(call: Call | None) -> str:
    """Return a call as a person reads it: hash(length=8)."""
    if call is None:
        return ""
    described = FUNCTIONS[call.name].params if call.name in FUNCTIONS else {}
    said = []
    for name, value in call.params.items():
        param = described.get(name)
        if value in ("", 0, None) or (param is not None and value == param.default):
            continue
        is_attribute = param is not None and param.read in (params.attribute, params.attributes)
        shown = "+".join(map(names.written, params.attributes_of(value))) if is_attribute else value
        said.append(f"{name}={shown}")
    return f"{call.name}({', '.join(said)})"


def diff(one: Procedure, two: Procedure, sop_class_uid: str) -> list[Difference]:
    """Return the rows in which two procedures treat a SOP class differently, in the order of tags.

    A procedure that rejects the SOP class has no rows.
    """
    before, after = _by_selector(one, sop_class_uid), _by_selector(two, sop_class_uid)
    found = []
    for selector in dict.fromkeys((*before, *after)):
        old, new = _row_for(selector, before), _row_for(selector, after)
        if old is None or new is None or (old.action, old.how) != (new.action, new.how):
            found.append(Difference(selector, old, new))
    return found


def _row_for(selector: str, rows: Mapping[str, ShownRow]) -> ShownRow | None:
    """Return the row of a selector; in items without one of their own that of the enclosing dataset holds."""
    found = rows.get(selector)
    if found is not None or "[" in selector or "." not in selector:
        return found
    path, _, last = selector.rpartition(".")
    return _row_for(f"{path.rpartition('.')[0]}.{last}".lstrip("."), rows)


def _by_selector(procedure: Procedure, sop_class_uid: str) -> Mapping[str, ShownRow]:
    try:
        return {row.selector: row for row in show(procedure, sop_class_uid, every=True)}
    except SOPClassNotSupported:
        return {}
