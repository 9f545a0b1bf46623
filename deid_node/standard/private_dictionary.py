"""The VR of private elements, where somebody has written it down.

Table E.3.10-1 of PS3.15 first, then pydicom's private dictionary. Needed where an element is coded as
UN, as implicit VR codes every private one: a sequence among them must be read, not copied.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import private_dictionary_VR

from deid_node.standard.safe_private import safe_private

_LONGEST_CREATOR: Final = 64  # VR LO; what is longer nobody knows, and nobody should remember


def private_vr(tag: int, creator: str) -> str:
    """Return the VR of a private element (0xGGGGEEEE) of a creator, "UN" when nobody knows it."""
    return _known_vr(tag, creator) if len(creator) <= _LONGEST_CREATOR else "UN"


@lru_cache(maxsize=4096)
def _known_vr(tag: int, creator: str) -> str:
    safe = safe_private().get((tag >> 16, creator, tag & 0xFF))
    if safe is not None and safe.vr:
        return safe.vr.split("/")[0]
    try:
        vr = private_dictionary_VR(tag, creator)
    except KeyError:
        return "UN"
    return vr[:2] if vr else "UN"


def is_known_creator(creator: str) -> bool:
    """Tell whether somebody has written down elements of a private creator: it is no value of one object."""
    return creator in private_dictionaries or creator in _safe_creators()


@lru_cache(maxsize=1)
def _safe_creators() -> frozenset[str]:
    return frozenset(creator for _, creator, _ in safe_private())
