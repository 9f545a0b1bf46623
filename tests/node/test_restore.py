"""A damaged or missing ledger: nothing is served, a backup is put back, later objects are not lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.dimse.status import StoreStatus
from deid_node.errors import SpoolError
from deid_node.node.service import Node
from deid_node.settings.destinations import FolderSettings
from deid_node.spool import Desk, Spool, backup
from deid_node.spool.schema import LEDGER, VERSION
from tests.node.running import CT, running, store
from tests.peers import wait_for

MR = CT.with_name("MR_small.dcm")
RT = CT.with_name("rtplan.dcm")


@contextlib.contextmanager
def holding(state: Path) -> Iterator[Node]:
    """A node whose only destination is never served, so that everything stays in the spool."""
    closed = FolderSettings(kind="folder", path=state / "out", hours="00:00-00:01", max_age_s=1e9)
    with running(state, destinations={"out": closed}) as node:
        yield node


def prepared(state: Path) -> Path:
    """A spool with two objects, of which a backup knows the first; returns the backup."""
    copy = state / "backup.sqlite"
    with holding(state) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        backup(state / "spool", copy)
        assert store(node, MR).status == StoreStatus.SUCCESS
    return copy


def config(state: Path, more: str = "") -> list[str]:
    file = state / "node.toml"
    file.write_text(f'state = "{state}"\n{more}')
    return ["--config", str(file)]


def damage(folder: Path) -> None:
    for log in (f"{LEDGER}-wal", f"{LEDGER}-shm"):
        (folder / log).unlink(missing_ok=True)
    size = (folder / LEDGER).stat().st_size
    with (folder / LEDGER).open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(os.urandom(size // 4))


def delivered(state: Path, count: int) -> set[str]:
    wait_for(lambda: len(list((state / "out").rglob("*.dcm"))) == count, f"{count} files")
    return {str(pydicom.dcmread(path).SOPClassUID) for path in (state / "out").rglob("*.dcm")}


def test_a_damaged_ledger_is_not_served_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    prepared(tmp_path)
    damage(tmp_path / "spool")

    with pytest.raises(SpoolError, match=r"deid-node restore FILE"), running(tmp_path):
        pass

    assert len(list((tmp_path / "spool" / "objects").rglob("*.dcm"))) == 2


def test_a_ledger_that_is_no_database_is_not_served(tmp_path: Path) -> None:
    prepared(tmp_path)
    for path in (tmp_path / "spool").glob(f"{LEDGER}*"):
        path.unlink()
    (tmp_path / "spool" / LEDGER).write_bytes(b"x" * 8192)

    with pytest.raises(SpoolError, match=r"deid-node restore FILE"), running(tmp_path):
        pass


def test_objects_without_a_ledger_are_not_removed_as_strays(tmp_path: Path) -> None:
    prepared(tmp_path)
    for path in (tmp_path / "spool").glob(f"{LEDGER}*"):
        path.unlink()

    with (
        pytest.raises(SpoolError, match=r"2 objects are in the spool .* ledger .* is gone"),
        running(tmp_path),
    ):
        pass

    assert len(list((tmp_path / "spool" / "objects").rglob("*.dcm"))) == 2


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_restored_ledger_delivers_also_what_came_after_the_backup(
    tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = prepared(tmp_path)
    if harm == "damaged":
        damage(tmp_path / "spool")
    else:
        for path in (tmp_path / "spool").glob(f"{LEDGER}*"):
            path.unlink()

    assert main(["restore", str(copy), *config(tmp_path)]) == 0

    assert "knows 2 objects; 1 of them came after the backup" in capsys.readouterr().out
    assert len(list((tmp_path / "spool").glob(f"{LEDGER}.2*"))) == (harm == "damaged")
    assert copy.exists()
    with running(tmp_path) as node:
        classes = delivered(tmp_path, 2)
        assert store(node, CT).status == StoreStatus.SUCCESS
    assert classes == {str(pydicom.dcmread(path).SOPClassUID) for path in (CT, MR)}
    status = Desk(tmp_path / "spool").status()
    assert sum(study.objects for study in status.studies) == 2


def test_an_object_that_a_restore_took_in_is_recognized_when_it_comes_again(tmp_path: Path) -> None:
    copy = prepared(tmp_path)
    assert main(["restore", str(copy), *config(tmp_path)]) == 0

    with running(tmp_path) as node:
        delivered(tmp_path, 2)
        for _ in range(2):
            assert store(node, MR).status == StoreStatus.SUCCESS
        studies = Desk(tmp_path / "spool").status().studies

    assert sum(study.objects for study in studies) == 2
    assert sum(study.duplicates for study in studies) == 2
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2


def test_a_later_revision_that_a_restore_took_in_is_the_latest_one(tmp_path: Path) -> None:
    other = tmp_path / "other.dcm"
    ds = pydicom.dcmread(CT)
    ds.KVP = 99
    ds.save_as(other)
    copy = tmp_path / "backup.sqlite"
    with holding(tmp_path) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        backup(tmp_path / "spool", copy)
        assert store(node, other).status == StoreStatus.SUCCESS
    assert main(["restore", str(copy), *config(tmp_path)]) == 0

    with running(tmp_path) as node:
        wait_for(lambda: Desk(tmp_path / "spool").queue() == [], "delivered")
        assert store(node, other).status == StoreStatus.SUCCESS
        (study,) = Desk(tmp_path / "spool").status().studies

    assert (study.objects, study.revisions, study.duplicates) == (2, 1, 1)


def test_what_was_delivered_after_the_backup_is_held_and_not_sent_again(tmp_path: Path) -> None:
    copy = prepared(tmp_path)
    with running(tmp_path):
        delivered(tmp_path, 2)
        wait_for(lambda: not list((tmp_path / "spool" / "objects").rglob("*.dcm")), "purged")

    assert main(["restore", str(copy), *config(tmp_path)]) == 0

    with running(tmp_path):
        wait_for(lambda: Desk(tmp_path / "spool").queue() != [], "held")
        (row,) = Desk(tmp_path / "spool").queue()
    assert (row.state, row.why) == ("held", "missing")


def test_a_running_node_keeps_its_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = prepared(tmp_path)

    with running(tmp_path):
        assert main(["restore", str(copy), *config(tmp_path)]) == 73

    assert "has the spool" in capsys.readouterr().err


def test_with_several_routes_later_objects_go_nowhere_by_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = prepared(tmp_path)
    routes = "".join(
        f'[routes.{name}]\ncalled = "{name.upper()}"\ndestinations = ["{name}"]\n'
        f'[destinations.{name}]\nkind = "folder"\npath = "{tmp_path / name}"\n'
        for name in ("one", "two")
    )
    before = (tmp_path / "spool" / LEDGER).read_bytes()

    assert main(["restore", str(copy), *config(tmp_path, routes)]) == 73
    assert "1 objects came after the backup" in capsys.readouterr().err
    assert (tmp_path / "spool" / LEDGER).read_bytes() == before
    assert main(["restore", str(copy), "-d", "elsewhere", *config(tmp_path, routes)]) == 78
    assert main(["restore", str(copy), "-d", "two", *config(tmp_path, routes)]) == 0

    assert {row.destination for row in Desk(tmp_path / "spool").queue()} == {"out", "two"}


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_what_is_no_backup_is_refused_and_nothing_is_changed(tmp_path: Path, content: bytes) -> None:
    prepared(tmp_path)
    wrong = tmp_path / "wrong"
    wrong.write_bytes(content)
    before = sorted(path.name for path in (tmp_path / "spool").iterdir())

    assert main(["restore", str(wrong), *config(tmp_path)]) == 73

    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == before


def test_a_backup_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    copy = prepared(tmp_path)
    with contextlib.closing(sqlite3.connect(copy)) as conn:
        conn.execute(f"PRAGMA user_version = {VERSION + 1}")

    assert main(["restore", str(copy), *config(tmp_path)]) == 73


def test_files_that_cannot_be_read_are_kept_aside(tmp_path: Path) -> None:
    copy = prepared(tmp_path)
    folder = tmp_path / "spool" / "objects" / "ab"
    folder.mkdir(exist_ok=True)
    (folder / "ab01.dcm").write_bytes(b"no DICOM")

    assert main(["restore", str(copy), *config(tmp_path)]) == 1

    assert (tmp_path / "spool" / "found" / "ab01.dcm").read_bytes() == b"no DICOM"


def test_history_is_deleted_by_command_beside_a_running_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as node:
        store(node, CT)
        store(node, MR)
        wait_for(lambda: not Desk(tmp_path / "spool").queue(), "delivered")

        assert main(["purge", "--older-than", "1d", *config(tmp_path)]) == 0
        assert main(["purge", "--older-than", "0d", *config(tmp_path)]) == 0
        assert main(["purge", "--older-than", "soon", *config(tmp_path)]) == 2

    told = capsys.readouterr().out
    assert "history of 0 objects" in told
    assert "history of 1 objects" in told
    assert "history-deleted" in (tmp_path / "audit" / "audit.jsonl").read_text()


def test_pages_of_a_large_ledger_are_read_on_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid_node.spool.opening._CHECK_S", -1.0)
    monkeypatch.setattr("deid_node.spool.schema._STEPS_AT_A_TIME", 1)
    prepared(tmp_path)

    spool = Spool.open(tmp_path / "spool")

    assert len(spool.claim("out", 10)) == 2
    assert spool.failed is None
    spool.close()
