"""Many associations, large objects, a queue that is full: no error, and memory that stays where it is.

DEID_NODE_LOAD multiplies how much is sent (1 unless told; 10 for the whole test).
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from deid_node.dimse.requestor import Requestor
from deid_node.dimse.status import StoreStatus
from deid_node.errors import AssociationError
from deid_node.spool import Desk
from tests.delivery.downstream import downstream
from tests.e2e.objects import series
from tests.e2e.running import RunningNode, ae_destination, running
from tests.e2e.striking import scanner_at
from tests.node.running import store_on, uids_of
from tests.peers import wait_for
from tests.spool.disks import small_disk

TIMES = int(os.environ.get("DEID_NODE_LOAD", "1"))
SHAPES = [(1, 4 << 10, 60), (4, 4 << 10, 120), (16, 4 << 10, 240), (32, 4 << 10, 320)]
SHAPES += [(1, 512 << 10, 20), (4, 512 << 10, 40), (16, 512 << 10, 80), (32, 512 << 10, 96)]
SHAPES += [(1, 200 << 20, 1)] if TIMES == 1 else [(1, 200 << 20, 2), (4, 200 << 20, 4)]
MORE = "[limits]\nassociations_per_address = 128\n"


def memory_mb(node: RunningNode) -> float:
    assert node.process is not None
    return float(psutil.Process(node.process.pid).memory_info().rss / (1 << 20))


def send_all(port: int, files: list[Path], associations: int, times: int = 1) -> Counter[int]:
    """Send files over that many associations at once; return how often each status came, and -1 for none."""
    heard: Counter[int] = Counter()
    lock = threading.Lock()

    def send(own: list[Path]) -> None:
        uids = uids_of(own[0])
        context = (uids["sop_class_uid"], uids["transfer_syntax_uid"])
        with Requestor.connect(scanner_at(port, 60), [context]) as assoc:
            for file in own:
                try:
                    status = int(store_on(assoc, file).status)
                except AssociationError:
                    status = -1
                with lock:
                    heard[status] += 1

    threads = [
        threading.Thread(target=send, args=(files[n::associations] * times,)) for n in range(associations)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    return heard


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("associations", "size", "count"), SHAPES)
def test_every_shape_of_load_is_acknowledged_in_bounded_memory(
    tmp_path: Path, associations: int, size: int, count: int
) -> None:
    files = series(tmp_path / "files", max(associations, count), pixel_bytes=size)
    with running(tmp_path / "node", extra=MORE) as node:
        heard = send_all(node.port, files, associations, TIMES)
        used_mb = memory_mb(node)
        wait_for(lambda: len(node.stored()) == len(files), "everything is delivered", 120)

    assert heard == {0: len(files) * TIMES}
    assert used_mb < 300
    for file in (tmp_path / "node").rglob("*.dcm"):
        file.unlink()


def test_64_idle_associations_cost_no_processor_time(tmp_path: Path) -> None:
    with running(tmp_path / "node", extra=MORE) as node:
        context = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
        idle = [Requestor.connect(scanner_at(node.port, 10), [context]) for _ in range(64)]
        assert node.process is not None
        process = psutil.Process(node.process.pid)
        before, at = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(5)
        used, took_s = sum(process.cpu_times()[:2]) - before, time.monotonic() - at
        for assoc in idle:
            assoc.release()

    assert used / took_s < 0.02  # of one core; time of the processor, whoever else wants it


def test_a_full_queue_answers_a700_and_drains_when_the_destination_is_back(tmp_path: Path) -> None:
    files = series(tmp_path / "files", 60, pixel_bytes=512 << 10)
    with (
        small_disk(tmp_path / "disk", "24m") as disk,
        downstream("down") as down,
        running(
            tmp_path / "node",
            ae_destination(down.port) + "first_pause_s = 0.2\nlongest_pause_s = 0.5\n",
            extra=f'{MORE}[spool]\nfolder = "{disk}/spool"\n',
        ) as node,
    ):
        first = send_all(node.port, files, 4)
        before_mb = memory_mb(node)
        again = send_all(node.port, files[-8:], 2, times=8)
        after_mb = memory_mb(node)
        down.listen()
        down.mode = "well"
        desk = Desk(disk / "spool")
        wait_for(lambda: not desk.queue(), "the queue is empty", 60)
        taken = len(down.stored)
        wait_for(lambda: not rejected(node.port), "senders are let in", 20)
        left = send_all(node.port, files, 4)
        wait_for(lambda: not desk.queue(), "everything is delivered", 60)

    assert set(first) == {StoreStatus.SUCCESS, StoreStatus.OUT_OF_RESOURCES}
    assert set(again) == {StoreStatus.OUT_OF_RESOURCES}
    assert taken == first[StoreStatus.SUCCESS]
    assert after_mb - before_mb < 10
    assert set(left) == {StoreStatus.SUCCESS}
    assert len(set(down.stored)) == len(files)


def rejected(port: int) -> bool:
    try:
        Requestor.connect(scanner_at(port, 5), [("1.2.840.10008.1.1", "1.2.840.10008.1.2")]).release()
    except AssociationError:
        return True
    return False
