"""Mutants of real objects: refused, or read exactly as pydicom reads them; and never anything else."""

from __future__ import annotations

import random
import warnings
from io import BytesIO

import pytest
from pydicom import dcmread

from deid_node.engine.heading import heading_of
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ObjectRefused
from deid_node.profile.basic import basic_procedure
from deid_node.profile.procedure import Action, Procedure, Rule
from tests.engine.encoded import SC, procedure, run_with_summary
from tests.fuzzing import SECONDS, datasets, mutant, numbers
from tests.oracle import Oracle, Tree, differences, tree_of
from tests.rewriting import pseudonyms

pytestmark = pytest.mark.timeout(120 + SECONDS)

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_GUARDED = "a known identifier was removed from a kept attribute"
_PIECES = (None, 1, 5, 64, 1000)


def _keeping(unlisted: Action, identity_removed: bool) -> Procedure:
    return procedure(
        {0x00080018: Action.U, 0x00100010: Action.Z, 0x00100020: Action.D, 0x00081140: Action.X},
        unlisted=unlisted,
        identity_removed=identity_removed,
        vrs={"UI": Rule(Action.U), "PN": Rule(Action.Z)},
        private={(0x0019, "GEMS_ACQU_01", 0x23): Rule(Action.K)},
    )


_PROCEDURES = (
    procedure(unlisted=Action.K),
    _keeping(Action.K, identity_removed=False),
    _keeping(Action.X, True),
)


def _read(dataset: bytes, transfer_syntax_uid: str) -> Tree:
    """Return what pydicom sees in a dataset."""
    meta = heading_of(SC, "1.2.3", transfer_syntax_uid).meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tree_of(dcmread(BytesIO(meta + dataset)))


def _outcome(
    deidentifier: Deidentifier, dataset: bytes, syntax: str, piece_bytes: int | None
) -> tuple[bytes, tuple[str, ...]] | None:
    """Return the new dataset and warnings; None for a refusal.

    Which refusal it is may depend on what was seen first where several things are wrong.
    """
    try:
        output, summary = run_with_summary(
            deidentifier, dataset, piece_bytes=piece_bytes, transfer_syntax_uid=syntax
        )
    except ObjectRefused:
        return None
    return output, summary.warnings


def test_a_mutant_that_passes_is_what_pydicom_sees() -> None:
    seeds = datasets()
    accepted = 0
    for number in numbers(0.4):
        choose = random.Random(number)
        name, seed, syntax = choose.choice(seeds)
        dataset = mutant(seed, choose)
        chosen = choose.choice(_PROCEDURES)
        limits = Limits(window_bytes=choose.choice((16, 256, 1 << 20)))
        deidentifier = Deidentifier(chosen, pseudonyms(), limits=limits)

        outcome = _outcome(deidentifier, dataset, syntax, choose.choice(_PIECES))
        if outcome is None:
            continue
        accepted += 1
        oracle = Oracle(chosen, pseudonyms(), little_endian=syntax != _BIG_ENDIAN)
        try:
            original = _read(dataset, syntax)
        except Exception:
            # What is wrong must lie in a sequence that is removed unread; the rest is readable.
            assert chosen is not _PROCEDURES[0], (number, name)
            _read(outcome[0], syntax)
            continue
        expected = oracle.deidentify(original)
        found = differences(expected, _read(outcome[0], syntax))

        if _GUARDED in outcome[1]:
            found = [place for place in found if not place.endswith(("other value", "missing"))]
        assert not found, (number, name)
    assert accepted


def test_the_pieces_of_a_mutant_leave_no_trace() -> None:
    seeds = datasets()
    for number in numbers(0.2):
        choose = random.Random(1_000_000 + number)
        name, seed, syntax = choose.choice(seeds)
        dataset = mutant(seed, choose)
        limits = Limits(window_bytes=choose.choice((16, 100, 256, 1 << 20)))
        deidentifier = Deidentifier(choose.choice(_PROCEDURES), pseudonyms(), limits=limits)

        outcomes = {_outcome(deidentifier, dataset, syntax, choose.choice(_PIECES)) for _ in range(3)}

        assert len(outcomes) == 1, (number, name)


@pytest.mark.parametrize("chosen", [0, 1, 2, 3])
def test_mutants_in_a_row_are_what_they_are_alone(chosen: int) -> None:
    profile = (*_PROCEDURES, basic_procedure())[chosen]
    seeds = datasets()
    shared = Deidentifier(profile, pseudonyms())
    for number in numbers(0.05):
        choose = random.Random(2_000_000 + number // 8)
        name, seed, syntax = choose.choice(seeds)
        choose = random.Random(3_000_000 + number)
        dataset = mutant(seed, choose) if choose.random() < 0.7 else seed

        together = _outcome(shared, dataset, syntax, choose.choice(_PIECES))

        assert together == _outcome(Deidentifier(profile, pseudonyms()), dataset, syntax, None), (
            number,
            name,
        )
