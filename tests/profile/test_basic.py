"""The basic profile, resolved: every attribute of every storage SOP class has one action and a reason."""

from __future__ import annotations

import time

import pytest

from deid_node.errors import ProfileError, SOPClassNotSupported
from deid_node.profile.basic import LazyTables, basic_procedure, resolve
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, DateChange, Rule, Table
from deid_node.profile.protected import PROTECTED
from deid_node.standard import confidentiality, iod
from deid_node.standard.dictionary import attributes, tag_of, vr_of
from deid_node.standard.sop_classes import find_sop_class, storage_sop_classes

D, Z, X, K, C, U = Action.D, Action.Z, Action.X, Action.K, Action.C, Action.U
ALL_CLASSES = tuple(storage_sop_classes())
RESEARCH = frozenset(
    {
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_LONGITUDINAL_MODIFIED,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_SAFE_PRIVATE,
    }
)


def tables_in(table: Table) -> list[Table]:
    """Return a table and all tables for items below it."""
    found: dict[int, Table] = {}
    waiting = [table]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found[id(one)] = one
            waiting += [rule.items for rule in one.rules.values() if rule.items is not None]
    return list(found.values())


def rule(sop_class: str, keyword: str, *options: Option, path: tuple[str, ...] = ()) -> Rule:
    """Return the rule for an attribute, through the tables for items along a path of sequences."""
    table = resolve(find_sop_class(sop_class), frozenset(options))
    for sequence in path:
        kept = table.rules[tag_of(sequence)]
        assert kept.action in (K, C)
        table = kept.items or table
    return table.rule_for(tag_of(keyword), vr_of(tag_of(keyword)))


@pytest.mark.parametrize("options", [frozenset(), RESEARCH], ids=["basic", "research"])
def test_every_attribute_of_every_class_has_an_action_and_a_reason(options: frozenset[Option]) -> None:
    known = attributes()

    for uid in ALL_CLASSES:
        for table in tables_in(resolve(uid, options)):
            assert table.rules.keys() >= known.keys()
            assert all(row.because and row.decided_by for row in table.rules.values())
            assert not any(row.action is Action.R for row in table.rules.values())


def test_what_no_row_names_is_absent() -> None:
    for uid in ALL_CLASSES:
        for table in tables_in(resolve(uid)):
            assert table.unlisted.action is X
            assert table.rule_for(0x00091001, "LO").action is X
            assert table.rule_for(0x00091001, "LO", "SIEMENS MR HEADER").action is X
            assert table.rule_for(0x00100999, "UN").action is X


def test_what_an_object_cannot_be_read_without_is_kept() -> None:
    for uid in ALL_CLASSES:
        for table in tables_in(resolve(uid, RESEARCH)):
            assert {table.rules[tag].action for tag in PROTECTED} == {K}


def test_no_type_1_attribute_is_emptied_or_removed() -> None:
    """The plain X of Table E.1-1 gives way to a dummy, as an object must stay what it claims to be."""
    for uid in ALL_CLASSES:
        top = iod.top(storage_sop_classes()[uid].iod_key)
        table = resolve(uid)
        for tag, type_ in top.types.items():
            row = table.rule_for(tag, vr_of(tag))
            if tag >> 24 == 0x60:
                continue  # an overlay plane goes as a whole, so that none of its Types is broken
            assert not (type_ == "1" and row.action in (X, Z)), (uid, hex(tag))
            assert not (type_ == "2" and row.action is X), (uid, hex(tag))


def test_no_type_1_attribute_of_a_kept_item_is_emptied_or_removed() -> None:
    for uid in ALL_CLASSES:
        _check_items(iod.top(storage_sop_classes()[uid].iod_key), resolve(uid), set())


def _check_items(level: iod.Level, table: Table, seen: set[tuple[iod.Level, int]]) -> None:
    for tag, items in level.items.items():
        row = table.rule_for(tag, "SQ")
        inside = row.items or table
        if row.action not in (K, C) or (items, id(inside)) in seen:
            continue
        seen.add((items, id(inside)))
        for child, type_ in items.types.items():
            if type_ == "1":
                assert inside.rule_for(child, vr_of(child)).action not in (X, Z), hex(child)
        _check_items(items, inside, seen)


