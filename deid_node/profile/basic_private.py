"""Retain Safe Private Option: rules for the private attributes of PS3.15 Table E.3.10-1.

Safe does not mean copied as it is: UIDs are mapped, texts cleaned, items go through the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Rule
from deid_node.standard.safe_private import PrivateKey, SafePrivate, safe_private

_TEXTS: Final = frozenset(("LO", "SH", "ST", "LT", "UT", "UC"))
_IDENTIFYING: Final = frozenset(("AE", "PN", "UR"))
_DATES: Final = frozenset(("DA", "DT", "TM"))


@cache
def private_rules(options: frozenset[Option]) -> Mapping[PrivateKey, Rule]:
    """Return the rules of safe private attributes; none without the option."""
    if Option.RETAIN_SAFE_PRIVATE not in options:
        return MappingProxyType({})
    return MappingProxyType({key: _rule(row, options) for key, row in safe_private().items()})


def _rule(row: SafePrivate, options: frozenset[Option]) -> Rule:
    by = f"PS3.15 E.3.10-1, {Option.RETAIN_SAFE_PRIVATE}"
    what = row.meaning or "unnamed"
    if row.vr == "UI" and Option.RETAIN_UIDS not in options:
        return Rule(Action.U, f"safe private ({what}); a UID is mapped", by)
    if row.vr in _TEXTS:
        return Rule(Action.C, f"safe private ({what}); identifiers in the text are taken out", by)
    if row.vr in _IDENTIFYING:
        return Rule(Action.X, f"listed as safe ({what}), but its VR carries identity", by)
    if row.vr in _DATES:
        return _date(what, by, options)
    if row.vr == "SQ":
        return Rule(Action.K, f"safe private ({what}); each attribute of its items has its own rule", by)
    return Rule(Action.K, f"safe private ({what})", by)


def _date(what: str, by: str, options: frozenset[Option]) -> Rule:
    if Option.RETAIN_LONGITUDINAL_FULL in options:
        return Rule(Action.K, f"safe private ({what}), a date that the options keep", by)
    if Option.RETAIN_LONGITUDINAL_MODIFIED in options:
        return Rule(Action.C, f"safe private ({what}), moved by the shift of the patient", by)
    return Rule(Action.X, f"listed as safe ({what}), but it is a date", by)
