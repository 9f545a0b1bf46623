"""Items alike are passed over in runs; what differs in any of them is still seen."""

from __future__ import annotations

import random

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ObjectRefused
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action, Rule
from tests.engine.encoded import FORMS, Form, procedure, run, run_with_summary
from tests.rewriting import pseudonyms

_PER_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
_GROUPS, _NAME = 0x52009230, 0x00100010
_KEEPING = procedure(
    {_NAME: Action.X, 0x00081155: Action.U, 0x00189074: Action.C, 0x00280301: Action.R},
    unlisted=Action.K,
    identity_removed=True,
    private={(0x0021, "ACME", 1): Rule(Action.K)},
)
_PROCEDURES = (_KEEPING, basic_procedure())


def _frame(form: Form, number: int, *extra: bytes, undefined: bool = False) -> bytes:
    position = form.item(form.element(0x00200032, "DS", b"0\\0\\%04d" % (number % 5)))
    content = form.item(
        form.element(0x00209056, "SH", b"1 "), form.element(0x00209057, "UL", form.long(number))
    )
    elements = [form.sequence(0x00209111, content), form.sequence(0x00209113, position), *extra]
    return form.item(*elements, undefined=undefined)


def _odd_frame(form: Form, number: int, choose: random.Random) -> bytes:
    """Return a frame that is not like the others, in something that matters or not."""
    odd = choose.choice((
        form.element(0x00280010, "US", form.us(number)),
        form.element(0x00280301, "CS", choose.choice([b"NO", b"YES"])),
        form.element(0x00204000, "LT", choose.choice([b"chest", b"of ZABROWSKA at", b"Miller"])),
        form.element(0x00204000, "LT", b"odd", length=3),
        form.element(_NAME, "PN", b"Miller^Ann"),
        form.element(0x00189074, "DT", b"20240312"),
        form.element(0x00210010, "LO", b"ACME") + form.element(0x00211001, "DS", b"1 "),
        form.element(0x00211001, "DS", b"1 "),
        form.sequence(0x00209116, form.item(form.element(_NAME, "PN", b"Miller^Ann"))),
        form.sequence(0x00209116, form.item(form.element(0x00081155, "UI", b"1.2.3")), undefined=True),
        form.element(0x00204000, "LT", b"x" * 400),
        form.element(0x00204000, "LT", b"broken", length=900),
    ))  # fmt: skip
    elements = sorted(
        [form.sequence(0x00209111, form.item(form.element(0x00209057, "UL", form.long(number)))), odd],
        key=lambda one: _tag(form, one),
    )
    return form.item(*elements, undefined=choose.random() < 0.2)


def _tag(form: Form, element: bytes) -> int:
    order = "little" if form.order == "<" else "big"
    return int.from_bytes(element[:2], order) << 16 | int.from_bytes(element[2:4], order)


def _object(form: Form, frames: list[bytes], *, undefined: bool) -> bytes:
    return form.dataset(
        form.element(_NAME, "PN", b"Zabrowska^Ilse"),
        form.sequence(_GROUPS, *frames, undefined=undefined),
        form.element(0x7FE00010, "OW", bytes(100)),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1",
    )


def _outcome(deidentifier: Deidentifier, dataset: bytes, form: Form, piece_bytes: int | None) -> object:
    try:
        return run_with_summary(deidentifier, dataset, form, piece_bytes=piece_bytes)
    except ObjectRefused:
        return None


@_PER_FORM
@pytest.mark.parametrize("chosen", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_a_frame_among_frames_alike_is_what_it_is_alone(form: Form, chosen: int, seed: int) -> None:
    choose = random.Random(seed)
    limits = Limits(window_bytes=choose.choice([200, 1000, 5000]))
    shared = Deidentifier(_PROCEDURES[chosen], pseudonyms(), limits=limits)
    for _ in range(12):
        odd = choose.choice([0.0, 0.02, 0.1])
        frames = [
            _odd_frame(form, number, choose) if choose.random() < odd else _frame(form, number)
            for number in range(choose.choice([10, 100]))
        ]
        dataset = _object(form, frames, undefined=choose.random() < 0.5)
        fresh = Deidentifier(_PROCEDURES[chosen], pseudonyms(), limits=limits)

        together = _outcome(shared, dataset, form, choose.choice([None, 64, 1000]))

        assert together == _outcome(fresh, dataset, form, None)


@_PER_FORM
def test_a_name_in_one_of_many_frames_alike_is_removed(form: Form) -> None:
    names = [b"Someone__ else"] * 200
    frames = [_frame(form, number, form.element(0x00209158, "LT", name)) for number, name in enumerate(names)]
    frames[150] = _frame(form, 150, form.element(0x00209158, "LT", b"of  Zabrowska "))

    output = run(_KEEPING, _object(form, frames, undefined=False), form, limits=Limits(window_bytes=1000))

    assert b"ZABROWSKA" not in output.upper() and output.count(b"Someone") == 199
