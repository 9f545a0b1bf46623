"""The options of PS3.15 E.3: what each keeps or cleans, and how they combine."""

from __future__ import annotations

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.basic import resolve
from deid_node.profile.options import Option, parse_options, problems
from deid_node.profile.procedure import Action
from deid_node.standard import confidentiality
from deid_node.standard.dictionary import tag_of, vr_of
from deid_node.standard.method_codes import method_codes
from deid_node.standard.sop_classes import find_sop_class

D, Z, X, K, C, U = Action.D, Action.Z, Action.X, Action.K, Action.C, Action.U


def action(sop_class: str, keyword: str, *options: Option) -> Action:
    tag = tag_of(keyword)
    return resolve(find_sop_class(sop_class), frozenset(options)).rule_for(tag, vr_of(tag)).action


@pytest.mark.parametrize(
    ("option", "keyword", "without", "with_it"),
    [
        (Option.CLEAN_DESCRIPTORS, "StudyDescription", X, C),
        (Option.CLEAN_DESCRIPTORS, "RequestAttributesSequence", X, C),
        (Option.CLEAN_DESCRIPTORS, "PatientName", Z, Z),
        (Option.CLEAN_STRUCTURED_CONTENT, "ContentSequence", K, C),
        (Option.CLEAN_STRUCTURED_CONTENT, "TextValue", D, C),
        (Option.CLEAN_STRUCTURED_CONTENT, "AcquisitionContextSequence", X, C),
        (Option.CLEAN_GRAPHICS, "GraphicAnnotationSequence", K, C),
        (Option.RETAIN_LONGITUDINAL_FULL, "StudyDate", Z, K),
        (Option.RETAIN_LONGITUDINAL_FULL, "AcquisitionTime", X, K),
        (Option.RETAIN_LONGITUDINAL_FULL, "PatientBirthDate", Z, Z),
        (Option.RETAIN_LONGITUDINAL_MODIFIED, "StudyDate", Z, C),
        (Option.RETAIN_LONGITUDINAL_MODIFIED, "AcquisitionDateTime", X, C),
        (Option.RETAIN_LONGITUDINAL_MODIFIED, "PatientBirthDate", Z, Z),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, "PatientSex", Z, K),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, "PatientWeight", X, K),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, "Allergies", X, C),
        (Option.RETAIN_DEVICE_IDENTITY, "StationName", X, K),
        (Option.RETAIN_DEVICE_IDENTITY, "DeviceSerialNumber", X, K),
        (Option.RETAIN_DEVICE_IDENTITY, "StationAETitle", X, C),
        (Option.RETAIN_DEVICE_IDENTITY, "DeviceID", X, K),
        (Option.RETAIN_INSTITUTION_IDENTITY, "InstitutionName", X, K),
        (Option.RETAIN_UIDS, "StudyInstanceUID", U, K),
        (Option.RETAIN_UIDS, "EquipmentFrameOfReferenceUID", U, K),
        (Option.RETAIN_UIDS, "ReferencedStudySequence", X, K),
    ],
)
def test_an_option_keeps_or_cleans_what_its_column_says(
    option: Option, keyword: str, without: Action, with_it: Action
) -> None:
    # Of CT, where the attribute has no home the rule is the same.
    assert action("CT", keyword) is without
    assert action("CT", keyword, option) is with_it


@pytest.mark.parametrize("option", [option for option in Option if option.column and not problems([option])])
def test_every_cell_of_a_column_is_followed(option: Option) -> None:
    table = resolve(find_sop_class("CT"), frozenset({option}))

    for tag, row in confidentiality.by_tag().items():
        printed = row.options.get(option.column)
        if printed is None:
            continue
        ours = table.rules[tag]
        if row.vr == "AS":
            assert ours.call.name == "age_cap"
        elif row.vr == "OB" and printed == "C":
            assert ours.action is D
        else:
            assert ours.action.value == printed, row.keyword


def test_ages_over_89_are_capped_when_ages_are_kept() -> None:
    row = resolve(find_sop_class("CT"), frozenset({Option.RETAIN_PATIENT_CHARACTERISTICS})).rules[0x00101010]

    assert (row.action, row.call.name, row.call.params["limit"]) == (C, "age_cap", 89)


def test_a_date_of_a_device_moves_with_the_others_when_both_options_are_on() -> None:
    assert action("CT", "DateOfLastCalibration", Option.RETAIN_DEVICE_IDENTITY) is K
    both = (Option.RETAIN_DEVICE_IDENTITY, Option.RETAIN_LONGITUDINAL_MODIFIED)
    assert action("CT", "DateOfLastCalibration", *both) is C


def test_options_combine() -> None:
    options = (Option.CLEAN_DESCRIPTORS, Option.RETAIN_INSTITUTION_IDENTITY, Option.RETAIN_UIDS)

    assert action("CT", "StudyDescription", *options) is C
    assert action("CT", "InstitutionName", *options) is K
    assert action("CT", "SOPInstanceUID", *options) is K
    assert action("CT", "PatientName", *options) is Z


def test_safe_private_attributes_survive_by_creator_and_element() -> None:
    table = resolve(find_sop_class("MR"), frozenset({Option.RETAIN_SAFE_PRIVATE}))

    assert table.rule_for(0x0019100C, "IS", "SIEMENS MR HEADER").action is K
    assert table.rule_for(0x0019110C, "IS", "SIEMENS MR HEADER").action is K
    assert table.rule_for(0x0019100C, "IS", "ANOTHER CREATOR").action is X
    assert table.rule_for(0x0019100C, "IS").action is X
    assert table.rule_for(0x001910FE, "LO", "SIEMENS MR HEADER").action is X


def test_safe_private_does_not_mean_done() -> None:
    table = resolve(find_sop_class("MR"), frozenset({Option.RETAIN_SAFE_PRIVATE}))

    assert table.private[0x0099, "NQHeader", 0x02].action is U
    assert table.private[0x0099, "NQHeader", 0x05].action is C
    retained = frozenset({Option.RETAIN_SAFE_PRIVATE, Option.RETAIN_UIDS})
    assert resolve(find_sop_class("MR"), retained).private[0x0099, "NQHeader", 0x02].action is K


def test_without_the_option_no_private_attribute_has_a_rule() -> None:
    assert not resolve(find_sop_class("MR")).private


@pytest.mark.parametrize("option", [Option.CLEAN_PIXEL_DATA, Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES])
def test_options_about_pixels_are_declared_and_refused_with_a_sentence(option: Option) -> None:
    with pytest.raises(ProfileError, match="pixels are not changed"):
        parse_options([option.text])


def test_every_option_has_its_code_of_cid_7050() -> None:
    assert {option.code for option in Option} | {"113100"} == set(method_codes())


def test_names_of_options_are_read_and_every_finding_is_reported() -> None:
    assert parse_options(["clean-graphics", "retain-uids"]) == {Option.CLEAN_GRAPHICS, Option.RETAIN_UIDS}
    with pytest.raises(ProfileError) as caught:
        parse_options(["clean-descriptor", "nonsense-at-all", "clean-pixel-data"])
    assert len(caught.value.problems) == 3
    assert "clean-descriptors" in caught.value.problems[0]
