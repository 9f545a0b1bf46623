"""How a table meets an element: private blocks, path tables, dummies in sequences, what is remembered."""

from __future__ import annotations

import pytest

from deid_node.engine.encoding import EXPLICIT_LITTLE
from deid_node.engine.plan import Entry, Plan, Plans
from deid_node.engine.rewrite import Deidentifier
from deid_node.profile.procedure import Action, Dummies, Rule, Table
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, Form, procedure, run
from tests.rewriting import pseudonyms

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_KEEP = Rule(Action.K)
_ACME_ONE = {(0x0009, "ACME", 0x01): _KEEP}


def _private(form: Form, tag: int, vr: str, value: bytes) -> bytes:
    return form.element(tag, vr, value)


# --- private blocks (PS3.5 7.8.1) ---------------------------------------------------------------------


@_PER_FORM
@pytest.mark.parametrize("block", [0x10, 0x11, 0x77, 0xFF])
def test_a_private_element_is_known_by_its_creator_whatever_its_block(form: Form, block: int) -> None:
    creator = form.element(0x00090000 | block, "LO", b"ACME")
    kept = form.element(0x00090000 | block << 8 | 0x01, "DS", b"1.5")
    other = form.element(0x00090000 | block << 8 | 0x02, "LO", b"SECRET")

    output = run(procedure(private=_ACME_ONE), form.dataset(creator, kept, other), form)

    assert output == form.dataset(creator, kept)


@_PER_FORM
def test_two_creators_in_one_group_are_kept_apart(form: Form) -> None:
    first = (form.element(0x00090010, "LO", b"OTHER"), form.element(0x00091001, "DS", b"6.6"))
    second = (form.element(0x00090011, "LO", b"ACME"), form.element(0x00091101, "DS", b"1.5"))

    output = run(procedure(private=_ACME_ONE), form.dataset(first[0], second[0], first[1], second[1]), form)

    assert output == form.dataset(*second)


@_PER_FORM
def test_a_creator_that_reserves_two_blocks_decides_both(form: Form) -> None:
    elements = (
        form.element(0x00090010, "LO", b"ACME"),
        form.element(0x00090012, "LO", b"ACME"),
        form.element(0x00091001, "DS", b"1"),
        form.element(0x00091201, "DS", b"2"),
    )

    assert run(procedure(private=_ACME_ONE), form.dataset(*elements), form) == form.dataset(*elements)


@_PER_FORM
@pytest.mark.parametrize("tag", [0x00091001, 0x00090001, 0x00090101, 0x00090FFF])
def test_a_private_element_without_its_creator_is_absent(form: Form, tag: int) -> None:
    element = form.element(tag, "DS", b"1.5")

    assert run(procedure(private=_ACME_ONE), form.dataset(element), form) == form.dataset()


@_PER_FORM
@pytest.mark.parametrize("name", [b"acme", b"ACME 2", b"", b"ACM"])
def test_a_creator_of_another_name_decides_nothing(form: Form, name: bytes) -> None:
    elements = (form.element(0x00090010, "LO", name), form.element(0x00091001, "DS", b"1.5"))

    assert run(procedure(private=_ACME_ONE), form.dataset(*elements), form) == form.dataset()


@_PER_FORM
def test_the_creator_of_another_group_decides_nothing(form: Form) -> None:
    elements = (form.element(0x00090010, "LO", b"ACME"), form.element(0x000B1001, "DS", b"1.5"))

    output = run(procedure(private=_ACME_ONE), form.dataset(*elements), form)

    assert output == form.dataset(elements[0])


@_PER_FORM
@pytest.mark.parametrize("padded", [b"ACME  ", b" ACME ", b"ACME\0\0"])
def test_the_padding_of_a_creator_is_no_part_of_its_name(form: Form, padded: bytes) -> None:
    elements = (form.element(0x00090010, "LO", padded), form.element(0x00091001, "DS", b"1.5"))

    assert run(procedure(private=_ACME_ONE), form.dataset(*elements), form) == form.dataset(*elements)


