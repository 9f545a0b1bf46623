"""What is left of the settings when what is wrong with them is left out.

For `deid-node check`, which goes on with the rest, so that a wrong port does not hide a missing
certificate. Nothing is ever run with such settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from deid_node.settings.problems import Place, place_of

Layers = Sequence[Mapping[str, Any]]


def without_wrong(
    layers: Layers, error: ValidationError, model: type[BaseModel]
) -> tuple[list[dict[str, Any]], tuple[Place, ...]]:
    """Return the layers without the settings that a problem is about, and which these are.

    Where a key is missing, its table is left out; where a value is one of a list, the whole list.
    """
    left = [deepcopy(dict(layer)) for layer in layers]
    places: dict[Place, None] = {}
    for problem in error.errors(include_url=False, include_input=False):
        place = place_of(problem["loc"], model)
        whole = place[: next((at for at, part in enumerate(place) if isinstance(part, int)), len(place))]
        places[whole[:-1] if problem["type"] == "missing" else whole] = None
    for place in places:
        for layer in left:
            _remove(layer, place)
    return left, tuple(places)


def _remove(layer: dict[str, Any], place: Place) -> None:
    if not place:
        layer.clear()
        return
    *above, last = place
    table: Any = layer
    for part in above:
        table = table.get(part) if isinstance(table, dict) else None
    if isinstance(table, dict):
        table.pop(last, None)
    elif len(place) > 1:  # a table was expected, and something else stands there
        _remove(layer, tuple(above))
