"""The residual check: names and IDs that leave an object leave every kept attribute of it as well."""

from __future__ import annotations

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import LimitExceeded
from deid_node.profile.procedure import Action, Rule
from tests.engine.encoded import (
    BIG,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    UNDEFINED,
    Form,
    procedure,
    run,
    run_with_summary,
)
from tests.rewriting import pseudonyms

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_NAME, _ID, _DESCRIPTION = 0x00100010, 0x00100020, 0x00081030
_DEIDENTIFYING = procedure({_NAME: Action.X, _ID: Action.X}, unlisted=Action.K, identity_removed=True)


def _patient(form: Form, name: bytes = b"Zabrowska^Ilse", number: bytes = b"MR-40815") -> tuple[bytes, bytes]:
    return form.element(_NAME, "PN", name), form.element(_ID, "LO", number)


@_PER_FORM
@pytest.mark.parametrize("secret", [b"Zabrowska", b"ZABROWSKA", b"ilse", b"MR-40815", b"mr-40815"])
@pytest.mark.parametrize("form_of_text", [b"%b", b"of %b at home", b"x^%b", b"(%b)", b"%b\\other"])
def test_a_known_identifier_leaves_a_kept_text(form: Form, secret: bytes, form_of_text: bytes) -> None:
    dataset = form.dataset(form.element(_DESCRIPTION, "LO", form_of_text % secret), *_patient(form))

    output, summary = run_with_summary(_DEIDENTIFYING, dataset, form)

    assert secret.upper() not in output.upper()
    assert summary.warnings == ("a known identifier was removed from a kept attribute",)


@_PER_FORM
@pytest.mark.parametrize("written", [b"ZX99417725", b"zx-99417725", b"99417725", b"ID: 99417725"])
def test_an_id_leaves_a_kept_text_also_without_its_letters_and_signs(form: Form, written: bytes) -> None:
    text = form.element(_DESCRIPTION, "LO", b"knee " + written)
    dataset = form.dataset(text, *_patient(form, number=b"ZX-99417725"))

    output = run(_DEIDENTIFYING, dataset, form)

    assert b"99417725" not in output
    assert b"knee" in output


@pytest.mark.parametrize("name", [b"Zabrowska^Ilse", "Żabrowska^Ilse".encode()])
def test_a_name_that_is_coded_as_un_is_known_all_the_same(name: bytes) -> None:
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00080005, "CS", b"ISO_IR 192"),
        EXPLICIT.element(0x00080070, "UN", b"for " + name.partition(b"^")[0]),
        EXPLICIT.element(_NAME, "UN", name),
    )

    output = run(_DEIDENTIFYING, dataset)

    assert name.partition(b"^")[0] not in output


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
@pytest.mark.parametrize("coded", ["element", "items"])
def test_a_person_in_an_item_is_known_where_it_or_its_sequence_is_coded_as_un(form: Form, coded: str) -> None:
    physician = 0x00321032
    if coded == "items":
        item = IMPLICIT.item(IMPLICIT.element(physician, "PN", b"Graves^Uvz"), undefined=True)
        content = item + IMPLICIT.tag(0xFFFEE0DD) + IMPLICIT.long(0)
        sequence = form.element(0x00400275, "UN", content, length=UNDEFINED)
    else:
        sequence = form.sequence(0x00400275, form.item(form.element(physician, "UN", b"Graves^Uvz")))
    dataset = form.dataset(form.element(0x0008103E, "LO", b"chest GRAVES syndrome"), sequence)

    output = run(procedure({0x0008103E: Action.C}), dataset, form)

    assert b"syndrome" in output
    assert b"GRAVES" not in output


def _coded(form: Form, charset: str, codec: str, text: str, name: str) -> bytes:
    return form.dataset(
        form.element(0x00080005, "CS", charset.encode()),
        form.element(_DESCRIPTION, "LO", text.encode(codec)),
        form.element(_NAME, "PN", name.encode(codec)),
    )