@_PER_FORM
def test_an_item_has_creators_of_its_own(form: Form) -> None:
    creator, element = form.element(0x00090010, "LO", b"ACME"), form.element(0x00091001, "DS", b"1.5")
    dataset = form.dataset(
        form.sequence(0x00081140, form.item(creator, element), form.item(element)), creator, element
    )

    output = run(procedure({0x00081140: Action.K}, private=_ACME_ONE), dataset, form)

    assert output == form.dataset(
        form.sequence(0x00081140, form.item(creator, element), form.item()), creator, element
    )


@_PER_FORM
def test_all_of_a_group_may_be_kept_without_naming_creators(form: Form) -> None:
    elements = (form.element(0x00090010, "LO", b"ACME"), form.element(0x00091001, "DS", b"1.5"))
    keeping = procedure(masks=((0xFFFF0000, 0x00090000, _KEEP),))

    assert run(keeping, form.dataset(*elements), form) == form.dataset(*elements)


def test_a_private_sequence_known_to_a_dictionary_is_read_in_implicit_vr_too() -> None:
    # (2005,140F) of this creator is a sequence in the private dictionary.
    creator = IMPLICIT.element(0x20050014, "LO", b"Philips MR Imaging DD 005")
    inside = IMPLICIT.item(
        IMPLICIT.element(0x00081030, "LO", b"x "), IMPLICIT.element(0x00100010, "PN", b"SECRET")
    )
    keeping = procedure({0x00081030: Action.K}, private={(0x2005, "Philips MR Imaging DD 005", 0x0F): _KEEP})

    output = run(keeping, IMPLICIT.dataset(creator, IMPLICIT.sequence(0x2005140F, inside)), IMPLICIT)

    assert output == IMPLICIT.dataset(
        creator, IMPLICIT.sequence(0x2005140F, IMPLICIT.item(IMPLICIT.element(0x00081030, "LO", b"x ")))
    )


# --- sequences ----------------------------------------------------------------------------------------


def _items(form: Form, *, undefined: bool, items_undefined: bool) -> tuple[bytes, bytes]:
    """Return a sequence of three items, and what is left of it without names."""
    code, name = form.element(0x00080100, "SH", b"1"), form.element(0x00100010, "PN", b"SECRET")
    items = (
        form.item(code, undefined=items_undefined),
        form.item(code, name, undefined=items_undefined),
        form.item(undefined=items_undefined),
    )
    left = (items[0], form.item(code), items[2])
    return form.sequence(0x00081140, *items, undefined=undefined), form.sequence(0x00081140, *left)


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("items_undefined", [False, True])
def test_a_changed_sequence_has_defined_length_and_its_unchanged_items_as_they_were(
    form: Form, undefined: bool, items_undefined: bool
) -> None:
    sequence, left = _items(form, undefined=undefined, items_undefined=items_undefined)

    output = run(procedure({0x00100010: Action.X}, unlisted=Action.K), form.dataset(sequence), form)

    assert output == form.dataset(left)


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("items_undefined", [False, True])
def test_an_unchanged_sequence_stays_byte_for_byte(
    form: Form, undefined: bool, items_undefined: bool
) -> None:
    dataset = form.dataset(_items(form, undefined=undefined, items_undefined=items_undefined)[0])

    assert run(procedure(unlisted=Action.K), dataset, form) == dataset


@_PER_FORM
@pytest.mark.parametrize("action", [Action.X, Action.Z])
@pytest.mark.parametrize("undefined", [False, True])
def test_x_and_z_on_a_sequence_leave_no_items(form: Form, action: Action, undefined: bool) -> None:
    dataset = form.dataset(_items(form, undefined=undefined, items_undefined=undefined)[0])

    output = run(procedure({0x00081140: action}, unlisted=Action.K), dataset, form)

    assert output == (form.dataset() if action is Action.X else form.dataset(form.sequence(0x00081140)))


@_PER_FORM
def test_an_empty_sequence_stays_empty_under_every_action(form: Form) -> None:
    empty = form.dataset(form.sequence(0x00081140))

    for action in (Action.K, Action.Z, Action.D, Action.C, Action.U):
        assert run(procedure({0x00081140: action}), empty, form) == empty


