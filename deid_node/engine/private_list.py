"""List the private attributes that stay in a result, for a person to review (PS3.15 E.3.10).

A profile that keeps private attributes keeps what no table knows. The list holds their values, which may
be original ones: it goes to whoever asked for it and nowhere else. It is written as the decisions are
made, so it has what the result has: at every depth, and after Pixel Data too.
"""

from __future__ import annotations

from deid_node.engine.actions import compile_rule, path_of
from deid_node.engine.deidentified import PrivateElement
from deid_node.engine.encoding import vr_in
from deid_node.engine.place import Place
from deid_node.engine.plan import KEEP, Decision, Entry, Plan, Plans
from deid_node.engine.scan import Element, Incomplete
from deid_node.engine.sequences import Sequence
from deid_node.engine.shown import shown
from deid_node.profile.procedure import Procedure, Rule


def listing_plans(procedure: Procedure) -> Plans:
    """Return plans that note every private attribute that stays, for a `Deidentifier`."""
    return Plans(procedure, compile_rule, _observe)


def _observe(plan: Plan, code: int, rule: Rule, entry: Entry) -> Entry:
    """Wrap what keeps something: any attribute may lie in a private sequence."""
    return entry if entry == b"" else Listed(entry)


class Listed:
    """An entry that notes what stays of private attributes."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        """Wrap an entry."""
        self.entry = entry

    def apply(self, element: Element, place: Place) -> bytes | None:
        """Do what the entry does, and note what stays."""
        new = self._new(element, place)
        if new != b"" and _is_private(element[0], place):
            place.subject.personal += 1  # a remembered sequence would list nothing
            _note(place, element[0], *_after(element, place, self.entry, new))
        return new

    def passing(self, missing: Incomplete, place: Place) -> Entry:
        """Note an attribute that is too long to be looked at; return what is done with it."""
        if self.entry != b"" and _is_private(missing.code, place):
            length = missing.end - missing.value if missing.end is not None else -1
            shown_as = "sequence" if isinstance(self.entry, Sequence) else f"{length} bytes"
            _note(place, missing.code, length, shown_as if length >= 0 else "long")
        return self.entry

    def _new(self, element: Element, place: Place) -> bytes | None:
        if self.entry is KEEP:
            return None
        if isinstance(self.entry, bytes):
            return self.entry
        decision: Decision = self.entry  # type: ignore[assignment]
        return decision.apply(element, place)


def _is_private(code: int, place: Place) -> bool:
    return bool(code >> 32 & 1) or any(tag >> 16 & 1 for tag, _ in place.path)


def _after(element: Element, place: Place, entry: Entry, new: bytes | None) -> tuple[int, str]:
    """Return the length of the value in the result, and the value."""
    code, start, value, end = element
    if new is None or isinstance(entry, Sequence):
        return end - value, _readable(place.b, element, place)
    made = (code, 0, value - start, len(new))
    return made[3] - made[2], _readable(new, made, place)


def _readable(b: bytes, element: Element, place: Place) -> str:
    """Return a value as text; also one coded as UN that is text."""
    value = b[element[2] : element[3]].strip(b" \0")
    if vr_in(element[0]) == "UN" and value.isascii() and value.decode("ascii").isprintable():
        return value.decode("ascii")
    return shown(b, element, place.encoding, place.charsets)


def _note(place: Place, code: int, length: int, value: str) -> None:
    tag = code >> 16
    key = (*(number for step in place.path for number in step), tag)
    creator = place.creators.get((tag >> 16) << 8 | tag >> 8 & 0xFF, "") if tag >> 16 & 1 else ""
    path = path_of((code, 0, 0, 0), place)
    place.subject.private[key] = PrivateElement(path, creator, vr_in(code), length, value)
