"""The node is killed at every step of storage commitment: it asks again, or hears the report again."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.spool import Desk
from tests.e2e.running import RunningNode
from tests.e2e.striking import Sender
from tests.node.archive import Archive
from tests.peers import LOOPBACK, wait_for

POINTS = ("commitment-begun", "commitment-taken", "commitment-heard", "commitment-reported")


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_in_a_commitment_loses_neither_the_object_nor_the_answer(tmp_path: Path, point: str) -> None:
    archive = Archive()
    node = RunningNode(
        tmp_path,
        f'[destinations.pacs]\nkind = "ae"\nhost = "{LOOPBACK}"\nport = {archive.port}\n'
        'ae_title = "ARCHIVE"\ncommitment = true\nmax_age_s = 86400\n',
    )
    archive.node_port = node.port
    archive.reports = point not in ("commitment-begun", "commitment-taken")
    desk = Desk(tmp_path / "state" / "spool")
    try:
        node.start(DEID_FAILPOINT=f"{point}:kill")
        status = Sender(node.port).store()
        assert node.process is not None
        ended = node.process.wait(30)
        kept = list((tmp_path / "state" / "spool" / "objects").glob("*/*"))
        asked = len(archive.asked)
        archive.reports = True
        node.start()
        if asked and point != "commitment-taken":  # the archive had no answer to its report
            wait_for(lambda: repeat(archive), "the report is taken", 20)
        wait_for(
            lambda: {s.value: n for s, n in desk.status().destinations["pacs"].items()} == {"committed": 1},
            "committed",
            40,
        )
        left = list((tmp_path / "state" / "spool" / "objects").glob("*/*"))
    finally:
        node.stop()
        archive.close()

    assert status == StoreStatus.SUCCESS
    assert ended == -signal.SIGKILL
    assert len(kept) == 1  # until the archive has committed itself
    assert asked == (0 if point == "commitment-begun" else 1)
    assert len({request.transaction_uid for request in archive.asked}) == len(archive.asked)
    assert len(archive.stored) == 1
    assert left == []


def repeat(archive: Archive) -> bool:
    """Tell the report again, as an archive does that had no answer; whether it was taken."""
    with contextlib.suppress(AssociationError):
        archive.report(archive.result(archive.asked[0]))
    return archive.answers[-1:] == [StoreStatus.SUCCESS]
