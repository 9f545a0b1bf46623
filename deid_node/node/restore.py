"""Reading object files of the spool back, for a ledger that does not know them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.multival import MultiValue

from deid_node.engine.deidentified import Heading, Summary
from deid_node.errors import ConfigurationError, ObjectRefused
from deid_node.node.destinations import wanted_attributes
from deid_node.node.part10 import read_part10
from deid_node.settings import Settings
from deid_node.spool.entry import NEEDED_ATTRIBUTES
from deid_node.spool.restore import Found, Read


def destinations_of_found(settings: Settings, named: list[str]) -> tuple[str, ...]:
    """Return where objects go that a backup does not name: as told, else those of the only route.

    With several routes nothing is guessed: an object must not reach a destination it was not meant for.

    Raises:
        ConfigurationError: a destination that was named is not configured.
    """
    unknown = [name for name in named if name not in settings.effective_destinations]
    if unknown:
        raise ConfigurationError(*(f"There is no destination {name!r} in the settings." for name in unknown))
    routes = list(settings.effective_routes.values())
    if named or len(routes) != 1:
        return tuple(named)
    return routes[0].destinations


def object_reader(settings: Settings) -> Read:
    """Return what reads an object file of the spool, with the attributes that destinations need."""
    return _reader(NEEDED_ATTRIBUTES | wanted_attributes(settings))


def _reader(wanted: frozenset[int]) -> Callable[[Path], Found | None]:
    def read(path: Path) -> Found | None:
        try:
            with path.open("rb") as stream:
                part10 = read_part10(stream)
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=sorted(wanted))
            attributes = {tag: _text(ds[tag].value) for tag in wanted if tag in ds}
        except (OSError, ObjectRefused, ValueError, KeyError, AttributeError, NotImplementedError):
            return None
        heading = Heading(part10.sop_class_uid, part10.sop_instance_uid, part10.transfer_syntax_uid, b"")
        return Found(part10.offset, Summary(heading, attributes, b"", 0, 0, 0, 0))

    return read


def _text(value: object) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
