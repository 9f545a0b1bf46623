"""Vectors of Microsoft's DICOM anonymizer, on whole objects.

Those of its configuration files are tested where these are imported (tests/profile/imports), the
functions by themselves in tests/engine.
"""

from __future__ import annotations

import pytest

from deid_node.engine.functions_keyed import decrypt
from deid_node.errors import ConfigurationError, Fault, ProfileError
from tests.seeds.objects import (
    KEEP_ALL,
    deidentified,
    encoded,
    engine,
    item,
    items,
    made,
    procedure,
    rewritten,
)

SECRETS = {"ms": b"123", "long": b"key", "aes": b"704ab12c8e3e46d4bea600ef62a6bec7"}


def row(keyword: str, **params: object) -> str:
    """Return a profile that keeps all but one attribute."""
    given = ", ".join(f"{name} = {_toml(value)}" for name, value in params.items())
    return f"{KEEP_ALL}[attributes]\n{keyword} = {{ {given} }}\n"


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def done(keyword: str, value: object, vr: str = "", patient: str = "", **params: object) -> object:
    ds = made(PatientID=patient)
    if vr:
        ds.add_new(keyword, vr, value)
    else:
        setattr(ds, keyword, value)
    after = deidentified(row(keyword, **params), ds, secrets=SECRETS)
    return after[keyword].value


@pytest.mark.parametrize(
    ("value", "algorithm", "digest"),
    [
        pytest.param(
            "abc", "sha256", "8f16771f9f8851b26f4d460fa17de93e2711c7e51337cb8a608a0f81e1c1b6ae", id="v1"
        ),
        pytest.param(
            "ÆŊŋßſ♫∅", "sha256", "1a94823f0a0f00a4b1ca771c3446dc5e17958f4dae3588ace2bca8a843eb63d9", id="v2"
        ),
        pytest.param(
            "abc",
            "sha384",
            "e768b478e7798f6cf69627cbe59e8edc106d499722119beafb2ab1d959ef84c31b142e230ed3191ce55a0426bf59e797",
            id="v3-384",
        ),
        pytest.param(
            "abc",
            "sha512",
            "58585acd673067f96bea32a1c57bf3fc3fd5a42678567e72d5cb0ab7f08ea41d"
            "cf3a41af96c53948e13184ae6fe6cd0b8b4193fc593dfb2693b00c2b0ee7a316",
            id="v3-512",
        ),
    ],
)
def test_ms_v1_v2_v3_keyed_hashes(value: str, algorithm: str, digest: str) -> None:
    ds = made(SpecificCharacterSet="ISO_IR 192", StrainDescription=value)

    after = deidentified(
        row("StrainDescription", do="hash", algorithm=algorithm, key="ms"), ds, secrets=SECRETS
    )

    assert after.StrainDescription == digest


def test_ms_v2_an_empty_value_stays_empty() -> None:
    assert done("StrainDescription", "", do="hash", key="ms") in ("", None)


def test_ms_v4_each_name_is_hashed() -> None:
    digest = "d61ffce34b0192c52d7a67215be73f1e2d640d01383dd8115170b9bd20779a91"

    names = done("OtherPatientNames", ["Test", "Test"], do="hash", key="ms")

    assert [str(name) for name in names] == [digest, digest]


@pytest.mark.parametrize(
    ("keyword", "value", "digest"),
    [
        ("StrainDescription", "TEST", "2e7acefff0307262cef6f503fa7019257f3f9d47fc987fb2c5a31ae4f4d3c022"),
        ("PatientID", "TestTimer", "967df06624010af6b86a019e26aff938976a82e947e96331d8f1fdf387a88089"),
    ],
)
def test_ms_v5_hashes_of_uc_and_lo(keyword: str, value: str, digest: str) -> None:
    assert done(keyword, value, do="hash", key="ms") == digest


def test_ms_v6_bytes_are_hashed_to_bytes() -> None:
    digest = done("EncapsulatedDocument", b"test", do="hash", key="ms")

    assert bytes(digest).hex() == "a7f5c8c626f994482813230854f66700e626208f52d913b9bd6b4e039aab0f41"


@pytest.mark.parametrize(
    ("value", "digits"),
    [("abc", "210"), ("12345678", "70733480"), ("1CT1", "3220"), ("PATIENT-0001", "201375213568")],
)
def test_ms_v7_digits_of_equal_length(value: str, digits: str) -> None:
    assert done("PatientID", value, do="hash", key="ms", match_length=True) == digits


def test_ms_v8_what_is_encrypted_can_be_decrypted_by_who_has_the_key() -> None:
    sealed = str(done("PatientComments", "abc", do="encrypt", algorithm="aes-cbc", key="aes"))

    assert decrypt(sealed, "aes-cbc", SECRETS["aes"]) == "abc"


