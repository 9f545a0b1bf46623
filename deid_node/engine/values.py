"""Functions of the profile on the values of an element: decode, apply, encode.

What a function means is in `functions`; here is how it meets an element: character sets, several values,
the limits of the VR (PS3.5 6.2), templates that read the original object.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

from deid_node.engine import functions
from deid_node.engine.charset import decode, encode
from deid_node.engine.functions_context import Context, text_of
from deid_node.engine.functions_keyed import hashed_bytes
from deid_node.engine.functions_numbers import coded_numbers, numbers_of
from deid_node.engine.place import Place
from deid_node.engine.scan import Element
from deid_node.engine.subject import Subject
from deid_node.errors import Fault
from deid_node.profile.functions import cannot_take
from deid_node.profile.procedure import Call
from deid_node.profile.template import Field, Template
from deid_node.standard.dictionary import keyword_of, vr_of, written_vr

# (value bytes, VR, element, place) to the new value bytes; None removes the element.
ValueFunction = Callable[[bytes, str, Element, Place], bytes | None]

_LONGEST: Final = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "LT": 10240,
    "PN": 64, "SH": 16, "ST": 1024, "TM": 14, "UI": 64,
}  # fmt: skip
_ONE_VALUE: Final = frozenset("LT ST UT UR".split())
_NUMBERS: Final = frozenset("FL FD SL SS SV UL US UV OF OD OL OV OW".split())
_BYTES: Final = frozenset("OB UN".split())


def value_function(call: Call) -> ValueFunction:
    """Return what applies a call to an element."""
    if call.name == "set":
        return _set(_template(call), _fit(call))
    return _function(call)


# Functions whose result depends on the value and the patient alone.
_OF_THE_VALUE: Final = frozenset(
    "substitute empty hash encrypt mask no_space initials round age_cap date_truncate date_set zip_prefix"
    " case map cut part replace uid redact perturb".split()
)


def asks_others(call: Call) -> bool:
    """Tell whether the result depends on attributes that do not identify the patient."""
    if call.name == "set":
        template = _template(call)
        return bool(template.tags) or template.tells_the_day
    if call.params.get("of"):
        return True
    if call.name == "date_shift":
        return call.params.get("per", "patient") != "patient" or bool(call.params.get("table"))
    return call.name not in _OF_THE_VALUE


def set_element(tag: int, call: Call, place: Place) -> bytes:
    """Return a whole element with a new value, for attributes that are set in any case; b"" removes it."""
    vr = written_vr(tag)
    found = place.subject.facts.element(tag)
    element = found if found is not None else (tag << 16, 0, 0, 0)
    value = value_function(call)(b"", vr, element, place)
    return b"" if value is None else place.encoding.element(tag, vr, value)


def _template(call: Call) -> Template:
    template = call.params["template"]
    return template if isinstance(template, Template) else Template.parse(str(template))


def _fit(call: Call) -> str:
    return str(call.params.get("fit", "fail"))


def _context(subject: Subject, vr: str, tag: int) -> Context:
    return Context(
        subject.pseudonyms,
        vr,
        subject.today,
        tag,
        subject.facts.text,
        subject.scope_of,
        subject.secrets,
        subject.tables,
        subject.procedure.shift_days,
    )


def _function(call: Call) -> ValueFunction:
    def apply(value: bytes, vr: str, element: Element, place: Place) -> bytes | None:
        if cannot_take(call, vr):
            return None  # a mask reached it, and its VR is only known here: private, or another than usual
        if of := int(str(call.params.get("of") or 0)):
            return _of_another(call, of, vr, place)
        context = _context(place.subject, vr, element[0] >> 16)
        if vr in _BYTES and call.name == "hash":
            return hashed_bytes(value, call.params, context)
        if vr in _NUMBERS:
            return _on_numbers(call, value, vr, place, context)
        text = decode(value, place.charsets, vr) if vr not in _BYTES else ""
        if text is None:
            raise Fault(f"{call.name} cannot read a value in the character sets of the object")
        text = text.strip(" \0")
        values = [text] if vr in _ONE_VALUE else [part.strip(" \0") for part in text.split("\\")]
        made = functions.apply_to_values(call.name, values, call.params, context, call.apply)
        return None if made is None else encoded("\\".join(made), vr, _fit(call), place)

    return apply


def _of_another(call: Call, of: int, vr: str, place: Place) -> bytes | None:
    """Apply a function to the values of another attribute, and write the result for a VR."""
    source_vr = vr_of(of)
    text = place.subject.facts.text(of)
    values = [text] if source_vr in _ONE_VALUE else [part.strip(" \0") for part in text.split("\\")]
    context = _context(place.subject, source_vr, of)
    made = functions.apply_to_values(call.name, values, call.params, context, call.apply)
    return None if made is None else encoded("\\".join(made), vr, _fit(call), place)


def _on_numbers(call: Call, value: bytes, vr: str, place: Place, context: Context) -> bytes | None:
    little_endian = place.encoding.little_endian
    values = numbers_of(value, vr, little_endian=little_endian)
    if values is None:
        raise Fault(f"{call.name} cannot read a value of VR {vr}")
    made = functions.apply_to_values(call.name, values, call.params, context, call.apply)
    if made is None:
        return None
    try:
        return coded_numbers([text for text in made if text], vr, little_endian=little_endian)
    except (ValueError, ArithmeticError):
        raise Fault(f"{call.name} gives what VR {vr} cannot hold") from None


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
    if field.name == "today":
        return _day(subject, field.argument)
    if field.name == "now":
        return _clock(subject, field.argument)
    if field.name == "keyword":
        return keyword_of(element[0] >> 16)
    if field.name == "value":
        return (decode(value, place.charsets, vr) or "").strip(" \0")
    assert field.tag is not None
    original = subject.facts.text(field.tag)
    if field.name == "original" or not original:
        return original
    name, params = _FIELD_CALLS[field.name](field)
    # A hash is written as text whatever VR its source has; a date is moved as what it is.
    source_vr = vr_of(field.tag) if field.name in ("shifted", "interval") else "UT"
    return text_of(functions.apply(name, original, params, _context(subject, source_vr, field.tag)))


def _day(subject: Subject, separator: str) -> str:
    """Return the day on which the object is de-identified.

    Raises:
        Fault: nobody said which day it is.
    """
    if subject.today == date.min:
        raise Fault("the day of the de-identification is not known")
    today = subject.today
    return separator.join((f"{today.year:04}", f"{today.month:02}", f"{today.day:02}"))


def _clock(subject: Subject, separator: str) -> str:
    """Return the time of day at which the object is de-identified.

    Raises:
        Fault: nobody said which time it is.
    """
    now = subject.time_of_day
    if now is None:
        raise Fault("the time of the de-identification is not known")
    return separator.join((f"{now.hour:02}", f"{now.minute:02}", f"{now.second:02}"))


# A field of a template to the function it stands for and its parameters.
_FIELD_CALLS: Final[dict[str, Callable[[Field], tuple[str, dict[str, object]]]]] = {
    "uid": lambda field: ("uid", {}),
    "hash": lambda field: ("hash", {"length": field.length}),
    "digits": lambda field: ("hash", {"alphabet": "decimal", "length": field.length}),
    "initials": lambda field: ("initials", {}),
    "md5": lambda field: ("hash", {"algorithm": "md5", "length": field.length}),
    "shifted": lambda field: ("date_shift", {}),
    "mask": lambda field: ("mask", {"mask": field.argument}),
    "no_space": lambda field: ("no_space", {"with": field.argument}),
    "fake_name": lambda field: ("fake_name", {"seed": field.tag}),
    "upper": lambda field: ("case", {"to": "upper"}),
    "lower": lambda field: ("case", {"to": "lower"}),
    "cut": lambda field: ("cut", {"to": field.length}),
    "part": lambda field: ("part", {"separator": field.argument, "at": field.length, "missing": "keep"}),
    "interval": lambda field: ("date_interval", {"table": field.argument, "by": field.by}),
    "lookup": lambda field: ("lookup", {"table": field.argument}),
}


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
