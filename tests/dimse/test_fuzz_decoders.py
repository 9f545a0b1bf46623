"""Whatever bytes a peer sends, decoders answer with what they promise, and with nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.dimse.decoders import DECODERS
from tests.fuzzing import SECONDS, mutant, numbers

pytestmark = pytest.mark.timeout(120 + SECONDS)


def _inputs(seeds: tuple[bytes, ...], number: int) -> Iterator[bytes]:
    choose = random.Random(number)
    seed = choose.choice(seeds)
    yield mutant(seed, choose)
    yield seed[: choose.randrange(len(seed))]
    yield choose.randbytes(choose.randrange(200))


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_raises_only_what_it_promises(name: str) -> None:
    decode, seeds = DECODERS[name]
    for one in seeds:
        decode(one)

    for number in numbers(0.01):
        for content in _inputs(seeds, number):
            decode(content)  # anything but the suppressed errors fails the test