@pytest.mark.parametrize(
    ("sop_class", "keyword", "action"),
    [
        ("CT", "PatientName", Z),
        ("CT", "PatientID", Z),
        ("CT", "StudyDate", Z),
        ("CT", "SeriesDate", X),
        ("CT", "StudyDescription", X),
        ("CT", "StationName", X),
        ("CT", "InstitutionName", X),
        ("CT", "StudyInstanceUID", U),
        ("CT", "KVP", K),
        ("CT", "ImagePositionPatient", K),
        ("CT", "Manufacturer", K),
        ("CT", "PixelData", K),
        ("CT", "BurnedInAnnotation", K),
        ("CT", "SOPClassUID", K),
        ("CT", "ReferencedSOPClassUID", K),
        ("CT", "ReferencedImageSequence", K),
        ("CT", "RequestAttributesSequence", X),
        ("CT", "IconImageSequence", X),
        ("CT", "OtherPatientIDsSequence", X),
        ("CT", "EncryptedAttributesSequence", X),
        ("CT", "PatientBirthDateInAlternativeCalendar", X),
        ("CT", "WindowCenterWidthExplanation", C),
        ("CT", "EquipmentFrameOfReferenceUID", U),
        ("CT", "EncapsulatedDocument", D),
        ("CT", "EchoTime", K),
        ("CT", "SequenceName", C),
        ("PT", "RescaleType", C),
        ("CT", "PatientInsurancePlanCodeSequence", X),
        ("CT", "MilitaryRank", X),
        ("RTIMAGE", "RadiationMachineName", Z),
        ("CT", "ImagePosition", K),
        ("PT", "SeriesDate", D),
        ("SEG", "ContentCreatorName", Z),
        ("GSPS", "PresentationCreationDate", D),
        ("GSPS", "GraphicAnnotationSequence", K),
        ("GSPS", "UnformattedTextValue", D),
        ("SR", "ContentSequence", K),
        ("SR", "TextValue", D),
        ("SR", "PersonName", D),
        ("SR", "DateTime", D),
        ("SR", "UID", U),
        ("SR", "NumericValue", K),
        ("SR", "ConceptCodeSequence", K),
        ("SR", "VerifyingObserverSequence", K),
        ("RTSTRUCT", "StructureSetLabel", D),
        ("RTSTRUCT", "ROIName", Z),
        ("RTSTRUCT", "ContourData", K),
        ("SM", "SpecimenPreparationSequence", Z),
        ("SM", "SpecimenDescriptionSequence", K),
    ],
)
def test_the_basic_profile_decides(sop_class: str, keyword: str, action: Action) -> None:
    assert rule(sop_class, keyword).action is action


@pytest.mark.parametrize(
    ("sop_class", "path", "keyword", "action"),
    [
        # A code that names a person is a dummy code, the code of a procedure is not.
        ("SR", ("PersonIdentificationCodeSequence",), "CodeMeaning", D),
        ("SR", ("ConceptNameCodeSequence",), "CodeMeaning", K),
        ("RTSTRUCT", ("SourceSeriesInformationSequence",), "SeriesDescription", D),
        ("RTSTRUCT", (), "SeriesDescription", X),
        ("SR", ("ReferencedRequestSequence",), "ReferencedStudySequence", Z),
        ("RTPLAN", ("BeamSequence", "EnhancedRTBeamLimitingDeviceSequence"), "DeviceSerialNumber", Z),
    ],
)
def test_an_item_follows_the_type_it_has_there(
    sop_class: str, path: tuple[str, ...], keyword: str, action: Action
) -> None:
    assert rule(sop_class, keyword, path=path).action is action


@pytest.mark.parametrize("tag", [0x60003000, 0x60003000 | 0x001E0000, 0x60004000, 0x60000010, 0x50000005])
@pytest.mark.parametrize("options", [(), (Option.CLEAN_GRAPHICS,)])
def test_an_overlay_or_a_curve_goes_as_a_whole(tag: int, options: tuple[Option, ...]) -> None:
    for uid in ALL_CLASSES:
        assert resolve(uid, frozenset(options)).rule_for(tag, "OW").action is X