@_PER_FORM
@pytest.mark.parametrize("dummies", [Dummies.STANDARD, Dummies.GRAND_CHALLENGE])
def test_d_on_a_sequence_makes_every_leaf_a_dummy_whatever_its_row_says(form: Form, dummies: Dummies) -> None:
    leaves = form.item(
        form.element(0x00080100, "SH", b"T-1"),
        form.element(0x00081155, "UI", b"1.2.3"),
        form.sequence(0x00081199, form.item(form.element(0x00100010, "PN", b"SECRET"))),
        form.element(0x00280010, "US", form.us(7)),
    )
    dataset = form.dataset(form.sequence(0x00082112, leaves))
    rules = {0x00082112: Action.D, 0x00080100: Action.K, 0x00081199: Action.X, 0x00100010: Action.K}

    output = run(procedure(rules, dummies=dummies), dataset, form)

    ours = dummies is Dummies.STANDARD
    uid = pseudonyms().uid(b"1.2.3") if ours else b"1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0"
    expected = form.item(
        form.element(0x00080100, "SH", b"DEIDENTIFIED" if ours else b"DUMMY"),
        form.element(0x00081155, "UI", uid),
        form.sequence(
            0x00081199,
            form.item(form.element(0x00100010, "PN", b"Deidentified^" if ours else b"DUMMY^PATIENT^^^")),
        ),
        form.element(0x00280010, "US", form.us(0)),
    )
    assert output == form.dataset(form.sequence(0x00082112, expected))


@_PER_FORM
def test_a_table_for_the_items_decides_down_to_the_leaves_of_its_sequence_only(form: Form) -> None:
    name = form.element(0x00100010, "PN", b"A")
    inner = form.sequence(0x00081140, form.item(name))
    innermost = Table(rules={0x00100010: Rule(Action.Z)}, unlisted=Rule(Action.X))
    inside = Table(rules={0x00081140: Rule(Action.K, items=innermost)}, unlisted=Rule(Action.X))
    dataset = form.dataset(inner, form.sequence(0x00082112, form.item(inner, name)), name)

    output = run(
        procedure({0x00082112: Rule(Action.K, items=inside), 0x00081140: Action.K, 0x00100010: Action.K}),
        dataset,
        form,
    )

    emptied = form.sequence(0x00081140, form.item(form.element(0x00100010, "PN")))
    assert output == form.dataset(inner, form.sequence(0x00082112, form.item(emptied)), name)


@_PER_FORM
def test_r_in_an_item_rejects_the_object_and_says_where(form: Form) -> None:
    name = form.element(0x00100010, "PN", b"SECRET")
    dataset = form.dataset(
        form.sequence(0x00081140, form.item(), form.item(form.sequence(0x00082112, form.item(name))))
    )

    with pytest.raises(Exception, match="no justification provided") as refusal:
        run(procedure({0x00100010: Action.R}, unlisted=Action.K), dataset, form)

    assert refusal.value.path == "ReferencedImageSequence[1].SourceImageSequence[0].PatientName"  # type: ignore[attr-defined]
    assert "SECRET" not in str(refusal.value)


@_PER_FORM
def test_an_items_own_character_set_decides_how_its_texts_are_cleaned(form: Form) -> None:
    cleaning = procedure({0x00204000: Action.C}, unlisted=Action.K)
    text = form.element(0x00204000, "LT", "печень".encode("iso8859_5"))
    with_own = form.item(
        form.element(0x00080005, "CS", b"ISO_IR 144"), form.sequence(0x00082112, form.item(text))
    )
    dataset = form.dataset(form.element(0x00080005, "CS", b"ISO_IR 192"), form.sequence(0x00081140, with_own))

    assert run(cleaning, dataset, form) == dataset


# --- what is remembered between objects -----------------------------------------------------------------


@_PER_FORM
def test_an_object_does_not_depend_on_those_before_it(form: Form) -> None:
    cleaning = procedure(
        {0x00080020: Action.C, 0x00081030: Action.C, 0x00080104: Action.C, 0x00081155: Action.U},
        unlisted=Action.K,
        identity_removed=True,
    )

    def of(patient: bytes, number: bytes) -> bytes:
        item = form.item(
            form.element(0x00080104, "LO", b"left " + patient), form.element(0x00081155, "UI", b"1.2.3")
        )
        return form.dataset(
            form.element(0x00080020, "DA", b"20240312"),
            form.element(0x00081030, "LO", b"abdomen of " + patient),
            form.sequence(0x00081140, item),
            form.element(0x00100010, "PN", patient + b"^Ann"),
            form.element(0x00100020, "LO", number),
        )

    objects = [of(b"Zabrowska", b"1"), of(b"Miller", b"2"), of(b"Zabrowska", b"3"), of(b"Zabrowska", b"1")]
    shared = Deidentifier(cleaning, pseudonyms())

    together = [run(shared, one, form) for one in objects]

    assert together == [run(cleaning, one, form) for one in objects]
    assert together[0] == together[3]


