"""Functions on numbers: keyed noise and rounding, for text and binary number VRs and for ages.

Rows MS-8 and MS-9. The noise is no dice: it is a keyed function of patient, attribute and value, so that an
object sent twice comes out equal.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from deid_node.engine.functions_context import Context, Outcome, Params, Result

_INTEGERS: Final = {
    "IS": (-(2**31), 2**31 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "US": (0, 2**16 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "UL": (0, 2**32 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "UV": (0, 2**64 - 1),
    "OW": (0, 2**16 - 1),
    "OL": (0, 2**32 - 1),
    "OV": (0, 2**64 - 1),
}
_CODES: Final = {
    "SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q", "OW": "H", "OL": "I", "OV": "Q",
    "FL": "f", "OF": "f", "FD": "d", "OD": "d",
}  # fmt: skip
_LONGEST_DECIMAL_STRING: Final = 16
_AGE_UNITS_A_YEAR: Final = {"D": 365, "W": 52, "M": 12, "Y": 1}
_LARGEST_AGE: Final = 999


def numbers_of(value: bytes, vr: str, *, little_endian: bool) -> list[str] | None:
    """Return the numbers of a binary value as text; None when the length does not fit the VR."""
    code = _CODES.get(vr)
    if code is None or len(value) % struct.calcsize(code):
        return None
    count = len(value) // struct.calcsize(code)
    return [repr(number) for number in struct.unpack(f"{'<' if little_endian else '>'}{count}{code}", value)]


def coded_numbers(texts: Sequence[str], vr: str, *, little_endian: bool) -> bytes:
    """Return numbers as the bytes of a binary VR; those of integers are cut to its range.

    Raises:
        ValueError: a text is no number.
    """
    order = "<" if little_endian else ">"
    if vr in _INTEGERS:
        low, high = _INTEGERS[vr]
        whole = [min(max(int(Decimal(text)), low), high) for text in texts]
        return struct.pack(f"{order}{len(whole)}{_CODES[vr]}", *whole)
    return struct.pack(f"{order}{len(texts)}{_CODES[vr]}", *map(float, texts))


def perturbed(value: str, params: Params, context: Context) -> Result:
    """Return a number with keyed noise of a span around 0; span 0 changes nothing."""
    span = Decimal(str(params.get("span", 1.0)))
    number, unit = _parsed(value, context.vr)
    if number is None:
        return Outcome.DROP
    if not span:
        return value
    width = span if params.get("range") == "fixed" else abs(number * span)
    seed = f"{context.scope('patient')}\0{context.tag:08X}\0{value}".encode()
    drawn = int.from_bytes(context.pseudonyms.digest("perturb", seed)[:8], "big")
    noise = (Decimal(drawn) / Decimal(2**64 - 1) - Decimal("0.5")) * width
    decimals = int(str(params.get("round_to", 2)))
    result = (number + noise).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    return _written(result, unit, context.vr)


def rounded(value: str, params: Params, context: Context) -> Result:
    """Return a number rounded to the nearest multiple, halves to the even one."""
    step = Decimal(str(params.get("to", 1.0)))
    number, unit = _parsed(value, context.vr)
    if number is None:
        return Outcome.DROP
    if not step:
        return value
    return _written((number / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step, unit, context.vr)


def _parsed(value: str, vr: str) -> tuple[Decimal | None, str]:
    text = value.strip(" \0")
    unit = ""
    if vr == "AS":
        text, unit = text[:-1], text[-1:].upper()
        if unit not in _AGE_UNITS_A_YEAR or not text.isdigit():
            return None, ""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None, ""
    return (number, unit) if number.is_finite() else (None, "")


def _written(number: Decimal, unit: str, vr: str) -> Result:
    if vr == "AS":
        return _age(max(int(number), 0), unit)
    if vr in _INTEGERS:
        low, high = _INTEGERS[vr]
        return str(min(max(int(number), low), high))
    text = format(number.normalize(), "f") if number else "0"
    if vr == "DS" and len(text) > _LONGEST_DECIMAL_STRING:
        text = f"{float(number):.10g}"
    return text


def _age(number: int, unit: str) -> Result:
    """Return an AS; more than three digits are expressed in years (row MS-9)."""
    if number > _LARGEST_AGE:
        number, unit = number // _AGE_UNITS_A_YEAR[unit], "Y"
    return Outcome.DROP if number > _LARGEST_AGE else f"{number:03}{unit}"
