"""The seven actions as tables: a row, an element in, an element out, in each encoding."""

from __future__ import annotations

import struct

import pytest

from deid_node.engine.dummies import dummy, empty
from deid_node.engine.scan import Limits
from deid_node.errors import Rejected, SOPClassNotSupported
from deid_node.profile.procedure import Action, Dummies, Rule
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, INSTANCE, Form, procedure, run
from tests.rewriting import pseudonyms

# The Selector attributes of PS3.3 C.23: one attribute for nearly every VR, of any multiplicity.
SELECTORS = {
    "AE": 0x0072005E, "AS": 0x0072005F, "AT": 0x00720060, "DA": 0x00720061, "CS": 0x00720062,
    "DT": 0x00720063, "IS": 0x00720064, "OB": 0x00720065, "LO": 0x00720066, "OF": 0x00720067,
    "LT": 0x00720068, "OW": 0x00720069, "PN": 0x0072006A, "TM": 0x0072006B, "SH": 0x0072006C,
    "UN": 0x0072006D, "ST": 0x0072006E, "UC": 0x0072006F, "UT": 0x00720070, "UR": 0x00720071,
    "DS": 0x00720072, "OD": 0x00720073, "FD": 0x00720074, "OL": 0x00720075, "FL": 0x00720076,
    "UL": 0x00720078, "US": 0x0072007A, "SL": 0x0072007C, "SS": 0x0072007E, "UI": 0x0072007F,
    "OV": 0x00720081, "SV": 0x00720082, "UV": 0x00720083,
}  # fmt: skip
_TEXTS = {
    "AE": "SCANNER1", "AS": "041Y", "CS": "HEAD", "DA": "19991231", "DS": "1.5", "DT": "19991231235959.1",
    "IS": "-12", "LO": "some words", "LT": "long text\r\n", "PN": "Doe^Jane", "SH": "short", "ST": "text",
    "TM": "235959", "UC": "unlimited", "UI": "1.2.3.4.77", "UR": "http://example.org", "UT": "text",
}  # fmt: skip
_SIZES = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_SIZES |= {"OB": 6, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 6, "UN": 6}
_ONE_VALUE = frozenset("LT ST UT UR".split())

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_PER_VR = pytest.mark.parametrize("vr", SELECTORS)
_COUNTS = (0, 1, 3)


def value_of(vr: str, count: int) -> bytes:
    """Return `count` values of a VR."""
    if vr in _TEXTS:
        values = [_TEXTS[vr]] * (min(count, 1) if vr in _ONE_VALUE else count)
        return "\\".join(values).encode()
    return bytes(range(1, _SIZES[vr] * count + 1))


def acted(action: Action, vr: str, value: bytes, form: Form, dummies: Dummies = Dummies.STANDARD) -> bytes:
    """Return what an action makes of an element of a VR, without the rest of the dataset."""
    tag = SELECTORS[vr]
    output = run(procedure({tag: action}, dummies=dummies), form.dataset(form.element(tag, vr, value)), form)
    assert output.startswith(form.dataset())
    return output[len(form.dataset()) :]


@_PER_FORM
@_PER_VR
def test_k_keeps_every_byte(vr: str, form: Form) -> None:
    for value in (value_of(vr, count) for count in _COUNTS):
        assert acted(Action.K, vr, value, form) == form.element(SELECTORS[vr], vr, value)


@_PER_FORM
@_PER_VR
def test_x_removes(vr: str, form: Form) -> None:
    for count in _COUNTS:
        assert acted(Action.X, vr, value_of(vr, count), form) == b""


@_PER_FORM
@_PER_VR
@pytest.mark.parametrize("dummies", Dummies)
def test_z_empties_as_the_set_of_dummies_says(vr: str, form: Form, dummies: Dummies) -> None:
    expected = empty(vr, dummies, little_endian=form is not BIG)

    for count in _COUNTS:
        out = acted(Action.Z, vr, value_of(vr, count), form, dummies)

        assert out == form.element(SELECTORS[vr], vr, expected)


@_PER_FORM
@_PER_VR
@pytest.mark.parametrize("dummies", Dummies)
def test_d_makes_a_dummy_of_the_vr(vr: str, form: Form, dummies: Dummies) -> None:
    expected = dummy(vr, dummies, little_endian=form is not BIG)
    of_nothing = expected if dummies is Dummies.GRAND_CHALLENGE else b""

    for count in _COUNTS:
        out = acted(Action.D, vr, value_of(vr, count), form, dummies)

        assert out == form.element(SELECTORS[vr], vr, expected if count else of_nothing)


@_PER_FORM
@_PER_VR
def test_r_rejects_the_object(vr: str, form: Form) -> None:
    with pytest.raises(Rejected) as refusal:
        acted(Action.R, vr, value_of(vr, 1), form)

    assert refusal.value.code == "rejected"
    assert refusal.value.path == f"Selector{vr}Value"


