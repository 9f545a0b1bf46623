"""A node on a small disk: what senders hear while it fills up, and that nothing is lost or half there."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.peer import AssociationRejectedError
from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.node import service
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind, SpoolSettings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.routes import Acknowledge, RouteSettings
from deid_node.spool.desk import Desk
from deid_node.spool.room import Water
from deid_node.spool.upkeep import check
from tests.e2e.objects import series
from tests.node.running import CT, FILES, peer, running, store
from tests.peers import require, run, storescp, wait_for
from tests.spool.disks import fill, fill_to, small_disk

VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "Water", functools.partial(Water, waits_s=0.5, turns_away_s=2.0))


def folder_elsewhere(tmp_path: Path) -> dict[str, Any]:
    """A destination on another disk, so that delivery needs no room on the small one."""
    return {"out": FolderSettings(kind="folder", path=tmp_path / "out", template="{SOPInstanceUID}.dcm")}


def rejected(node: Node, called: str = "DEIDNODE") -> tuple[int, int, int] | None:
    try:
        Requestor.connect(peer(node, called), [VERIFICATION]).release()
    except AssociationRejectedError as error:
        return error.result, error.source, error.reason
    return None


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize("acceptor", list(AcceptorKind))
def test_a_filling_disk_is_a700_then_a_transient_rejection_then_as_before(
    tmp_path: Path, acceptor: AcceptorKind
) -> None:
    with (
        small_disk(tmp_path / "disk", "16m") as disk,
        running(disk / "state", destinations=folder_elsewhere(tmp_path), acceptor=acceptor) as node,
    ):
        before = store(node, CT)
        fill_to(disk, 0.9)
        wait_for(lambda: store(node, FILES / "MR_small.dcm").status != StoreStatus.SUCCESS, "no room", 5)
        short = store(node, FILES / "MR_small.dcm")
        wait_for(lambda: rejected(node), "associations are rejected", 5)
        why = rejected(node)
        fill_to(disk, 0.5)
        wait_for(lambda: rejected(node) is None, "associations are accepted", 5)
        after = store(node, FILES / "MR_small.dcm")
        wait_for(lambda: len(list((tmp_path / "out").glob("*.dcm"))) >= 2, "both are delivered")

    assert (before.status, after.status) == (StoreStatus.SUCCESS, StoreStatus.SUCCESS)
    assert (short.status, short.comment) == (
        StoreStatus.OUT_OF_RESOURCES,
        "The object cannot be kept now; send it again",
    )
    assert why == (2, 3, 2)


def test_check_says_that_there_is_no_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        config = tmp_path / "node.toml"
        config.write_text(f'state = "{disk}/state"\n')
        said = []
        for share in (0.5, 0.9):
            fill_to(disk, share)
            assert main(["check", "--config", str(config)]) == ExitCode.OK
            said.append("from spool.high_water = 0.85 on no object is taken" in capsys.readouterr().out)

    assert said == [False, True]


@pytest.mark.usefixtures("_hurried")
@pytest.mark.peer
def test_what_needs_no_room_is_let_in_on_a_full_disk(tmp_path: Path) -> None:
    with storescp(tmp_path / "received") as port, small_disk(tmp_path / "disk", "16m") as disk:
        down = AESettings(kind="ae", host="127.0.0.1", port=port, ae_title="DOWN")
        routes = {
            "through": RouteSettings(called="THROUGH", destinations="down", acknowledge=Acknowledge.THROUGH),
            "kept": RouteSettings(called="KEPT", destinations="down"),
        }
        with running(disk / "state", destinations={"down": down}, routes=routes) as node:
            fill_to(disk, 0.9)
            wait_for(lambda: rejected(node, "KEPT"), "associations are rejected", 8)

            answer = store(node, CT, called="THROUGH")

    assert answer.status == StoreStatus.SUCCESS


@pytest.mark.peer
def test_a_disk_that_is_full_to_the_brim_keeps_what_was_acknowledged_and_goes_on(tmp_path: Path) -> None:
    storescu = require("storescu")
    files = series(tmp_path / "files", 30, pixel_bytes=1 << 20)
    with small_disk(tmp_path / "disk", "16m") as disk:
        settings = {
            "destinations": folder_elsewhere(tmp_path),
            "spool": SpoolSettings(high_water=1.0, low_water=1.0, keep_s=10_000),
        }
        with running(disk / "state", **settings) as node:
            port = str(node.address[1])
            said = run(storescu, "-v", "-aec", "DEIDNODE", "127.0.0.1", port, *files)
            acknowledged = said.stdout.count("Success") + said.stderr.count("Success")
            other = fill(disk)
            refused = store(node, CT)
            failed = node.failed
            desk = Desk(node.settings.spool_folder)
            wait_for(lambda: not desk.queue(), "what was acknowledged is delivered")
            partial = list((node.settings.spool_folder / "incoming").iterdir())
            other.unlink()
        with running(disk / "state", destinations=folder_elsewhere(tmp_path)) as node:
            wait_for(lambda: node._spool.has_room(), "room again")  # type: ignore[union-attr]
            again = store(node, CT)
            wait_for(lambda: not desk.queue(), "delivered")
            found = check(node.settings.spool_folder)

    assert 5 < acknowledged < len(files)
    assert "Refused: OutOfResources" in said.stderr + said.stdout
    assert refused.status == StoreStatus.OUT_OF_RESOURCES
    assert failed is None
    assert partial == []
    assert again.status == StoreStatus.SUCCESS
    assert found == []
    delivered = [pydicom.dcmread(path) for path in (tmp_path / "out").glob("*.dcm")]
    assert len(delivered) == acknowledged + 1