def _many_private(first: int, count: int) -> bytes:
    """Return an object with so many private attributes, in blocks of 200 of the groups from `first` on."""
    elements = [EXPLICIT.element(0x00080060, "CS", b"MR"), EXPLICIT.element(0x00100010, "PN", b"Zabrowska^A")]
    for block in range(-(-count // 200)):
        group, at = first + block // 200 * 2, 0x10 + block % 200
        elements.append(EXPLICIT.element(group << 16 | at, "LO", b"BLOCK %d" % block))
    for number in range(count):
        block, at = divmod(number, 200)
        group = first + block // 200 * 2
        elements.append(EXPLICIT.element(group << 16 | (0x10 + block % 200) << 8 | at, "LO", b"x"))
    elements.sort(key=lambda one: one[1::-1] + one[3:1:-1])
    return EXPLICIT.dataset(*elements)


_PRIVATE_ROWS = pytest.mark.parametrize("private", [{}, _ACME_ONE], ids=["no private row", "a private row"])
_EMPTY = EXPLICIT.dataset(EXPLICIT.element(0x00080060, "CS", b"MR"), EXPLICIT.element(0x00100010, "PN"))


@_PRIVATE_ROWS
def test_many_private_attributes_are_not_decided_anew_in_every_object(
    private: dict[tuple[int, str, int], Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Deidentifier(
        procedure({0x00080060: Action.K, 0x00100010: Action.Z}, private=private), pseudonyms()
    )
    decided: list[int] = []
    decide = Plans.decide

    def watch(self: Plans, plan: Plan, code: int) -> Entry:
        decided.append(code)
        return decide(self, plan, code)

    run(shared, _many_private(0x1001, 90_000))
    monkeypatch.setattr(Plans, "decide", watch)
    output = run(shared, _many_private(0x1001, 90_000))

    assert output == _EMPTY
    assert len(decided) < 100


@_PRIVATE_ROWS
def test_private_attributes_without_end_do_not_fill_the_memory(
    private: dict[tuple[int, str, int], Rule],
) -> None:
    shared = Deidentifier(
        procedure({0x00080060: Action.K, 0x00100010: Action.Z}, private=private), pseudonyms()
    )

    outputs = {run(shared, _many_private(first, 60_000)) for first in (0x1001, 0x2001, 0x3001)}

    assert outputs == {_EMPTY}
    assert all(len(plan.entries) <= 100_000 for plan in shared.plans._plans.values())
    assert len(EXPLICIT_LITTLE.shapes) < 110_000


def test_one_deidentifier_serves_all_encodings() -> None:
    shared = Deidentifier(procedure({0x00100010: Action.Z}, unlisted=Action.K), pseudonyms())

    for form in (*FORMS, *FORMS):
        dataset = form.dataset(
            form.element(0x00100010, "PN", b"A"), form.element(0x00280010, "US", form.us(258))
        )

        assert run(shared, dataset, form) == form.dataset(
            form.element(0x00100010, "PN"), form.element(0x00280010, "US", form.us(258))
        )


def test_the_items_of_an_un_sequence_are_in_implicit_vr_also_in_big_endian() -> None:
    rows = IMPLICIT.element(0x00280010, "US", b"\1\0")
    inside = IMPLICIT.item(IMPLICIT.element(0x00100010, "PN", b"SECRET"), rows)

    output = run(
        procedure({0x00100010: Action.X}, unlisted=Action.K),
        BIG.dataset(BIG.element(0x00081140, "UN", inside)),
        BIG,
    )

    assert output == BIG.dataset(BIG.element(0x00081140, "UN", IMPLICIT.item(rows)))