@_PER_FORM
@pytest.mark.parametrize(
    ("charset", "codec", "name", "written"),
    [
        ("ISO_IR 100", "latin-1", "Müller^Jürgen", "MÜLLER"),
        ("ISO_IR 100", "latin-1", "MÜLLER^JÜRGEN", "jürgen"),
        ("ISO_IR 100", "latin-1", "Müller^Jürgen", "Mueller"),
        ("ISO_IR 100", "latin-1", "Müller^Jürgen", "MULLER"),
        ("ISO_IR 192", "utf-8", "Żółkiewska^Łucja", "ŻÓŁKIEWSKA"),
        ("ISO_IR 192", "utf-8", "ŻÓŁKIEWSKA^ŁUCJA", "żółkiewska"),
        ("ISO_IR 192", "utf-8", "Groß^A", "GROß"),
        ("ISO_IR 101", "iso8859_2", "Żółkiewska^Łucja", "ŁUCJA"),
        ("ISO_IR 144", "iso8859_5", "Иванов^Иван", "ИВАНОВ"),
        ("ISO_IR 144", "iso8859_5", "ИВАНОВ^ИВАН", "Иванов"),
        ("ISO_IR 126", "iso8859_7", "Παπαδάκης^Νίκος", "ΝΊΚΟΣ"),
        ("GB18030", "gb18030", "王小东^A", "王小东"),
    ],
)
def test_a_name_leaves_a_kept_text_in_large_and_small_letters_of_any_script(
    form: Form, charset: str, codec: str, name: str, written: str
) -> None:
    dataset = _coded(form, charset, codec, f"x {written} y", name)

    output, summary = run_with_summary(_DEIDENTIFYING, dataset, form)

    assert written.encode(codec) not in output
    assert summary.warnings


@_PER_FORM
@pytest.mark.parametrize(("own", "codec"), [("ISO_IR 192", "utf-8"), ("ISO_IR 100", "latin-1")])
def test_a_name_leaves_an_item_with_a_character_set_of_its_own(form: Form, own: str, codec: str) -> None:
    other = {"utf-8": "latin-1", "latin-1": "utf-8"}[codec]
    item = form.item(
        form.element(0x00080005, "CS", own.encode()), form.element(0x00080104, "LO", "MÜLLER".encode(codec))
    )
    dataset = form.dataset(
        form.element(0x00080005, "CS", b"ISO_IR 100" if codec == "utf-8" else b"ISO_IR 192"),
        form.sequence(0x00081032, item),
        form.element(_NAME, "PN", "Müller^Jürgen".encode(other)),
    )

    assert "MÜLLER".encode(codec) not in run(_DEIDENTIFYING, dataset, form)


@_PER_FORM
def test_a_name_that_is_not_of_its_character_set_is_searched_for_as_it_is(form: Form) -> None:
    dataset = form.dataset(
        form.element(_NAME, "PN", "Müller^Ann".encode("latin-1")),
        form.element(0x00204000, "LT", "by MÜLLER".encode("latin-1")),
    )

    assert b"LLER" not in run(_DEIDENTIFYING, dataset, form)


def test_a_patient_with_more_forms_of_names_than_can_be_searched_for_is_refused() -> None:
    names = "^".join(f"Mü{number}" for number in range(500))
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00080005, "CS", b"ISO_IR 192"), EXPLICIT.element(_NAME, "PN", names.encode())
    )

    with pytest.raises(LimitExceeded):
        run(_DEIDENTIFYING, dataset, limits=Limits(needles=1000))


@_PER_FORM
def test_a_text_of_another_person_in_the_same_script_stays(form: Form) -> None:
    codec, text = "iso2022_jp", "頭部 鈴木"
    dataset = form.dataset(
        form.element(0x00080005, "CS", b"\\ISO 2022 IR 87"),
        form.element(_DESCRIPTION, "LO", text.encode(codec)),
        form.element(_NAME, "PN", b"Yamada^Tarou=" + "山田".encode(codec) + b"^" + "太郎".encode(codec)),
    )

    output = run(_DEIDENTIFYING, dataset, form)

    assert text.encode(codec) in output


