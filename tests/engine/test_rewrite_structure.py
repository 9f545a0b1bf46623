"""What the structure of a dataset decides: padding, group lengths, UN, VRs that contradict, tail, pixels."""

from __future__ import annotations

import pytest

from deid_node.engine.scan import Limits
from deid_node.errors import Malformed
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action
from deid_node.settings.network import LimitSettings
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, UNDEFINED, Form, procedure, run
from tests.seeds.objects import KEEP_ALL, deidentified, item, items, made

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_EXPLICIT_FORMS = pytest.mark.parametrize("form", (EXPLICIT, BIG), ids=lambda form: form.name)
_KEEP_ALL = procedure(unlisted=Action.K)
_DEIDENTIFYING = procedure(unlisted=Action.K, identity_removed=True)


def _odd(form: Form, tag: int, vr: str, value: bytes) -> bytes:
    return form.element(tag, vr, value, length=len(value))


# --- odd lengths (PS3.5 7.1.1) ------------------------------------------------------------------------

_ODD = (
    (0x00081030, "LO", b"odd", b"odd "),
    (0x00081150, "UI", b"1.2.3", b"1.2.3\0"),
    (0x00081150, "UI", b"1.2.840.10008.1.1", b"1.2.840.10008.1.1\0"),
    (0x00204000, "LT", b"odd", b"odd "),
    (0x00281201, "OW", b"\1\2\3", b"\1\2\3\0"),
    (0x00282000, "OB", b"\1\2\3", b"\1\2\3\0"),
    (0x0022000A, "FL", b"\1\2\3", b"\1\2\3\0"),
)


@_PER_FORM
@pytest.mark.parametrize(("tag", "vr", "value", "padded"), _ODD)
def test_a_kept_value_of_odd_length_is_padded(
    form: Form, tag: int, vr: str, value: bytes, padded: bytes
) -> None:
    if form is IMPLICIT and vr == "OB":
        pytest.skip("the ICC profile is OB in the dictionary as well")

    output = run(_KEEP_ALL, form.dataset(_odd(form, tag, vr, value)), form)

    assert output == form.dataset(form.element(tag, vr, padded))


@_PER_FORM
def test_a_registered_uid_of_odd_length_is_padded_under_u(form: Form) -> None:
    dataset = form.dataset(_odd(form, 0x00081150, "UI", b"1.2.840.10008.1.1"))

    output = run(procedure({0x00081150: Action.U}), dataset, form)

    assert output == form.dataset(form.element(0x00081150, "UI", b"1.2.840.10008.1.1\0"))


@_PER_FORM
def test_a_clean_text_of_odd_length_is_padded_under_c(form: Form) -> None:
    dataset = form.dataset(_odd(form, 0x00081030, "LO", b"ABDOMEN"))

    output = run(procedure({0x00081030: Action.C}), dataset, form)

    assert output == form.dataset(form.element(0x00081030, "LO", b"ABDOMEN "))


@_PER_FORM
def test_a_blank_date_of_odd_length_is_padded_under_c(form: Form) -> None:
    output = run(procedure({0x00080020: Action.C}), form.dataset(_odd(form, 0x00080020, "DA", b" ")), form)

    assert output == form.dataset(form.element(0x00080020, "DA", b"  "))


@_PER_FORM
def test_values_of_odd_length_inside_items_are_padded(form: Form) -> None:
    inner = _odd(form, 0x00080104, "LO", b"odd")
    for undefined in (False, True):
        item = form.item(inner, undefined=undefined)
        dataset = form.dataset(form.sequence(0x00082218, item, undefined=undefined))

        output = run(_KEEP_ALL, dataset, form)

        assert output == form.dataset(
            form.sequence(0x00082218, form.item(form.element(0x00080104, "LO", b"odd ")))
        )


@_PER_FORM
def test_a_kept_private_creator_of_odd_length_is_padded(form: Form) -> None:
    keeping = procedure(private={(0x0009, "ACME", 1): _KEEP_ALL.table_for("").unlisted})
    dataset = form.dataset(
        form.element(0x00090010, "LO", b"ACME", length=4), form.element(0x00091001, "DS", b"1")
    )
    odd = form.dataset(_odd(form, 0x00090010, "LO", b"ACME\0"), form.element(0x00091001, "DS", b"1"))

    assert run(keeping, dataset, form) == dataset
    assert len(run(keeping, odd, form)) % 2 == 0


