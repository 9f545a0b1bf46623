"""A sealed original that stalls or ends its worker: held at the second time, while the node runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deid_node.dimse.status import StoreStatus
from deid_node.node.sealed_watch import LOOKS, Stalled, Work
from deid_node.profile import plugins
from deid_node.settings import SealedSettings
from deid_node.spool import Desk
from deid_node.spool.sealed_rows import SealedRow, SealedState
from tests.node.running import running, store
from tests.node.test_sealed_intake import Site, clear_texts, edited
from tests.peers import wait_for

CODE = """
import sys
import time
from deid_node.profile.plugins import Plugin
from deid_node.profile.procedure import Action

TRIES = []

def unruly(value, given, context):
    TRIES.append(value)
    if value == "LOOPS" or value == "LOOPS ONCE" and TRIES.count(value) == 1:
        while True:
            pass
    if value == "SLEEPS":
        time.sleep(3)
    if value == "EXITS":
        sys.exit(1)
    return "CALM"

UNRULY = Plugin("unruly", Action.D, unruly, "", {}, frozenset({"LO", "SH"}))
"""

ROW = SealedRow(1, SealedState.WORKING, "r", "", "", "", 1, 0, 9, "", "", "", "", 0.0, 0.0, "name")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A node that seals, with a function of another package that does what a station name says."""
    packages = tmp_path / "site-packages"
    (packages / "unruly-1.0.dist-info").mkdir(parents=True)
    (packages / "unruly_functions.py").write_text(CODE)
    (packages / "unruly-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: unruly\nVersion: 1\n"
    )
    (packages / "unruly-1.0.dist-info" / "entry_points.txt").write_text(
        "[deid_node.functions]\nunruly = unruly_functions:UNRULY\n"
    )
    monkeypatch.syspath_prepend(str(packages))
    _forget_plugins()
    made = Site(tmp_path)
    made.profile.write_text(
        'name = "x"\nextends = ["basic"]\n[attributes]\nStationName = { do = "unruly", fit = "truncate" }\n'
    )
    yield made
    sys.modules.pop("unruly_functions", None)
    monkeypatch.undo()
    _forget_plugins()


def _forget_plugins() -> None:
    for name in dir(plugins):
        cached = getattr(plugins, name)
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def _settings(site: Site, workers: int = 1) -> SealedSettings:
    return SealedSettings(key_file=site.key, stall_s=1.0, workers=workers)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("LOOPS", "its worker made no progress"),
        ("SLEEPS", "its worker made no progress"),
        ("EXITS", "it ended its worker (SystemExit)"),
    ],
)
def test_an_original_that_stalls_its_worker_twice_is_held_and_the_next_go_on(
    does: str, reason: str, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    bad = edited(tmp_path / "in", StationName=does)
    good = edited(tmp_path / "in", SOPInstanceUID="1.2.3.4", StationName="QUIET")

    with running(site.state, **site.settings(sealed=_settings(site))) as node:
        for file in (bad, good):
            assert store(node, file).status == StoreStatus.SUCCESS
        wait_for(lambda: len(site.stored()) == 1, "the one behind it is delivered", 30)
        assert [held[:2] for held in site.held()] == [("poison", f"{reason}, and did not end well before")]
        assert store(node, edited(tmp_path / "in", SOPInstanceUID="1.2.3.5")).status == StoreStatus.SUCCESS
        wait_for(lambda: len(site.stored()) == 2, "the lane goes on", 30)

    assert [row.code for row in Desk(site.spool).sealed()] == ["poison"]
    assert clear_texts(site.state) == []


def test_an_original_that_stalls_once_is_delivered_once(site: Site, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    with running(site.state, **site.settings(sealed=_settings(site))) as node:
        assert store(node, edited(tmp_path / "in", StationName="LOOPS ONCE")).status == StoreStatus.SUCCESS
        wait_for(lambda: len(site.stored()) == 1, "it is delivered", 30)

    assert site.held() == []
    assert Desk(site.spool).sealed() == []


def test_progress_is_no_stall_and_a_decided_original_is_not_taken() -> None:
    work = Work(ROW, is_watched=True)

    for _ in range(3 * LOOKS):
        work.step()
        assert not work.look()
    work.decided()
    assert not any(work.look() for _ in range(3 * LOOKS))
    work.step()


def test_a_worker_that_comes_back_too_late_changes_nothing() -> None:
    outcome: list[str] = []
    work: list[Work] = []
    made, taken = threading.Event(), threading.Event()

    def stuck() -> None:
        work.append(Work(Desk.__new__(Desk), is_watched=True))  # type: ignore[arg-type]
        made.set()
        try:
            taken.wait(10)
            work[0].decided()
        except Stalled:
            outcome.append("stalled")

    thread = threading.Thread(target=stuck)
    thread.start()
    assert made.wait(10)
    looks = [work[0].look() for _ in range(LOOKS + 3)]
    taken.set()
    thread.join(10)

    assert looks.count(True) == 1
    assert outcome == ["stalled"]
