"""Every attribute of an object is explained: before, the rule that decided, after."""

from __future__ import annotations

import pytest

from deid_node.engine.explain import Explanation, explain
from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused, Rejected
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action, Call, DateChange, Procedure, Rule, SetValue
from tests.engine.encoded import EXPLICIT, FORMS, IMPLICIT, UNDEFINED, Form, procedure, run_with_summary
from tests.fuzzing import datasets
from tests.rewriting import pseudonyms

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


def _explained(
    chosen: Procedure, dataset: bytes, form: Form = EXPLICIT, syntax: str = ""
) -> dict[str, Explanation]:
    rows, _ = explain(chosen, pseudonyms(), dataset, transfer_syntax_uid=syntax or form.transfer_syntax_uid)
    assert len({row.path for row in rows}) == len(rows)
    return {row.path: row for row in rows}


@_PER_FORM
def test_a_row_says_what_was_what_decided_and_what_is(form: Form) -> None:
    rules = {
        0x00080060: Rule(Action.K, "needed", "line 1"),
        0x00100010: Rule(Action.Z, "a name", "line 2"),
        0x00100020: Rule(Action.D, "an ID", "line 3"),
        0x00101010: Rule(Action.X, "an age", "line 4"),
    }
    dataset = form.dataset(
        form.element(0x00080060, "CS", b"CT"),
        form.element(0x00100010, "PN", b"Doe^Jane"),
        form.element(0x00100020, "LO", b"0815"),
        form.element(0x00101010, "AS", b"041Y"),
    )

    rows = _explained(procedure(rules), dataset, form)

    assert rows["Modality"] == Explanation(
        "Modality", "(0008,0060)", "Modality", "CS", "CT", Action.K, "needed", "line 1", "CT", False
    )
    assert rows["PatientName"] == Explanation(
        "PatientName", "(0010,0010)", "PatientName", "PN", "Doe^Jane", Action.Z, "a name", "line 2", "", True
    )
    assert (rows["PatientID"].before, rows["PatientID"].after) == ("0815", "DEIDENTIFIED")
    assert (rows["PatientAge"].before, rows["PatientAge"].after) == ("041Y", None)


@_PER_FORM
def test_items_are_explained_each_under_its_path(form: Form) -> None:
    item = form.item(form.element(0x00080104, "LO", b"head"), form.element(0x00100010, "PN", b"Doe^Jane"))
    dataset = form.dataset(form.sequence(0x00081140, item, item), form.sequence(0x00082112, item))

    rows = _explained(procedure({0x00100010: Action.X}, unlisted=Action.K), dataset, form)

    for path in ("ReferencedImageSequence[0]", "ReferencedImageSequence[1]", "SourceImageSequence[0]"):
        assert rows[f"{path}.CodeMeaning"].after == "head"
        assert rows[f"{path}.PatientName"].after is None
    assert rows["SourceImageSequence"].before == "sequence"


@_PER_FORM
def test_private_elements_are_explained_with_their_creators(form: Form) -> None:
    keeping = procedure(private={(0x0009, "ACME", 1): Rule(Action.K, "a b-value", "line 7")})
    dataset = form.dataset(
        form.element(0x00090010, "LO", b"ACME"),
        form.element(0x00090011, "LO", b"OTHER"),
        form.element(0x00091001, "DS", b"1"),
        form.element(0x00091101, "DS", b"2"),
    )

    rows = _explained(keeping, dataset, form)

    assert rows["(0009,1001)"].decided_by == "line 7" and not rows["(0009,1001)"].changed
    assert rows["(0009,1101)"].after is None
    assert rows["(0009,0010)"].before == rows["(0009,0010)"].after == "ACME"
    assert rows["(0009,0011)"].before == "OTHER" and rows["(0009,0011)"].after is None


