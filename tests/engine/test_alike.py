"""Items that are compared as memory are those that are recognized one by one, and all of them is searched."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise

import pytest

from deid_node.engine.alike import Alike, Run
from deid_node.engine.shapes import Shapes
from tests.engine.test_shapes import EXPLICIT, STREAMED, dataset, deidentifier, element, frame, item

_SEEDS = pytest.mark.parametrize("seed", range(30))


def _shapes() -> Shapes:
    """Return shapes that a plan learned from frames: of three lengths, one of them undefined."""
    learned = deidentifier(STREAMED)
    for kind in range(3):
        frames = [_frame(number, kind) for number in range(90)]
        rewrite = learned.begin(transfer_syntax_uid=EXPLICIT)
        rewrite.feed(dataset(frames))
        rewrite.finish()
    (shapes,) = {plan.shapes for plan in learned.plans._plans.values() if plan.shapes._bytes}
    return shapes


def _frame(number: int, kind: int, text: bytes = b"stack") -> bytes:
    return frame(number, stack=text.ljust(6 + 2 * kind)[: 6 + 2 * kind], undefined=kind == 2)


def _some_items(choose: random.Random) -> list[bytes]:
    """Return runs of frames of known shapes, now and then one that is of none."""
    frames: list[bytes] = []
    while len(frames) < 400:
        kind, steady = choose.randrange(3), choose.random()
        for _ in range(choose.choice([1, 2, 7, 8, 9, 40, 200])):
            number = 0 if choose.random() < steady else choose.randrange(1000)
            text = b"stack" if choose.random() < 0.97 else choose.choice([b"other", b"MILLER"])
            frames.append(_frame(number, kind, text))
        if choose.random() < 0.1:
            frames.append(item(element(0x00080060, "CS", b"MR")))
    return frames


def _runs(alike: Alike, data: bytes, cut: list[int], *, views: bool) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for start, end in pairwise(cut):
        b = data[start:end]
        run = alike.run_at(memoryview(b) if views else bytearray(b), len(b))
        found.append((run.end, run.own_items, run.last, run.items, run.elements))
    return found


def _searched(b: bytes, run: Run) -> bytes:
    return b"\0".join([*(b[p:q] for p, q in run.raw), *(values for values, _ in run.beside)])


@_SEEDS
def test_runs_compared_as_memory_end_where_runs_of_single_items_end(seed: int) -> None:
    choose, shapes = random.Random(seed), _shapes()
    frames = _some_items(choose)
    ends = list(accumulate(map(len, frames), initial=0))
    cut = sorted({0, ends[-1], *(choose.choice(ends) for _ in range(5)), choose.randrange(ends[-1])})

    by_memory = _runs(Alike(shapes, 3), b"".join(frames), cut, views=True)
    by_item = _runs(Alike(shapes, 3), b"".join(frames), cut, views=False)

    assert by_memory == by_item
    assert sum(run[1] for run in by_memory) > 50


@_SEEDS
def test_a_name_in_any_item_of_a_run_is_in_what_is_searched(seed: int) -> None:
    choose, shapes = random.Random(seed), _shapes()
    alike = Alike(shapes, 3)
    for _ in range(20):
        frames = [_frame(number, 0) for number in range(choose.choice([10, 100, 1000]))]
        at = choose.randrange(len(frames))
        frames[at] = _frame(at, 0, b"MILLER")
        data = b"".join(frames)

        run = alike.run_at(memoryview(data), len(data))

        assert run.end == len(data)
        assert b"MILLER" in _searched(data, run)
        if b"MILLER" in data[: len(frames[0])]:
            alike.forget()  # as it is with an identifier: a sample that has one cannot stand for others


def test_what_is_equal_in_all_items_is_searched_once() -> None:
    data = b"".join(_frame(number, 0) for number in range(3000))

    run = Alike(_shapes(), 3).run_at(memoryview(data), len(data))

    assert run.own_items == 3000
    assert len(_searched(data, run)) < 0.4 * len(data)


def test_values_that_are_too_short_for_what_is_sought_are_not_searched() -> None:
    data = b"".join(_frame(number, 0) for number in range(3000))
    shapes = _shapes()
    sizes = [
        len(_searched(data, Alike(shapes, shortest).run_at(memoryview(data), len(data))))
        for shortest in (0, 40, 9, 3)
    ]

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_an_unknown_item_has_no_run() -> None:
    data = item(element(0x00080060, "CS", b"MR"))

    assert Alike(_shapes(), 3).run_at(memoryview(data), len(data)).end == 0
