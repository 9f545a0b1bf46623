"""What an action of a CTP script becomes, or that it cannot be said."""

from __future__ import annotations

from dataclasses import dataclass, field

from deid_node.profile.imports.draft import Written


class NotSaid(Exception):
    """An action has no counterpart; the text says why."""


@dataclass(slots=True)
class LookedUp:
    """How a lookup table is read.

    `keys` are the attributes that are the key together, none for one; `dates` when it holds dates, `days`
    when it holds numbers of days.
    `rejects` when a value without a row rejects the object.
    """

    keys: tuple[str, ...] = ()
    dates: bool = False
    days: bool = False
    rejects: bool = field(default=True, compare=False)


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
    lookups: dict[str, LookedUp] = field(default_factory=dict)

    def looks_up(
        self,
        kind: str,
        keys: tuple[str, ...] = (),
        *,
        dates: bool = False,
        days: bool = False,
        rejects: bool = True,
    ) -> None:
        """Note a key type that is looked up."""
        self.lookups[kind] = LookedUp(keys, dates, days, rejects)
