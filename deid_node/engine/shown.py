"""Values as a person reads them: for pages and lists that somebody asked for, never for logs."""

from __future__ import annotations

from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.values import convert_value

from deid_node.engine.charset import decode
from deid_node.engine.encoding import UN_SEQUENCE, Encoding, vr_in
from deid_node.engine.scan import Element

_LONGEST_SHOWN: Final = 256
_TEXT: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_BULK: Final = frozenset("OB OD OF OL OV OW UN".split())


def shown(b: bytes, element: Element, encoding: Encoding, charsets: tuple[str, ...]) -> str:
    """Return the value of an element as a person reads it; long ones are cut, binary ones counted."""
    code, _, start, end = element
    vr, value = vr_in(code), b[start:end]
    if vr in ("SQ", UN_SEQUENCE):
        return "sequence" if value else "empty sequence"
    if vr in _TEXT:
        text = decode(value, charsets, vr)
        text = value.decode("latin-1") if text is None else text
        text = text.strip(" \0")
        return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    if vr in _BULK:
        return f"{len(value)} bytes"
    raw = RawDataElement(
        BaseTag(code >> 16), vr, len(value), value, 0, not encoding.explicit, encoding.little_endian
    )
    try:
        converted = convert_value(vr, raw)
    except Exception:  # pydicom raises what it likes on odd lengths
        return f"{len(value)} bytes"
    many = (
        converted if isinstance(converted, (list, tuple)) or hasattr(converted, "__iter__") else [converted]
    )
    text = "\\".join(str(one) for one in many)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
