"""The folder store: complete files, nothing replaced, nothing outside."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deid_node.delivery.destination import Parcel, UnusableError
from deid_node.delivery.folder import FolderDestination
from deid_node.delivery.template import PathTemplate
from deid_node.errors import ConfigurationError
from deid_node.spool import Content, Deferred, Delivered, Entry, Held, Outcome, Reader, Spool
from tests.spool.objects import META, dataset, put

TEMPLATE = PathTemplate.parse("{PatientID}/{Modality}/{InstanceNumber:04}.dcm")
MODALITY, INSTANCE = 0x00080060, 0x00200013


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "spool", durable=False)
    yield opened
    opened.close()


@pytest.fixture(params=[True, False], ids=["link", "copy"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> FolderDestination:
    return FolderDestination("a", tmp_path / "out", TEMPLATE, may_link=request.param)


def deliver(folder: FolderDestination, entries: Sequence[Entry]) -> list[Outcome]:
    def parcels() -> Iterator[Parcel]:
        for entry in entries:
            content = Reader().open(entry)
            assert isinstance(content, Content)
            yield Parcel(entry, content)
            content.close()

    outcomes = list(folder.sender().deliver(frozenset(), parcels()))
    assert [entry for entry, _ in outcomes] == list(entries)
    return [outcome for _, outcome in outcomes]


def files(folder: FolderDestination) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder.root)): path.read_bytes()
        for path in sorted(folder.root.rglob("*"))
        if path.is_file()
    }


def test_objects_become_files_under_their_paths(spool: Spool, folder: FolderDestination) -> None:
    for number in range(40):
        put(spool, number, attributes={MODALITY: "CT"})

    outcomes = deliver(folder, spool.claim("a", 50))

    assert outcomes == [Delivered()] * 40
    assert files(folder) == {f"PSEUDO/CT/{n:04}.dcm": META + dataset(n) for n in range(40)}


def test_a_second_attempt_finds_the_file_and_makes_no_other(spool: Spool, folder: FolderDestination) -> None:
    put(spool, 1)
    entries = spool.claim("a")
    deliver(folder, entries)

    assert deliver(folder, entries) == [Delivered()]

    assert len(files(folder)) == 1


def test_another_object_with_the_same_path_gets_a_name_of_its_own(
    spool: Spool, folder: FolderDestination
) -> None:
    for number in range(3):
        put(spool, number, attributes={INSTANCE: "1"})
    entries = spool.claim("a", 3)

    deliver(folder, entries)
    deliver(folder, entries)

    assert sorted(files(folder).values()) == sorted(META + dataset(n) for n in range(3))


def test_every_revision_of_an_object_is_kept(spool: Spool, folder: FolderDestination) -> None:
    for content in range(3):
        put(spool, 1, content=dataset(content))
        (entry,) = spool.claim("a")
        deliver(folder, [entry])
        spool.settle(entry, Delivered())

    assert sorted(files(folder).values()) == sorted(META + dataset(n) for n in range(3))


def test_a_file_of_somebody_else_is_never_replaced(spool: Spool, folder: FolderDestination) -> None:
    foreign = folder.root / "PSEUDO" / "unknown" / "0001.dcm"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"theirs")
    put(spool, 1)

    assert deliver(folder, spool.claim("a")) == [Delivered()]

    assert foreign.read_bytes() == b"theirs"
    assert len(files(folder)) == 2


def test_a_link_on_the_way_is_not_followed(spool: Spool, folder: FolderDestination, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder.root / "PSEUDO").symlink_to(tmp_path / "elsewhere")
    put(spool, 1)

    (outcome,) = deliver(folder, spool.claim("a"))

    assert isinstance(outcome, Held)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_place_of_a_file_is_not_followed(
    spool: Spool, folder: FolderDestination, tmp_path: Path
) -> None:
    name = folder.root / "PSEUDO" / "unknown" / "0001.dcm"
    name.parent.mkdir(parents=True)
    name.symlink_to(tmp_path / "elsewhere")
    put(spool, 1)

    assert deliver(folder, spool.claim("a")) == [Delivered()]

    assert not (tmp_path / "elsewhere").exists()
    assert name.is_symlink()


def test_modes_are_for_the_owner_unless_set(spool: Spool, tmp_path: Path) -> None:
    put(spool, 1, destinations=("a", "b", "c"))
    for name, options in {
        "a": {},
        "b": {"folder_mode": 0o750, "file_mode": 0o640},
        "c": {"folder_mode": 0o750, "file_mode": 0o640, "may_link": False},
    }.items():
        deliver(FolderDestination(name, tmp_path / name, TEMPLATE, **options), spool.claim(name))

    def modes(name: str) -> set[int]:
        return {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / name / "PSEUDO").rglob("*")}

    assert modes("c") == {0o750, 0o640}
    assert modes("b") == {0o750, 0o640}


def test_on_the_same_file_system_the_file_is_a_link(spool: Spool, tmp_path: Path) -> None:
    put(spool, 1)
    (entry,) = spool.claim("a")

    deliver(FolderDestination("a", tmp_path / "out", TEMPLATE), [entry])

    (path,) = (tmp_path / "out" / "PSEUDO").rglob("*.dcm")
    assert path.samefile(entry.path)


def test_across_file_systems_the_file_is_copied(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: str, target: str, **options: object) -> None:
        if os.path.isabs(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target, **options)

    monkeypatch.setattr(os, "link", link)
    put(spool, 1)
    (entry,) = spool.claim("a")
    folder = FolderDestination("a", tmp_path / "out", TEMPLATE)

    assert deliver(folder, [entry]) == [Delivered()]

    (path,) = (tmp_path / "out" / "PSEUDO").rglob("*.dcm")
    assert not path.samefile(entry.path)
    assert list((tmp_path / "out" / ".incoming").iterdir()) == []


def test_a_file_system_without_links_gets_whole_files(
    spool: Spool, folder: FolderDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    for number in range(2):
        put(spool, number, attributes={INSTANCE: "1"})

    assert deliver(folder, spool.claim("a", 2)) == [Delivered()] * 2

    assert sorted(files(folder).values()) == sorted(META + dataset(n) for n in range(2))


@pytest.mark.parametrize("call", ["fsync", "sendfile"])
def test_an_error_of_the_disk_defers_and_leaves_no_partial_file(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder = FolderDestination("a", tmp_path / "out", TEMPLATE, may_link=False)
    put(spool, 1)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)

    (outcome,) = deliver(folder, spool.claim("a"))

    assert isinstance(outcome, Deferred)
    assert "No space left" in outcome.why
    assert files(folder) == {}


def test_files_count_as_delivered_only_when_their_folders_are_synced(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FolderDestination("a", tmp_path / "out", TEMPLATE)
    for number in range(3):
        put(spool, number)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        outcomes = deliver(folder, spool.claim("a", 3))

    assert all(isinstance(outcome, Deferred) for outcome in outcomes)


def test_names_whose_sync_failed_are_taken_back_and_made_anew(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FolderDestination("a", tmp_path / "out", TEMPLATE)
    put(spool, 1)
    entries = spool.claim("a")
    deliver(folder, entries)  # is there from before, and nobody's to take back
    put(spool, 2)
    synced: list[int] = []
    sync = os.fsync

    def fail_once(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    monkeypatch.setattr(os, "fsync", fail_once)
    both = [*entries, *spool.claim("a")]
    first = deliver(folder, both)
    between = list(files(folder).values())
    second = deliver(folder, both)

    assert all(isinstance(outcome, Deferred) for outcome in first)
    assert between == [META + dataset(1)]
    assert second == [Delivered()] * 2
    assert sorted(files(folder).values()) == sorted(META + dataset(n) for n in (1, 2))


def test_a_folder_that_is_gone_is_unusable_and_says_so(spool: Spool, tmp_path: Path) -> None:
    folder = FolderDestination("a", tmp_path / "out", TEMPLATE)
    assert folder.probe() is None
    (tmp_path / "out" / ".incoming").rmdir()
    (tmp_path / "out").rmdir()

    with pytest.raises(UnusableError):
        next(folder.sender().deliver(frozenset(), iter(())))

    assert folder.probe() == "No such file or directory"


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"Destination a: the folder .*file/out"):
        FolderDestination("a", tmp_path / "file" / "out", TEMPLATE)


def test_what_an_earlier_process_left_unfinished_is_removed(tmp_path: Path) -> None:
    incoming = tmp_path / "out" / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "old").write_bytes(b"x")
    os.utime(incoming / "old", (0, 0))
    (incoming / "new").write_bytes(b"x")

    FolderDestination("a", tmp_path / "out", TEMPLATE)

    assert [path.name for path in incoming.iterdir()] == ["new"]