@_PER_FORM
@pytest.mark.parametrize("vr", ["LO", "LT", "OB", "UN"])
def test_an_odd_length_does_not_shelter_a_known_identifier(vr: str, form: Form) -> None:
    value = b"of Zabrowska"
    dataset = form.dataset(
        form.element(0x00100010, "PN", b"Zabrowska^Ilse"),
        _odd(form, 0x00204000, vr, value + b" " * (1 - len(value) % 2)),
    )

    output = run(_DEIDENTIFYING, dataset, form)

    assert b"ZABROWSKA" not in output.replace(b"Zabrowska^Ilse", b"").upper()


# --- group lengths, command and meta groups -----------------------------------------------------------


@_PER_FORM
def test_group_lengths_are_absent_at_every_depth(form: Form) -> None:
    length = form.element(0x00080000, "UL", b"\0\0\0\0")
    other = form.element(0x00280010, "US", form.us(1))
    dataset = form.dataset(
        length,
        form.sequence(0x00082112, form.item(length, form.element(0x00081155, "UI", b"1.2.3\0"))),
        form.element(0x00280000, "UL", b"\0\0\0\0"),
        other,
    )

    output = run(_KEEP_ALL, dataset, form)

    assert output == form.dataset(
        form.sequence(0x00082112, form.item(form.element(0x00081155, "UI", b"1.2.3"))), other
    )


@_PER_FORM
@pytest.mark.parametrize("tag", [0x00000002, 0x00020016, 0x00041130, 0x00010010, 0x00070011])
def test_groups_that_are_no_part_of_a_dataset_are_absent_whatever_is_unlisted(tag: int, form: Form) -> None:
    output = run(_KEEP_ALL, form.dataset(form.element(tag, "UI", b"1.2.3")), form)

    assert output == form.dataset()


# --- UN -----------------------------------------------------------------------------------------------


@_EXPLICIT_FORMS
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("undefined_items", [False, True])
def test_a_known_sequence_coded_as_un_is_read_in_implicit_vr(
    form: Form, undefined: bool, undefined_items: bool
) -> None:
    name, code = IMPLICIT.element(0x00100010, "PN", b"Secret"), IMPLICIT.element(0x00080100, "SH", b"1")
    inside = IMPLICIT.item(code, name, undefined=undefined_items)
    kept = IMPLICIT.item(code)
    end = IMPLICIT.tag(0xFFFEE0DD) + IMPLICIT.long(0)
    if undefined:
        element = form.element(0x00081110, "UN", inside + end, length=UNDEFINED)
        expected = form.element(0x00081110, "UN", kept + end, length=UNDEFINED)
    else:
        element = form.element(0x00081110, "UN", inside)
        expected = form.element(0x00081110, "UN", kept)

    output = run(procedure({0x00100010: Action.X}, unlisted=Action.K), form.dataset(element), form)

    assert output == form.dataset(expected)


@_EXPLICIT_FORMS
def test_an_unknown_un_of_undefined_length_is_read_as_a_sequence(form: Form) -> None:
    inside = IMPLICIT.item(IMPLICIT.element(0x00100010, "PN", b"Secret"))
    end = IMPLICIT.tag(0xFFFEE0DD) + IMPLICIT.long(0)
    element = form.element(0x00091001, "UN", inside + end, length=UNDEFINED)

    output = run(procedure({0x00100010: Action.X}, unlisted=Action.K), form.dataset(element), form)

    assert output == form.dataset(form.element(0x00091001, "UN", IMPLICIT.item() + end, length=UNDEFINED))


@_EXPLICIT_FORMS
@pytest.mark.parametrize(
    ("action", "value", "expected"),
    [
        (Action.K, b"Doe^Jane", b"Doe^Jane"),
        (Action.Z, b"Doe^Jane", b""),
        (Action.D, b"Doe^Jane", b"Deidentified^ "),
        (Action.X, b"Doe^Jane", None),
    ],
)
def test_a_known_attribute_coded_as_un_is_treated_as_what_it_is(
    form: Form, action: Action, value: bytes, expected: bytes | None
) -> None:
    dataset = form.dataset(form.element(0x00101005, "UN", value))

    output = run(procedure({0x00101005: action}), dataset, form)

    assert output == (
        form.dataset() if expected is None else form.dataset(form.element(0x00101005, "UN", expected))
    )


