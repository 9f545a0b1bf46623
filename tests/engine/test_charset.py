"""Strict decoding and encoding of text values under (0008,0005)."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydicom.charset import convert_encodings, decode_bytes

from deid_node.engine.charset import TERMS, WRONG_SPELLINGS, decode, encode, known_term, known_terms

CHARSETS = Path(__file__).parents[2].parent / "shared" / "corpus" / "charset"

SAMPLES = [
    ((), "PN", "Smith^John"),
    (("ISO_IR 100",), "LO", "Müller, Übersicht"),
    (("ISO_IR 101",), "LO", "Wałęsa"),
    (("ISO_IR 109",), "LO", "Ġorġ"),
    (("ISO_IR 110",), "LO", "Ķēniņš"),
    (("ISO_IR 126",), "PN", "Διονυσιος"),
    (("ISO_IR 127",), "PN", "قباني^لنزار"),
    (("ISO_IR 138",), "PN", "שרון^דבורה"),
    (("ISO_IR 144",), "PN", "Люкceмбypг"),
    (("ISO_IR 148",), "PN", "Yıldız^Şükrü"),
    (("ISO_IR 166",), "PN", "นามสกุล"),
    (("ISO_IR 203",), "PN", "Œuvre^€"),
    (("ISO_IR 13",), "PN", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (("ISO_IR 192",), "PN", "Wang^XiaoDong=王^小東=😀"),
    (("GB18030",), "PN", "Wang^XiaoDong=王^小东="),
    (("GBK",), "PN", "Wang^XiaoDong=王^小东="),
    (("", "ISO 2022 IR 87"), "PN", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (("ISO 2022 IR 13", "ISO 2022 IR 87"), "PN", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "LO", "山田 丂 ok"),
    (("", "ISO 2022 IR 149"), "PN", "Hong^Gildong=洪^吉洞=홍^길동"),
    (("", "ISO 2022 IR 58"), "PN", "Zhang^XiaoDong=张^小东="),
    (("ISO 2022 IR 100", "ISO 2022 IR 144"), "LO", "Müller Люк ü Люк"),
    (("ISO 2022 IR 100", "ISO 2022 IR 126", "ISO 2022 IR 87"), "LT", "ü Διο 山田\r\nü"),
]


@pytest.mark.parametrize(("charsets", "vr", "text"), SAMPLES)
def test_a_text_survives_encoding_and_decoding(charsets, vr, text):
    encoded = encode(text, charsets, vr)

    assert encoded is not None
    assert decode(encoded, charsets, vr) == text


def test_the_japanese_example_of_the_standard_decodes():
    value = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"

    assert decode(value, ("", "ISO 2022 IR 87"), "PN") == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert encode("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87"), "PN") == value


def test_a_delimiter_ends_what_an_escape_sequence_began():
    value = b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\\\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf"

    assert decode(value, ("", "ISO 2022 IR 149"), "PN") == "김희중\\김희중"
    assert decode(b"\x1b$)C\xb1\xe8\\\xb1\xe8", ("", "ISO 2022 IR 149"), "PN") is None


def test_a_backslash_byte_inside_a_double_byte_character_is_no_delimiter():
    value = encode("乗\\乗", ("GBK",), "LO")

    assert value is not None and value.count(b"\\") == 3
    assert decode(value, ("GBK",), "LO") == "乗\\乗"


@pytest.mark.parametrize(
    ("value", "charsets", "vr"),
    [
        (b"M\xfcller", (), "PN"),  # undeclared
        (b"M\xfcller", ("ISO_IR 6",), "PN"),
        (b"M\xfcller", ("ISO_IR 192",), "PN"),  # wrong
        (b"\xd4\xff", ("ISO_IR 126",), "PN"),  # a hole in the code table
        (b"M\xfcller", ("ISO_IR 100",), "CS"),  # not a VR of (0008,0005)
        (b"abc", ("ISO_IR 999",), "LO"),  # unknown term
        (b"abc", ("ISO_IR 192", "ISO 2022 IR 87"), "LO"),  # stands alone
        (b"\x1b$B;3ED\x1b(B", (), "PN"),  # undeclared escape
        (b"\x1b$B;3ED\x1b(B", ("ISO_IR 100",), "PN"),
        (b"abc\x1b", ("", "ISO 2022 IR 87"), "PN"),
        (b"\x1b$)Q12", ("", "ISO 2022 IR 87"), "PN"),
    ],
)
def test_what_cannot_be_decoded_strictly_is_none(value, charsets, vr):
    assert decode(value, charsets, vr) is None


@pytest.mark.parametrize(
    ("text", "charsets", "vr"),
    [
        ("山", ("ISO_IR 100",), "LO"),
        ("ü", (), "LO"),
        ("ü", ("ISO_IR 100",), "AE"),
        ("a\x1b", (), "LO"),
        ("a", ("?",), "LO"),
    ],
)
def test_what_the_character_sets_cannot_say_is_none(text, charsets, vr):
    assert encode(text, charsets, vr) is None


@pytest.mark.parametrize(
    ("spelling", "term"),
    [
        ("ISO-IR 100", "ISO_IR 100"),
        ("ISO IR 100", "ISO_IR 100"),
        ("iso_ir 192 ", "ISO_IR 192"),
        ("ISO_2022_IR_87", "ISO 2022 IR 87"),
        ("ISO 2022 GBK", "GBK"),
        ("UTF-8", "ISO_IR 192"),
        ("latin1", "ISO_IR 100"),
        ("\0", ""),
        ("KOI8-R", None),
        ("", ""),
    ],
)
def test_known_wrong_spellings_mean_one_term(spelling, term):
    assert known_term(spelling) == term


def test_every_wrong_spelling_leads_to_a_defined_term():
    assert set(WRONG_SPELLINGS.values()) <= TERMS
    assert not TERMS & set(WRONG_SPELLINGS)


def test_one_unknown_term_makes_all_unknown():
    assert known_terms(("ISO_IR 100", "KOI8-R")) is None


@pytest.mark.skipif(not CHARSETS.is_dir(), reason="shared corpus is absent")
@pytest.mark.parametrize(
    ("name", "charsets"),
    [
        ("chrArab.dcm", ("ISO_IR 127",)),
        ("chrGreek.dcm", ("ISO_IR 126",)),
        ("chrH31.dcm", ("", "ISO 2022 IR 87")),
        ("chrH32.dcm", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("chrHbrw.dcm", ("ISO_IR 138",)),
        ("chrI2.dcm", ("", "ISO 2022 IR 149")),
        ("chrRuss.dcm", ("ISO_IR 144",)),
        ("chrX1.dcm", ("ISO_IR 192",)),
        ("chrX2.dcm", ("GB18030",)),
    ],
)
def test_patient_names_of_real_files_decode_as_pydicom_decodes_them(name, charsets):
    data = (CHARSETS / name).read_bytes()
    start = data.index(b"\x10\x00\x10\x00")
    explicit = data[start + 4 : start + 6] == b"PN"
    length = int.from_bytes(
        data[start + 6 : start + 8] if explicit else data[start + 4 : start + 8], "little"
    )
    value = data[start + 8 : start + 8 + length]

    text = decode(value, charsets, "PN")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text == decode_bytes(value, convert_encodings(list(charsets)), set(b"\n\r\t\f^="))
    assert decode(encode(text, charsets, "PN"), charsets, "PN") == text
