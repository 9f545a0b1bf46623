"""The data dictionary knows every attribute, also those newer than pydicom's."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from deid_node.standard import confidentiality, dictionary
from deid_node.standard.sop_classes import storage_sop_classes


def test_every_attribute_of_table_e_1_1_is_known() -> None:
    unknown = [row.tag for tag, row in confidentiality.by_tag().items() if dictionary.attribute(tag) is None]

    assert unknown == []


def test_keyword_and_vr_agree_with_table_e_1_1() -> None:
    rows = confidentiality.by_tag()

    assert {tag: (dictionary.keyword_of(tag), dictionary.vr_of(tag)) for tag in rows} == {
        tag: (row.keyword, row.vr) for tag, row in rows.items()
    }


def test_a_sequence_newer_than_pydicom_is_read_as_a_sequence_in_implicit_vr(tmp_path) -> None:
    tag = dictionary.tag_of("GenderIdentitySequence")
    dataset = Dataset()
    dataset.add_new(tag, "SQ", [Dataset()])
    dataset[tag].value[0].add_new(dictionary.tag_of("GenderIdentityComment"), "UT", "comment")
    path = tmp_path / "new.dcm"
    pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True)

    read = pydicom.dcmread(path, force=True)

    assert read[tag].VR == "SQ"
    assert read.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian) == ImplicitVRLittleEndian


@pytest.mark.parametrize(
    ("tag", "keyword"),
    [
        (0x60003000, "OverlayData"),
        (0x601E3000, "OverlayData"),
        (0x60020010, "OverlayRows"),
        (0x50120005, "CurveDimensions"),
    ],
)
def test_a_repeating_group_has_its_keywords_in_every_group(tag: int, keyword: str) -> None:
    assert dictionary.keyword_of(tag) == keyword


def test_an_odd_group_has_no_attribute() -> None:
    assert dictionary.attribute(0x60013000) is None
    assert dictionary.attribute(0x50010005) is None


def test_a_keyword_gives_its_tag_and_back() -> None:
    assert all(
        dictionary.tag_of(row.keyword) == tag for tag, row in dictionary.attributes().items() if row.keyword
    )


@pytest.mark.parametrize(
    ("keyword", "vr"),
    [("PixelData", "OW"), ("SmallestImagePixelValue", "US"), ("LUTData", "OW"), ("PatientName", "PN")],
)
def test_one_vr_is_assumed_in_implicit_vr(keyword: str, vr: str) -> None:
    assert dictionary.vr_of(dictionary.tag_of(keyword) or 0) == vr


def test_the_smallest_number_of_values_comes_from_the_vm() -> None:
    assert dictionary.attribute(0x00200037).min_vm == 6
    assert dictionary.attribute(0x00080008).min_vm == 2
    assert dictionary.attribute(0x00181020).min_vm == 1


def test_every_storage_sop_class_is_a_registered_uid() -> None:
    assert all(dictionary.is_registered_uid(uid) for uid in storage_sop_classes())


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1", "1.2.840.10008.2.16.4", "1.2.840.10008.1.4.1.1"])
def test_transfer_syntaxes_schemes_and_well_known_frames_are_registered(uid: str) -> None:
    assert dictionary.is_registered_uid(uid)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.2.999", "2.25.1", ""])
def test_other_uids_are_not_registered(uid: str) -> None:
    assert not dictionary.is_registered_uid(uid)
