"""Objects that are sealed first and de-identified after: kept, on the same way, in one visible state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node.dimse.status import StoreStatus
from deid_node.errors import ConfigurationError, SpoolError
from deid_node.node.key_file import make_key, open_envelopes
from deid_node.node.service import Node
from deid_node.settings import AcceptorKind, SealedSettings, Settings
from deid_node.settings.destinations import FolderSettings
from deid_node.settings.load import Loaded
from deid_node.settings.network import LimitSettings
from deid_node.settings.routes import IntakeKind, RouteSettings
from deid_node.spool import Desk, check
from deid_node.spool.sealed_rows import SealedState
from tests.node.running import CT, refusals, running, store
from tests.peers import LOOPBACK, wait_for

NAME = b"Quellwasser"
CHAIN = 'name = "x"\nextends = ["basic"]\n'


class Site:
    """A node whose one route seals what it receives; the profile is a file that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.out = folder / "out"
        self.profile = folder / "site.toml"
        self.profile.write_text(CHAIN)
        self.key = folder / "sealed.key"
        make_key(self.key)

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "sealed": SealedSettings(key_file=self.key),
            "destinations": {
                "out": FolderSettings(kind="folder", path=self.out, template="{SOPInstanceUID}.dcm")
            },
            "routes": {
                "r": RouteSettings(
                    called="DEIDNODE",
                    destinations="out",
                    profile=str(self.profile),
                    intake=IntakeKind.SEALED,
                )
            },
            **more,
        }

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    def stored(self) -> list[Path]:
        return sorted(path for path in self.out.rglob("*.dcm") if not path.name.startswith("."))

    def held(self) -> list[tuple[str, str, str]]:
        return [
            (row.code, row.reason, row.path)
            for row in Desk(self.spool).sealed()
            if row.state is SealedState.HELD
        ]

    def sealed_files(self) -> list[Path]:
        return list((self.spool / "sealed").iterdir())


def edited(folder: Path, **values: object) -> Path:
    """Write the CT object with other values."""
    ds = pydicom.dcmread(CT)
    ds.PatientName = "Quellwasser^Ottilie"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    path = folder / f"edited-{len(list(folder.iterdir()))}.dcm"
    ds.save_as(path)
    return path


def clear_texts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and NAME in path.read_bytes()]


def digests(paths: list[Path]) -> list[str]:
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("acceptor", list(AcceptorKind))
def test_an_object_is_acknowledged_sealed_and_delivered_deidentified(
    site: Site, tmp_path: Path, acceptor: AcceptorKind
) -> None:
    file = edited(tmp_path)

    with running(site.state, **site.settings(acceptor=acceptor)) as node:
        answer = store(node, file)
        wait_for(site.stored, "it is delivered")
        wait_for(lambda: not site.sealed_files(), "the original is erased")

    assert answer.status == StoreStatus.SUCCESS
    [stored] = site.stored()
    assert pydicom.dcmread(stored).PixelData == pydicom.dcmread(file).PixelData
    assert not clear_texts(site.state)
    assert not clear_texts(site.out)
    assert Desk(site.spool).sealed() == []
    assert check(site.spool) == []


def test_it_has_the_bytes_that_it_would_have_had_on_its_way_in(site: Site, tmp_path: Path) -> None:
    file = edited(tmp_path)
    with running(site.state, **site.settings()) as node:
        store(node, file)
        wait_for(site.stored, "it is delivered")
    [sealed_way] = site.stored()
    other = site.folder / "other"
    settings: Mapping[str, Any] = site.settings(
        key_file=site.state / "project.key",
        destinations={"out": FolderSettings(kind="folder", path=other)},
        routes={"r": RouteSettings(called="DEIDNODE", destinations="out", profile=str(site.profile))},
    )

    with running(site.folder / "state2", **settings) as node:
        store(node, file)
        wait_for(lambda: list(other.rglob("*.dcm")), "it is delivered")

    assert digests([sealed_way]) == digests(list(other.rglob("*.dcm")))


def test_an_object_that_comes_again_is_delivered_once(site: Site, tmp_path: Path) -> None:
    file = edited(tmp_path)
    with running(site.state, **site.settings()) as node:
        for _ in range(3):
            assert store(node, file).status == StoreStatus.SUCCESS
        desk = Desk(site.spool)
        wait_for(lambda: not desk.sealed(), "all are de-identified")
        wait_for(site.stored, "it is delivered")

    [study] = Desk(site.spool).status().studies
    assert (study.objects, study.revisions) == (1, 0)
    assert len(site.stored()) == 1


def test_what_cannot_be_deidentified_is_held_and_released_under_another_profile(
    site: Site, tmp_path: Path
) -> None:
    refused = edited(tmp_path, BurnedInAnnotation="YES")
    other = edited(tmp_path, SOPInstanceUID="1.2.3.4")
    with running(site.state, **site.settings()) as node:
        assert store(node, refused).status == StoreStatus.SUCCESS
        wait_for(site.held, "it is held")
        store(node, other)
        wait_for(site.stored, "the next one goes on")
        [(code, reason, _)] = site.held()
        assert Desk(site.spool).status().sealed[0].code == code == "rejected"
        assert "Quellwasser" not in reason
        site.profile.write_text(CHAIN + "inherit_gates = false\n")
        node.reload(lambda: Loaded(node.settings, None))
        assert Desk(site.spool).release_sealed() == 1
        wait_for(lambda: len(site.stored()) == 2, "it is delivered")

    assert site.held() == []
    assert check(site.spool) == []


