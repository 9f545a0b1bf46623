"""Shifting, truncating, redacting and capping of dates, times and ages."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.engine.dates import (
    Duration,
    capped_age,
    hashed_offset,
    is_date,
    parsed_date,
    partial_age,
    partial_date,
    shift_and_drop_time,
    shift_by_days,
    shift_by_duration,
    shift_pair_by_duration,
    truncate,
)

TODAY = date(2025, 6, 1)


@pytest.mark.parametrize(
    ("value", "vr", "days", "moved"),
    [
        (b"20240229", "DA", 1, b"20240301"),
        (b"20240101 ", "DA", -1, b"20231231"),
        (b"2024.01.01", "DA", -1, b"2023.12.31"),
        (b"202401", "DA", -40, b"202311"),
        (b"2024", "DA", -1, b"2023"),
        (b"2024", "DT", -1, b"2023"),
        (b"202403", "DT", -1, b"202402"),
        (b"20240301", "DT", -1, b"20240229"),
        (b"2024030112", "DT", -1, b"2024022912"),
        (b"202403011230+0100", "DT", -1, b"202402291230+0100"),
        (b"20240301235959.123456-0500 ", "DT", -1, b"20240229235959.123456-0500"),
        (b"20240301235960", "DT", 0, b"20240301235959"),
        (b"123456.789", "TM", -100, b"123456.789"),
        (b"", "DA", -5, b""),
        (b"20240101\\20240201", "DA", 7, b"20240108\\20240208"),
        (b"20240101\\", "DA", 7, b"20240108\\"),
    ],
)
def test_a_shift_by_days_keeps_time_zone_and_precision(value, vr, days, moved):
    assert shift_by_days(value, vr, days) == moved


@pytest.mark.parametrize(
    ("value", "vr", "days"),
    [
        (b"20240230", "DA", 1),
        (b"20000000", "DA", 1),
        (b"2000-01-01", "DA", 1),
        (b"2024.0101", "DA", 1),
        (b"202401011", "DA", 1),
        (b"UNKNOWN", "DA", 1),
        (b"20240101\\UNKNOWN", "DA", 1),
        (b"00010101", "DA", -1),
        (b"99991231", "DA", 1),
        (b"202111100101.5", "DT", 1),
        (b"20211110010101.1234567", "DT", 1),
        (b"2021111001010", "DT", 1),
        (b"20211110250101", "DT", 1),
        (b"20240101", "LO", 1),
    ],
)
def test_what_cannot_be_read_or_leaves_the_calendar_is_none(value, vr, days):
    assert shift_by_days(value, vr, days) is None


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 3000), st.integers(-3650, -1))
def test_intervals_are_exact_after_a_shift(first, interval, days):
    second = first + timedelta(days=interval)

    moved = [
        parsed_date(shift_by_days(d.strftime("%Y%m%d").encode(), "DA", days), "DA") for d in (first, second)
    ]

    assert moved[1] - moved[0] == second - first
    assert moved[0] == first + timedelta(days=days)


@pytest.mark.parametrize(
    ("duration", "moved"),
    [("P7D", b"20230422"), ("-P7D", b"20230408"), ("PT24H", b"20230416"), ("P2W", b"20230429")],
)
def test_dc_v3_dates_by_duration(duration, moved):
    assert shift_by_duration(b"20230415", "DA", Duration.parse(duration)) == moved


def test_dc_v4_all_parts_of_a_duration():
    duration = Duration.parse("P1Y2M3DT4H5M6S")

    assert shift_by_duration(b"20250101123000.000000", "DT", duration) == b"20260304163506.000000"


def test_dc_v5_fraction_and_zone():
    duration = Duration.parse("-P1DT1.123456S")

    assert shift_by_duration(b"99990101123456.123456-0500", "DT", duration) == b"99981231123455.000000-0500"


@pytest.mark.parametrize(
    ("value", "duration", "moved"),
    [
        (b"123456.123456", "PT1.111111S", b"123457.234567"),
        (b"12", "PT60M", b"13"),
        (b"12", "P7M", b"12"),
    ],
)
def test_dc_v6_times_alone(value, duration, moved):
    assert shift_by_duration(value, "TM", Duration.parse(duration)) == moved


@pytest.mark.parametrize(
    ("value", "duration", "moved"), [(b"20230131", "P1M", b"20230303"), (b"20240229", "P1Y", b"20250301")]
)
def test_dc_v7_months_overflow(value, duration, moved):
    assert shift_by_duration(value, "DA", Duration.parse(duration)) == moved


def test_dc_v8_blanks_and_fractions():
    assert shift_by_duration(b" 20230415 ", "DA", Duration.parse("P7D")) == b"20230422"
    assert (
        shift_by_duration(b"20230415143022.123456+0200", "DT", Duration.parse("PT2H30M15.555555S"))
        == b"20230415170037.679011+0200"
    )


def test_dc_v9_a_borrow_from_the_seconds():
    assert (
        shift_by_duration(b"20230101120000.100000", "DT", Duration.parse("-PT0.9S"))
        == b"20230101115959.200000"
    )


def test_dc_v10_a_time_wraps_and_precision_stays():
    assert shift_by_duration(b"0930", "TM", Duration.parse("-PT10H")) == b"2330"
    assert shift_by_duration(b"202301011230", "DT", Duration.parse("PT45M")) == b"202301011315"


def test_a_year_alone_is_not_read_as_a_time():
    assert shift_by_duration(b"1980", "DA", Duration.parse("P1Y")) == b"1981"


def test_a_date_and_its_time_cross_midnight_together():
    assert shift_pair_by_duration(b"20240229", b"2330", Duration.parse("PT45M")) == (b"20240301", b"0015")


@pytest.mark.parametrize("value", [b"99991231", b"20231301", b"x"])
def test_a_duration_outside_the_calendar_is_none(value):
    assert shift_by_duration(value, "DA", Duration.parse("P1D")) is None


@pytest.mark.parametrize("text", ["", "P", "PT", "7D", "P7", "+P7D", "P1.5D", "P1DT", "-P-1D"])
def test_a_wrong_duration_is_an_error(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("value", "capped"),
    [
        (b"089Y", b"089Y"),
        (b"090Y", b"090Y"),
        (b"104Y", b"090Y"),
        (b"999M", b"999M"),
        (b"1080M", b"090Y"),
        (b"6 ", None),
        (b"045Y ", b"045Y"),
        (b"UNK", None),
        (b"", None),
    ],
)
def test_ages_over_89_become_090y(value, capped):
    assert capped_age(value) == capped


def test_ms_v15_partial_ages():
    ages = [b"010D", b"010W", b"100M", b"010Y", b"090Y"]

    assert [partial_age(age) for age in ages] == [b"010D", b"010W", b"100M", b"010Y", None]


def test_ms_v13_partial_dates():
    dates = [b"20210320", b"19110101", b"20200101"]

    assert [partial_date(day, "DA", TODAY) for day in dates] == [b"20210101", None, b"20200101"]


@pytest.mark.parametrize(
    ("value", "reduced"),
    [
        (b"20210320202020.20+0800", b"20210101000000.000000+0800"),
        (b"20210320202020.00654", b"20210101000000.000000"),
        (b"202103", b"202101"),
    ],
)
def test_ms_v14_partial_date_times_have_no_time_of_day(value, reduced):
    assert partial_date(value, "DT", TODAY) == reduced


@pytest.mark.parametrize("value", [b"20000000", b"2000-01-01", b"20211110010101.1234567"])
def test_ms_v19_wrong_dates_are_none(value):
    assert partial_date(value, "DT" if len(value) > 10 else "DA", TODAY) is None


@pytest.mark.parametrize(
    ("scope", "key", "longest", "days"),
    [
        ("", "123", 50, 50),
        ("1.2.3", "123", 50, -20),
        ("filename", "123", 50, 4),
        ("456", "123", 50, -27),
        ("789", "123", 50, 30),
        ("1.2.3", "key", 365, 134),
    ],
)
def test_ms_v9_offsets_of_microsofts_tool(scope, key, longest, days):
    assert hashed_offset(scope, key, longest) == days


def test_ms_v10_the_offset_without_a_scope():
    days = hashed_offset("", "123", 50)

    assert shift_and_drop_time(b"20061012", "DA", days, TODAY) == b"20061201"


def test_ms_10_a_shift_of_microsofts_tool_zeroes_the_time():
    assert shift_and_drop_time(b"20061012123000.5", "DT", 1, TODAY) == b"20061013000000.0"
    assert shift_and_drop_time(b"19310101", "DA", 1, TODAY) is None


@pytest.mark.parametrize(
    ("value", "vr", "keep", "truncated"),
    [
        (b"19631217", "DA", "year", b"19630101"),
        (b"19631217", "DA", "month", b"19631201"),
        (b"20210320202020.20+0800", "DT", "month", b"20210301000000.00+0800"),
        (b"2021", "DT", "month", b"2021"),
        (b"x", "DA", "year", None),
        (b"120000", "TM", "year", None),
    ],
)
def test_a_truncated_date_keeps_its_form(value, vr, keep, truncated):
    assert truncate(value, vr, keep) == truncated


def test_a_time_with_colons_of_old_devices_is_read():
    assert is_date(b"12:30:15.5", "TM")
    assert shift_by_duration(b"12:30", "TM", Duration.parse("PT1H")) == b"13:30"
