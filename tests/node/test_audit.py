"""The audit stream: appended by several processes, put aside, complete after a crash, without values."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node.cli import main
from deid_node.dimse.status import StoreStatus
from deid_node.errors import SpoolError
from deid_node.node.audit import NAME, STORED, AuditTrail
from tests.node.running import CT, running, store
from tests.peers import wait_for


def lines(folder: Path) -> list[dict[str, Any]]:
    """All events in order."""
    files = [*sorted(folder.glob("audit-*.jsonl")), folder / NAME]
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def test_events_are_lines_with_a_time_in_a_file_of_its_owner(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path / "audit")

    audit.write("key-rotated", epoch="ABCDEFGH", nothing=None)

    (line,) = lines(tmp_path / "audit")
    assert line["event"] == "key-rotated"
    assert line["epoch"] == "ABCDEFGH"
    assert line["at"].endswith("+00:00")
    assert "nothing" not in line
    assert stat.S_IMODE((tmp_path / "audit" / NAME).stat().st_mode) == 0o600


def test_what_was_posted_is_written_in_order_before_the_stream_is_closed(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, durable=False)

    for number in range(5000):
        audit.post("something", number=number)
    audit.close()

    assert [line["number"] for line in lines(tmp_path)] == list(range(5000))


def test_a_full_file_is_put_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, max_bytes=4096, durable=False)

    for number in range(200):
        audit.write("something", number=number)

    assert len(list(tmp_path.glob("audit-*.jsonl"))) >= 3
    assert [line["number"] for line in lines(tmp_path)] == list(range(200))


def test_files_put_aside_long_ago_are_removed(tmp_path: Path) -> None:
    old = tmp_path / "audit-20200101T000000000000.jsonl"
    old.write_text("{}\n")
    os.utime(old, (1, 1))
    audit = AuditTrail(tmp_path, max_bytes=4096, keep_days=30, durable=False)

    for number in range(100):
        audit.write("something", number=number)

    assert not old.exists()
    assert list(tmp_path.glob("audit-*.jsonl"))


def _append(folder: Path, process: int) -> None:
    audit = AuditTrail(folder, max_bytes=20_000, durable=False)
    for number in range(200):
        audit.write("something", by=process, number=number)


def test_processes_that_write_together_lose_no_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(tmp_path, number)) for number in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    found = lines(tmp_path)
    assert sorted((line["by"], line["number"]) for line in found) == [
        (process, number) for process in range(3) for number in range(200)
    ]


def test_what_cannot_be_written_is_told_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = AuditTrail(tmp_path)
    audit.write("first")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(SpoolError, match="audit stream cannot be written"):
            audit.write("second")
    audit.write("third")

    assert [line["event"] for line in lines(tmp_path)] == ["first", "third"]


# --- a running node ---------------------------------------------------------------------------


def test_the_way_of_an_object_is_in_the_stream_without_a_value_of_it(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        wait_for(
            lambda: any(line["event"] == "object-delivered" for line in lines(tmp_path / "audit")),
            "delivered",
        )

    found = lines(tmp_path / "audit")
    events = [line["event"] for line in found]
    assert events[0] == "node-started"
    assert events[-1] == "node-stopping"
    assert {"association-accepted", STORED, "object-delivered"} <= set(events)
    stored = next(line for line in found if line["event"] == STORED)
    assert (stored["kind"], stored["calling"], stored["route"]) == ("new", "TEST", "default")
    original = pydicom.dcmread(CT, stop_before_pixels=True)
    text = json.dumps(found)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert str(original[keyword].value) not in text


def test_arrivals_that_a_crash_kept_out_of_the_stream_are_written_at_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        store(node, CT)
        store(node, CT, sop_instance_uid=_uid(CT))
        second = CT.with_name("MR_small.dcm")
        assert store(node, second).status == StoreStatus.SUCCESS
    file = tmp_path / "audit" / NAME
    kept = [line for line in file.read_text().splitlines() if '"item":2' not in line]
    file.write_text("\n".join(kept) + "\n" + '{"at":"2026-01-01T00:00:0')

    with running(tmp_path):
        pass

    again = [
        json.loads(line) for line in file.read_text().splitlines()[len(kept) + 1 :] if f'"{STORED}"' in line
    ]
    assert [(line["item"], line["recovered"]) for line in again] == [(2, True)]


def test_an_arrival_that_is_missing_between_others_is_written_at_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        for name in ("CT_small.dcm", "MR_small.dcm", "waveform_ecg.dcm"):
            assert store(node, CT.with_name(name)).status == StoreStatus.SUCCESS
    file = tmp_path / "audit" / NAME
    kept = [
        line for line in file.read_text().splitlines() if f'"{STORED}"' not in line or '"item":2,' not in line
    ]
    file.write_text("\n".join(kept) + "\n")

    for _ in range(2):
        with running(tmp_path):
            pass

    stored = [line["item"] for line in lines(tmp_path / "audit") if line["event"] == STORED]
    assert stored == [1, 3, 2]


def test_nothing_is_taken_while_the_stream_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as node:
        monkeypatch.setattr(AuditTrail, "is_behind", True)
        refused = store(node, CT)
        monkeypatch.undo()

        assert refused.status == StoreStatus.OUT_OF_RESOURCES
        assert store(node, CT).status == StoreStatus.SUCCESS


def test_the_stream_can_be_switched_off(tmp_path: Path) -> None:
    from deid_node.settings.records import AuditSettings

    with running(tmp_path, audit=AuditSettings(enabled=False)) as node:
        store(node, CT)

    assert not (tmp_path / "audit").exists()


def test_what_people_do_with_the_queue_is_written_before_it_is_done(tmp_path: Path) -> None:
    with running(tmp_path / "state") as node:
        store(node, CT)
    config = tmp_path / "node.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\n')

    main(["queue", "retry", "--destination", "out", "--config", str(config)])
    main(["queue", "drop", "7", "--yes", "--config", str(config)])

    done = [line for line in lines(tmp_path / "state" / "audit") if line["event"].startswith("queue-")]
    assert [(line["event"], line.get("destination"), line.get("entries")) for line in done] == [
        ("queue-retried", "out", None),
        ("queue-dropped", None, [7]),
    ]
    assert all(line["user"] == os.getuid() for line in done)


def _uid(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)
