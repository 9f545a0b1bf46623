"""What an action of a CTP script becomes, or that it cannot be said."""

from __future__ import annotations

from dataclasses import dataclass, field

from deid_node.profile.imports.draft import Written


class NotSaid(Exception):
    """An action has no counterpart; the text says why."""


@dataclass(slots=True)
class Said:
    """What an action becomes.

    `inserts` when absent attributes are made. `notes` say what is different but hides as much, `lost`
    what is not done. `lookups` are the key types that are looked up.
    """

    written: Written
    inserts: bool = False
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