@pytest.mark.parametrize(
    ("scope", "uid", "key", "days", "moved"),
    [
        ("series", "1.2.3", "ms", 50, "20000211"),
        ("study", "456", "ms", 50, "20000204"),
        ("instance", "789", "ms", 50, "20000401"),
        ("series", "1.2.3", "long", 365, "20000714"),
    ],
)
def test_ms_v9_dates_move_by_the_formula_of_the_tool(
    scope: str, uid: str, key: str, days: int, moved: str
) -> None:
    keyword = {"series": "SeriesInstanceUID", "study": "StudyInstanceUID", "instance": "SOPInstanceUID"}[
        scope
    ]
    ds = made(ContentDate="20000302", **{keyword: uid})
    profile = row("ContentDate", do="date_shift", algorithm="microsoft", key=key, days=days, per=scope)

    assert deidentified(profile, ds, secrets=SECRETS).ContentDate == moved


def test_ms_v10_q_the_shift_has_a_scope() -> None:
    profile = row("ContentDate", do="date_shift", algorithm="microsoft", key="ms", per="series")

    moved = {
        str(
            deidentified(
                profile, made(ContentDate="20061012", SeriesInstanceUID=uid), secrets=SECRETS
            ).ContentDate
        )
        for uid in ("1.2.3", "1.2.4")
    }

    assert len(moved) == 2


def test_ms_v13_of_dates_the_year_stays_and_old_ones_go() -> None:
    dates = done(
        "DateOfSecondaryCapture", ["20210320", "19110101", "20200101"], "DA", do="redact", partial_dates=True
    )

    assert list(dates) == ["20210101", "20200101"]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("20210320202020.20+0800", "20210101000000.000000+0800"),
        ("20210320202020.00654", "20210101000000.000000"),
    ],
)
def test_ms_v14_of_moments_the_year_stays(value: str, left: str) -> None:
    assert done("AcquisitionDateTime", value, do="redact", partial_dates=True) == left


def test_ms_v15_ages_up_to_89_stay() -> None:
    assert not done("PatientAge", "090Y", do="redact", partial_ages=True)
    many = done("PatientAge", ["010D", "010W", "100M", "010Y", "090Y"], "AS", do="redact", partial_ages=True)
    assert list(many) == ["010D", "010W", "100M", "010Y"]


@pytest.mark.parametrize(
    ("keyword", "value", "given", "low", "high"),
    [
        ("SeriesNumber", 1234, {"span": 1, "round_to": 0}, 617, 1851),
        ("SliceLocation", 1234.5, {"span": 1000, "range": "fixed"}, 734.5, 1734.5),
        ("RegionFlags", 12345, {"span": 100000, "range": "fixed"}, 0, 62345),
        ("SeriesNumber", 10, {}, 5, 15),
    ],
)
def test_ms_v16_noise_stays_in_its_span(
    keyword: str, value: float, given: dict[str, object], low: float, high: float
) -> None:
    noisy = {
        float(str(done(keyword, value, patient=str(number), do="perturb", **given))) for number in range(40)
    }

    assert all(low <= one <= high for one in noisy)
    assert len(noisy) > 1


def test_ms_v16_no_span_changes_nothing() -> None:
    assert done("SliceLocation", "12.5", do="perturb", span=0) == 12.5