def test_a_sequence_coded_as_un_that_holds_no_items_is_malformed() -> None:
    with pytest.raises(Malformed):
        run(_KEEP_ALL, EXPLICIT.dataset(EXPLICIT.element(0x00081110, "UN", b"Secret^Name!")))


# --- VRs that contradict the dictionary ------------------------------------------------------------------

_CONTRADICTIONS = (
    (0x00080020, "LO", b"Zabrowska"),  # Study Date as text: text may say more than a date
    (0x00080020, "OB", b"Zabrowska"),
    (0x00280010, "UT", b"Zabrowska"),  # Rows
    (0x00081140, "LO", b"Zabrowska"),  # Referenced Image Sequence
    (0x7FE00010, "PN", b"Zabrowska"),
)


@_EXPLICIT_FORMS
@pytest.mark.parametrize(("tag", "vr", "value"), _CONTRADICTIONS)
def test_a_vr_that_can_say_more_than_the_attribute_may_is_removed(
    form: Form, tag: int, vr: str, value: bytes
) -> None:
    output = run(procedure({tag: Action.K}), form.dataset(form.element(tag, vr, value)), form)

    assert output == form.dataset()


@_EXPLICIT_FORMS
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [(0x00081030, "UT", b"text"), (0x00280010, "UL", b"\1\0\0\0"), (0x00200011, "DS", b"1 ")],
)
def test_a_vr_that_says_no_more_than_the_attribute_may_stays(
    form: Form, tag: int, vr: str, value: bytes
) -> None:
    dataset = form.dataset(form.element(tag, vr, value))

    assert run(procedure({tag: Action.K}), dataset, form) == dataset


@_EXPLICIT_FORMS
def test_a_name_coded_as_a_sequence_is_treated_item_by_item(form: Form) -> None:
    inside = form.item(form.element(0x00080100, "SH", b"1"), form.element(0x00100020, "LO", b"SECRET"))
    dataset = form.dataset(form.sequence(0x00100010, inside))

    output = run(procedure({0x00100010: Action.K, 0x00080100: Action.K}), dataset, form)

    assert output == form.dataset(form.sequence(0x00100010, form.item(form.element(0x00080100, "SH", b"1"))))


# --- after Pixel Data -----------------------------------------------------------------------------------


@_PER_FORM
def test_nothing_follows_the_pixels_under_the_basic_profile(form: Form) -> None:
    pixels = form.element(0x7FE00010, "OW", b"\1\2\3\4")
    tail = (
        form.element(0x7FE10010, "LO", b"ACME TAIL"),
        form.element(0x7FE11001, "LO", b"SECRET"),
        form.sequence(0xFFFAFFFA, form.item(form.element(0x04000100, "UI", b"1.2.3"))),
        form.element(0xFFFCFFFC, "OB", b"SECRET"),
    )

    output = run(basic_procedure(), form.dataset(pixels, *tail), form)

    assert output.endswith(pixels)


@_PER_FORM
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [(0x7FE00008, "OF", bytes(8)), (0x7FE00009, "OD", bytes(16)), (0x7FE00010, "OW", bytes(6))],
)
def test_pixels_are_kept_byte_for_byte(form: Form, tag: int, vr: str, value: bytes) -> None:
    pixels = form.element(tag, vr, value)

    assert run(_KEEP_ALL, form.dataset(pixels), form) == form.dataset(pixels)


def test_the_pixels_of_an_icon_go_with_the_icon() -> None:
    icon = EXPLICIT.item(
        EXPLICIT.element(0x00280010, "US", EXPLICIT.us(2)), EXPLICIT.element(0x7FE00010, "OW", b"ICON")
    )
    dataset = EXPLICIT.dataset(
        EXPLICIT.sequence(0x00880200, icon), EXPLICIT.element(0x7FE00010, "OW", b"PIXELS")
    )

    output = run(basic_procedure(), dataset)

    assert b"ICON" not in output and output.endswith(EXPLICIT.element(0x7FE00010, "OW", b"PIXELS"))