def test_an_object_that_a_rule_excludes_is_erased_and_counted(site: Site, tmp_path: Path) -> None:
    site.profile.write_text(CHAIN + '[[exclude]]\nwhen = "Modality == \'CT\'"\nbecause = "no CT here"\n')
    with running(site.state, **site.settings()) as node:
        assert store(node, edited(tmp_path)).status == StoreStatus.SUCCESS
        wait_for(lambda: refusals(node) == ["excluded"], "it is counted")
        wait_for(lambda: not site.sealed_files(), "it is erased")

    assert Desk(site.spool).sealed() == []


def test_a_damaged_original_is_held_and_nothing_of_it_goes_on(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings()) as node:
        store(node, edited(tmp_path, BurnedInAnnotation="YES", SOPInstanceUID="1.2.3.5"))
        wait_for(site.held, "it is held")
        [file] = site.sealed_files()
        content = bytearray(file.read_bytes())
        content[-100] ^= 1
        file.write_bytes(content)
        envelopes = open_envelopes(node.settings)
        found = check(site.spool, envelopes=envelopes)
        site.profile.write_text(CHAIN + "inherit_gates = false\n")
        node.reload(lambda: Loaded(node.settings, None))
        Desk(site.spool).release_sealed()
        wait_for(lambda: [code for code, _, _ in site.held()] == ["damaged"], "it is held as damaged")

    assert [finding.fault for finding in found] == ["sealed-damaged"]
    assert site.stored() == []


def test_a_dropped_original_is_erased_and_counted(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings()) as node:
        store(node, edited(tmp_path, BurnedInAnnotation="YES"))
        wait_for(site.held, "it is held")
        [file] = site.sealed_files()
        with file.open("rb") as still_open:
            dropped = Desk(site.spool).drop_sealed(codes=["rejected"])
            assert not any(still_open.read()[len(b"deid_node original 1\n") + 8 :][:60])
        assert refusals(node) == ["dropped"]

    assert dropped == 1
    assert site.sealed_files() == []
    with pytest.raises(SpoolError, match="which originals"):
        Desk(site.spool).drop_sealed()


def test_the_memory_limit_does_not_bound_what_is_sealed(site: Site, tmp_path: Path) -> None:
    file = edited(tmp_path, TextValue="x" * 3_000_000)
    limits = LimitSettings(memory_bytes=1 << 20)
    with running(site.state, **site.settings(limits=limits)) as node:
        assert store(node, file).status == StoreStatus.SUCCESS
        wait_for(site.held, "it is held")

    [(code, reason, _)] = site.held()
    assert (code, reason) == ("memory", "its header is longer than limits.memory_bytes")
    with running(site.state, **site.settings()) as node:
        Desk(site.spool).release_sealed()
        wait_for(site.stored, "with more memory it is delivered")


# --- the key ----------------------------------------------------------------------------------


def start(site: Site, **settings: Any) -> None:
    node = Node(Loaded(Settings(state=site.state, host=LOOPBACK, port=0, **settings), None))
    try:
        node.start()
    finally:
        node.stop()


def test_a_node_without_its_key_does_not_start(site: Site) -> None:
    site.key.unlink()
    with pytest.raises(ConfigurationError, match="the key of sealed originals is not there"):
        start(site, **site.settings())
    with pytest.raises(ConfigurationError, match=r"sealed\.key_file: is not set"):
        start(site, **site.settings(sealed=SealedSettings()))


def test_a_key_that_others_read_or_that_is_short_starts_nothing(site: Site) -> None:
    os.chmod(site.key, 0o644)
    with pytest.raises(ConfigurationError, match="may be read by others"):
        start(site, **site.settings())
    site.key.write_text("abcd\n")
    os.chmod(site.key, 0o600)
    with pytest.raises(ConfigurationError, match="too short"):
        start(site, **site.settings())


def test_what_waits_is_not_left_behind_by_settings_without_its_key(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings()) as node:
        store(node, edited(tmp_path, BurnedInAnnotation="YES"))
        wait_for(site.held, "it is held")
    other = tmp_path / "other.key"
    make_key(other)

    with pytest.raises(ConfigurationError, match="1 sealed originals wait"):
        start(site)
    with pytest.raises(SpoolError, match="sealed with another key"):
        start(site, **site.settings(sealed=SealedSettings(key_file=other)))


def test_an_original_whose_route_is_gone_waits_for_it(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings()) as node:
        store(node, edited(tmp_path, BurnedInAnnotation="YES"))
        wait_for(site.held, "it is held")
    Desk(site.spool).release_sealed()
    moved = {"x": RouteSettings(called="OTHER", destinations="out")}
    with running(site.state, **site.settings(routes=moved)):
        wait_for(lambda: [code for code, _, _ in site.held()] == ["no-route"], "it waits for the route")

    with running(site.state, **site.settings()):
        wait_for(lambda: [code for code, _, _ in site.held()] == ["rejected"], "it was tried again")
