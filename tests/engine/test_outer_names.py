"""Which names of files and folders may be shown."""

from __future__ import annotations

import re

import pytest

from deid_node.engine.keys import Key, Pseudonyms
from deid_node.engine.outer_names import veiled
from deid_node.engine.text import Identifiers

PSEUDONYMS = Pseudonyms(Key(bytes(range(32))))
KNOWN = Identifiers.of(
    [("name", "Zwickelhuber^Aloisia"), ("id", "PAT-00123"), ("date", "19700131"), ("person", "Müller^Karl")]
)


@pytest.mark.parametrize(
    "name",
    [
        *("IM0001", "IMG00012", "000001", "SE000001", "I_000012", "IM-0001-0050", "MR.1", "DICOM", "S0001"),
        *("ct_thorax", "ax_t2_flair", "Series 3 T1 mprage", "patient_17", "sub-01", "baseline", "brain"),
    ],
)
def test_counters_and_words_of_the_trade_stay(name: str) -> None:
    assert veiled(name, KNOWN, PSEUDONYMS) == name


@pytest.mark.parametrize(
    "name",
    [
        *("ZWICKELHUBER_ALOISIA", "aloisia", "ZwickelhuberAloisia_CT", "CT-Zwickelhuber"),
        *("PAT-00123", "pat00123", "CT_PAT_00123", "mueller", "Dr Karl Müller"),
        *("1.2.840.113619.2.5.1", "MR.1.3.12.2.1107.5.2.6", "20040119", "2004-01-19", "ct_040119"),
        *("John Smith", "12345678", "X98765", "Hinterseer"),
    ],
)
def test_identifiers_uids_dates_long_numbers_and_unknown_words_become_codes(name: str) -> None:
    code = veiled(name, KNOWN, PSEUDONYMS)

    assert re.fullmatch("[A-Z2-7]{16}", code)


def test_a_code_is_the_same_for_the_same_name_and_key_alone() -> None:
    other = Pseudonyms(Key(bytes(range(1, 33))))

    codes = [
        veiled("John Smith", KNOWN, PSEUDONYMS),
        veiled("John Smith", Identifiers.of([]), PSEUDONYMS),
        veiled("John Smith", KNOWN, other),
        veiled("John_Smith", KNOWN, PSEUDONYMS),
    ]

    assert codes[0] == codes[1]
    assert len(set(codes)) == 3


def test_a_name_that_is_no_unicode_becomes_a_code() -> None:
    name = b"M\xfcller".decode(errors="surrogateescape")

    assert re.fullmatch("[A-Z2-7]{16}", veiled(name, KNOWN, PSEUDONYMS))
