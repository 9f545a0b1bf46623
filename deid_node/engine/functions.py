"""The functions of `do = "..."` in rows: what each makes of one decoded value.

Names and parameters are described and checked in `profile.functions`; here they are applied. All are
pure: keys, tables, facts of the object and today's date come in through `Context`, and the same input
gives the same output on every node. Limits of the VR (`fit`) and the coding of the element are the
caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from deid_node.engine import functions_keyed as keyed
from deid_node.engine import functions_numbers as numbers
from deid_node.engine import functions_text as texts
from deid_node.engine.dates import capped_age, parsed_date, partial_age, partial_date, truncate, with_parts
from deid_node.engine.functions_context import Context, Outcome, Params, Result, missing_value, text_of
from deid_node.errors import Fault, ObjectRefused
from deid_node.profile.lookup import joined_key, parts_of_key, table_date
from deid_node.profile.params import attributes_of
from deid_node.profile.procedure import Apply

__all__ = ["FUNCTIONS", "Context", "Function", "Outcome", "Result", "apply", "apply_to_values"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    `apply` gets a value without padding, the parameters as the profile read them, and the context.
    `per_value` is False where the result stands for all values of the element.
    """

    apply: Callable[[str, Params, Context], Result]
    per_value: bool = True


def apply(name: str, value: str, params: Params, context: Context) -> Result:
    """Apply a function to one value.

    Returns:
        The new value, `Outcome.DROP` when this value has to go, `Outcome.REMOVE` when the element has.

    Raises:
        KeyError: no such function.
        Rejected: the row says that such a value rejects or holds the object.
        Fault: the function cannot be applied to this value.
    """
    return FUNCTIONS[name].apply(value, params, context)


def apply_to_values(
    name: str, values: list[str], params: Params, context: Context, own: Apply | None = None
) -> list[str] | None:
    """Apply a function to all values of an element; None when the element has to be removed.

    Empty values stay empty, except for functions whose result does not depend on the value. `own` is the
    code of a plug-in of that name.

    Raises:
        Fault: the plug-in fails; the object is not delivered.
    """
    function = FUNCTIONS[name] if own is None else Function(_guarded(name, own))
    if not function.per_value:
        result = function.apply("\\".join(values), params, context)
        return None if result is Outcome.REMOVE else [text_of(result)]
    made: list[str] = []
    from_others = name == "lookup" and bool(attributes_of(params.get("by")))
    for value in values:
        result = function.apply(value, params, context) if value or from_others else ""
        if result is Outcome.REMOVE:
            return None
        if result is not Outcome.DROP:
            made.append(_modern(text_of(result), context.vr))
    return made


def _guarded(name: str, own: Apply) -> Callable[[str, Params, Context], Result]:
    """Return what calls a plug-in; what it raises may quote a value and is not repeated."""

    def call(value: str, params: Params, context: Context) -> Result:
        try:
            made = own(value, params, context)
        except ObjectRefused:
            raise
        except Exception as error:
            raise Fault(f"the function {name} failed ({type(error).__name__})") from None
        if made is None:
            return Outcome.REMOVE
        if not isinstance(made, str):
            raise Fault(f"the function {name} gave no text")
        return made

    return call


def _modern(value: str, vr: str) -> str:
    """Write a date or time as PS3.5 does today: YYYY.MM.DD and HH:MM:SS are read, and too long to write."""
    separator = {"DA": ".", "TM": ":"}.get(vr)
    return value.replace(separator, "") if separator is not None else value


def _empty(value: str, params: Params, context: Context) -> Result:
    return ""


def _redact(value: str, params: Params, context: Context) -> Result:
    part: bytes | None = None
    if context.vr == "AS" and params.get("partial_ages"):
        part = partial_age(value.encode("ascii", "replace"))
    elif context.vr in {"DA", "DT"} and params.get("partial_dates"):
        part = partial_date(value.encode("ascii", "replace"), context.vr, context.today)
    return Outcome.DROP if part is None else part.decode("ascii")


def _age_cap(value: str, params: Params, context: Context) -> Result:
    capped = capped_age(value.encode("ascii", "replace"), int(str(params.get("limit", 89))))
    return Outcome.DROP if capped is None else capped.decode("ascii")


def _date_truncate(value: str, params: Params, context: Context) -> Result:
    truncated = truncate(value.encode("ascii", "replace"), context.vr, str(params.get("to", "year")))
    return Outcome.DROP if truncated is None else truncated.decode("ascii")


def _date_set(value: str, params: Params, context: Context) -> Result:
    parts = (int(str(params.get(part) or 0)) for part in ("year", "month", "day"))
    made = with_parts(value.encode("ascii", "replace"), context.vr, *parts)
    return Outcome.DROP if made is None else made.decode("ascii")


def _date_interval(value: str, params: Params, context: Context) -> Result:
    name, missing = str(params["table"]), str(params.get("missing", "reject"))
    found = context.tables.get(name, {}).get(context.original(int(str(params["by"]))))
    if found is None:
        return missing_value(missing, value, f"the lookup table {name!r} has no row for a value")
    day, since = parsed_date(value.encode("ascii", "replace"), context.vr), table_date(found)
    if day is None or since is None:
        return missing_value(missing, value, "days cannot be counted to a date that is none")
    days = (day - since).days
    origin = table_date(str(params.get("origin", "")))
    if origin is None:
        return str(days)
    ordinal = origin.toordinal() + days
    if not 1 <= ordinal <= date.max.toordinal():
        return Outcome.DROP
    return date.fromordinal(ordinal).isoformat().replace("-", "")


def _substitute(value: str, params: Params, context: Context) -> Result:
    return str(params.get("with", "ANONYMOUS"))


def _lookup(value: str, params: Params, context: Context) -> Result:
    name = str(params["table"])
    by = attributes_of(params.get("by"))
    sought = joined_key(context.original(tag) for tag in by) if by else value
    found = context.tables.get(name, {}).get(sought)
    if found is not None:
        return found
    if default := str(params.get("default", "")):
        return default
    missing = str(params.get("missing", "reject"))
    if missing == "hash":
        return keyed.hashed(sought, {}, context)
    if not all(parts_of_key(sought)):
        return missing_value(missing, value, f"nothing is there to be looked up in the lookup table {name!r}")
    return missing_value(missing, value, f"the lookup table {name!r} has no row for a value")


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "empty": Function(_empty, per_value=False),
        "uid": Function(keyed.mapped_uid),
        "redact": Function(_redact),
        "date_shift": Function(keyed.shifted_date),
        "perturb": Function(numbers.perturbed),
        "hash": Function(keyed.hashed),
        "encrypt": Function(keyed.encrypted),
        "substitute": Function(_substitute, per_value=False),
        "mask": Function(texts.masked),
        "no_space": Function(texts.without_space),
        "fake_name": Function(texts.fake_name),
        "initials": Function(texts.initials),
        "round": Function(numbers.rounded),
        "age_cap": Function(_age_cap),
        "date_truncate": Function(_date_truncate),
        "date_set": Function(_date_set),
        "date_interval": Function(_date_interval),
        "zip_prefix": Function(texts.zip_prefix),
        "case": Function(texts.in_case),
        "cut": Function(texts.cut),
        "part": Function(texts.part),
        "replace": Function(texts.replaced),
        "map": Function(texts.mapped),
        "lookup": Function(_lookup),
    }
)
"""Every function of `profile.functions` that is more than an action code, except `set` (templates)."""
