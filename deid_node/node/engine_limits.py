"""What one object may ask of the engine, from the settings: the same for a node and for files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from deid_node.engine.scan import Limits
from deid_node.settings.network import LimitSettings
from deid_node.standard.repairs import Repair


def engine_limits(limits: LimitSettings, also: Iterable[str] = ()) -> Limits:
    """Return the limits; `also` names repairs that are made beside those of the settings."""
    return Limits(
        header_bytes=limits.header_bytes,
        depth=limits.depth,
        elements=limits.elements,
        items=limits.items,
        dataset_bytes=limits.object_bytes,
        repairs=frozenset((*limits.repairs, *(cast(Repair, name) for name in also))),
    )
