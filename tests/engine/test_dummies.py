"""Dummy values: valid for the VR, padded, as many as asked for."""

from __future__ import annotations

import struct

import pytest
from pydicom import config
from pydicom.valuerep import VR, validate_value

from deid_node.engine.dummies import dummy, empty
from deid_node.profile.procedure import Dummies

VRS = sorted(str(vr) for vr in VR if len(str(vr)) == 2)
OURS, THEIRS = Dummies.STANDARD, Dummies.GRAND_CHALLENGE
TEXT_VRS = [
    "AE",
    "AS",
    "CS",
    "DA",
    "DS",
    "DT",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "ST",
    "TM",
    "UC",
    "UI",
    "UR",
    "UT",
]


@pytest.mark.parametrize("dummies", Dummies)
@pytest.mark.parametrize("vr", VRS)
def test_every_vr_has_a_dummy_of_even_length(vr, dummies):
    value = dummy(vr, dummies, little_endian=True)

    assert len(value) % 2 == 0
    assert value or vr == "SQ"


@pytest.mark.parametrize("dummies", Dummies)
@pytest.mark.parametrize("vr", TEXT_VRS)
def test_every_text_dummy_is_valid_for_its_vr(vr, dummies):
    value = dummy(vr, dummies, little_endian=True).decode().rstrip(" \0")

    validate_value(vr, value, config.RAISE)


@pytest.mark.parametrize("vr", TEXT_VRS)
def test_three_values_are_asked_for_three_are_given_where_the_vr_may(vr):
    value = dummy(vr, OURS, little_endian=True, vm=3)

    assert value.count(b"\\") == (0 if vr in {"LT", "ST", "UT", "UR"} else 2)


@pytest.mark.parametrize(("vr", "size"), [("US", 2), ("UL", 4), ("FD", 8), ("AT", 4), ("SV", 8)])
def test_binary_dummies_have_the_size_of_their_values(vr, size):
    assert dummy(vr, OURS, little_endian=False, vm=3) == bytes(size * 3)


def test_gc_9_dummy_values():
    wanted = {
        "AE": b"DUMMY_AE",
        "AS": b"030Y",
        "AT": bytes(4),
        "CS": b"DUMMY ",
        "DA": b"20000101",
        "DS": b"0.0 ",
        "DT": b"20000101120000.000000 ",
        "FL": struct.pack("<f", 0),
        "FD": struct.pack("<d", 0),
        "IS": b"0 ",
        "LO": b"DUMMY_LONG_STRING ",
        "LT": b"DUMMY LONG TEXT ",
        "OB": bytes(2),
        "OD": bytes(8),
        "OF": bytes(4),
        "OL": bytes(4),
        "OV": bytes(8),
        "OW": bytes(2),
        "PN": b"DUMMY^PATIENT^^^",
        "SH": b"DUMMY ",
        "SL": bytes(4),
        "SS": bytes(2),
        "SV": bytes(8),
        "UL": bytes(4),
        "US": bytes(2),
        "UV": bytes(8),
        "SQ": b"",
        "ST": b"DUMMY SHORT TEXT",
        "TM": b"120000.000000 ",
        "UC": b"DUMMY UNLIMITED CHARACTERS",
        "UI": b"1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0\0",
        "UN": bytes(2),
        "UR": b"http://dummy.example.test ",
        "UT": b"DUMMY UNLIMITED TEXT",
    }

    assert {vr: dummy(vr, THEIRS, little_endian=True) for vr in wanted} == wanted


@pytest.mark.parametrize("vr", ["LO", "CS", "LT", "SH", "ST", "UC", "UT", "SQ"])
def test_gc_6_and_gc_v1_z_empties_text(vr):
    assert empty(vr, THEIRS, little_endian=True) == b""


@pytest.mark.parametrize("vr", ["PN", "DA", "TM", "DT", "IS", "DS", "UI", "US"])
def test_gc_6_and_gc_v2_z_of_other_vrs_is_the_dummy(vr):
    assert empty(vr, THEIRS, little_endian=True) == dummy(vr, THEIRS, little_endian=True)


@pytest.mark.parametrize("vr", VRS)
def test_our_empty_value_is_zero_length(vr):
    assert empty(vr, OURS, little_endian=True) == b""


def test_an_unknown_vr_has_no_dummy():
    with pytest.raises(ValueError, match="no dummy"):
        dummy("ZZ", OURS, little_endian=True)
