"""Nothing planted comes out, and what has to survive does: by profile, SOP class and encoding.

Every attribute of Table E.1-1, every retired text attribute, private blocks, overlays, curves, SR trees
and documents carry an identifier of their own; every output byte is searched in the usual encodings.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.profile.library import load, shipped
from tests.engine import places
from tests.engine.identifiers import Plant, Planter, dataset_bytes, leaks
from tests.engine.objects import SAMPLES, Sample
from tests.rewriting import Rewritten, pseudonyms, rewrite

# Columns of Table E.1-1 whose attributes a profile keeps or cleans on purpose; each has its own tests.
_ON_PURPOSE = {
    "basic": (),
    "research": (
        "retain_patient_chars",
        "retain_long_modified",
        "clean_desc",
        "clean_struct_cont",
    ),
}
_MOVES = {"UI", "DA", "DT", "SQ"}  # what a second pass moves once more
PROFILES = [name for name in _ON_PURPOSE if name in shipped()]


@cache
def _deidentifier(profile: str) -> Deidentifier:
    return Deidentifier(load(profile), pseudonyms())


def _file(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _deidentified(profile: str, ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Rewritten:
    return rewrite(_deidentifier(profile), _file(ds, transfer_syntax_uid))


def _searched(result: Rewritten) -> bytes:
    return dataset_bytes(result.file, result.transfer_syntax_uid, result.dataset_start)


def _read(result: Rewritten) -> Dataset:
    return pydicom.dcmread(BytesIO(result.file))


def _values(ds: Dataset, keyword: str) -> list[object]:
    """Every value below a dotted keyword, in all items."""
    first, _, rest = keyword.partition(".")
    if first not in ds:
        return []
    if not rest:
        return [ds[first].value]
    return [value for item in ds[first].value for value in _values(item, rest)]


def _planted(kind: str, profile: str) -> tuple[Sample, Planter]:
    """A sample with identifiers in every place at once."""
    sample, planter = SAMPLES[kind](), Planter()
    places.patient(sample.ds, planter)
    for place in places.ANYWHERE:
        place(sample.ds, planter)
    if kind in places.OF_CLASS:
        places.OF_CLASS[kind](sample.ds, planter)
    return sample, planter


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", SAMPLES)
def test_no_attribute_of_table_e_1_1_comes_out(kind: str, profile: str) -> None:
    sample, planter = SAMPLES[kind](), Planter()
    places.confidential(sample.ds, planter, _ON_PURPOSE[profile])

    result = _deidentified(profile, sample.ds)

    assert leaks(_searched(result), planter.plants) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", SAMPLES)
def test_nothing_planted_outside_the_table_comes_out(kind: str, profile: str) -> None:
    sample, planter = _planted(kind, profile)

    result = _deidentified(profile, sample.ds)

    assert leaks(_searched(result), planter.plants) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["ct", "enhanced_mr", "sr", "rtstruct"])
def test_nothing_comes_out_of_the_items_of_sequences(kind: str, profile: str) -> None:
    sample, planter = SAMPLES[kind](), Planter()
    places.nested(sample.ds, planter, _ON_PURPOSE[profile])

    result = _deidentified(profile, sample.ds)

    assert leaks(_searched(result), planter.plants) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "transfer_syntax_uid",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=["implicit", "big-endian", "deflated"],
)
def test_nothing_comes_out_in_other_encodings(transfer_syntax_uid: str, profile: str) -> None:
    sample, planter = _planted("ct", profile)
    del sample.ds[0x00081110]  # a sequence as UN is little endian, which pydicom does not write here
    places.confidential(sample.ds, planter, _ON_PURPOSE[profile])

    result = _deidentified(profile, sample.ds, transfer_syntax_uid)

    assert (
        leaks(_searched(result), [plant for plant in planter.plants if plant.place != "sequence as UN"]) == []
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", SAMPLES)
def test_geometry_acquisition_pixels_and_codes_survive(kind: str, profile: str) -> None:
    sample, _ = _planted(kind, profile)
    before = {keyword: _values(sample.ds, keyword) for keyword in sample.survivors}

    out = _read(_deidentified(profile, sample.ds))

    assert {keyword: _values(out, keyword) for keyword in sample.survivors} == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_second_pass_changes_only_pseudonyms_dates_and_stamps(kind: str, profile: str) -> None:
    sample, _ = _planted(kind, profile)
    first = _read(_deidentified(profile, sample.ds))

    second = _read(_deidentified(profile, _read(_deidentified(profile, sample.ds))))

    changed = {elem.keyword for elem in first if elem.VR not in _MOVES and elem != second[elem.tag]}
    assert first.keys() == second.keys()
    assert changed <= {"PatientName", "PatientID", "DeidentificationMethod"}


@pytest.mark.parametrize("profile", PROFILES)
def test_names_in_other_scripts_do_not_come_out(profile: str) -> None:
    names = {
        "ISO_IR 144": "Люксембург",
        "ISO_IR 126": "Διονυσιος",
        "GB18030": "王小东",
        "ISO_IR 192": "Bjørnstjerne吉洞",
    }
    for term, name in names.items():
        sample = SAMPLES["ct"]()
        sample.ds.SpecificCharacterSet = term
        sample.ds.PatientName, sample.ds.PatientComments = name, f"{name} 1"
        sample.ds.StudyDescription = f"THORAX {name}"
        codec = {"ISO_IR 144": "iso8859_5", "ISO_IR 126": "iso8859_7"}.get(term, "utf-8")
        needle = name.encode("gb18030" if term == "GB18030" else codec)

        result = _deidentified(profile, sample.ds)

        assert needle not in result.file, term


@pytest.mark.parametrize("profile", PROFILES)
def test_file_meta_and_preamble_are_made_anew(profile: str) -> None:
    sample, planter = SAMPLES["ct"](), Planter()
    ds = sample.ds
    ds.preamble = (planter.word() + planter.word()).encode().ljust(128, b"\0")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.SourceApplicationEntityTitle = planter.value("AE", "SourceApplicationEntityTitle")
    ds.file_meta.SendingApplicationEntityTitle = planter.value("AE", "SendingApplicationEntityTitle")
    ds.file_meta.ImplementationVersionName = planter.value("SH", "ImplementationVersionName")
    ds.file_meta.PrivateInformationCreatorUID = planter.value("UI", "PrivateInformationCreatorUID")
    ds.file_meta.PrivateInformation = planter.value("OB", "PrivateInformation")
    planter.plant("SOP Instance UID", ds.SOPInstanceUID)
    planter.plant("preamble", ds.preamble.rstrip(b"\0").decode())
    content = BytesIO()
    ds.save_as(content, enforce_file_format=True)

    result = rewrite(_deidentifier(profile), content.getvalue())

    assert leaks(result.file, planter.plants) == []
    assert result.file[:132] == bytes(128) + b"DICM"


@pytest.mark.skipif("research" not in PROFILES, reason="no profile that cleans is shipped")
def test_cleaned_descriptions_lose_identifiers_and_keep_clinical_words() -> None:
    sample, planter = SAMPLES["ct"](), Planter()
    places.patient(sample.ds, planter)
    clinical = places.descriptors(sample.ds, planter)

    result = _deidentified("research", sample.ds)

    out = _read(result)
    assert leaks(_searched(result), planter.plants) == []
    assert {keyword: words for keyword, words in clinical.items() if words not in out.get(keyword, "")} == {}


_TEXT = st.text(st.characters(codec="ascii", categories=("Lu", "Ll", "Nd")), min_size=1, max_size=10)


@st.composite
def _objects(draw: st.DrawFn) -> tuple[Dataset, list[Plant]]:
    """Random datasets: attributes of Table E.1-1, private blocks and unknown tags, nested at random."""
    sample, planter = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))](), Planter(draw(st.integers(0, 9999)))
    known = places.attributes_of_e1_1()

    def fill(ds: Dataset, depth: int) -> None:
        for tag, keyword, vr in draw(st.lists(st.sampled_from(known), max_size=12)):
            value = planter.value(vr, keyword)
            if vr == "SQ" and depth < 4:
                item = Dataset()
                fill(item, depth + 1)
                ds.add_new(tag, "SQ", [item])
            elif value is not None:
                ds.add_new(tag, vr, value)
        for group in draw(st.lists(st.sampled_from([0x0009, 0x0019, 0x0029, 0x7FE1]), max_size=2)):
            block = ds.private_block(group, draw(_TEXT), create=True)
            block.add_new(draw(st.integers(0, 255)), "LO", planter.value("LO", "private"))

    fill(sample.ds, 0)
    return sample.ds, planter.plants


@pytest.mark.parametrize("profile", ["basic"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    planted=_objects(),
    transfer_syntax_uid=st.sampled_from(
        [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
    ),
    piece_bytes=st.integers(1, 5000),
)
def test_no_identifier_of_a_random_dataset_comes_out(
    profile: str, planted: tuple[Dataset, list[Plant]], transfer_syntax_uid: str, piece_bytes: int
) -> None:
    ds, plants = planted
    content = _file(ds, transfer_syntax_uid)

    try:
        result = rewrite(_deidentifier(profile), content, piece_bytes=piece_bytes)
    except ObjectRefused:
        return

    assert leaks(_searched(result), plants) == []
