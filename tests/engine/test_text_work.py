"""The work on a text grows with its length, whatever a sender writes into it, and has an end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from deid_node.engine.text import Cleaner, Identifiers
from deid_node.engine.text_forms import is_form
from deid_node.errors import LimitExceeded
from deid_node.profile.procedure import Action
from tests.engine.encoded import EXPLICIT, procedure, run

_PIECES = [
    "Dr ",
    "Dr. ",
    "Dr van ",
    "van ",
    "by ",
    "x",
    "Ab ",
    "Smith, ",
    "1.",
    "12 Main St ",
    "山田 ",
    "A. ",
]


def _calls(work: Callable[[], object]) -> int:
    """Return how many functions something calls: a measure of work that no other process changes."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("piece", _PIECES)
def test_a_text_of_twice_the_length_is_no_more_than_twice_the_work(piece: str) -> None:
    cleaner = Cleaner(Identifiers.of([("name", "Zabrowska^Ilse")]))
    cleaner.clean("Q" + piece * 20)  # reads the lists

    short, long = (_calls(lambda count=count: cleaner.clean("Q" + piece * count)) for count in (600, 1200))

    assert long < 2.5 * short + 100


@pytest.mark.parametrize("vr", ["UT", "LT"])
def test_an_object_with_more_names_and_texts_than_can_be_searched_is_refused(vr: str) -> None:
    persons = (
        EXPLICIT.item(EXPLICIT.element(0x00081070, "PN", b"Abc^%d" % number)) for number in range(9000)
    )
    text = EXPLICIT.element(0x00204000, vr, b"Qwx " * 15_000)
    dataset = EXPLICIT.dataset(EXPLICIT.sequence(0x00081140, *persons), text)

    with pytest.raises(LimitExceeded):
        run(procedure({0x00204000: Action.C}), dataset)


def test_a_patient_with_more_names_than_can_be_searched_for_is_refused() -> None:
    names = b"\\".join(b"Abcd%d" % number for number in range(5000))
    dataset = EXPLICIT.dataset(EXPLICIT.element(0x00101001, "UT", names))

    with pytest.raises(LimitExceeded):
        run(procedure({0x00101001: Action.X}, unlisted=Action.K, identity_removed=True), dataset)


def test_what_is_longer_than_any_word_is_no_form_of_one() -> None:
    assert is_form("gastroenteritis")
    assert not is_form("x" * 100 + "itis")  # each place to cut it would be tried
