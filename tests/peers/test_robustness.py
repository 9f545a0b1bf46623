"""The node passes every attack, with either acceptor; what others make of the same is told, not judged.

The comparison takes the attacks that cost little. `python -m tests.peers.matrix` prints all of them for
all; with `DEID_NODE_MATRIX=1` the comparison here runs them, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.attacks import ATTACKS, QUICK, Verdict, control
from tests.peers.matrix import full_disk, fully, silent_tls, synced
from tests.peers.targets import OURS, TARGETS

ALL = os.environ.get("DEID_NODE_MATRIX", "") == "1"
OTHERS = [column for column in TARGETS if column not in OURS]

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]


@pytest.mark.parametrize("column", OURS)
def test_the_node_holds_against_every_attack(column: str, tmp_path: Path) -> None:
    found = fully(column, tmp_path)

    assert len(found) == len(ATTACKS)
    assert {name: verdict for name, verdict in found.items() if verdict.mark != "P"} == {}


@pytest.mark.parametrize("column", OURS)
@pytest.mark.parametrize("attack", [full_disk, synced, silent_tls], ids=lambda attack: attack.__name__)
def test_the_node_holds_on_a_full_disk_when_traced_and_with_tls(
    column: str, attack: Callable[[str, Path], Verdict], tmp_path: Path
) -> None:
    verdict = attack(column, tmp_path / "home")

    if verdict.seen == "no strace":
        pytest.skip("processes cannot be traced here")  # `tests/spool/test_sync_order.py` says more of it
    assert verdict.mark == "P", verdict.seen


@pytest.mark.parametrize("column", OTHERS)
def test_the_same_attacks_can_be_made_on_others(
    column: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with TARGETS[column](tmp_path / "control") as target:
        assert control(target) == "0000"  # else no verdict means anything

    for number, name in enumerate(ATTACKS if ALL else QUICK):
        verdict = fully(column, tmp_path / str(number), [name])[name]
        record_property(name, f"{verdict.mark} {verdict.seen}")
        print(f"{column}: {name}: {verdict.mark} {verdict.seen}")
        assert verdict.mark in "PF~"
