"""Chains of profiles: what a compiled procedure says, and what may not be said together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deid_node.errors import SOPClassNotSupported
from deid_node.profile.library import load
from deid_node.profile.procedure import Action, DateChange, Dummies, Procedure, Rule, Table
from deid_node.standard.dictionary import tag_of, vr_of
from deid_node.standard.sop_classes import find_sop_class

Compile = Callable[..., Procedure]
Problems = Callable[..., tuple[str, ...]]
CT, MR, ENHANCED_MR = (find_sop_class(name) for name in ("CT", "MR", "EnhancedMRImageStorage"))
NO_BASE = '[unlisted]\nsop_class = "catch-all"\n'


def tag(keyword: str) -> int:
    found = tag_of(keyword)
    assert found is not None
    return found


def rule(table: Table, *keywords: str) -> Rule:
    """Return the rule for the last keyword inside the sequences before it."""
    *path, last = keywords
    for keyword in path:
        table = rule(table, keyword).items or table
    return table.rule_for(tag(last), vr_of(tag(last)))


def action(procedure: Procedure, *keywords: str, sop_class: str = CT) -> Action:
    return rule(procedure.table_for(sop_class), *keywords).action


# --- which row wins -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('"*" = "X"\n"vr:PN" = "Z"', "Z"),
        ('"vr:PN" = "Z"\n"re:Patient.*" = "X"', "X"),
        ('"re:Patient.*" = "X"\n"group:0010" = "C"', "C"),
        ('"group:0010" = "C"\n"0010,001x" = "Z"', "Z"),
        ('"0010,001x" = "C"\nPatientName = "D"', "D"),
        ('PatientName = "D"\n"vr:PN" = "X"\n"re:.*" = "K"', "D"),
        ('PatientName = "D"\n[sop_class.CT]\n"vr:PN" = "Z"', "Z"),
        ('PatientName = "D"\n[sop_class.MR]\nPatientName = "Z"', "D"),
        ('[sop_class."CT, MR"]\nPatientName = "Z"', "Z"),
    ],
)
def test_the_more_specific_row_wins(compiled: Compile, rows: str, expected: str) -> None:
    procedure = compiled(f"{NO_BASE}[attributes]\n{rows}")

    assert action(procedure, "PatientName") == expected


def test_a_later_file_wins_between_equals_and_specificity_comes_first(compiled: Compile) -> None:
    below = f'name = "below"\n{NO_BASE}[attributes]\nPatientName = "D"\nPatientID = "D"'

    procedure = compiled(
        'extends = ["below.toml"]\n[attributes]\nPatientName = "Z"\n"vr:LO" = "C"', below=below
    )

    assert action(procedure, "PatientName") == "Z"
    assert action(procedure, "PatientID") == "D"
    assert action(procedure, "InstitutionName") == "C"


def test_of_two_extended_profiles_the_last_wins(compiled: Compile) -> None:
    one = f'name = "one"\n{NO_BASE}[attributes]\nPatientName = "D"'
    two = 'name = "two"\n[attributes]\nPatientName = "Z"'

    procedure = compiled('extends = ["one.toml", "two.toml"]', one=one, two=two)

    assert action(procedure, "PatientName") == "Z"


def test_rows_win_over_the_standard_table(compiled: Compile) -> None:
    procedure = compiled(
        'extends = ["basic"]\n[attributes]\n"re:Institution.*" = { do = "hash", length = 8 }'
    )

    found = rule(procedure.table_for(CT), "InstitutionName")

    assert found.action is Action.D
    assert found.call is not None and found.call.name == "hash"
    assert found.decided_by == "site.toml line 4"


def test_a_path_row_holds_only_inside_its_sequence(compiled: Compile) -> None:
    procedure = compiled(
        f"{NO_BASE}[attributes]\n"
        '"vr:SQ" = "K"\n'
        'PatientID = "D"\n'
        '"ReferencedPatientSequence.PatientID" = "Z"\n'
        '"RequestAttributesSequence.ReferencedStudySequence.PatientID" = "X"\n'
    )

    assert action(procedure, "PatientID") == "D"
    assert action(procedure, "ReferencedPatientSequence", "PatientID") == "Z"
    assert action(procedure, "ReferencedStudySequence", "PatientID") == "D"
    assert action(procedure, "RequestAttributesSequence", "PatientID") == "D"
    assert action(procedure, "RequestAttributesSequence", "ReferencedStudySequence", "PatientID") == "X"
    nested = ("ReferencedStudySequence", "ReferencedPatientSequence")
    assert action(procedure, *nested, "PatientID") == "Z"
    assert action(procedure, *nested, "ReferencedStudySequence", "PatientID") == "D"
    assert action(procedure, "ReferencedPatientSequence", "ReferencedPatientSequence", "PatientID") == "Z"


def test_a_path_may_lead_through_a_private_sequence_and_end_in_a_star(compiled: Compile) -> None:
    procedure = compiled(
        f"{NO_BASE}[attributes]\n"
        '"0019[ACME]xx10" = "K"\n'
        'PatientID = "D"\n'
        '"0019[ACME]xx10.PatientID" = "K"\n'
        '"RequestAttributesSequence.*" = "X"\n'
        'RequestAttributesSequence = "K"\n'
    )

    table = procedure.table_for(CT)
    inside = table.rule_for(0x00191010, "SQ", "ACME").items

    assert inside is not None
    assert rule(inside, "PatientID").action is Action.K
    assert action(procedure, "RequestAttributesSequence", "PatientID") == "X"
    assert action(procedure, "PatientID") == "D"


def test_masks_and_vrs_reach_tags_that_no_dictionary_knows(compiled: Compile) -> None:
    procedure = compiled(f'{NO_BASE}[attributes]\n"60xx,3000" = "K"\n"vr:PN" = "Z"\n"0099,xxxx" = "C"')

    table = procedure.table_for(CT)

    assert table.rule_for(0x601E3000, "OW").action is Action.K
    assert table.rule_for(0x60013000, "OW").action is Action.X
    assert table.rule_for(0x00120F0F, "PN").action is Action.Z
    assert table.rule_for(0x00990F0F, "LO").action is Action.C


def test_a_mask_lies_over_the_base_also_for_repeating_groups(compiled: Compile) -> None:
    procedure = compiled('extends = ["basic"]\n[attributes]\n"60xx,3000" = "K"')

    table = procedure.table_for(CT)

    assert table.rule_for(0x60003000, "OW").action is Action.K
    assert table.rule_for(0x60004000, "LT").action is Action.X


def test_a_private_row_needs_its_creator(compiled: Compile) -> None:
    procedure = compiled('extends = ["basic"]\n[attributes]\n"0019[GEMS_ACQU_01]xx23" = "K"')

    table = procedure.table_for(CT)

    assert table.rule_for(0x00191123, "DS", "GEMS_ACQU_01").action is Action.K
    assert table.rule_for(0x00191123, "DS", "OTHER").action is Action.X
    assert table.rule_for(0x00191123, "DS").action is Action.X


@pytest.mark.parametrize(
    ("attribute", "private", "public_pn", "private_pn", "private_lo"),
    [
        ("X", "K", "Z", "Z", "K"),
        ("K", "X", "Z", "X", "X"),
        ("K", "K", "Z", "Z", "K"),
        ("X", "X", "Z", "Z", "X"),
    ],
)
def test_a_vr_row_reaches_all_that_is_kept(
    compiled: Compile, attribute: str, private: str, public_pn: str, private_pn: str, private_lo: str
) -> None:
    procedure = compiled(
        f'{NO_BASE}attribute = "{attribute}"\nprivate = "{private}"\n[attributes]\n"vr:PN" = "Z"'
    )

    table = procedure.table_for(CT)

    assert table.rule_for(tag("PatientName"), "PN").action == public_pn
    assert table.rule_for(0x00191010, "PN", "ACME").action in (private_pn, "X")
    assert table.rule_for(0x00191010, "LO", "ACME").action == private_lo


def test_a_wide_function_removes_what_it_cannot_take_and_leaves_sequences(compiled: Compile) -> None:
    procedure = compiled(f'{NO_BASE}attribute = "K"\n[attributes]\n"group:0010" = {{ do = "hash" }}')

    assert rule(procedure.table_for(CT), "PatientID").call is not None
    assert action(procedure, "PregnancyStatus") == "X"
    assert action(procedure, "OtherPatientIDsSequence") == "K"


# --- ties -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        'PatientName = "D"\n"(0010,0010)" = "Z"',
        'PatientName = "D"\n"(0010,0010)" = "D"',
        '"re:Patient.*" = "D"\n"re:.*Name" = "Z"',
        '"0010,00xx" = "D"\n"0010,xx10" = "Z"',
        '"60xx,xxxx" = "Z"\n"xxxx,30xx" = "X"',
        '"0019[A]xx01" = "K"\n"0019[A]01" = "X"',
    ],
)
def test_a_tie_inside_one_file_is_an_error(problems_of: Problems, rows: str) -> None:
    (problem,) = problems_of(f'{NO_BASE}[attributes]\n"group:0028" = "K"\n"vr:US" = "K"\n{rows}')

    assert problem.startswith("site.toml line 8: rows ")
    assert "(line 7)" in problem
    assert "equally specific" in problem


@pytest.mark.parametrize(
    "rows",
    [
        '"re:Patient.*" = "X"\n"re:.*Name" = "X"',
        '"re:PatientName" = "D"\n"re:PatientName$" = "Z"\nPatientName = "K"',
        '[sop_class.CT]\nPatientName = "D"\n[sop_class.MR]\nPatientName = "Z"',
    ],
)
def test_rows_that_agree_or_are_settled_are_no_tie(compiled: Compile, rows: str) -> None:
    compiled(f"{NO_BASE}[attributes]\n{rows}")


@pytest.mark.parametrize(("ties", "expected"), [("first", "D"), ("last", "Z")])
def test_ties_may_be_settled_by_order(compiled: Compile, ties: str, expected: str) -> None:
    procedure = compiled(f'ties = "{ties}"\n{NO_BASE}[attributes]\n"re:Patient.*" = "D"\n"re:.*Name" = "Z"')

    assert action(procedure, "PatientName") == expected


# --- Types and protected attributes ---------------------------------------------------------------


@pytest.mark.parametrize("row", ['"X"', '"Z"', '{ do = "empty" }', '{ do = "redact" }', '{ value = "" }'])
def test_a_type_1_attribute_cannot_be_emptied(problems_of: Problems, row: str) -> None:
    (general,) = problems_of(f'extends = ["basic"]\n[attributes]\nSOPInstanceUID = {row}')
    (for_ct,) = problems_of(f'extends = ["basic"]\n[sop_class.CT]\nImageType = {row}')

    assert "site.toml line 4" in general and "Type 1 in every SOP class" in general and "write U" in general
    assert "site.toml line 4" in for_ct and "Type 1 in CTImageStorage" in for_ct and "write D" in for_ct


def test_z_is_a_dummy_where_the_type_asks_for_a_value(compiled: Compile) -> None:
    procedure = compiled('extends = ["basic"]\n[attributes]\nManufacturer = "Z"')

    assert action(procedure, "Manufacturer", sop_class=CT) == "Z"
    enhanced = rule(procedure.table_for(ENHANCED_MR), "Manufacturer")
    assert enhanced.action is Action.D
    assert enhanced.decided_by == "site.toml line 4: Z, and Type 1 needs a value"


@pytest.mark.parametrize(
    "rows",
    [
        'StructureSetLabel = "C"',
        'StructureSetLabel = "K"',
        '"vr:SH" = "C"',
        '"re:StructureSet.*" = "C"',
        '"3006,00xx" = "C"',
        'StructureSetLabel = { do = "map", cases = { A = "B" }, otherwise = "empty" }',
    ],
)
def test_a_row_that_may_leave_nothing_of_a_type_1_attribute_asks_for_a_value(
    compiled: Compile, rows: str
) -> None:
    procedure = compiled(f'extends = ["basic"]\n[attributes]\n{rows}')

    assert rule(procedure.table_for(find_sop_class("RTStructureSetStorage")), "StructureSetLabel").needs_value
    assert not rule(procedure.table_for(CT), "StudyDescription").needs_value


@pytest.mark.parametrize("row", ['"vr:UI" = "U"', '"vr:CS" = "C"', '"*" = "X"', '"group:0028" = "K"'])
def test_wide_rows_that_spare_the_pixel_description_are_fine(compiled: Compile, row: str) -> None:
    procedure = compiled(f'extends = ["basic"]\n[attributes]\n{row}')

    for keyword in (
        "SOPClassUID",
        "SpecificCharacterSet",
        "Rows",
        "BitsAllocated",
        "PhotometricInterpretation",
    ):
        assert action(procedure, keyword) == "K"


def test_a_more_specific_row_excepts_what_a_wide_row_would_take(compiled: Compile) -> None:
    procedure = compiled('extends = ["basic"]\n[attributes]\n"re:BitsSt.*" = "X"\nBitsStored = "K"')

    assert action(procedure, "BitsStored") == "K"


# --- chains ---------------------------------------------------------------------------------------


def test_profiles_that_extend_each_other_are_an_error(problems_of: Problems) -> None:
    (problem,) = problems_of(
        'extends = ["one.toml"]',
        one='name = "one"\nextends = ["two.toml"]',
        two='name = "two"\nextends = ["site.toml"]',
    )

    circle = "site.toml -> one.toml -> two.toml -> site.toml"
    assert problem == f"two.toml line 2: profiles extend each other in a circle: {circle}"


def test_a_file_called_as_a_shipped_profile_may_extend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("research.toml")
    own.write_text('name = "site"\nextends = ["research"]\n[attributes]\nPatientSex = "X"\n')

    procedure = load(own)

    assert procedure.name == "site"
    assert action(procedure, "PatientSex") == "X"
    assert action(procedure, "PatientAge") == action(load("research"), "PatientAge")


def test_a_profile_may_be_extended_on_two_ways(compiled: Compile) -> None:
    ground = f'name = "ground"\n{NO_BASE}[attributes]\nPatientName = "D"'
    one = 'name = "one"\nextends = ["ground.toml"]'
    two = 'name = "two"\nextends = ["ground.toml"]'

    procedure = compiled('extends = ["one.toml", "two.toml"]', ground=ground, one=one, two=two)

    assert action(procedure, "PatientName") == "D"


def test_problems_of_all_files_of_a_chain_are_said_at_once(problems_of: Problems) -> None:
    problems = problems_of(
        'extends = ["one.toml", "missing.toml", "bsic"]\n', one='name = "one"\n[attributes]\nFoo = "X"'
    )

    assert len(problems) == 3
    assert "one.toml line 3" in problems[0]
    assert "site.toml line 2: there is no profile file 'missing.toml'" in problems[1]
    assert "did you mean basic?" in problems[2]


def test_what_is_read_and_what_is_compiled_is_said_at_once(problems_of: Problems) -> None:
    problems = problems_of(
        'extends = ["basic", "bsic"]\noptions = ["clean-pixel-data"]\n[attributes]\nFoo = "X"\n'
        'SOPInstanceUID = "X"\n"re:Patient.*" = "X"\n"re:.*Name" = "Z"'
    )

    for line, part in (
        (2, "did you mean basic?"),
        (3, "cannot be applied"),
        (5, "'Foo' is no attribute"),
        (6, "leaves no value"),
        (8, "are equally specific"),
    ):
        assert any(f"line {line}:" in problem and part in problem for problem in problems)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'extends = ["basic"]\noptions = ["retain-longitudinal-full", "retain-longitudinal-modified"]',
            "contradict",
        ),
        ('extends = ["research"]\noptions = ["retain-longitudinal-full"]', "contradict"),
        ('extends = ["basic"]\noptions = ["clean-pixel-data"]', "cannot be applied"),
        ('extends = ["basic"]\noptions = ["clean-recognizable-visual-features"]', "cannot be applied"),
        ('extends = ["grand-challenge"]\noptions = ["retain-uids"]', 'need base = "PS3.15"'),
        ('extends = ["basic", "grand-challenge"]', "contradict each other"),
        ('extends = ["basic"]\nwithout_options = ["retain-uids"]', "is not applied by a profile below"),
        ("", "no SOP class has a table"),
    ],
)
def test_a_contradiction_is_an_error(problems_of: Problems, text: str, says: str) -> None:
    problems = problems_of(text)

    assert any(says in problem and problem.startswith("site.toml") for problem in problems), problems


def test_options_add_up_and_can_be_left_out_again(compiled: Compile) -> None:
    more = compiled('extends = ["research"]\noptions = ["retain-device-identity"]')
    less = compiled('extends = ["research"]\nwithout_options = ["retain-longitudinal-modified"]')

    assert more.codes == ("113100", "113105", "113107", "113108", "113109", "113111")
    assert less.codes == ("113100", "113105", "113108", "113111")
    assert (more.dates, less.dates) == (DateChange.MODIFIED, DateChange.REMOVED)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('StudyDate = "K"', DateChange.UNMODIFIED),
        ('StudyDate = { do = "date_shift" }', DateChange.MODIFIED),
        ('StudyDate = "X"', DateChange.REMOVED),
        ('PatientName = "K"', DateChange.REMOVED),
    ],
)
def test_what_is_said_about_dates_is_true_for_rows_too(
    compiled: Compile, row: str, expected: DateChange
) -> None:
    assert compiled(f'extends = ["basic"]\n[attributes]\n{row}').dates is expected


def test_gates_add_up_and_can_be_left_out(compiled: Compile) -> None:
    gate = '[[reject]]\nwhen = "Modality == \'OT\'"\nbecause = "other"\n'

    more = compiled(f'extends = ["basic"]\n{gate}')
    alone = compiled(f'extends = ["basic"]\ninherit_gates = false\n{gate}')

    assert [g.because for g in more.rejects][-1] == "other"
    assert len(more.rejects) == 3
    assert [g.because for g in alone.rejects] == ["other"]


def test_exclusions_look_at_the_original_or_at_the_result(compiled: Compile) -> None:
    procedure = compiled(
        'extends = ["basic"]\n'
        "[[exclude]]\nwhen = \"Modality == 'PR'\"\n"
        '[[exclude]]\nwhen = "PatientID == \'\'"\nstage = "result"\nbecause = "no patient"\n'
    )

    assert [gate.because for gate in procedure.excludes] == ["condition Modality == 'PR'"]
    assert [gate.because for gate in procedure.excludes_result] == ["no patient"]


def test_values_uids_and_the_rest_arrive(compiled: Compile) -> None:
    procedure = compiled(
        'version = "7"\nextends = ["basic"]\nsame_value = ["PatientID"]\ndummies = "grand-challenge"\n'
        '[set]\nPatientID = "P-{pseudonym}"\n"(0020,0011)" = 7\n'
        '[forced_uids]\nStudyInstanceUID = "1.2.3"\nSeriesInstanceUID = { suffix = "1.2.3" }\n'
        "[dates]\nlongest_shift_days = 50\n"
    )

    assert procedure.version == "7"
    assert procedure.same_value == (tag("PatientID"),)
    assert procedure.dummies is Dummies.GRAND_CHALLENGE
    assert str(procedure.set_values[tag("PatientID")][0].call.params["template"]) == "P-{pseudonym}"
    assert str(procedure.set_values[tag("SeriesNumber")][0].call.params["template"]) == "7"
    assert procedure.forced_uids[tag("StudyInstanceUID")] == "1.2.3"
    assert procedure.forced_uids[tag("SeriesInstanceUID")] == "1.2.826.0.1.3680043.10.1666.1.2.3"
    assert procedure.shift_days == 50
    assert procedure.method == "deid_node: site 7"


@pytest.mark.parametrize("suffix", ["1.2.3.", ".1.2.3", "1..2.3", "1.2a.3", "1" * 40])
def test_gc_v11_a_suffix_that_makes_no_uid_is_an_error(problems_of: Problems, suffix: str) -> None:
    text = f'extends = ["basic"]\n[forced_uids]\nStudyInstanceUID = {{ suffix = "{suffix}" }}'

    assert "not a UID" in problems_of(text)[0]


def test_gc_v11_a_suffix_of_32_digits_is_fine(compiled: Compile) -> None:
    compiled(f'extends = ["basic"]\n[forced_uids]\nStudyInstanceUID = {{ suffix = "{"1" * 32}" }}')


@pytest.mark.parametrize(
    "rows",
    [
        '[attributes]\nPatientID = { do = "lookup", table = "ids" }',
        '[attributes]\nPatientID = { value = "{lookup:ids:PatientID}" }',
        '[set]\nPatientID = "{lookup:ids:PatientID}"',
    ],
)
def test_a_lookup_needs_a_table_of_the_profile(problems_of: Problems, rows: str) -> None:
    (problem,) = problems_of(f'extends = ["basic"]\n{rows}')

    assert "there is no lookup table 'ids'; write [tables.ids]" in problem


# --- SOP classes ----------------------------------------------------------------------------------


def test_a_sop_class_without_a_table_is_rejected_kept_or_caught(compiled: Compile) -> None:
    rows = '[sop_class.CT]\nPatientName = "Z"\n'

    rejects = compiled(f'{rows}[attributes]\nPatientID = "Z"')
    keeps = compiled(f'[unlisted]\nsop_class = "K"\n{rows}')
    catches = compiled(f'{NO_BASE}[attributes]\nPatientID = "Z"\n{rows}')

    with pytest.raises(SOPClassNotSupported):
        rejects.table_for("1.9.9.9")
    assert action(keeps, "PatientName", sop_class="1.9.9.9") == "K"
    assert action(catches, "PatientID", sop_class="1.9.9.9") == "Z"
    assert action(catches, "PatientName", sop_class="1.9.9.9") == "X"
    assert action(catches, "PatientName") == "Z"


def test_a_private_sop_class_may_have_a_table(compiled: Compile) -> None:
    procedure = compiled(
        'extends = ["basic"]\n[sop_class."1.3.46.670589.11.0.0.12.1"]\nPatientComments = "K"'
    )

    assert action(procedure, "PatientComments", sop_class="1.3.46.670589.11.0.0.12.1") == "K"
    assert action(procedure, "PatientName", sop_class="1.3.46.670589.11.0.0.12.1") == "D"
    assert action(procedure, "PatientComments") == "X"
    assert action(procedure, "Rows", sop_class="1.3.46.670589.11.0.0.12.1") == "K"


def test_the_digest_tells_profiles_apart_and_is_stable(compiled: Compile) -> None:
    one = compiled('extends = ["basic"]').digest
    again = compiled('extends = ["basic"]').digest
    other = compiled('extends = ["basic"]\n[attributes]\nKVP = "X"').digest

    assert one == again != other
    assert len(one) == 64


def test_rows_may_state_the_codes_of_options_that_they_carry_out(
    compiled: Compile, problems_of: Problems
) -> None:
    alone = compiled(f'{NO_BASE}[stamps]\ncodes = ["113105", "113100"]')
    beside = compiled('extends = ["basic"]\n[stamps]\ncodes = ["113105"]')
    unknown = problems_of(f'{NO_BASE}[stamps]\ncodes = ["113199"]')

    assert alone.codes == beside.codes == ("113100", "113105")
    assert "CID 7050" in unknown[0]


def test_a_set_value_may_say_what_happens_when_it_does_not_fit(compiled: Compile) -> None:
    procedure = compiled(f'{NO_BASE}[set]\nStudyID = {{ value = "{{PatientID}}", fit = "truncate" }}')

    assert procedure.set_values[tag("StudyID")][0].call.params["fit"] == "truncate"


def test_the_secrets_that_functions_name_are_known(compiled: Compile) -> None:
    procedure = compiled(
        f'{NO_BASE}[attributes]\nPatientID = {{ do = "hash", key = "site" }}\nStudyID = {{ do = "hash" }}'
    )

    assert procedure.secrets == {"site"}


@pytest.mark.parametrize("base", ["none", "PS3.15", "grand-challenge"])
def test_safe_private_attributes_stay_over_any_base(base: str, compiled: Compile) -> None:
    table = compiled(
        f'base = "{base}"\n[unlisted]\nsop_class = "catch-all"\nattribute = "K"\nprivate = "safe"\n'
        '[attributes]\n"0019[GEMS_ACQU_01]xx24" = "X"\n'
    ).table_for(find_sop_class("CT"))

    of = {(tag, creator): table.rule_for(tag, "DS", creator).action for tag, creator in (
        (0x00191023, "GEMS_ACQU_01"), (0x00191024, "GEMS_ACQU_01"), (0x00191002, "GEMS_ACQU_01"),
        (0x00191023, "ACME"), (0x00191023, None),
    )}  # fmt: skip
    assert list(of.values()) == ["K", "X", "X", "X", "X"]
