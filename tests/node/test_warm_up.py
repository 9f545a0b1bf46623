"""What is prepared when a node starts."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from deid_node.engine.text_words import word_lists
from deid_node.node.warm_up import warm_up
from deid_node.profile.library import load


@pytest.fixture
def interpreter() -> Iterator[None]:
    threshold, switch_s = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(switch_s)


@pytest.mark.usefixtures("interpreter")
def test_the_word_lists_are_read_before_the_first_object_needs_them() -> None:
    word_lists.cache_clear()

    warm_up([load("basic")]).join(30)

    assert word_lists.cache_info().currsize == 1


@pytest.mark.usefixtures("interpreter")
def test_what_is_prepared_is_not_looked_at_by_the_garbage_collector() -> None:
    warm_up([load("basic")]).join(30)

    assert gc.get_freeze_count() > 0