@pytest.mark.parametrize("tag", [0x00080000, 0x00020010, 0x00000110, 0xFFFCFFFC, 0xFFFAFFFA, 0x00080001])
def test_what_belongs_to_the_encoding_is_absent(tag: int) -> None:
    assert resolve(find_sop_class("CT")).rule_for(tag, vr_of(tag)).action is X


@pytest.mark.parametrize("sop_class", ["EncapsulatedPDF", "EncapsulatedCDA", "EncapsulatedSTL"])
def test_a_document_becomes_an_empty_one_of_its_kind(sop_class: str) -> None:
    row = rule(sop_class, "EncapsulatedDocument")

    assert row.action is D
    assert row.call.params["with"]
    assert rule(sop_class, "EncapsulatedDocumentLength").action is X


def test_the_offsets_in_the_empty_pdf_are_right() -> None:
    text = rule("PDF", "EncapsulatedDocument").call.params["with"]

    offsets = [int(line.split()[0]) for line in text.splitlines() if line.endswith(" n ")]

    assert [text[offset:].split()[0] for offset in offsets] == ["1", "2", "3"]
    assert text[int(text.split("startxref\n")[1].split()[0]) :].startswith("xref")


def test_a_dummy_that_would_break_defined_terms_has_a_value_of_its_own() -> None:
    assert (
        rule("SR", "CodingSchemeDesignator", path=("PersonIdentificationCodeSequence",))
        .call.params["with"]
        .startswith("99")
    )


def test_every_row_of_table_e_1_1_is_followed_or_says_why_not() -> None:
    """An action outside the printed code is only taken for conformance, and the reason says so."""
    rows = confidentiality.by_tag()

    for uid in ALL_CLASSES:
        table = resolve(uid)
        for tag, row in rows.items():
            ours = table.rules[tag]
            printed = row.basic.replace("U*", "U").split("/")
            follows = ours.action.value in printed or (row.vr == "SQ" and ours.action is K)
            assert follows or "would break" in ours.because or row.vr == "UI", (uid, row.keyword)


def test_one_class_resolves_fast() -> None:
    resolve.__globals__["_resolve_iod"].cache_clear()
    started = time.perf_counter()

    resolve(find_sop_class("Enhanced MR Image Storage"))

    # 100 ms is the promise; a busy machine gets some slack.
    assert time.perf_counter() - started < 0.5


def test_the_procedure_has_a_table_for_every_class_and_rejects_others() -> None:
    procedure = basic_procedure()

    assert set(procedure.tables) == set(ALL_CLASSES)
    assert len(procedure.tables) == len(ALL_CLASSES)
    assert ALL_CLASSES[0] in procedure.tables
    with pytest.raises(SOPClassNotSupported):
        procedure.table_for("1.2.3")


@pytest.mark.parametrize(
    ("options", "dates"),
    [
        ((), DateChange.REMOVED),
        ((Option.RETAIN_LONGITUDINAL_FULL,), DateChange.UNMODIFIED),
        ((Option.RETAIN_LONGITUDINAL_MODIFIED,), DateChange.MODIFIED),
    ],
)
def test_the_procedure_says_what_was_done_to_dates(options: tuple[Option, ...], dates: DateChange) -> None:
    assert basic_procedure(frozenset(options)).dates is dates


def test_the_procedure_carries_the_codes_of_what_is_applied() -> None:
    procedure = basic_procedure(RESEARCH)

    assert procedure.codes == ("113100", "113105", "113107", "113108", "113111")
    assert len(procedure.method) <= 64
    assert procedure.digest != basic_procedure().digest


def test_options_that_contradict_each_other_are_refused() -> None:
    both = frozenset({Option.RETAIN_LONGITUDINAL_FULL, Option.RETAIN_LONGITUDINAL_MODIFIED})

    with pytest.raises(ProfileError, match="contradict"):
        basic_procedure(both)
    with pytest.raises(ProfileError, match="contradict"):
        resolve(find_sop_class("CT"), both)


def test_a_class_that_is_not_of_the_standard_has_no_table() -> None:
    assert "1.2.3" not in LazyTables(frozenset())
    with pytest.raises(KeyError):
        resolve("1.2.3")
