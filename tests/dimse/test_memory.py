"""The memory that all objects share: bounded, waited for, given back."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from deid_node.dimse import memory
from deid_node.dimse.association import Caller, StoreRequest
from deid_node.dimse.memory import MemoryBudget, default_budget
from deid_node.dimse.status import StoreStatus
from deid_node.settings.network import LimitSettings
from deid_node.standard.values import AETitle
from tests.node.running import CT, running, store


def test_what_one_gives_back_another_gets() -> None:
    budget = MemoryBudget(100, wait_s=10)
    first = budget.share()
    first.hold(80)
    second = budget.share()
    waiting = threading.Thread(target=second.hold, args=(50,))
    waiting.start()

    first.release()
    waiting.join(5)

    assert not waiting.is_alive()
    assert budget.left == 50


def test_nobody_waits_longer_than_agreed() -> None:
    budget = MemoryBudget(100, wait_s=0.1)
    budget.share().hold(80)
    before = time.monotonic()

    with pytest.raises(MemoryError):
        budget.share().hold(50)

    assert 0.1 <= time.monotonic() - before < 2


def test_what_never_fits_is_not_waited_for() -> None:
    with pytest.raises(MemoryError):
        MemoryBudget(100, wait_s=60).share().hold(101)


def test_a_share_is_given_back_once() -> None:
    budget = MemoryBudget(100)
    share = budget.share()
    share.hold(10)

    share.release()
    share.release()

    assert budget.left == 100


def test_the_default_is_a_quarter_of_what_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_machine = default_budget()
    group = tmp_path / "group" / "unit"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("400000\n")
    (tmp_path / "own").write_text("0::/group/unit\n")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "own")

    assert default_budget() == 100_000
    assert of_machine > 100_000


def with_long_header(tmp_path: Path) -> Path:
    ds = pydicom.dcmread(CT)
    ds.add_new(0x00091010, "OB", bytes(3 << 20))
    ds.add_new(0x00090010, "LO", "SOMEBODY")
    path = tmp_path / "long.dcm"
    ds.save_as(path)
    return path


def test_an_object_beyond_the_memory_is_answered_a700_and_others_are_taken(
    state: Path, tmp_path: Path
) -> None:
    with running(state, limits=LimitSettings(memory_bytes=1 << 20)) as node:
        too_long = store(node, with_long_header(tmp_path))
        others = [store(node, CT).status for _ in range(3)]

    assert too_long.status == StoreStatus.OUT_OF_RESOURCES
    assert others == [StoreStatus.SUCCESS] * 3


def test_nothing_is_held_when_an_object_has_ended(state: Path, tmp_path: Path) -> None:
    path = with_long_header(tmp_path)
    caller = Caller(AETitle("A"), AETitle("DEIDNODE"), "127.0.0.1", 1, "a")
    ds = pydicom.dcmread(path)
    content = BytesIO()
    pydicom.filewriter.write_dataset(content_buffer(content), ds)
    request = StoreRequest(ds.SOPClassUID, ds.SOPInstanceUID, ds.file_meta.TransferSyntaxUID, 1)
    with running(state) as node:
        assert node._intake is not None
        budget = node._intake._memory
        for end in ("finish", "abort"):
            arrival = node._intake.begin(caller, request)
            view = content.getvalue()
            arrival.feed(memoryview(view[: 2 << 20]))
            held = budget.total - budget.left
            arrival.feed(memoryview(view[2 << 20 :]))
            getattr(arrival, end)()

            assert held == 2 << 20
            assert budget.left == budget.total


def content_buffer(content: BytesIO) -> pydicom.filebase.DicomIO:
    buffer = pydicom.filebase.DicomIO(content)
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return buffer
