"""Procedures in the Grand-Challenge JSON schema: loaded as they are, refused as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deid_node.errors import ProfileError, SOPClassNotSupported
from deid_node.profile import library
from deid_node.profile.grand_challenge import built_in, read_json
from deid_node.profile.grand_challenge_import import to_toml
from deid_node.profile.listing import diff
from deid_node.profile.procedure import Action, Dummies, Procedure
from deid_node.standard.dictionary import tag_of
from deid_node.standard.sop_classes import find_sop_class

CT, MR, WSI, PT = (find_sop_class(name) for name in ("CT", "MR", "SM", "PT"))


def document(**changes: Any) -> dict[str, Any]:
    top: dict[str, Any] = {
        "version": "2025.1.0",
        "default": "R",
        "dicomStandardVersion": "2025c",
        "justification": "Unsupported SOP Class",
        "sopClass": {
            CT: {
                "default": "X",
                "justification": "Unsupported data element",
                "tag": {
                    "(0010,0010)": {"default": "Z", "justification": "name"},
                    "(60XX,3000)": {"default": "K", "justification": "overlay"},
                    "(0019,1001)": {"default": "K", "justification": "private"},
                    "(0010,0040)": {"default": "R", "justification": "no sex here"},
                },
            }
        },
    }
    top.update(changes)
    return top


def loaded(tmp_path: Path, top: dict[str, Any]) -> Procedure:
    file = tmp_path / "procedure.json"
    file.write_text(json.dumps(top))
    return library.load(file)


def problems(top: object) -> tuple[str, ...]:
    with pytest.raises(ProfileError) as caught:
        read_json(json.dumps(top), "procedure.json")
    return caught.value.problems


def test_gc1_a_tag_has_its_action_and_another_the_default_of_its_class(tmp_path: Path) -> None:
    table = loaded(tmp_path, document()).table_for(CT)

    name, other = table.rule_for(0x00100010, "PN"), table.rule_for(0x00100020, "LO")
    assert (name.action, name.because) == (Action.Z, "name")
    assert (other.action, other.because) == (Action.X, "Unsupported data element")


def test_gc_v6_a_class_without_a_table_is_rejected_with_the_justification(tmp_path: Path) -> None:
    procedure = loaded(tmp_path, document(justification="J"))

    with pytest.raises(SOPClassNotSupported, match=r"^J$"):
        procedure.table_for(MR)


def test_gc_v7_without_a_default_a_class_without_a_table_is_rejected(tmp_path: Path) -> None:
    top = document()
    del top["default"]

    with pytest.raises(SOPClassNotSupported):
        loaded(tmp_path, top).table_for(MR)


def test_gc_v8_without_a_default_of_the_class_an_unknown_tag_is_removed(tmp_path: Path) -> None:
    top = document()
    del top["sopClass"][CT]["default"]

    assert loaded(tmp_path, top).table_for(CT).rule_for(0x00100020, "LO").action is Action.X


def test_gc2_the_default_k_keeps_objects_of_other_classes(tmp_path: Path) -> None:
    procedure = loaded(tmp_path, document(default="K"))

    assert procedure.table_for(MR).rule_for(0x00100010, "PN").action is Action.K


def test_gc2_a_default_that_makes_no_object_rejects(tmp_path: Path) -> None:
    with pytest.raises(SOPClassNotSupported):
        loaded(tmp_path, document(default="X")).table_for(MR)


def test_gc8_r_on_a_tag_carries_its_justification(tmp_path: Path) -> None:
    rule = loaded(tmp_path, document()).table_for(CT).rule_for(0x00100040, "CS")

    assert (rule.action, rule.because) == (Action.R, "no sex here")


def test_gc10_a_private_tag_may_be_kept_by_its_literal_tag(tmp_path: Path) -> None:
    table = loaded(tmp_path, document()).table_for(CT)

    assert table.rule_for(0x00191001, "LO", "ANY").action is Action.K
    assert table.rule_for(0x00191002, "LO", "ANY").action is Action.X


def test_masks_match_here(tmp_path: Path) -> None:
    table = loaded(tmp_path, document()).table_for(CT)

    assert table.rule_for(0x60023000, "OW").action is Action.K
    assert table.rule_for(0x60013000, "OW").action is Action.X


@pytest.mark.parametrize(("value", "rejects"), [("YES", True), ("yes", True), ("NO", False), ("", False)])
def test_gc11_objects_with_burned_in_text_are_rejected(value: str, rejects: bool) -> None:
    (gate,) = library.load("grand-challenge").rejects

    assert gate.when.holds(lambda tag: (value,), {}) is rejects
    assert gate.when.holds(lambda tag: ("NO", value), {}) is rejects


def test_the_built_in_procedure_loads_as_published() -> None:
    procedure = library.load("grand-challenge")

    counts = {uid: len(table.rules) + len(table.masks) for uid, table in built_in().tables.items()}
    assert counts == {CT: 426, MR: 381, WSI: 408}
    assert set(procedure.tables) == {CT, MR, WSI}
    assert procedure.version == built_in().version
    assert procedure.dummies is Dummies.GRAND_CHALLENGE
    assert (procedure.codes, procedure.dates) == ((), None)
    assert procedure.table_for(CT).rules == built_in().tables[CT].rules


def test_gc_v17_other_classes_are_rejected_by_the_built_in_procedure() -> None:
    with pytest.raises(SOPClassNotSupported, match="Unsupported SOP Class"):
        library.load("grand-challenge").table_for(PT)


def test_rows_may_lie_over_the_built_in_procedure(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["grand-challenge"]\n[attributes]\nPatientID = { value = "{pseudonym}" }\n'
        '[sop_class.PT]\nPatientName = "Z"'
    )

    procedure = library.load(tmp_path / "site.toml")

    assert procedure.table_for(CT).rules[tag_of("PatientID")].call is not None
    assert procedure.table_for(CT).rules[tag_of("StudyDate")].action is Action.Z
    assert procedure.table_for(PT).rules[tag_of("PatientName")].action is Action.Z


def test_a_json_may_be_the_base_of_a_profile(tmp_path: Path) -> None:
    (tmp_path / "ours.json").write_text(json.dumps(document()))
    (tmp_path / "site.toml").write_text('name = "site"\nbase = "ours.json"\n[attributes]\nPatientID = "D"')

    procedure = library.load(tmp_path / "site.toml")

    assert procedure.table_for(CT).rules[0x00100010].action is Action.Z
    assert procedure.table_for(CT).rules[0x00100020].action is Action.D
    assert procedure.version == "2025.1.0"


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    top = document()
    place = top
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return top


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("version",), None, "top: version is missing"),
        (("version",), 3, "top: version is not a text"),
        (("sopClass",), None, "top: sopClass is missing"),
        (("justification",), "", "top: justification is not a text"),
        (("default",), "C", "top: default 'C' is not one of X, K, D, Z, U, R"),
        (("extra",), 1, "top: unknown key 'extra'"),
        (("sopclass",), {}, "did you mean sopClass?"),
        (("sopClass", "1.2.x"), {}, "the key is no UID"),
        (("sopClass", CT), [], "not an object"),
        (("sopClass", CT, "tag"), None, "tag is missing"),
        (("sopClass", CT, "justification"), None, "justification is missing"),
        (("sopClass", CT, "tag", "(0010,0020)"), {"default": "K"}, "(0010,0020): justification is missing"),
        (("sopClass", CT, "tag", "(0010,0020)"), {"justification": "x"}, "(0010,0020): default is missing"),
        (
            ("sopClass", CT, "tag", "(0010,0020)"),
            {"default": "Q", "justification": "x"},
            "default 'Q' is not one",
        ),
        (("sopClass", CT, "tag", "0010,0020"), {"default": "K", "justification": "x"}, "a tag is written"),
        (("sopClass", CT, "tag", "(7fe0,0010)"), {"default": "K", "justification": "x"}, "upper case digits"),
        (
            ("sopClass", CT, "tag", "(0008,0016)"),
            {"default": "X", "justification": "x"},
            "SOPClassUID is needed",
        ),
    ],
)
def test_what_breaks_the_schema_is_refused(path: tuple[str, ...], value: Any, says: str) -> None:
    found = problems(changed(path, value))

    assert len(found) >= 1
    assert any(says in problem for problem in found), found


def test_everything_that_breaks_the_schema_is_said_at_once() -> None:
    top = changed(("sopClass", CT, "tag", "(0010,0020)"), {"default": "Q"})
    top["extra"] = 1
    del top["version"]

    assert len(problems(top)) == 4


def test_no_json_and_keys_that_stand_twice_are_refused() -> None:
    for text in ("{", '{"a": 1, "a": 2}', "[]"):
        with pytest.raises(ProfileError, match=r"procedure\.json"):
            read_json(text, "procedure.json")


def test_an_empty_document_is_not_the_built_in_procedure() -> None:
    assert len(problems({})) == 4


def test_an_imported_procedure_does_the_same(tmp_path: Path) -> None:
    imported = to_toml(built_in().text, "procedure.json", "gc")
    (tmp_path / "gc.toml").write_text(imported.text)

    procedure = library.load(tmp_path / "gc.toml")

    original = library.load("grand-challenge")
    told = {sentence.split(": ")[1] for sentence in imported.left_out}
    assert told == {"URNCodeValue", "FunctionalGroupPrivateCreator"}
    for uid in (CT, MR, WSI):
        for difference in diff(original, procedure, uid):
            before, after = difference.before, difference.after
            kept_because_needed = before is None and after is not None and "needed to read" in after.because
            dummy_for_type_1 = (
                before is not None and before.action == "Z" and after is not None and after.action == "D"
            )
            assert kept_because_needed or dummy_for_type_1 or difference.selector in told
    assert procedure.dummies is Dummies.GRAND_CHALLENGE
    assert [gate.when for gate in procedure.rejects] == [gate.when for gate in original.rejects]


def test_an_imported_procedure_rejects_other_classes_for_its_reason(tmp_path: Path) -> None:
    (tmp_path / "gc.toml").write_text(to_toml(json.dumps(document()), "procedure.json", "gc").text)

    with pytest.raises(SOPClassNotSupported, match="Unsupported SOP Class"):
        library.load(tmp_path / "gc.toml").table_for(PT)
