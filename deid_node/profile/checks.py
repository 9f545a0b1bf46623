"""Checks that need a whole chain of profiles: contradictions, ties, protected attributes, Types.

What a file says by itself is checked by `reading`. Every check yields complete sentences with places.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain as chain_of
from typing import Final

from deid_node.profile import names
from deid_node.profile.functions import is_compatible_only
from deid_node.profile.language import Description, Row, Scope, UnlistedPrivate
from deid_node.profile.layers import Ranked, matched, path_of, ties
from deid_node.profile.lookup import Lookup, is_days, table_date
from deid_node.profile.params import attributes_of
from deid_node.profile.places import Place
from deid_node.profile.procedure import Action, Call
from deid_node.profile.protected import PROTECTED, cannot_apply_to, empties
from deid_node.profile.selector import Kind
from deid_node.profile.template import Field, Template
from deid_node.standard import dictionary, iod
from deid_node.standard.sop_classes import storage_sop_classes


def tie_problems(rows: Sequence[Ranked]) -> Iterator[str]:
    """Say which rows of one file are equally specific."""
    for row, other, what in ties(rows):
        yield (
            f"{row.place}: rows {other.selector.text!r} (line {other.place.line}) and {row.selector.text!r}"
            f" are equally specific for {what}; leave one out, or write a row for {what}"
        )


def protected_problems(rows: Sequence[Ranked]) -> Iterator[str]:
    """Say which wide rows would take what is needed to read an object.

    A row * spares it, and so do U and C: they are about identifiers and texts.
    """
    for entry in rows:
        row, last = entry.row, entry.row.selector.last
        spares = row.action in (Action.K, Action.R, Action.U) or (row.action is Action.C and row.call is None)
        if spares or last.kind in (Kind.ANY, Kind.TAG, Kind.PRIVATE):
            continue
        hit = sorted(tag for tag in PROTECTED & matched(last) if not _is_excepted(tag, entry, rows))
        if hit:
            named = ", ".join(names.written(tag) for tag in hit[:4]) + (" ..." if len(hit) > 4 else "")
            yield (
                f"{row.place}: row {row.selector.text!r} reaches {named}, needed to read the object;"
                f' write rows that keep them, as {names.written(hit[0])} = "K"'
            )


def _is_excepted(tag: int, entry: Ranked, rows: Iterable[Ranked]) -> bool:
    return any(
        other.rank > entry.rank
        and other.row.when is None
        and other.row.scope in (Scope.ALL, entry.row.scope)
        and other.row.sop_class in ("", entry.row.sop_class)
        and path_of(other.row) in ((), path_of(entry.row))
        and tag in matched(other.row.selector.last)
        for other in rows
    )


def type_problems(rows: Sequence[Ranked], written: Collection[int] = ()) -> Iterator[str]:
    """Say which rows empty or remove an attribute that must have a value (Type 1, PS3.5 7.4.1).

    A row for every SOP class is wrong when the attribute is Type 1 wherever it is mandatory; elsewhere
    a dummy is written where the Type asks for it. `written` get a value in the end, whatever a row does.
    """
    for entry in rows:
        row = entry.row
        tag = row.selector.last.tag
        nested = row.scope is Scope.NESTED
        if tag is None or nested or not empties(row.action, row.call) or tag in PROTECTED:
            continue
        path = [way for way in path_of(row) if isinstance(way, int)]
        if len(path) != len(path_of(row)) or (not path and tag in written):
            continue
        if row.sop_class:
            if needs_value(row.sop_class, tag, tuple(path)):
                yield _type_problem(row, tag, f"in {names.sop_class_keyword(row.sop_class)}")
        elif not path and needs_value_everywhere(tag):
            yield _type_problem(row, tag, "in every SOP class that has it")


def _type_problem(row: Row, tag: int, where: str) -> str:
    instead = "U" if dictionary.vr_of(tag) == "UI" else "D"
    return (
        f"{row.place}: row {row.selector.text!r} leaves no value, and {names.written(tag)} is Type 1 {where};"
        f" write {instead}"
    )


_KEEP_PARTS: Final = frozenset({"cut", "part", "replace"})


def needs_value(sop_class: str, tag: int, path: tuple[int, ...] = ()) -> bool:
    """Tell whether an attribute is Type 1 in a mandatory module of a SOP class."""
    known = storage_sop_classes().get(sop_class)
    if known is None:
        return False
    return any(use.usage == "M" and use.type == "1" for use in iod.uses(known.iod_key, tag, path))


def needs_value_everywhere(tag: int) -> bool:
    """Tell whether an attribute is Type 1 in every SOP class in which a mandatory module has it."""
    return tag in _type_1_everywhere()


@cache
def _type_1_everywhere() -> frozenset[int]:
    always: set[int] = set()
    sometimes: set[int] = set()
    for key in {sop_class.iod_key for sop_class in storage_sop_classes().values()}:
        types = iod.mandatory_types(key)
        type_1 = {tag for tag, found in types.items() if "1" in found}
        always |= type_1
        sometimes |= types.keys() - type_1
    return frozenset(always - sometimes)


def lookup_problems(chain: Sequence[Description], rows: Sequence[Ranked]) -> Iterator[str]:
    """Say which rows and values read a lookup table that no profile of the chain names."""
    known = {name: len(source.keys) for one in chain for name, source in one.tables.items()}
    for place, call in calls(chain, rows):
        for name, asked in _tables_read(call):
            if name not in known:
                near = names.did_you_mean(name, known) or f'; write [tables.{name}] with file = "..."'
                yield f"{place}: there is no lookup table {name!r}{near}"
            elif known[name] != asked:
                yield f"{place}: the lookup table {name!r} has {known[name]} keys, and {asked} are looked up"


def table_problems(
    chain: Sequence[Description], rows: Sequence[Ranked], lookups: Mapping[str, Lookup]
) -> Iterator[str]:
    """Say which lookup tables hold something else than dates or days, where those are asked for."""
    for place, call in calls(chain, rows):
        asked: list[tuple[str, Callable[[str], object], str, str]] = [
            (name, table_date, "date", " YYYY-MM-DD") for name in _tables_of_dates(call)
        ]
        if call.name == "date_shift" and call.params.get("table"):
            asked.append((str(call.params["table"]), _days, "number of days", ""))
        for name, read, what, form in asked:
            values = lookups[name].rows.values() if name in lookups else ()
            wrong = sum(read(value) is None for value in values)
            if wrong:
                said = f"value that is no {what}" if wrong == 1 else f"values that are no {what}"
                yield f"{place}: the lookup table {name!r} has {wrong} {said}{form}"


def calls(chain: Sequence[Description], rows: Sequence[Ranked]) -> Iterator[tuple[Place, Call]]:
    """Yield every function that is called, with the place that calls it."""
    for entry in rows:
        if entry.row.call is not None:
            yield entry.row.place, entry.row.call
    for one in chain:
        for value in chain_of.from_iterable(one.set_values.values()):
            yield one.places["set"], value.call


def _days(text: str) -> int | None:
    return int(text) if is_days(text) else None


def _fields(call: Call) -> tuple[Field, ...]:
    template = call.params.get("template")
    parts = template.parts if isinstance(template, Template) else ()
    return tuple(part for part in parts if isinstance(part, Field))


def _tables_read(call: Call) -> Iterator[tuple[str, int]]:
    """Yield the lookup tables that a function reads, each with the number of keys that it looks up."""
    yield from ((field.argument, 1) for field in _fields(call) if field.name in ("lookup", "interval"))
    if call.name in ("lookup", "date_interval") or (call.name == "date_shift" and call.params.get("table")):
        yield str(call.params["table"]), len(attributes_of(call.params["by"])) or 1


def _tables_of_dates(call: Call) -> Iterator[str]:
    yield from (field.argument for field in _fields(call) if field.name == "interval")
    if call.name == "date_interval":
        yield str(call.params["table"])


def notes(chain: Sequence[Description], rows: Sequence[Ranked]) -> Iterator[str]:
    """Say what is allowed and should be known: what keeps more, or exists for other tools only."""
    for description in chain:
        place = description.places.get("unlisted", description.place)
        if description.unlisted.attribute is Action.K and description.identity_removed is not False:
            yield f"{place}: attributes without a row are kept"
        if description.unlisted.private is UnlistedPrivate.KEEP:
            yield f"{place}: private attributes without a row are kept"
        if description.identity_removed is False:
            yield f"{description.place}: NOT DE-IDENTIFIED: objects keep the identity of the patient"
    for entry in rows:
        yield from _row_notes(entry.row)


def _row_notes(row: Row) -> Iterator[str]:
    call, last = row.call, row.selector.last
    removed = (
        [names.written(tag) for tag in sorted(matched(last)) if _is_unfit(row, tag)] if last.is_wide else []
    )
    if removed:
        what = call.name if call is not None else str(row.action)
        named = ", ".join(removed[:4]) + (f" and {len(removed) - 4} others" if len(removed) > 4 else "")
        yield f"{row.place}: {what} cannot be applied to the VR of {named}: removed if no other row decides"
    if call is not None:
        if is_compatible_only(call):
            algorithm = call.params["algorithm"]
            yield f"{row.place}: {call.name} with {algorithm} only repeats another tool's output"
        if call.name == "lookup" and call.params["missing"] == "keep" and not call.params["default"]:
            yield f"{row.place}: the value of {row.selector} stays where the lookup table has no row for it"
        template = call.params.get("template")
        if isinstance(template, Template) and template.tells_the_day:
            yield f"{row.place}: the value of {row.selector} is another one tomorrow"
        copies = isinstance(template, Template) and template.copies_original
        if copies or call.name in _KEEP_PARTS:
            yield f"{row.place}: the value of {row.selector} repeats an original value"


def _is_unfit(row: Row, tag: int) -> bool:
    vr = dictionary.vr_of(tag)
    return vr != "SQ" and bool(cannot_apply_to(tag, row.action, row.call))
