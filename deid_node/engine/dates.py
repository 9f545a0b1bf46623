"""Dates, times and ages: shifting, truncating, redacting and capping, on the bytes of one value.

DA, DT, TM and AS as PS3.5 Table 6.2-1 writes them, and the old DA form YYYY.MM.DD. A precision is never
widened: a partial date stays partial. What cannot be read or leaves the years 1 to 9999 is None, and the
caller drops it. Arithmetic with an ISO 8601 duration is calendar arithmetic with overflow (row C-23):
January 31 and one month is March 3, not February 28.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from deid_node.engine.remembering import remembering

_DA: Final = re.compile(rb"(\d{4})(?:(\.?)(\d\d)(?:\2(\d\d))?)?")
_DT: Final = re.compile(rb"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d{2,6})(\.\d{1,6})?)?)?)?([+-]\d{4})?")
_TM: Final = re.compile(rb"(\d\d)(?:(:?)(\d\d)(?:\2(\d\d)(\.\d{1,6})?)?)?")
_AGE: Final = re.compile(rb"(\d{1,4})([DWMY])")
_DURATION: Final = re.compile(
    r"(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d{1,6})\d*)?S)?)?"
)
_BLANKS: Final = b" \0"
_MICROSECONDS_A_DAY: Final = 86_400_000_000
_LAST_ORDINAL: Final = date.max.toordinal()
_AGE_UNITS_A_YEAR: Final = {b"D": 365, b"W": 52, b"M": 12, b"Y": 1}
HIGHEST_SAFE_AGE: Final = 89
"""Ages above it identify (45 CFR 164.514(b)(2)(i)(C))."""


@dataclass(frozen=True, slots=True)
class Duration:
    """An ISO 8601 duration: calendar months and days, and a rest in microseconds, all of one sign."""

    months: int = 0
    days: int = 0
    microseconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `P1Y2M3W4DT5H6M7.8S` with an optional leading minus.

        Raises:
            ValueError: not a duration, or one without any part.
        """
        match = _DURATION.fullmatch(text.strip())
        if match is None or not any(match.groups()[1:]):
            raise ValueError("not an ISO 8601 duration such as P30D or -P1Y2MT3H")
        numbers = [int(part or 0) for part in match.groups()[1:8]]
        years, months, weeks, days, hours, minutes, seconds = numbers
        fraction = int((match[9] or "").ljust(6, "0"))
        sign = -1 if match[1] else 1
        return cls(
            sign * (years * 12 + months),
            sign * (weeks * 7 + days),
            sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction),
        )


