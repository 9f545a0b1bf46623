"""Every malformed object is refused with its error, every odd one passes whole, and none costs much."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action
from tests import malformed, malformed_values
from tests.engine.encoded import procedure, run
from tests.malformed import DEFLATED, Case
from tests.rewriting import pseudonyms

_FAMILIES = (*malformed.FAMILIES, *malformed_values.FAMILIES)
_KEEP_ALL = procedure(unlisted=Action.K)
_BASIC = basic_procedure()
_LARGE = 100_000
_MOST_S = 0.5
_MOST_S_PER_MB = 4.0


def _outcome(
    deidentifier: Deidentifier, case: Case, piece_bytes: int | None = None
) -> bytes | type[ObjectRefused]:
    try:
        return run(
            deidentifier, case.dataset, piece_bytes=piece_bytes, transfer_syntax_uid=case.transfer_syntax_uid
        )
    except ObjectRefused as refusal:
        return type(refusal)


def _wrong(case: Case, outcome: bytes | type[ObjectRefused]) -> str:
    """Return what is wrong with an outcome, "" if nothing is."""
    if isinstance(outcome, type):
        if not case.refused:
            return f"{case.name}: refused as {outcome.__name__}"
        return "" if issubclass(outcome, case.refused) else f"{case.name}: {outcome.__name__}"
    if case.refused:
        return f"{case.name}: passed"
    if case.transfer_syntax_uid == DEFLATED:
        outcome = zlib.decompress(outcome, -zlib.MAX_WBITS)
    return "" if outcome == case.expected else f"{case.name}: something else came out"


@pytest.mark.parametrize("family", _FAMILIES, ids=lambda family: family.__name__)
def test_every_object_is_refused_or_passes_as_it_must(family: Callable[[], Iterator[Case]]) -> None:
    shared = Deidentifier(_KEEP_ALL, pseudonyms())

    wrong = []
    for case in family():
        pieces = (None,) if len(case.dataset) > _LARGE else (None, 64, 1000)
        started = time.thread_time()
        outcomes = [
            _outcome(Deidentifier(_KEEP_ALL, pseudonyms()), case, piece_bytes) for piece_bytes in pieces
        ]
        took = time.thread_time() - started
        wrong += [_wrong(case, outcome) for outcome in outcomes]
        wrong.append(_wrong(case, _outcome(shared, case)))
        if took > _MOST_S * len(pieces) + _MOST_S_PER_MB * len(case.dataset) / 1e6:
            wrong.append(f"{case.name}: took {took:.2f} s")

    assert not [one for one in wrong if one]


@pytest.mark.parametrize("family", _FAMILIES, ids=lambda family: family.__name__)
def test_nothing_but_a_refusal_escapes_under_the_basic_profile(family: Callable[[], Iterator[Case]]) -> None:
    shared = Deidentifier(_BASIC, pseudonyms())

    for case in family():
        outcome = _outcome(shared, case)

        assert isinstance(outcome, bytes) or issubclass(outcome, ObjectRefused), case.name


def test_there_are_about_fifteen_hundred_objects() -> None:
    counts = {family.__name__: sum(1 for _ in family()) for family in _FAMILIES}

    assert sum(counts.values()) >= 1500, counts
