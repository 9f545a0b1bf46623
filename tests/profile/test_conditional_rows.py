"""Rows that hold only for some objects (`when`) or at some depth (`scope`), and lists of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.errors import ProfileError
from deid_node.profile import library
from deid_node.profile.listing import show
from deid_node.profile.procedure import Procedure, Table
from deid_node.standard.dictionary import tag_of
from deid_node.standard.sop_classes import find_sop_class

CT = find_sop_class("CT")
NO_BASE = '[unlisted]\nsop_class = "catch-all"\nattribute = "K"\n'


def loaded(tmp_path: Path, rows: str, name: str = "site") -> Procedure:
    file = tmp_path / f"{name}.toml"
    file.write_text(f'name = "{name}"\n{rows}')
    return library.load(file)


def action(table: Table, *path: str) -> str:
    for keyword in path[:-1]:
        rule = table.rule_for(tag_of(keyword) or 0, "SQ")
        table = rule.items or table
    return str(table.rule_for(tag_of(path[-1]) or 0, "LO").action)


def test_a_row_with_a_condition_is_in_the_table_of_objects_for_which_it_holds(tmp_path: Path) -> None:
    procedure = loaded(
        tmp_path, f'{NO_BASE}[attributes]\nPatientID = {{ action = "X", when = "Modality == \'CT\'" }}\n'
    )

    assert [str(condition) for condition in procedure.conditions] == ["Modality == 'CT'"]
    assert action(procedure.table_for(CT), "PatientID") == "K"
    assert action(procedure.table_for(CT, frozenset({0})), "PatientID") == "X"


def test_of_a_list_of_rows_the_first_that_holds_counts(tmp_path: Path) -> None:
    procedure = loaded(
        tmp_path,
        f"""{NO_BASE}[attributes]
        PatientID = [
            {{ action = "Z", when = "Modality == 'CT'" }},
            {{ action = "R", when = "exists(PatientAge)" }},
            "X",
        ]
        """,
    )

    actions = [
        action(procedure.table_for(CT, frozenset(holding)), "PatientID")
        for holding in ((), (0,), (1,), (0, 1))
    ]
    assert actions == ["X", "Z", "R", "Z"]


def test_a_later_profile_wins_over_a_condition_of_one_below(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        f'{NO_BASE}[attributes]\nPatientID = {{ action = "K", when = "Modality == \'CT\'" }}\n',
        "low",
    )

    procedure = loaded(tmp_path, 'extends = ["low.toml"]\n[attributes]\nPatientID = "X"\n')

    assert action(procedure.table_for(CT, frozenset({0})), "PatientID") == "X"


@pytest.mark.parametrize(
    ("scope", "top", "inside"), [("root", "X", "K"), ("nested", "K", "X"), ("all", "X", "X")]
)
@pytest.mark.parametrize("base", [NO_BASE, 'extends = ["basic"]\n'])
def test_a_row_holds_at_its_depth_only(tmp_path: Path, base: str, scope: str, top: str, inside: str) -> None:
    rows = f"""{base}[attributes]
    RequestAttributesSequence = "K"
    PatientComments = {{ action = "X", scope = "{scope}" }}
    """
    if "basic" in base:
        rows = rows.replace("PatientComments", "BodyPartExamined")
    keyword = "BodyPartExamined" if "basic" in base else "PatientComments"

    table = loaded(tmp_path, rows).table_for(CT)

    assert action(table, keyword) == top
    assert action(table, "RequestAttributesSequence", keyword) == inside
    assert action(table, "RequestAttributesSequence", "RequestAttributesSequence", keyword) == inside


def test_both_depths_may_have_a_row_each(tmp_path: Path) -> None:
    table = loaded(
        tmp_path,
        f"""{NO_BASE}[attributes]
        PatientID = [{{ action = "D", scope = "root" }}, {{ action = "X", scope = "nested" }}]
        """,
    ).table_for(CT)

    assert (action(table, "PatientID"), action(table, "RequestAttributesSequence", "PatientID")) == ("D", "X")


def test_a_path_holds_over_a_row_for_one_depth(tmp_path: Path) -> None:
    table = loaded(
        tmp_path,
        f"""{NO_BASE}[attributes]
        "RequestAttributesSequence.PatientID" = "Z"
        PatientID = {{ action = "X", scope = "nested" }}
        """,
    ).table_for(CT)

    assert action(table, "RequestAttributesSequence", "PatientID") == "Z"
    assert action(table, "ReferencedStudySequence", "PatientID") == "X"
    assert action(table, "RequestAttributesSequence", "ReferencedStudySequence", "PatientID") == "X"


def test_what_is_private_inside_a_sequence_follows_the_depth_too(tmp_path: Path) -> None:
    table = loaded(
        tmp_path, NO_BASE + 'private = "K"\n[attributes]\nPatientID = { action = "X", scope = "nested" }\n'
    ).table_for(CT)

    private = table.rule_for(0x00191010, "SQ", "ACME")

    assert private.items is not None
    assert action(private.items, "PatientID") == "X"
    assert action(table, "PatientID") == "K"


def test_a_condition_is_shown_with_its_rows(tmp_path: Path) -> None:
    procedure = loaded(
        tmp_path, f'{NO_BASE}[attributes]\nPatientID = {{ action = "X", when = "Modality == \'CT\'" }}\n'
    )

    shown = [row for row in show(procedure, CT) if row.selector.startswith("PatientID")]

    assert ("PatientID when Modality == 'CT'", "X") in [(row.selector, row.action) for row in shown]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{ action = "X", when = "Modalty == 1" }', "did you mean Modality"),
        ('{ action = "X", when = 1 }', "when is a condition in quotes"),
        ('{ action = "X", scope = "top" }', "scope is one of all, root, nested"),
        ("[]", "the list is empty"),
        ('["X", "Z"]', "put it last"),
        ('[{ action = "X", scope = "root" }, { action = "Q" }]', "'Q' is no action"),
    ],
)
def test_what_is_wrong_with_such_a_row_is_told(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        loaded(tmp_path, f"{NO_BASE}[attributes]\nPatientID = {row}\n")

    assert says in str(caught.value)
    assert "site.toml line 6" in str(caught.value)


def test_a_path_needs_no_scope(tmp_path: Path) -> None:
    row = '"RequestAttributesSequence.PatientID" = { action = "X", scope = "nested" }'

    with pytest.raises(ProfileError, match="a path says where"):
        loaded(tmp_path, f"{NO_BASE}[attributes]\n{row}\n")