def test_ms_v17_pixel_spacing_has_two_decimals() -> None:
    spacing = [
        str(one)
        for number in range(40)
        for one in done("PixelSpacing", ["0.58984375"] * 2, patient=str(number), do="perturb", span=1)
    ]

    assert all(0.29 <= float(one) <= 0.89 and len(one.partition(".")[2]) <= 2 for one in spacing)
    assert len(set(spacing)) > 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"(0040)" = "X"', "no selector"),
        ('DD = "X"', "no attribute"),
        ('PatientID = { do = "invalid" }', "no function"),
        ("PatientID = { span = 1 }", "parameters belong to do"),
        ('= { do = "hash" }', "not TOML"),
        ('PatientID = { do = "hash", setting = "custom" }', "no parameter"),
    ],
)
def test_ms_v18_a_wrong_row_is_an_error_when_loaded(text: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        procedure(f"{KEEP_ALL}[attributes]\n{text}\n")


@pytest.mark.parametrize(("value", "left"), [("202111100101", "2021"), ("2021", "2021")])
def test_ms_v19_partial_moments_are_supported(value: str, left: str) -> None:
    assert str(done("AcquisitionDateTime", value, do="date_truncate")).startswith(left)


@pytest.mark.parametrize("value", ["20000000", "2000-01-01"])
def test_ms_v19_what_is_no_date_does_not_stay(value: str) -> None:
    import pydicom.config

    with pydicom.config.disable_value_validation():
        ds = made()
        ds.add_new("ContentDate", "DA", value)
        profile = row("ContentDate", do="date_shift", algorithm="microsoft", key="ms")

        assert not deidentified(profile, ds, secrets=SECRETS).get("ContentDate")


@pytest.mark.parametrize(
    ("value", "left"), [("98052", "98000"), ("20301", "00000"), ("98028-1830", "98000-0000")]
)
def test_ms_v20_postal_codes_keep_their_region(value: str, left: str) -> None:
    assert done("PatientAddress", value, do="zip_prefix", restricted=["203"]) == left


@pytest.mark.parametrize(
    ("keyword", "function"), [("SmallestImagePixelValue", "encrypt"), ("ReferencedStudySequence", "hash")]
)
def test_ms_v21_a_function_that_the_vr_cannot_take_is_an_error_when_loaded(
    keyword: str, function: str
) -> None:
    with pytest.raises(ProfileError, match="cannot be applied"):
        procedure(row(keyword, do=function))


# --- what the tool does wrong -------------------------------------------------------------------------


def test_ms_q_parameters_of_a_row_are_its_own() -> None:
    profile = (
        KEEP_ALL
        + '[attributes]\nPatientID = { do = "substitute", with = "ANONY" }\nStudyID = { do = "substitute" }\n'
    )

    after = deidentified(profile, made(PatientID="1", StudyID="2"))

    assert (after.PatientID, after.StudyID) == ("ANONY", "ANONYMOUS")


def test_ms_q_a_shift_of_ours_keeps_the_time_of_day() -> None:
    moved = str(done("AcquisitionDateTime", "20000101003000", do="date_shift"))

    assert moved.endswith("003000")
    assert not moved.startswith("20000101")


def test_ms_q_the_instance_in_the_file_meta_is_the_new_one() -> None:
    after = deidentified("basic", made())

    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID != made().SOPInstanceUID


def test_ms_q_each_value_of_a_uid_is_mapped() -> None:
    ds = made()
    ds.add_new(0x00083010, "UI", ["1.2.3", "1.2.4"])

    assert len(deidentified(KEEP_ALL + '[attributes]\n"vr:UI" = "U"\n', ds)[0x00083010].value) == 2


def test_ms_q_rows_hold_in_items_too() -> None:
    ds = made(ReferencedPatientSequence=items(item(PatientName="Cannavaro^Eva")))

    after = deidentified(row("PatientName", do="substitute"), ds)

    assert after.ReferencedPatientSequence[0].PatientName == "ANONYMOUS"


def test_ms_q_the_sop_class_cannot_be_emptied() -> None:
    with pytest.raises(ProfileError, match="SOPClassUID"):
        procedure(f'{KEEP_ALL}[attributes]\n"0008,xxxx" = {{ do = "redact" }}\n')


@pytest.mark.parametrize("length", [1, 19, 40])
def test_ms_q_values_of_any_length_have_digits_of_equal_length(length: int) -> None:
    assert len(str(done("PatientComments", "x" * length, do="hash", key="ms", match_length=True))) == length


def test_ms_q_a_result_that_is_too_long_is_never_written() -> None:
    with pytest.raises(Fault):
        done("StudyID", "1", do="substitute", **{"with": "longer than sixteen"})
    assert (
        done("StudyID", "1", do="substitute", fit="truncate", **{"with": "longer than sixteen"})
        == "longer than sixt"
    )


def test_ms_q_a_rounding_that_fails_at_run_time_is_refused_when_loaded() -> None:
    with pytest.raises(ProfileError, match="0 to 15"):
        procedure(row("SliceLocation", do="perturb", round_to=16))


def test_ms_q_an_unknown_private_element_is_known_by_its_creator() -> None:
    ds = made()
    for number, creator in enumerate(("ONE", "TWO")):
        block = ds.private_block(0x0019, creator, create=True)
        block.add_new(0x01, "LO", f"value {number}")
    profile = 'extends = ["basic"]\n[attributes]\n"0019[TWO]xx01" = "K"\n'

    after = deidentified(profile, ds)

    assert [str(elem.value) for elem in after if elem.tag.is_private] == ["TWO", "value 1"]


def test_ms_q_a_secret_that_is_not_there_is_no_random_key() -> None:
    with pytest.raises(ConfigurationError, match="'none'"):
        deidentified(row("PatientID", do="hash", key="none"), made(PatientID="1"))


def test_ms_q_no_original_byte_is_left_where_all_is_hashed() -> None:
    ds = made(PatientName="Cannavaro^Eva", PatientID="SECRET123")

    content, _ = rewritten(
        engine(f'{KEEP_ALL}[attributes]\nPatientName = {{ do = "hash" }}\nPatientID = {{ do = "hash" }}\n'),
        encoded(ds),
    )

    assert b"Cannavaro" not in content
    assert b"SECRET123" not in content