@dataclass(frozen=True, slots=True)
class _Moment:
    """A point in time as read, with what is needed to write it back in the same precision."""

    ordinal: int
    microsecond: int
    date_digits: int  # 4, 6, 8; 0 for a time alone
    time_digits: int  # 0, 2, 4, 6
    fraction_digits: int
    zone: bytes
    separators: tuple[bytes, bytes]  # of date and time

    def written(self, ordinal: int, microsecond: int) -> bytes | None:
        """Return the moment moved to another day and time of day, None outside the calendar."""
        text = b""
        if self.date_digits:
            if not 1 <= ordinal <= _LAST_ORDINAL:
                return None
            day = date.fromordinal(ordinal)
            parts = (b"%04d" % day.year, b"%02d" % day.month, b"%02d" % day.day)
            text = self.separators[0].join(parts[: self.date_digits // 2 - 1])
        if self.time_digits:
            second, rest = divmod(microsecond, 1_000_000)
            clock = (b"%02d" % (second // 3600), b"%02d" % (second // 60 % 60), b"%02d" % (second % 60))
            text += self.separators[1].join(clock[: self.time_digits // 2])
            if self.fraction_digits:
                text += b"." + (b"%06d" % rest)[: self.fraction_digits]
        return text + self.zone


@remembering(65_536, longest=64)
def shift_by_days(value: bytes, vr: str, days: int) -> bytes | None:
    """Move a value of VR DA, DT or TM by whole days; time of day, zone and precision stay.

    A partial date is moved as its first day and written in its own precision. A TM and an empty value
    are returned as they are. Values of a multi-valued element are moved one by one.

    Returns:
        The value without padding, or None when one of the values cannot be read or leaves the calendar.
    """
    if b"\\" in value:
        moved = [shift_by_days(single, vr, days) for single in value.split(b"\\")]
        return None if None in moved else b"\\".join(part for part in moved if part is not None)
    single = value.strip(_BLANKS)
    if not single or vr == "TM":
        return single
    moment = _moment(single, vr)
    return None if moment is None else moment.written(moment.ordinal + days, moment.microsecond)


@remembering(65_536, longest=64)
def shift_by_duration(value: bytes, vr: str, duration: Duration) -> bytes | None:
    """Move a value of VR DA, DT or TM by a duration (rows DC-16, DC-17); precision and zone stay.

    A date without a time of day counts as its midnight; a time alone wraps at midnight and is not
    moved by months and days.

    Returns:
        As `shift_by_days`.
    """
    if b"\\" in value:
        moved = [shift_by_duration(single, vr, duration) for single in value.split(b"\\")]
        return None if None in moved else b"\\".join(part for part in moved if part is not None)
    single = value.strip(_BLANKS)
    moment = _moment(single, vr) if single else None
    if moment is None:
        return None if single else b""
    return _moved(moment, duration)


def shift_pair_by_duration(day: bytes, time: bytes, duration: Duration) -> tuple[bytes, bytes] | None:
    """Move a DA and the TM of the same moment together, so that midnight is crossed (row C-10)."""
    date_moment = _moment(day.strip(_BLANKS), "DA")
    time_moment = _moment(time.strip(_BLANKS), "TM")
    if date_moment is None or date_moment.date_digits != 8 or time_moment is None:
        return None
    moved = _added(date_moment.ordinal, time_moment.microsecond, duration)
    if moved is None:
        return None
    new_day, new_time = date_moment.written(*moved), time_moment.written(*moved)
    return None if new_day is None or new_time is None else (new_day, new_time)


def truncate(value: bytes, vr: str, keep: str) -> bytes | None:
    """Set month and day (or the day) of a DA or DT to 01 and the time of day to 0.

    Args:
        value: one value.
        vr: DA or DT.
        keep: "year" or "month".
    """
    moment = _moment(value.strip(_BLANKS), vr)
    if moment is None or vr not in {"DA", "DT"}:
        return None
    day = date.fromordinal(moment.ordinal)
    first = date(day.year, 1 if keep == "year" else day.month, 1)
    return moment.written(first.toordinal(), 0)


def partial_date(value: bytes, vr: str, today: date) -> bytes | None:
    """Reduce a DA or DT to its year, None when it lies 89 years or more back (row MS-7).

    A full date becomes YYYY0101, a DT with seconds YYYY0101000000.000000 and its zone; what was less
    precise stays so.
    """
    moment = _moment(value.strip(_BLANKS), vr)
    if moment is None or not moment.date_digits:
        return None
    day = date.fromordinal(moment.ordinal)
    if lies_too_far_back(day, today):
        return None
    if moment.time_digits == 6:
        moment = replace(moment, fraction_digits=6)
    return moment.written(date(day.year, 1, 1).toordinal(), 0)


def lies_too_far_back(day: date, today: date) -> bool:
    """Tell whether a day plus 89 years is before today."""
    last_day = 28 if (day.month, day.day) == (2, 29) else day.day
    limit = min(day.year + HIGHEST_SAFE_AGE, date.max.year)
    return date(limit, day.month, last_day) < today


def partial_age(value: bytes) -> bytes | None:
    """Return an AS as it is, None when it is above 89 years or no age (row MS-7)."""
    years = _age_in_years(value)
    return None if years is None or years > HIGHEST_SAFE_AGE else value.strip(_BLANKS)


def capped_age(value: bytes, highest: int = HIGHEST_SAFE_AGE) -> bytes | None:
    """Return an AS of at most `highest` years as it is and every higher one as 090Y; None for no age."""
    years = _age_in_years(value)
    if years is None:
        return None
    return value.strip(_BLANKS) if years <= highest else b"%03dY" % (highest + 1)


def is_date(value: bytes, vr: str) -> bool:
    """Tell whether one value can be read as its VR (DA, DT, TM)."""
    return _moment(value.strip(_BLANKS), vr) is not None


def parsed_date(value: bytes, vr: str) -> date | None:
    """Return the day of one DA or DT value, the first one of a partial date."""
    moment = _moment(value.strip(_BLANKS), vr)
    return None if moment is None or not moment.date_digits else date.fromordinal(moment.ordinal)


def hashed_offset(scope: str, key: str, longest: int) -> int:
    """Return the offset of Microsoft's tool in days, -longest..longest (row MS-10); for imports only."""
    offset = 0
    for byte in (scope + key).encode():
        offset = (offset * 131 + byte) % (2 * longest + 1)
    return offset - longest


def shift_and_drop_time(value: bytes, vr: str, days: int, today: date) -> bytes | None:
    """Move a DA or DT as Microsoft's tool does (row MS-10): time of day 0, nothing older than 89 years."""
    day = parsed_date(value, vr)
    if day is None or vr not in {"DA", "DT"} or lies_too_far_back(day, today):
        return None
    moment = _moment(value.strip(_BLANKS), vr)
    return None if moment is None else moment.written(moment.ordinal + days, 0)


def with_parts(value: bytes, vr: str, year: int, month: int, day: int) -> bytes | None:
    """Return a DA or DT with its year, month or day set; 0 leaves a part.

    A day that the month does not have runs on into the next one. None when the value is no date.
    """
    moment = _moment(value.strip(_BLANKS), vr)
    if moment is None or not moment.date_digits:
        return None
    old = date.fromordinal(moment.ordinal)
    first = date(year or old.year, month or old.month, 1)
    return moment.written(first.toordinal() + (day or old.day) - 1, moment.microsecond)


def _age_in_years(value: bytes) -> int | None:
    match = _AGE.fullmatch(value.strip(_BLANKS).upper())
    return None if match is None else int(match[1]) // _AGE_UNITS_A_YEAR[match[2]]


def _moment(text: bytes, vr: str) -> _Moment | None:
    if vr == "DA":
        match = _DA.fullmatch(text)
        if match is None:
            return None
        return _dated(match[1], match[3], match[4], b"", b"", b"", match[2] or b"")
    if vr == "DT":
        match = _DT.fullmatch(text)
        if match is None:
            return None
        return _dated(match[1], match[2], match[3], match[4] or b"", match[5] or b"", match[6] or b"")
    if vr == "TM":
        match = _TM.fullmatch(text)
        if match is None:
            return None
        clock = match[1] + (match[3] or b"") + (match[4] or b"")
        microsecond = _microsecond(clock, match[5] or b"")
        if microsecond is None:
            return None
        digits = len(match[5] or b"") - 1
        return _Moment(1, microsecond, 0, len(clock), max(digits, 0), b"", (b"", match[2] or b""))
    return None


def _dated(
    year: bytes,
    month: bytes | None,
    day: bytes | None,
    clock: bytes,
    fraction: bytes,
    zone: bytes,
    separator: bytes = b"",
) -> _Moment | None:
    microsecond = _microsecond(clock, fraction)
    if microsecond is None:
        return None
    try:
        ordinal = date(int(year), int(month or 1), int(day or 1)).toordinal()
    except ValueError:
        return None
    digits = 8 if day else 6 if month else 4
    return _Moment(
        ordinal, microsecond, digits, len(clock), max(len(fraction) - 1, 0), zone, (separator, b"")
    )


def _microsecond(clock: bytes, fraction: bytes) -> int | None:
    """Return the microsecond of the day; second 60 is a leap second (PS3.5 Table 6.2-1, TM)."""
    if len(clock) % 2 or (fraction and len(clock) != 6):
        return None
    hour, minute, second = (int(clock[at : at + 2] or 0) for at in (0, 2, 4))
    if hour > 23 or minute > 59 or second > 60:
        return None
    return ((hour * 60 + minute) * 60 + min(second, 59)) * 1_000_000 + int(fraction[1:].ljust(6, b"0") or 0)


def _added(ordinal: int, microsecond: int, duration: Duration) -> tuple[int, int] | None:
    day = date.fromordinal(ordinal)
    year, month = divmod(day.year * 12 + day.month - 1 + duration.months, 12)
    if not 1 <= year <= date.max.year:
        return None
    days, rest = divmod(microsecond + duration.microseconds, _MICROSECONDS_A_DAY)
    return date(year, month + 1, 1).toordinal() + day.day - 1 + duration.days + days, rest


def _moved(moment: _Moment, duration: Duration) -> bytes | None:
    if not moment.date_digits:
        return moment.written(1, (moment.microsecond + duration.microseconds) % _MICROSECONDS_A_DAY)
    moved = _added(moment.ordinal, moment.microsecond, duration)
    return None if moved is None else moment.written(*moved)
