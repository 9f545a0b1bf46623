"""What is written whatever the original says: stamps, set values, forced UIDs; and what stands between."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from deid_node.errors import Rejected
from deid_node.profile.procedure import Action, Call, DateChange, Dummies, Procedure, SetValue
from tests.engine.encoded import FORMS, INSTANCE, Form, procedure, run, run_with_summary

_KEPT = {0x00100010: Action.K, 0x00120063: Action.K, 0x00120064: Action.K, 0x00280010: Action.K}
_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


def _set(**templates: str) -> MappingProxyType[int, tuple[SetValue, ...]]:
    values = {int(tag.lstrip("t"), 16): Call("set", {"template": text}) for tag, text in templates.items()}
    return MappingProxyType({tag: (SetValue(call),) for tag, call in values.items()})


def _stamping(**changes: object) -> Procedure:
    return procedure(
        _KEPT, identity_removed=True, method="deid_node: a test", dates=DateChange.REMOVED, **changes
    )


def _stamps(form: Form, *methods: bytes) -> tuple[bytes, bytes]:
    return (
        form.element(0x00120062, "CS", b"YES"),
        form.element(0x00120063, "LO", b"\\".join((*methods, b"deid_node: a test"))),
    )


def _removed(form: Form) -> bytes:
    return form.element(0x00280303, "CS", b"REMOVED")


@_PER_FORM
def test_what_is_removed_between_two_set_values_is_absent(form: Form) -> None:
    dataset = form.dataset(
        form.element(0x00100010, "PN", b"Secret^Name"),
        form.element(0x00100020, "LO", b"SECRET-ID"),
        form.element(0x00100030, "DA", b"19700101"),
    )

    output = run(procedure(set_values=_set(t00100010="X", t00100030="19000101")), dataset, form)

    assert output == form.dataset(
        form.element(0x00100010, "PN", b"X"), form.element(0x00100030, "DA", b"19000101")
    )


@_PER_FORM
def test_stamps_stand_where_their_tags_belong(form: Form) -> None:
    before, after = form.element(0x00100010, "PN", b"A"), form.element(0x00280010, "US", form.us(4))

    output = run(_stamping(), form.dataset(before, after), form)

    assert output == form.dataset(before, *_stamps(form), after, _removed(form))


@_PER_FORM
def test_stamps_come_last_when_nothing_follows(form: Form) -> None:
    output = run(_stamping(), form.dataset(), form)

    assert output == form.dataset(*_stamps(form), _removed(form))


@_PER_FORM
def test_stamps_replace_what_stands_there(form: Form) -> None:
    dataset = form.dataset(
        form.element(0x00120062, "CS", b"NO"),
        form.element(0x00120063, "LO", b"another program"),
        form.element(0x00280303, "CS", b"UNMODIFIED"),
    )

    output = run(_stamping(), dataset, form)

    assert output == form.dataset(*_stamps(form), _removed(form))


@_PER_FORM
def test_a_second_pass_appends_its_method(form: Form) -> None:
    once = run(_stamping(), form.dataset(form.element(0x00100010, "PN", b"A")), form)

    twice = run(_stamping(), once, form)

    assert twice == form.dataset(
        form.element(0x00100010, "PN", b"A"), *_stamps(form, b"deid_node: a test"), _removed(form)
    )


@_PER_FORM
def test_the_grand_challenge_procedure_leaves_the_methods_of_others(form: Form) -> None:
    dataset = form.dataset(form.element(0x00120063, "LO", b"another program\\a third"))

    output = run(_stamping(dummies=Dummies.GRAND_CHALLENGE), dataset, form)

    assert output == form.dataset(*_stamps(form, b"another program", b"a third"), _removed(form))


@_PER_FORM
def test_method_codes_are_items_in_the_encoding_of_the_object(form: Form) -> None:
    output = run(_stamping(codes=("113100",)), form.dataset(), form)

    item = form.item(
        form.element(0x00080100, "SH", b"113100"),
        form.element(0x00080102, "SH", b"DCM"),
        form.element(0x00080104, "LO", b"Basic Application Confidentiality Profile"),
    )
    assert output == form.dataset(*_stamps(form), form.sequence(0x00120064, item), _removed(form))


def test_a_procedure_that_keeps_the_identity_stamps_nothing() -> None:
    dataset = FORMS[0].dataset()

    assert run(procedure(), dataset) == dataset


@_PER_FORM
def test_a_set_value_is_written_when_the_original_has_none(form: Form) -> None:
    output = run(procedure(set_values=_set(t00100020="{pseudonym}")), form.dataset(), form)

    assert output.startswith(form.dataset()) and len(output) > len(form.dataset())


@_PER_FORM
def test_a_set_value_wins_over_the_table(form: Form) -> None:
    dataset = form.dataset(form.element(0x00100020, "LO", b"0815"))

    output = run(procedure({0x00100020: Action.R}, set_values=_set(t00100020="X")), form.dataset(), form)

    assert output == form.dataset(form.element(0x00100020, "LO", b"X"))
    assert run(procedure({0x00100020: Action.K}, set_values=_set(t00100020="X")), dataset, form) == output


@_PER_FORM
def test_a_forced_uid_wins_over_a_set_value_and_names_the_object(form: Form) -> None:
    forced = procedure(set_values=_set(t00080018="9.9"), forced_uids=MappingProxyType({0x00080018: "1.2.3"}))

    output, summary = run_with_summary(forced, form.dataset(), form)

    assert output == form.dataset(sop_instance_uid="1.2.3")
    assert summary.heading.sop_instance_uid == "1.2.3"


def test_an_object_without_a_new_sop_instance_uid_is_rejected() -> None:
    with pytest.raises(Rejected) as refusal:
        run(procedure({0x00080018: Action.X}), FORMS[0].dataset())

    assert refusal.value.code == "no-sop-instance"


@_PER_FORM
def test_captured_attributes_are_those_of_the_result(form: Form) -> None:
    dataset = form.dataset(
        form.element(0x00080060, "CS", b"CT"),
        form.element(0x00100010, "PN", b"Secret^Name"),
        form.element(0x00100020, "LO", b"0815"),
    )
    capturing = procedure(
        {0x00080060: Action.K, 0x00080018: Action.U, 0x00100010: Action.Z},
        set_values=_set(t00100020="{pseudonym}"),
    )

    output, summary = run_with_summary(
        capturing, dataset, form, capture=(0x00080018, 0x00080060, 0x00100010, 0x00100020, 0x00101010)
    )

    assert summary.attributes[0x00080018] == summary.heading.sop_instance_uid != INSTANCE
    assert summary.attributes[0x00080060] == "CT"
    assert summary.attributes[0x00100010] == summary.attributes[0x00101010] == ""
    assert summary.attributes[0x00100020].encode() in output


@_PER_FORM
def test_a_captured_attribute_has_lost_the_known_identifiers(form: Form) -> None:
    dataset = form.dataset(
        form.element(0x00081030, "LO", b"SECRETNAME abdomen"),
        form.element(0x00100010, "PN", b"Secretname^Given"),
    )

    output, summary = run_with_summary(
        procedure({0x00081030: Action.K}, identity_removed=True), dataset, form, capture=(0x00081030,)
    )

    assert b"SECRETNAME" not in output
    assert "SECRETNAME" not in summary.attributes[0x00081030]


@_PER_FORM
@pytest.mark.parametrize("told", [b"Zabrowska", b"MR-40815", b"seen by Peter Petersen", b"site " + b"7" * 60])
def test_what_begins_as_a_method_of_ours_and_tells_more_is_absent(form: Form, told: bytes) -> None:
    methods = form.element(0x00120063, "LO", b"deid_node: site 7\\deid_node: " + told)
    patient = form.element(0x00100010, "PN", b"Zabrowska^Ilse"), form.element(0x00100020, "LO", b"MR-40815")
    rules = {0x00100010: Action.X, 0x00100020: Action.X, 0x00120063: Action.K}

    output = run(
        procedure(rules, identity_removed=True, method="deid_node: a test"),
        form.dataset(*patient, methods),
        form,
    )

    assert output == form.dataset(*_stamps(form, b"deid_node: site 7"))
