"""Routes: what happens to objects that are sent to one called AE title.

A route owns a compiled engine; which SOP classes it takes is what its procedure has a table for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydicom._uid_dict import UID_dictionary

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import SOPClassNotSupported
from deid_node.node.through import Through
from deid_node.profile.procedure import Procedure
from deid_node.settings.routes import CommitmentMode, IntakeKind, OnHold, OnReject
from deid_node.standard.sop_classes import storage_sop_classes
from deid_node.standard.values import AETitle, is_uid

_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Route:
    """One route, ready to run. `peers` is None when every admitted caller may store here.

    With `through` objects go straight on to the destination, and are not kept.
    """

    name: str
    called: tuple[AETitle, ...]
    procedure: Procedure
    deidentifier: Deidentifier
    destinations: tuple[str, ...]
    peers: frozenset[str] | None = None
    on_reject: OnReject = OnReject.REFUSE
    through: Through | None = None
    commitment: CommitmentMode = CommitmentMode.OFF
    intake: IntakeKind = IntakeKind.RAM
    on_hold: OnHold = OnHold.REFUSE
    _taken: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def is_open_to(self, names: frozenset[str]) -> bool:
        """Tell whether a caller that is known under `names` may store here."""
        return self.peers is None or bool(self.peers & names)

    def takes(self, sop_class_uid: str) -> bool:
        """Tell whether objects of this SOP class can be de-identified here."""
        known = self._taken.get(sop_class_uid)
        if known is None:
            if len(self._taken) >= _REMEMBERED:  # a peer may propose whatever it likes
                self._taken.clear()
            known = self._taken[sop_class_uid] = self._decides(sop_class_uid)
        return known

    def _decides(self, sop_class_uid: str) -> bool:
        if not may_be_storage(sop_class_uid):
            return False
        try:
            self.procedure.table_for(sop_class_uid)
        except SOPClassNotSupported:
            return False
        return True


class Routes:
    """All routes, by called AE title."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_title: Mapping[str, Route] = {
            str(title): route for route in routes for title in route.called
        }

    def called(self, title: str) -> Route | None:
        """Return the route of a called AE title."""
        return self._by_title.get(title)

    def named(self, name: str) -> Route | None:
        """Return the route with a name."""
        return next((route for route in self if route.name == name), None)

    def __iter__(self) -> Iterator[Route]:
        return iter({route.name: route for route in self._by_title.values()}.values())


def may_be_storage(sop_class_uid: str) -> bool:
    """Tell whether a UID can name a storage SOP class.

    Those of the standard are known. Private ones and those newer than the dictionary can be, and a
    procedure with a table for them says that they are.
    """
    known = storage_sop_classes().get(sop_class_uid)
    if known is not None:
        return known.group != "media-directory"
    return is_uid(sop_class_uid) and sop_class_uid not in UID_dictionary