@_PER_FORM
def test_a_name_of_ideographs_leaves_a_kept_text(form: Form) -> None:
    codec = "iso2022_jp"
    dataset = form.dataset(
        form.element(0x00080005, "CS", b"\\ISO 2022 IR 87"),
        form.element(_DESCRIPTION, "LO", "頭部山田様".encode(codec)),
        form.element(_NAME, "PN", b"Yamada^Tarou=" + "山田".encode(codec) + b"^" + "太郎".encode(codec)),
    )

    assert "山田".encode(codec)[3:7] not in run(_DEIDENTIFYING, dataset, form)


@_PER_FORM
@pytest.mark.parametrize("depth", [1, 3])
def test_a_known_identifier_leaves_a_kept_text_in_an_item(form: Form, depth: int) -> None:
    element = form.element(0x00080104, "LO", b"for Zabrowska")
    for _ in range(depth):
        element = form.sequence(0x00081032, form.item(element))

    output = run(_DEIDENTIFYING, form.dataset(element, *_patient(form)), form)

    assert b"ZABROWSKA" not in output.upper()


@_PER_FORM
@pytest.mark.parametrize("following", [0x00320032, 0x00380300, 0x00400254, 0x00541001, 0x00720040])
def test_the_header_of_the_next_element_does_not_shelter_an_identifier(form: Form, following: int) -> None:
    dataset = form.dataset(
        *_patient(form), form.element(0x00204000, "LT", b"by Zabrowska"), form.element(following, "LO", b"x")
    )

    assert b"ZABROWSKA" not in run(_DEIDENTIFYING, dataset, form).upper()


def test_a_length_that_is_a_letter_does_not_shelter_an_identifier() -> None:
    text = b"Zabrowska".ljust(0x42)
    dataset = BIG.dataset(*_patient(BIG), BIG.element(0x00204000, "LT", text))

    assert b"ZABROWSKA" not in run(_DEIDENTIFYING, dataset, BIG).upper()


@_PER_FORM
@pytest.mark.parametrize("text", [b"ZABROWSKAJA", b"XILSE", b"the scanner", b"MR-408156"])
def test_a_longer_word_is_not_the_identifier_in_it(form: Form, text: bytes) -> None:
    description = form.element(_DESCRIPTION, "LO", text)

    output, summary = run_with_summary(_DEIDENTIFYING, form.dataset(description, *_patient(form)), form)

    assert description in output and not summary.warnings


def test_a_kept_private_value_with_a_known_identifier_is_removed() -> None:
    keeping = procedure(
        {_NAME: Action.X}, private={(0x0009, "ACME", 1): Rule(Action.K)}, identity_removed=True
    )
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(0x00090010, "LO", b"ACME"),
        EXPLICIT.element(0x00091001, "OB", b"\1Zabrowska\2"),
        *_patient(EXPLICIT),
    )

    assert b"Zabrowska" not in run(keeping, dataset)


def test_nothing_is_searched_when_the_identity_is_kept() -> None:
    routing = procedure(unlisted=Action.K)
    dataset = EXPLICIT.dataset(EXPLICIT.element(_DESCRIPTION, "LO", b"Zabrowska"), *_patient(EXPLICIT))

    assert run(routing, dataset) == dataset


def test_an_identifier_that_a_row_keeps_is_no_secret() -> None:
    keeping = procedure({_ID: Action.K, _DESCRIPTION: Action.K}, identity_removed=True)
    description = EXPLICIT.element(_DESCRIPTION, "LO", b"MR-40815")
    name, number = _patient(EXPLICIT)

    output = run(keeping, EXPLICIT.dataset(description, name, number))

    assert description in output and number in output