def _encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    items = b"".join(map(EXPLICIT.item, (table, *fragments)))
    end = EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    return EXPLICIT.element(0x7FE00010, "OB", items + end, length=UNDEFINED)


@pytest.mark.parametrize("inside_icon", [False, True])
def test_encapsulated_pixels_are_kept_fragment_by_fragment(inside_icon: bool) -> None:
    pixels = _encapsulated(b"\xff\xd8\xff\xdaone\0", b"", b"two!", table=b"\0\0\0\0\x10\0\0\0")
    element = EXPLICIT.sequence(0x00880200, EXPLICIT.item(pixels)) if inside_icon else pixels
    dataset = EXPLICIT.dataset(element)

    assert run(_KEEP_ALL, dataset, transfer_syntax_uid="1.2.840.10008.1.2.4.50") == dataset


def test_an_odd_fragment_does_not_change_how_pixels_are_encapsulated() -> None:
    odd = _odd(EXPLICIT, 0x00081030, "LO", b"odd")
    pixels = EXPLICIT.element(
        0x7FE00010,
        "OB",
        EXPLICIT.item() + EXPLICIT.item(b"odd") + EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0),
        length=UNDEFINED,
    )
    for dataset in (
        EXPLICIT.dataset(odd, pixels),
        EXPLICIT.dataset(EXPLICIT.sequence(0x00880200, EXPLICIT.item(odd, pixels))),
    ):
        output = run(_KEEP_ALL, dataset, transfer_syntax_uid="1.2.840.10008.1.2.4.50")

        assert pixels in output


@pytest.mark.parametrize("piece_bytes", [None, 1])
def test_a_fragment_of_undefined_length_is_malformed(piece_bytes: int | None) -> None:
    inside = EXPLICIT.item(EXPLICIT.element(0x00100010, "PN", b"Secret"), undefined=True)
    end = EXPLICIT.tag(0xFFFEE0DD) + EXPLICIT.long(0)
    dataset = EXPLICIT.dataset(EXPLICIT.element(0x7FE00010, "OB", inside + end, length=UNDEFINED))

    with pytest.raises(Malformed):
        run(_KEEP_ALL, dataset, piece_bytes=piece_bytes)


def test_pixels_are_not_searched_for_identifiers() -> None:
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00100010, "PN", b"Lee^Ann"),
        EXPLICIT.element(0x00204000, "LT", b"seen by LEE"),
        EXPLICIT.element(0x60003000, "OW", b"\0LEE\0\0"),
        EXPLICIT.element(0x7FE00010, "OW", b"\0LEE\0\0"),
    )

    for piece_bytes in (None, 1, 50):
        output = run(_DEIDENTIFYING, dataset, piece_bytes=piece_bytes)

        assert output.endswith(EXPLICIT.element(0x7FE00010, "OW", b"\0LEE\0\0"))


@pytest.mark.parametrize("private", ["K", "safe"])
def test_groups_that_no_dataset_has_are_absent_at_every_depth(private: str) -> None:
    ds = made(ReferencedStudySequence=items(item(StudyInstanceUID="1.2.3")))
    for level in (ds, ds.ReferencedStudySequence[0]):
        for group in (0x0007, 0xFFFF):
            level.add_new(group << 16 | 0x0010, "LO", "GEMS_ACQU_01")
            level.add_new(group << 16 | 0x1023, "LO", "value")
        level.add_new(0x00190010, "LO", "GEMS_ACQU_01")
        level.add_new(0x00191023, "DS", "5")

    after = deidentified(f'{KEEP_ALL}private = "{private}"\n', ds)

    for level in (after, after.ReferencedStudySequence[0]):
        assert {elem.tag.group for elem in level if elem.tag.is_private} == {0x0019}


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_deepest_nesting_that_can_be_set_is_rewritten(form: Form, undefined: bool) -> None:
    (bound,) = (rule.le for rule in LimitSettings.model_fields["depth"].metadata if hasattr(rule, "le"))
    element = form.element(0x00080104, "LO", b"left lobe")
    for _ in range(bound):
        element = form.sequence(0x00400275, form.item(element, undefined=undefined), undefined=undefined)

    output = run(procedure(unlisted=Action.K), form.dataset(element), form, limits=Limits(depth=bound))

    assert b"left lobe" in output
