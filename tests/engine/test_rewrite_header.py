"""The header is read as a whole before anything is written: identity, gates, limits, truncation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import Excluded, LimitExceeded, Malformed, Mismatch, ObjectRefused, Rejected
from deid_node.profile.conditions import Condition
from deid_node.profile.procedure import Action, Gate, Procedure
from deid_node.standard.repairs import ALL_REPAIRS
from tests.engine.encoded import BIG, EXPLICIT, FORMS, IMPLICIT, INSTANCE, SC, Form, procedure, run
from tests.rewriting import pseudonyms

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_KEEP_ALL = procedure(unlisted=Action.K)
_DEIDENTIFYING = procedure(unlisted=Action.K, identity_removed=True)
_PIXELS = 0x7FE00010


# --- identity -----------------------------------------------------------------------------------------


@_PER_FORM
@pytest.mark.parametrize(
    ("sop_class_uid", "sop_instance_uid", "code"),
    [("", INSTANCE, "no-sop-class"), (SC, "", "no-sop-instance")],
)
def test_an_object_without_an_identity_is_rejected(
    form: Form, sop_class_uid: str, sop_instance_uid: str, code: str
) -> None:
    for value in (b"", b"\0\0", b"  "):
        class_uid, instance_uid = sop_class_uid.encode() or value, sop_instance_uid.encode() or value
        dataset = form.element(0x00080016, "UI", class_uid) + form.element(0x00080018, "UI", instance_uid)

        with pytest.raises(Rejected) as refusal:
            run(_KEEP_ALL, dataset, form)

        assert refusal.value.code == code


@_PER_FORM
def test_an_object_with_nothing_but_pixels_is_rejected(form: Form) -> None:
    with pytest.raises(Rejected):
        run(_KEEP_ALL, form.element(_PIXELS, "OW", b"\1\2"), form)


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
@pytest.mark.parametrize(("tag", "vr"), [(0x00080005, "SS"), (0x00080016, "LO"), (0x00080018, "OB")])
def test_what_decides_how_others_are_read_has_its_own_vr(form: Form, tag: int, vr: str) -> None:
    elements = {
        0x00080005: form.element(0x00080005, "CS", b"ISO_IR 100"),
        0x00080016: form.element(0x00080016, "UI", SC.encode()),
        0x00080018: form.element(0x00080018, "UI", INSTANCE.encode()),
    }
    assert run(_KEEP_ALL, b"".join(elements.values()), form)
    elements[tag] = form.element(tag, vr, b"1.2.3 ")

    with pytest.raises(Malformed):
        run(_KEEP_ALL, b"".join(elements.values()), form)


@_PER_FORM
@pytest.mark.parametrize(
    "term", [b"ISO_IR 999", b"words ", b"ISO_IR 100\\words", b"\0\0ISO_IR 100", b"ISO_IR\0 100 "]
)
def test_an_unknown_character_set_is_rejected(form: Form, term: bytes) -> None:
    with pytest.raises(Rejected) as refusal:
        run(_KEEP_ALL, form.dataset(form.element(0x00080005, "CS", term)), form)

    assert refusal.value.code == "character-set"


_NO_UIDS = (
    "../../etc/passwd",
    "1.2.3\\1.2.4",
    "1.2." + "3" * 61,
    "1.2.3\x1b",
    "1.2.é",
    "1.2.840.A",
    "1 2",
    "1.2.\0.3",
)


@_PER_FORM
@pytest.mark.parametrize("uid", _NO_UIDS)
def test_an_identity_that_is_no_uid_is_rejected(form: Form, uid: str) -> None:
    for dataset in (form.dataset(sop_class_uid=uid), form.dataset(sop_instance_uid=uid)):
        with pytest.raises(Rejected) as refusal:
            run(_KEEP_ALL, dataset, form)

        assert refusal.value.code in ("invalid-uid", "no-sop-instance")
        assert uid not in str(refusal.value)


@_PER_FORM
def test_an_instance_whose_name_is_no_uid_gets_one(form: Form) -> None:
    mapping = procedure({0x00080018: Action.U})

    output = run(mapping, form.dataset(sop_instance_uid="hash-of-another-program"), form)

    assert output == form.dataset(sop_instance_uid=pseudonyms().uid(b"hash-of-another-program").decode())
    with pytest.raises(Rejected):
        run(mapping, form.dataset(sop_instance_uid="1.2.3\\1.2.4"), form)


@pytest.mark.parametrize("uid", ["1.2.003.4", "1.2." + "3" * 60, "2.25.0"])
def test_a_uid_that_devices_write_passes(uid: str) -> None:
    dataset = EXPLICIT.dataset(sop_instance_uid=uid)

    assert run(_KEEP_ALL, dataset, limits=Limits(repairs=ALL_REPAIRS)) == dataset


@_PER_FORM
@pytest.mark.parametrize(
    ("request_uids", "refused"),
    [
        ((SC, INSTANCE), False),
        ((None, None), False),
        ((SC + ".1", INSTANCE), True),
        ((SC, INSTANCE + ".1"), True),
    ],
)
def test_the_dataset_must_be_what_the_request_says(
    form: Form, request_uids: tuple[str | None, str | None], refused: bool
) -> None:
    rewrite = Deidentifier(_KEEP_ALL, pseudonyms()).begin(
        transfer_syntax_uid=form.transfer_syntax_uid,
        sop_class_uid=request_uids[0],
        sop_instance_uid=request_uids[1],
    )
    rewrite.feed(form.dataset())

    if refused:
        with pytest.raises(Mismatch):
            rewrite.finish()
    else:
        _, summary = rewrite.finish()
        assert summary.heading.sop_class_uid == SC


def test_the_summary_knows_a_resent_object_and_nothing_of_its_uid() -> None:
    summaries = []
    for uid in (INSTANCE, INSTANCE, INSTANCE + ".1"):
        rewrite = Deidentifier(_KEEP_ALL, pseudonyms()).begin(
            transfer_syntax_uid=EXPLICIT.transfer_syntax_uid
        )
        rewrite.feed(EXPLICIT.dataset(sop_instance_uid=uid))
        summaries.append(rewrite.finish()[1].original_uid_digest)

    assert summaries[0] == summaries[1] != summaries[2]
    assert len(summaries[0]) == 32


# --- gates --------------------------------------------------------------------------------------------

_BURNED = Condition.parse("BurnedInAnnotation not in ('', 'NO')")


def _gated(which: str, text: str = "") -> Procedure:
    when = Condition.parse(text) if text else _BURNED
    return procedure(unlisted=Action.K, **{which: (Gate(when, "text may be burned in"),)})


def _nested(form: Form, value: bytes, depth: int) -> bytes:
    element = form.element(0x00280301, "CS", value)
    for _ in range(depth):
        element = form.sequence(0x00082112, form.item(element))
    return element


@_PER_FORM
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize(
    ("value", "holds"), [(b"YES", True), (b"NO", False), (b"", False), (b"NO\\YES", True)]
)
def test_a_gate_sees_every_value_at_every_depth(form: Form, depth: int, value: bytes, holds: bool) -> None:
    dataset = form.dataset(_nested(form, value, depth), form.element(_PIXELS, "OW", b"\1\2"))

    if holds:
        with pytest.raises(Rejected, match="text may be burned in"):
            run(_gated("rejects"), dataset, form)
    else:
        assert run(_gated("rejects"), dataset, form) == dataset


@pytest.mark.parametrize("form", [EXPLICIT, BIG], ids=lambda form: form.name)
def test_a_gate_sees_into_a_sequence_coded_as_un(form: Form) -> None:
    inside = IMPLICIT.item(IMPLICIT.element(0x00280301, "CS", b"YES"))

    with pytest.raises(Rejected):
        run(_gated("rejects"), form.dataset(form.element(0x00082112, "UN", inside)), form)


@_PER_FORM
def test_an_excluded_object_is_not_a_rejected_one(form: Form) -> None:
    with pytest.raises(Excluded):
        run(_gated("excludes"), form.dataset(_nested(form, b"YES", 0)), form)


@_PER_FORM
@pytest.mark.parametrize(
    ("text", "holds"), [("PatientName == ''", True), ("PatientName == 'Doe^Jane'", False)]
)
def test_an_exclusion_of_the_result_sees_the_result(form: Form, text: str, holds: bool) -> None:
    emptying = procedure({0x00100010: Action.Z}, excludes_result=(Gate(Condition.parse(text), "empty"),))
    dataset = form.dataset(form.element(0x00100010, "PN", b"Doe^Jane"))

    if holds:
        with pytest.raises(Excluded):
            run(emptying, dataset, form)
    else:
        assert run(emptying, dataset, form) == form.dataset(form.element(0x00100010, "PN"))


def test_a_gate_may_ask_where_the_object_comes_from() -> None:
    def outcome(origin: Mapping[str, str]) -> bool:
        rewrite = Deidentifier(_gated("rejects", "calling_ae == 'CT1'"), pseudonyms()).begin(
            transfer_syntax_uid=EXPLICIT.transfer_syntax_uid, origin=origin
        )
        rewrite.feed(EXPLICIT.dataset())
        try:
            rewrite.finish()
        except Rejected:
            return False
        return True

    assert outcome({"calling_ae": "MR1"}) and not outcome({"calling_ae": "CT1"})


def test_a_value_that_must_be_equal_in_all_objects_is_that_of_the_first() -> None:
    deidentifier = Deidentifier(procedure(unlisted=Action.K, same_value=(0x00100020,)), pseudonyms())
    first, other = (
        EXPLICIT.dataset(EXPLICIT.element(0x00100020, "LO", value)) for value in (b"0815", b"4711")
    )

    assert run(deidentifier, first) == first
    assert run(deidentifier, EXPLICIT.dataset()) == EXPLICIT.dataset()
    with pytest.raises(Rejected, match="must be equal"):
        run(deidentifier, other)
    assert run(deidentifier, first) == first


# --- pieces and truncation ----------------------------------------------------------------------------


def _whole(form: Form) -> tuple[bytes, set[int]]:
    """Return a dataset of many kinds of elements, and where its top-level elements end."""
    elements = (
        form.element(0x00080005, "CS", b"ISO_IR 192"),
        form.element(0x00080016, "UI", SC.encode()),
        form.element(0x00080018, "UI", INSTANCE.encode()),
        form.sequence(0x00081140, form.item(form.element(0x00081155, "UI", b"1.2.3"))),
        form.sequence(
            0x00082112, form.item(form.element(0x00081155, "UI", b"1.2.3"), undefined=True), undefined=True
        ),
        form.element(0x00100010, "PN", b"Zabrowska^Ilse"),
        form.element(0x00100020, "LO", b"0815"),
        form.element(0x00280010, "US", form.us(1)),
        form.sequence(
            0x52009230, form.item(form.element(0x00081155, "UI", b"1.2.3"), undefined=True), undefined=True
        ),
        form.element(_PIXELS, "OW", bytes(20)),
        form.element(0xFFFCFFFC, "OB", bytes(4)),
    )
    ends, length = set(), 0
    for element in elements:
        length += len(element)
        ends.add(length)
    return b"".join(elements), ends


@_PER_FORM
@pytest.mark.parametrize("piece_bytes", [None, 5])
@pytest.mark.parametrize("window_bytes", [16, 1 << 20])
def test_a_dataset_cut_inside_an_element_is_never_accepted(
    form: Form, piece_bytes: int | None, window_bytes: int
) -> None:
    whole, ends = _whole(form)
    limits = Limits(window_bytes=window_bytes)

    for length in range(len(whole) + 1):
        if length in ends and length > min(ends) + 40:
            run(_KEEP_ALL, whole[:length], form, piece_bytes=piece_bytes, limits=limits)
        else:
            with pytest.raises((Malformed, Rejected)):
                run(_KEEP_ALL, whole[:length], form, piece_bytes=piece_bytes, limits=limits)


@_PER_FORM
def test_a_header_may_arrive_in_any_pieces(form: Form) -> None:
    whole, _ = _whole(form)
    expected = run(_KEEP_ALL, whole, form)

    for piece_bytes in range(1, len(whole) + 1):
        assert run(_KEEP_ALL, whole, form, piece_bytes=piece_bytes) == expected


def test_an_empty_dataset_is_malformed() -> None:
    with pytest.raises(Malformed, match="empty"):
        run(_KEEP_ALL, b"")


@_PER_FORM
def test_pixels_that_arrive_before_a_long_sequence_is_understood_are_still_pixels(form: Form) -> None:
    items = [form.item(form.element(0x00081155, "UI", b"1.2.%05d" % number)) for number in range(1000)]
    dataset = form.dataset(
        form.sequence(0x00081140, *items, undefined=True),
        form.element(0x00100010, "PN", b"Lee^Ann"),
        form.element(0x60003000, "OW", bytes(300)),
        form.sequence(0x60009230, *items, undefined=True),
        form.element(_PIXELS, "OW", b"\0LEE\0\0"),
    )  # fmt: skip
    outputs = {
        run(_DEIDENTIFYING, dataset, form, piece_bytes=piece_bytes, limits=Limits(window_bytes=256))
        for piece_bytes in (None, 1000, 20_000, 25_000)
    }

    assert len(outputs) == 1 and outputs.pop().endswith(form.element(_PIXELS, "OW", b"\0LEE\0\0"))


# --- limits -------------------------------------------------------------------------------------------


def _elements(form: Form, count: int, size: int) -> list[bytes]:
    return [form.element(0x00090000 + number, "UN", bytes(size)) for number in range(0x1000, 0x1000 + count)]


_LIMITS: tuple[tuple[Limits, Callable[[Form], bytes]], ...] = (
    (Limits(dataset_bytes=1000), lambda form: form.dataset(form.element(_PIXELS, "OW", bytes(1000)))),
    (Limits(header_bytes=1000), lambda form: form.dataset(form.element(0x00204000, "LT", bytes(1000)))),
    (Limits(header_bytes=1000), lambda form: form.dataset(*_elements(form, 40, 24))),
    (Limits(elements=100), lambda form: form.dataset(*_elements(form, 101, 0))),
    (Limits(items=100), lambda form: form.dataset(form.sequence(0x00081140, *[form.item()] * 101))),
    (Limits(items=100), lambda form: form.dataset(form.sequence(0x52009230, *[form.item()] * 101))),
)


@_PER_FORM
@pytest.mark.parametrize("piece_bytes", [None, 32, 100])
@pytest.mark.parametrize(("limits", "make"), _LIMITS)
def test_an_object_beyond_a_limit_is_refused(
    form: Form, piece_bytes: int | None, limits: Limits, make: Callable[[Form], bytes]
) -> None:
    with pytest.raises(LimitExceeded):
        run(_KEEP_ALL, make(form), form, piece_bytes=piece_bytes, limits=limits)


def test_a_header_is_refused_before_it_is_held() -> None:
    rewrite = Deidentifier(_KEEP_ALL, pseudonyms(), limits=Limits(header_bytes=10_000)).begin(
        transfer_syntax_uid=EXPLICIT.transfer_syntax_uid
    )
    taken = 0

    with pytest.raises(LimitExceeded):
        for element in [EXPLICIT.dataset(), *_elements(EXPLICIT, 1000, 100)]:
            rewrite.feed(element)
            taken += len(element)

    assert taken <= 10_000


_LARGE: tuple[tuple[int, str], ...] = ((0x00420011, "OB"), (0x00560020, "OB"), (0x7FE00010, "OW"))


@_PER_FORM
@pytest.mark.parametrize(("tag", "vr"), _LARGE)
def test_a_large_value_after_the_patient_is_not_held(form: Form, tag: int, vr: str) -> None:
    size = 6 << 20
    start = form.dataset(
        form.element(0x00100010, "PN", b"A"),
        form.element(tag, vr if form is not IMPLICIT else "OW", bytes(size)),
    )
    rewrite = Deidentifier(_KEEP_ALL, pseudonyms(), limits=Limits(header_bytes=5 << 20)).begin(
        transfer_syntax_uid=form.transfer_syntax_uid
    )
    given = 0

    for position in range(0, len(start), 100_000):
        new = rewrite.feed(start[position : position + 100_000])
        given += sum(map(len, new.buffers)) if new is not None else 0
        assert position < 5 << 20 or given > position - (1 << 20)

    rest, _ = rewrite.finish()
    assert given + sum(map(len, rest.buffers)) == len(start)


@_PER_FORM
@pytest.mark.parametrize("undefined", [False, True])
def test_a_large_sequence_after_the_patient_is_not_held(form: Form, undefined: bool) -> None:
    contour = form.item(form.element(0x30060050, "DS", b"1\\" * 500 + b"1"))
    dataset = form.dataset(
        form.element(0x00100010, "PN", b"A"),
        form.sequence(0x30060039, *[contour] * 6000, undefined=undefined),
    )
    limits = Limits(header_bytes=5 << 20)

    for piece_bytes in (None, 100_000):
        output = run(_KEEP_ALL, dataset, form, piece_bytes=piece_bytes, limits=limits)

        assert output == form.dataset(
            form.element(0x00100010, "PN", b"A"), form.sequence(0x30060039, *[contour] * 6000, undefined=True)
        )


def test_a_procedure_that_keeps_unlisted_sop_classes_makes_one_plan_for_all() -> None:
    keeping = Procedure(
        "keep", "1", {}, procedure(unlisted=Action.K).table_for("").unlisted, identity_removed=False
    )
    deidentifier = Deidentifier(keeping, pseudonyms())

    for number in range(5):
        run(deidentifier, EXPLICIT.dataset(sop_class_uid=f"1.2.3.{number}"))

    assert keeping.table_for("1.2.3") is keeping.table_for("1.2.4")


def test_nothing_of_the_original_is_said_in_a_refusal() -> None:
    element = EXPLICIT.element(0x00100010, "PN", b"Zabrowska^Ilse")

    for dataset in (EXPLICIT.dataset(element, element), EXPLICIT.dataset(element)[:-3], element):
        with pytest.raises(ObjectRefused) as refusal:
            run(_KEEP_ALL, dataset)

        assert "abrowsk" not in str(refusal.value) + repr(refusal.value)
