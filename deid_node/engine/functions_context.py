"""What the functions of rows are given beside the value, and what they may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from types import MappingProxyType

from deid_node.engine.keys import Pseudonyms
from deid_node.errors import Rejected

Params = Mapping[str, object]


class Outcome(Enum):
    """An answer that is no value."""

    DROP = "drop"  # this value goes; the others of the element stay
    REMOVE = "remove"  # the whole element goes


Result = str | Outcome


def _nothing(_: object) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one value.

    `original` returns the original text of another attribute (0xGGGGEEEE), "" when absent. `scope`
    returns what stands for "patient", "study", "series" or "instance". `secrets` are keys by name,
    `tables` the lookup tables by name. `longest_shift` is the profile's, in days.
    """

    pseudonyms: Pseudonyms
    vr: str
    today: date
    tag: int = 0
    original: Callable[[int], str] = _nothing
    scope: Callable[[str], str] = _nothing
    secrets: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    longest_shift: int = 365


def text_of(result: Result) -> str:
    """Return a result as text; an outcome is empty."""
    return result if isinstance(result, str) else ""


def missing_value(decision: str, value: str, reason: str) -> Result:
    """Follow what a row says about a value that is not provided for.

    Raises:
        Rejected: the decision is to reject the object, or to hold it until a row arrives.
    """
    if decision == "keep":
        return value
    if decision == "empty":
        return ""
    if decision == "remove":
        return Outcome.REMOVE
    raise Rejected(reason, code="held" if decision == "hold" else "rejected")