def test_what_one_patient_leaves_in_a_sequence_says_nothing_of_the_next() -> None:
    deidentifier = Deidentifier(_DEIDENTIFYING, pseudonyms())
    sequence = EXPLICIT.sequence(
        0x00081032, EXPLICIT.item(EXPLICIT.element(0x00080104, "LO", b"Zabrowska lobe"))
    )
    extra = EXPLICIT.element(0x00204000, "LT", b"Miller")

    other = run(deidentifier, EXPLICIT.dataset(sequence, *_patient(EXPLICIT, b"Miller^Ann"), extra))
    own = run(deidentifier, EXPLICIT.dataset(sequence, *_patient(EXPLICIT), extra))
    again = run(deidentifier, EXPLICIT.dataset(sequence, *_patient(EXPLICIT, b"Miller^Ann"), extra))

    assert sequence in other and other == again
    assert b"ZABROWSKA" not in own.upper()


@_PER_FORM
@pytest.mark.parametrize(
    ("name", "size", "stays"), [(b"LEE", 1000, False), (b"LEE", 50_000, True), (b"LEES", 50_000, False)]
)
def test_three_letters_in_a_large_binary_value_are_chance(
    form: Form, name: bytes, size: int, stays: bool
) -> None:
    private = form.element(0x00091001, "OB", bytes(size // 2) + b"\0" + name + b"\0" + bytes(size // 2))
    dataset = form.dataset(private, *_patient(form, name), form.element(0x00204000, "LT", name))

    output = run(_DEIDENTIFYING, dataset, form)

    assert (private in output) is stays


@_PER_FORM
def test_a_kept_number_that_is_the_patient_id_is_emptied(form: Form) -> None:
    dataset = form.dataset(*_patient(form, number=b"123456"), form.element(0x00200011, "IS", b"123456"))

    assert b"123456" not in run(_DEIDENTIFYING, dataset, form)


@_PER_FORM
def test_a_kept_number_that_only_contains_the_digits_of_the_patient_id_stays(form: Form) -> None:
    dataset = form.dataset(*_patient(form, number=b"123456"), form.element(0x00201041, "DS", b"-123456.5 "))

    assert b"-123456.5" in run(_DEIDENTIFYING, dataset, form)


# --- what is known from elsewhere ---------------------------------------------------------------------


def _known(patient_id: str) -> tuple[tuple[str, str], ...]:
    return (("name", "Thistledown^Żaneta"),) if patient_id == "MR-40815" else ()


@pytest.mark.parametrize("action", [Action.C, Action.K])
@pytest.mark.parametrize("written", ["THISTLEDOWN", "Thistledown", "Żaneta"])
def test_a_name_known_from_elsewhere_leaves_cleaned_and_kept_texts(action: Action, written: str) -> None:
    rules = {_NAME: Action.X, _ID: Action.X, _DESCRIPTION: action}
    deidentifier = Deidentifier(procedure(rules, identity_removed=True), pseudonyms(), known=_known)
    charset = EXPLICIT.element(0x00080005, "CS", b"ISO_IR 192")
    text = EXPLICIT.element(_DESCRIPTION, "LO", f"knee {written}".encode())

    of_patient = run(deidentifier, EXPLICIT.dataset(charset, text, *_patient(EXPLICIT)))
    of_other = run(deidentifier, EXPLICIT.dataset(charset, text, *_patient(EXPLICIT, number=b"MR-40816")))

    assert written.encode() not in of_patient and b"knee" in of_patient
    assert action is Action.C or written.encode() in of_other


def test_what_becomes_known_between_two_objects_of_a_series_holds_for_the_second() -> None:
    known: list[tuple[str, str]] = []
    deidentifier = Deidentifier(
        procedure({_NAME: Action.X, _ID: Action.X, _DESCRIPTION: Action.C}, identity_removed=True),
        pseudonyms(),
        known=lambda _: tuple(known),
    )
    dataset = EXPLICIT.dataset(
        EXPLICIT.element(_DESCRIPTION, "LO", b"knee of zorbeltine"), *_patient(EXPLICIT)
    )

    outputs = [run(deidentifier, dataset) for _ in range(3)]
    known.append(("name", "Zorbeltine^A"))
    outputs.append(run(deidentifier, dataset))

    assert [b"zorbeltine" in output for output in outputs] == [True, True, True, False]