def test_r_gives_the_reason_of_its_rule() -> None:
    rule = Rule(Action.R, "documents are not for us")

    with pytest.raises(Rejected, match=r"^documents are not for us \(at PatientName\)$"):
        run(procedure({0x00100010: rule}), EXPLICIT.dataset(EXPLICIT.element(0x00100010, "PN", b"A")))


_DOUBLES = (
    (0x00280030, "DS", b"0\\0 "),  # PixelSpacing, VM 2
    (0x00200037, "DS", b"0\\0\\0\\0\\0\\0 "),  # ImageOrientationPatient, VM 6
    (0x00080008, "CS", b"DEIDENTIFIED\\DEIDENTIFIED "),  # ImageType, VM 2-n
)


@pytest.mark.parametrize(("tag", "vr", "expected"), _DOUBLES)
def test_d_gives_as_many_values_as_the_attribute_must_have(tag: int, vr: str, expected: bytes) -> None:
    dataset = EXPLICIT.dataset(EXPLICIT.element(tag, vr, b"1\\2"))

    output = run(procedure({tag: Action.D}), dataset)

    assert output == EXPLICIT.dataset(EXPLICIT.element(tag, vr, expected.rstrip()))


# --- UIDs -------------------------------------------------------------------------------------------


def _new(uid: bytes) -> bytes:
    return pseudonyms().uid(uid)


_UIDS = (
    (b"", b""),
    (b"\0\0", b"\0\0"),
    (b"1.2.3.4.77", _new(b"1.2.3.4.77")),
    (b"1.2.3.4.777\0", _new(b"1.2.3.4.777")),
    (b"1.2.3.4.777 ", _new(b"1.2.3.4.777")),
    (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1\0"),
    (b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.2\0"),
    (b"1.2.840.10008.9999", _new(b"1.2.840.10008.9999")),
    (b"1.2.840.10008.1.1\\1.2.3", b"1.2.840.10008.1.1\\" + _new(b"1.2.3")),
    (b"1.2.3\\\\1.2.4", _new(b"1.2.3") + b"\\\\" + _new(b"1.2.4")),
    (b"1.2.3\\1.2.3", _new(b"1.2.3") + b"\\" + _new(b"1.2.3")),
    (b"not a uid at all", _new(b"not a uid at all")),
)


@_PER_FORM
@pytest.mark.parametrize(("value", "expected"), _UIDS)
def test_u_maps_each_value_and_leaves_registered_uids(form: Form, value: bytes, expected: bytes) -> None:
    assert acted(Action.U, "UI", value, form) == form.element(SELECTORS["UI"], "UI", expected)


@_PER_FORM
def test_u_gives_one_uid_for_one_uid_wherever_it_stands(form: Form) -> None:
    reference = form.element(0x00081155, "UI", INSTANCE.encode())
    dataset = form.dataset(form.sequence(0x00082112, form.item(reference)))

    output = run(procedure({0x00080018: Action.U, 0x00081155: Action.U, 0x00082112: Action.K}), dataset, form)

    new = _new(INSTANCE.encode())
    assert output == form.dataset(
        form.sequence(0x00082112, form.item(form.element(0x00081155, "UI", new))),
        sop_instance_uid=new.decode(),
    )


# --- C ----------------------------------------------------------------------------------------------


@_PER_FORM
@pytest.mark.parametrize("vr", ["PN", "AE", "UR"])
def test_c_makes_a_dummy_where_a_text_cannot_be_cleaned(vr: str, form: Form) -> None:
    assert acted(Action.C, vr, value_of(vr, 1), form) == acted(Action.D, vr, value_of(vr, 1), form)


@_PER_FORM
@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_c_removes_what_it_cannot_judge(vr: str, form: Form) -> None:
    assert acted(Action.C, vr, value_of(vr, 1), form) == b""


@_PER_FORM
def test_c_moves_dates_by_the_shift_of_the_patient(form: Form) -> None:
    dataset = form.dataset(
        form.element(0x00080020, "DA", b"20240311"),
        form.element(0x0008002A, "DT", b"20240312101500.25"),
        form.element(0x00100020, "LO", b"0815"),
    )

    output = run(procedure({0x00080020: Action.C, 0x0008002A: Action.C}, shift_days=1), dataset, form)

    assert output == form.dataset(
        form.element(0x00080020, "DA", b"20240310"), form.element(0x0008002A, "DT", b"20240311101500.25")
    )


@_PER_FORM
@pytest.mark.parametrize("value", [b"19000001", b"yesterday", b"20240312 or so"])
def test_c_empties_a_date_that_is_none(value: bytes, form: Form) -> None:
    assert acted(Action.C, "DA", value, form) == form.element(SELECTORS["DA"], "DA", b"")


@_PER_FORM
@pytest.mark.parametrize("vr", ["LO", "SH", "ST", "LT", "UT", "UC"])
def test_c_takes_the_names_of_the_patient_out_of_a_text(vr: str, form: Form) -> None:
    tag = SELECTORS[vr]
    dataset = form.dataset(
        form.element(0x00100010, "PN", b"Zabrowska^Ilse"), form.element(tag, vr, b"CHEST Zabrowska")
    )

    output = run(procedure({tag: Action.C}), dataset, form)

    assert b"ZABROWSKA" not in output.upper()
    assert b"CHEST" in output


@_PER_FORM
def test_c_keeps_a_time_of_day_and_empties_what_is_none(form: Form) -> None:
    for value in (b"101500.25 ", b"10:15:00", b"1015-1030"):
        assert acted(Action.C, "TM", value, form) == form.element(SELECTORS["TM"], "TM", value)
    assert acted(Action.C, "TM", b"after Lunch with Zabrowska", form) == form.element(
        SELECTORS["TM"], "TM", b""
    )


@_PER_FORM
def test_c_takes_a_name_out_of_a_code_string_and_leaves_defined_terms(form: Form) -> None:
    def cleaned(value: bytes) -> bytes:
        tag = SELECTORS["CS"]
        dataset = form.dataset(form.element(0x00100010, "PN", b"Zabrowska"), form.element(tag, "CS", value))
        return run(procedure({tag: Action.C}), dataset, form)[len(form.dataset()) :]

    assert cleaned(b"DERIVED\\SECONDARY ") == form.element(SELECTORS["CS"], "CS", b"DERIVED\\SECONDARY ")
    assert b"ZABROWSKA" not in cleaned(b"ZABROWSKA\\HEAD")


@pytest.mark.parametrize("action", [Action.C, Action.K])
def test_nothing_is_left_of_a_needed_value_but_a_dummy(action: Action) -> None:
    tag = SELECTORS["LO"]
    rules = {tag: Rule(action, needs_value=True), 0x00100010: Action.X}
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00100010, "PN", b"Zabrowska"), EXPLICIT.element(tag, "LO", b"ZABROWSKA ")
    )

    output = run(procedure(rules, identity_removed=True), dataset)

    assert EXPLICIT.element(tag, "LO", dummy("LO", Dummies.STANDARD, little_endian=True)) in output