@_PER_FORM
def test_a_private_element_is_named_as_a_profile_names_it_where_its_creator_is_known(form: Form) -> None:
    own = procedure(private={(0x0009, "ACME", 1): Rule(Action.K, "a b-value", "line 7")})
    dataset = form.dataset(
        form.element(0x00090010, "LO", b"ACME"),
        form.element(0x00090011, "LO", b"Doe^Jane"),
        form.element(0x00091001, "DS", b"1"),
        form.element(0x00091101, "DS", b"2"),
        form.element(0x00190010, "LO", b"GEMS_ACQU_01"),
        form.element(0x00191023, "DS", b"5"),
    )

    rows = _explained(own, dataset, form)

    assert rows["(0009,1001)"].name == "0009[ACME]xx01"
    assert rows["(0019,1023)"].name == "0019[GEMS_ACQU_01]xx23"
    assert rows["(0009,1101)"].name == "(0009,1101)"
    assert rows["(0019,0010)"].name == "(0019,0010)"


@_PER_FORM
def test_what_is_inserted_is_explained(form: Form) -> None:
    stamping = procedure(
        identity_removed=True,
        method="deid_node: a test",
        codes=("113100",),
        dates=DateChange.REMOVED,
        set_values={0x00100020: (SetValue(Call("set", {"template": "P-1"})),)},
    )

    rows = _explained(stamping, form.dataset(form.element(0x00100020, "LO", b"0815")), form)

    assert (rows["PatientID"].before, rows["PatientID"].after) == ("0815", "P-1")
    assert (rows["PatientIdentityRemoved"].before, rows["PatientIdentityRemoved"].after) == (None, "YES")
    assert rows["DeidentificationMethod"].after == "deid_node: a test"
    assert rows["DeidentificationMethodCodeSequence"].after == "sequence"
    assert rows["LongitudinalTemporalInformationModified"].after == "REMOVED"


def test_numbers_bytes_and_long_texts_are_shown_as_a_person_reads_them() -> None:
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00204000, "LT", b"x" * 1000),
        EXPLICIT.element(0x00280009, "AT", EXPLICIT.us(0x0018, 0x1063)),
        EXPLICIT.element(0x00280010, "US", EXPLICIT.us(512)),
        EXPLICIT.element(0x00280034, "IS", b"1\\2 "),
        EXPLICIT.element(0x7FE00010, "OW", bytes(50_000)),
    )

    rows = _explained(procedure(unlisted=Action.K), dataset)

    assert rows["ImageComments"].before == "x" * 256 + "…"
    assert rows["Rows"].before == "512"
    assert rows["PixelAspectRatio"].before == "1\\2"
    assert rows["PixelData"].before == rows["PixelData"].after == "50000 bytes"


@pytest.mark.parametrize("size", [100, 100_000])
def test_encapsulated_pixels_of_any_size_are_explained(size: int) -> None:
    items = EXPLICIT.item() + EXPLICIT.item(bytes(size)) + EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    dataset = EXPLICIT.dataset(EXPLICIT.element(0x7FE00010, "OB", items, length=UNDEFINED))

    rows = _explained(procedure(unlisted=Action.K), dataset, syntax="1.2.840.10008.1.2.4.50")

    assert rows["PixelData"].action is Action.K and not rows["PixelData"].changed


def test_an_object_that_is_refused_is_not_explained() -> None:
    with pytest.raises(Rejected):
        _explained(
            procedure({0x00100010: Action.R}),
            IMPLICIT.dataset(IMPLICIT.element(0x00100010, "PN", b"A")),
            IMPLICIT,
        )


def test_what_is_explained_is_what_is_done() -> None:
    profile = basic_procedure()
    for name, dataset, syntax in datasets():
        try:
            output, summary = run_with_summary(
                Deidentifier(profile, pseudonyms()), dataset, transfer_syntax_uid=syntax
            )
        except ObjectRefused as refusal:
            with pytest.raises(type(refusal)):
                explain(profile, pseudonyms(), dataset, transfer_syntax_uid=syntax)
            continue

        rows, explained = explain(profile, pseudonyms(), dataset, transfer_syntax_uid=syntax)

        assert explained == summary, name
        assert all(row.because or row.decided_by or row.action is Action.K for row in rows), name
        kept = [row for row in rows if row.action is Action.X and row.after is not None]
        assert output and not kept, name
