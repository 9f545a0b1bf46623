"""Functions of the profile on the values of an element: decode, apply per value, encode.

What a function means is in `functions`; here is how it meets an element: character sets, several values,
the limits of the VR (PS3.5 6.2), templates that read the original object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deid_node.engine.charset import decode, encode
from deid_node.engine.plan import Place
from deid_node.engine.scan import Element
from deid_node.errors import Fault
from deid_node.profile.procedure import Call
from deid_node.profile.template import Field, Template
from deid_node.standard.dictionary import keyword_of, vr_of

# (value bytes, VR, element, place) to the new value bytes; None removes the element.
ValueFunction = Callable[[bytes, str, Element, Place], bytes | None]

_LONGEST: Final = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "LT": 10240,
    "PN": 64, "SH": 16, "ST": 1024, "TM": 14, "UI": 64,
}  # fmt: skip
_ONE_VALUE: Final = frozenset("LT ST UT UR".split())


def value_function(call: Call, vr: str) -> ValueFunction:
    """Return what applies a call to elements of a VR."""
    if call.name == "set":
        return _set(_template(call), str(call.params.get("fit", "fail")))
    if call.name == "substitute":
        return _substitute(str(call.params["with"]), str(call.params.get("fit", "fail")))
    raise NotImplementedError(call.name)


def set_element(tag: int, call: Call, place: Place) -> bytes:
    """Return a whole element with the value of a template, for attributes that are set in any case."""
    vr = vr_of(tag)
    found = place.subject.facts.element(tag)
    element = found if found is not None else (tag << 16, 0, 0, 0)
    value = _set(_template(call), str(call.params.get("fit", "fail")))(b"", vr, element, place)
    return place.encoding.element(tag, vr, value or b"")


def _template(call: Call) -> Template:
    template = call.params["template"]
    return template if isinstance(template, Template) else Template.parse(str(template))


def _substitute(text: str, fit: str) -> ValueFunction:
    def apply(value: bytes, vr: str, element: Element, place: Place) -> bytes | None:
        return encoded(text, vr, fit, place)

    return apply


def _set(template: Template, fit: str) -> ValueFunction:
    def apply(value: bytes, vr: str, element: Element, place: Place) -> bytes | None:
        def value_of(field: Field) -> str:
            return _field(field, value, vr, element, place)

        return encoded(template.render(value_of), vr, fit, place)

    return apply


def _field(field: Field, value: bytes, vr: str, element: Element, place: Place) -> str:
    subject = place.subject
    if field.name == "pseudonym":
        return subject.patient
    if field.name == "keyword":
        return keyword_of(element[0] >> 16)
    if field.name == "value":
        return (decode(value, place.charsets, vr) or "").strip(" \0")
    assert field.tag is not None
    original = subject.facts.text(field.tag)
    if field.name == "original":
        return original
    raise NotImplementedError(field.name)


def encoded(text: str, vr: str, fit: str, place: Place) -> bytes | None:
    """Return the bytes of a new value; what is too long or cannot be said follows `fit`.

    Args:
        fit: "truncate" cuts to what the VR allows, "remove" removes the element, "fail" refuses.

    Raises:
        Fault: the value does not fit and `fit` says "fail".
    """
    longest = _LONGEST.get(vr)
    parts = [text] if vr in _ONE_VALUE else text.split("\\")
    if longest is not None and any(len(part) > longest for part in parts):
        if fit == "remove":
            return None
        if fit != "truncate":
            raise Fault(f"a new value is longer than the {longest} characters of VR {vr}")
        parts = [part[:longest].strip() for part in parts]
    new = encode("\\".join(parts), place.charsets, vr)
    if new is None:
        if fit == "remove":
            return None
        raise Fault("a new value cannot be written in the character sets of the object")
    return new