# --- what is in no dictionary -----------------------------------------------------------------------


@_PER_FORM
@pytest.mark.parametrize("unlisted", [Action.X, Action.K])
def test_an_attribute_without_a_row_follows_the_unlisted_rule(unlisted: Action, form: Form) -> None:
    dataset = form.dataset(form.element(0x00089EF0, "LO", b"unknown"))

    output = run(procedure(unlisted=unlisted), dataset, form)

    assert output == (dataset if unlisted is Action.K else form.dataset())


def test_a_row_for_a_vr_decides_what_no_tag_and_no_mask_decides() -> None:
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00089EF0, "PN", b"A"), EXPLICIT.element(0x00089EF1, "LO", b"B")
    )

    output = run(procedure(unlisted=Action.K, vrs={"PN": Rule(Action.X)}), dataset)

    assert output == EXPLICIT.dataset(EXPLICIT.element(0x00089EF1, "LO", b"B"))


@_PER_FORM
@pytest.mark.parametrize("group", [0x6000, 0x6002, 0x601E, 0x60FE])
def test_a_mask_matches_every_repetition(group: int, form: Form) -> None:
    data, rows = (
        form.element(group << 16 | 0x3000, "OW", b"\1\2"),
        form.element(group << 16 | 0x10, "US", form.us(8)),
    )

    output = run(
        procedure(unlisted=Action.K, masks=((0xFF00FFFF, 0x60003000, Rule(Action.X)),)),
        form.dataset(rows, data),
        form,
    )

    assert output == form.dataset(rows)


def test_a_sop_class_without_a_table_is_refused() -> None:
    refusing = procedure()
    refusing = type(refusing)("test", "1", {}, Rule(Action.R, "not on the list"), identity_removed=False)

    with pytest.raises(SOPClassNotSupported, match="not on the list"):
        run(refusing, EXPLICIT.dataset())


def test_a_value_that_grows_beyond_its_vr_is_a_refusal_and_never_a_wrong_length() -> None:
    many = b"\\".join(b"1.2.%d" % number for number in range(6000))
    dataset = EXPLICIT.dataset(EXPLICIT.element(SELECTORS["UI"], "UI", many))

    with pytest.raises(Exception, match="too long for its VR"):
        run(procedure({SELECTORS["UI"]: Action.U}), dataset, limits=Limits())


def test_implicit_elements_follow_the_dictionary() -> None:
    assert IMPLICIT.element(0x00280010, "US", struct.pack("<H", 7)) == b"\x28\0\x10\0\2\0\0\0\7\0"
