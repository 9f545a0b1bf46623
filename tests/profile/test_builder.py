"""The builder: base, manual rows, candidate, worklist, final (row GC-17, vectors GC-V18)."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from deid_node.errors import ProfileError
from deid_node.profile.basic import basic_procedure, resolve
from deid_node.profile.builder import (
    build_base,
    build_candidate,
    build_final,
    by_basic_profile,
    by_module_usage,
    by_type,
    decide_undecided,
    tag_of_text,
    undecided,
    written_tag,
)
from deid_node.profile.builder_export import losses, to_grand_challenge
from deid_node.profile.builder_manual import read_manual
from deid_node.profile.builder_pages import page, page_rows, worklist
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action
from deid_node.standard.dictionary import keyword_of, tag_of
from deid_node.standard.sop_classes import find_sop_class, storage_sop_classes

CT = find_sop_class("CT")
MR = find_sop_class("MR")
ENTRY = {"default", "justification"}
ACTIONS = set("XKDZUR")


@pytest.mark.parametrize(
    ("usages", "action"), [(["U"], "X"), (["M"], None), (["C"], None), (["U", "M"], None), (["U", "U"], "X")]
)
def test_gc_v18_module_usage_removes_what_only_optional_modules_have(usages, action) -> None:
    assert by_module_usage(usages) == action


def test_gc_v18_another_usage_is_an_error() -> None:
    with pytest.raises(ProfileError):
        by_module_usage(["Z"])


@pytest.mark.parametrize(
    ("code", "types", "action"),
    [
        ("Z/D", ["1"], "D"),
        ("Z/D", ["2"], "Z"),
        ("Z/D", ["3"], "X"),
        ("Z/D", ["1C"], None),
        ("Z/D", ["1", "1C"], None),
        ("X/Z/U*", ["1"], "U"),
        ("X/Z/U*", ["2"], "Z"),
        ("X/Z/U*", ["3"], "X"),
        ("X/D", ["1"], "D"),
        ("X/D", ["2"], "Z"),
        ("X/Z/D", ["3", "3"], "X"),
        ("X", ["1", "2"], "X"),
        ("U", [], "U"),
    ],
)
def test_gc_v18_compound_codes_follow_a_single_type(code, types, action) -> None:
    assert by_basic_profile(code, types) == action


@pytest.mark.parametrize(
    ("types", "action"), [(["1"], "K"), (["2"], "Z"), (["3"], "X"), (["1C"], None), (["2", "3"], None)]
)
def test_gc_v18_the_type_decides_what_the_profile_does_not_list(types, action) -> None:
    assert by_type(types) == action


def test_gc_17_the_base_of_ct_is_that_of_the_published_builder() -> None:
    """It differs where an attribute has several Types: theirs looks at the last one only."""
    text = (files("grand_challenge_dicom_de_id_procedure") / "procedure.json").read_text("utf-8")
    rows = json.loads(text)["sopClass"][CT]["tag"]
    ours = build_base([CT])["sopClass"][CT]["tag"]

    automatic = {
        tag: entry["default"]
        for tag, entry in rows.items()
        if entry["justification"].startswith("[AUTO]") and tag in ours
    }
    differing = {
        keyword_of(tag_of_text(tag)) for tag, action in automatic.items() if ours[tag]["default"] != action
    }

    assert len(automatic) > 250
    assert differing == {
        "ContextIdentifier",
        "PatientID",
        "TypeOfPatientID",
        "ReferencedXRaySourceIndex",
    }
    assert all(ours[written_tag(tag_of(keyword))]["default"] is None for keyword in differing)


def test_gc_17_the_document_has_the_shape_of_the_schema() -> None:
    base = build_base([CT, MR])

    assert base.keys() == {"default", "dicomStandardVersion", "justification", "sopClass"}
    for table in base["sopClass"].values():
        assert table.keys() == {"default", "justification", "tag"}
        for tag, entry in table["tag"].items():
            assert re.fullmatch(r"\([0-9A-FX]{4},[0-9A-FX]{4}\)", tag)
            assert entry.keys() == ENTRY
            assert entry["default"] is None or entry["default"] in ACTIONS


def test_gc_17_a_manual_row_wins_over_the_base() -> None:
    manual = read_manual('[CT]\nSliceThickness = { action = "K", because = "geometry" }\n', "rows.toml")
    base = build_base([CT, MR])

    candidate = build_candidate(base, manual)

    key = written_tag(tag_of("SliceThickness"))
    assert base["sopClass"][CT]["tag"][key]["default"] == "Z"
    assert candidate["sopClass"][CT]["tag"][key] == {"default": "K", "justification": "geometry"}
    assert candidate["sopClass"][MR] == base["sopClass"][MR]


def test_gc_17_manual_rows_are_read_from_the_schema_too() -> None:
    row = {"default": "K", "justification": "geometry"}
    text = json.dumps({"sopClass": {CT: {"tag": {"(0018,0050)": row}}}})

    manual = read_manual(text, "manual.json")

    assert manual[CT][0x00180050].action is Action.K


def test_a_file_of_manual_rows_reports_every_finding_at_once() -> None:
    text = (
        "[CTImageStorag]\n"
        'KVP = { action = "K", because = "why" }\n'
        "[CT]\n"
        'PatientNam = { action = "K", because = "why" }\n'
        'KVP = { action = "C", because = "why" }\n'
        'Rows = "K"\n'
        '"(00X,1)" = { action = "K", because = "why" }\n'
    )

    with pytest.raises(ProfileError) as caught:
        read_manual(text, "rows.toml")

    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    assert "CTImageStorage" in problems
    assert "PatientName" in problems
    assert "one of X K D Z U R" in problems


@pytest.mark.parametrize(("text", "name"), [("not toml [", "a.toml"), ("{", "a.json"), ('["x"]', "a.json")])
def test_a_file_that_cannot_be_read_is_refused(text: str, name: str) -> None:
    with pytest.raises(ProfileError, match=r"a\."):
        read_manual(text, name)


def test_manual_rows_for_a_class_that_was_not_asked_for_are_refused() -> None:
    manual = read_manual('[MR]\nEchoTime = { action = "K", because = "why" }\n', "rows.toml")

    with pytest.raises(ProfileError, match="MR Image Storage"):
        build_candidate(build_base([CT]), manual)


def test_a_class_that_is_not_of_the_standard_has_no_base() -> None:
    with pytest.raises(ProfileError, match=r"1\.2\.3"):
        build_base(["1.2.3"])


def test_gc_17_the_worklist_names_what_is_undecided_with_its_modules() -> None:
    text = worklist(build_base([CT]))

    assert "(0008,0023) ContentDate" in text
    assert ":Basic profile: Z/D" in text
    assert ":Modules: general-image M 2C" in text
    assert "(0010,0010) PatientName" not in text


def test_gc_17_a_final_procedure_has_a_version_and_nothing_undecided() -> None:
    base = build_base([CT])

    with pytest.raises(ProfileError) as caught:
        build_final(base, "")
    final = build_final(decide_undecided(base), "2026.1.0")

    assert len(caught.value.problems) == len(undecided(base)[CT]) + 2
    assert final["version"] == "2026.1.0"
    assert next(iter(final)) == "version"
    assert all(entry["default"] in ACTIONS for entry in final["sopClass"][CT]["tag"].values())
    assert all(entry["justification"] for entry in final["sopClass"][CT]["tag"].values())


def test_gc_17_a_final_procedure_lists_only_what_can_be_reached() -> None:
    decided = decide_undecided(build_base([CT]))

    everything = build_final(decided, "1", only_reachable=False)["sopClass"][CT]["tag"]
    reachable = build_final(decided, "1")["sopClass"][CT]["tag"]

    hidden = written_tag(tag_of("ScheduledProcedureStepID"))
    assert hidden in everything
    assert hidden not in reachable
    assert reachable.items() <= everything.items()


def test_no_entry_of_any_class_stays_undecided() -> None:
    base = build_base(storage_sop_classes())

    assert sum(map(len, undecided(base).values())) > 10_000
    assert undecided(decide_undecided(base)) == {}
    assert worklist(decide_undecided(base)) == "Nothing is undecided.\n"


def test_any_table_can_be_written_in_the_schema() -> None:
    procedure = basic_procedure(frozenset({Option.CLEAN_DESCRIPTORS}))

    document = to_grand_challenge(procedure, [CT])

    rows = document["sopClass"][CT]["tag"]
    assert document.keys() == {"version", "default", "dicomStandardVersion", "justification", "sopClass"}
    assert (document["default"], document["sopClass"][CT]["default"]) == ("R", "X")
    assert {entry["default"] for entry in rows.values()} <= ACTIONS
    assert rows["(0010,0010)"]["default"] == "Z"
    assert rows["(0020,000D)"]["default"] == "U"
    assert rows["(0008,1030)"]["default"] == "D"
    assert "(the schema has no C)" in rows["(0008,1030)"]["justification"]
    assert rows["(0040,0275)"]["default"] == "K"
    assert json.loads(json.dumps(document)) == document


def test_what_the_schema_cannot_say_is_named() -> None:
    procedure = basic_procedure(frozenset({Option.RETAIN_SAFE_PRIVATE}))
    rules = procedure.table_for(CT).rules

    sentences = list(losses(procedure, [CT]))

    cleaned = sum(rule.action is Action.C for rule in rules.values())
    sequences = sum(rule.items is not None for rule in rules.values())
    assert any("private attributes" in sentence for sentence in sentences)
    assert any(f" {cleaned} attributes are replaced, not cleaned: " in sentence for sentence in sentences)
    assert any(f" {sequences} attributes are sequences whose items" in sentence for sentence in sentences)
    assert any(f" and {sequences - 5} more." in sentence for sentence in sentences)


def test_a_page_has_attribute_action_reason_and_modules() -> None:
    text = page(resolve(CT), CT, "basic 2026d")

    assert text.startswith("# basic 2026d: CT Image Storage\n")
    assert "© NEMA" in text
    row = next(line for line in text.splitlines() if line.startswith("| (0010,0010) "))
    assert "| PatientName | PN | Z |" in row
    assert "patient M 2" in row


def test_a_page_shows_what_is_otherwise_inside_a_sequence() -> None:
    text = page(resolve(find_sop_class("RTSTRUCT")), find_sop_class("RTSTRUCT"), "basic")

    assert "SourceSeriesInformationSequence.SeriesDescription | LO | D |" in text


def test_every_class_has_a_page() -> None:
    for uid in storage_sop_classes():
        assert all(row.rule.because for row in page_rows(resolve(uid), uid))
