"""Objects that could not be de-identified: sealed on disk, readable with the private key alone."""

from __future__ import annotations

import io
import json
import stat
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StoreStatus
from deid_node.errors import ConfigurationError
from deid_node.node import quarantine
from deid_node.node.sealing import Seal, make_key_pair, read_private_key, read_public_key, unseal
from deid_node.node.service import Node
from deid_node.settings import QuarantineSettings
from deid_node.settings.destinations import FolderSettings
from deid_node.settings.routes import OnReject, RouteSettings
from deid_node.spool.pieces import PIECE, SealError
from tests.node.running import CT, refusals, running, store
from tests.peers import wait_for


def sealed(data: bytes, key: X25519PrivateKey, step: int = 300_000) -> bytes:
    stream = io.BytesIO()
    seal = Seal(stream, key.public_key())
    for start in range(0, len(data), step):
        seal.write(memoryview(data)[start : start + step])
    seal.finish()
    return stream.getvalue()


@pytest.fixture(scope="module")
def key() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7])
def test_what_is_sealed_opens_again(key: X25519PrivateKey, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)

    assert b"".join(unseal(io.BytesIO(sealed(data[:size], key)), key)) == data[:size]


def test_another_key_does_not_open_it(key: X25519PrivateKey) -> None:
    with pytest.raises(SealError, match="another key"):
        list(unseal(io.BytesIO(sealed(b"x", key)), X25519PrivateKey.generate()))


@pytest.mark.parametrize("kept", [0, 10, 60, PIECE + 16 + 51, -1])
def test_a_stream_that_was_cut_does_not_open(key: X25519PrivateKey, kept: int) -> None:
    whole = sealed(bytes(3 * PIECE), key)

    with pytest.raises(SealError):
        list(unseal(io.BytesIO(whole[:kept]), key))


def test_pieces_in_another_order_do_not_open(key: X25519PrivateKey) -> None:
    whole = sealed(bytes(3 * PIECE), key)
    head, size = 51, PIECE + 16
    swapped = whole[:head] + whole[head + size : head + 2 * size] + whole[head : head + size]

    with pytest.raises(SealError):
        list(unseal(io.BytesIO(swapped + whole[head + 2 * size :]), key))


def test_keys_are_written_once_and_the_private_one_for_its_owner(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"

    make_key_pair(private, public)

    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert read_public_key(public) == read_private_key(private).public_key()
    with pytest.raises(FileExistsError):
        make_key_pair(private, public)
    with pytest.raises(ConfigurationError):
        read_private_key(public)


class Site:
    """A node with one route that keeps what it rejects."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.private, self.public = folder / "private.pem", folder / "public.pem"
        make_key_pair(self.private, self.public)
        self.config = folder / "node.toml"
        self.config.write_text(f'state = "{self.state}"\n')
        self.settings = {
            "quarantine": QuarantineSettings(public_key=self.public),
            "destinations": {"out": FolderSettings(kind="folder", path=folder / "out")},
            "routes": {
                "r": RouteSettings(called="DEIDNODE", destinations="out", on_reject=OnReject.QUARANTINE)
            },
        }
        ds = pydicom.dcmread(CT)
        ds.BurnedInAnnotation = "YES"
        ds.PatientName = "Quellwasser^Ottilie"
        self.rejected = folder / "rejected.dcm"
        ds.save_as(self.rejected)

    def quarantine(self) -> list[quarantine.Note]:
        return quarantine.notes(self.state / "quarantine")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_rejected_object_is_kept_sealed_and_acknowledged(site: Site) -> None:
    with running(site.state, **site.settings) as node:
        answer = store(node, site.rejected)
        wait_for(lambda: refusals(node) == ["rejected"], "it is recorded")

    [note] = site.quarantine()
    assert answer.status == StoreStatus.SUCCESS
    assert (note.route, note.code, note.calling) == ("r", "rejected", "TEST")
    for path in site.state.rglob("*"):
        if path.is_file():
            assert b"Quellwasser" not in path.read_bytes(), path


def test_an_object_that_could_be_deidentified_leaves_nothing_there(site: Site) -> None:
    with running(site.state, **site.settings) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS

    assert list((site.state / "quarantine").iterdir()) == []


def test_a_quarantine_that_cannot_be_written_makes_no_success(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with running(site.state, **site.settings) as node:
        monkeypatch.setattr(quarantine.SealedObject, "keep", full)

        assert store(node, site.rejected).status == StoreStatus.OUT_OF_RESOURCES

    assert list((site.state / "quarantine").iterdir()) == []


def test_a_person_lists_opens_and_purges(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
    [note] = site.quarantine()
    config = ["--config", str(site.config)]
    out = tmp_path / "original.dcm"

    listed = main(["quarantine", "list", *config])
    told = capsys.readouterr().out
    shown = main(["quarantine", "show", note.id, *config])
    exported = main(["quarantine", "export", note.id, str(out), "--key", str(site.private), *config])
    purged = main(["quarantine", "purge", note.id, "--yes", *config])

    assert [listed, shown, exported, purged] == [ExitCode.OK] * 4
    assert note.id in told
    assert pydicom.dcmread(out).PatientName == "Quellwasser^Ottilie"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert pydicom.dcmread(out).PixelData == pydicom.dcmread(site.rejected).PixelData
    assert site.quarantine() == []


def test_the_wrong_key_exports_nothing(site: Site, tmp_path: Path) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
    [note] = site.quarantine()
    other, out = tmp_path / "other.pem", tmp_path / "original.dcm"
    make_key_pair(other, tmp_path / "other.pub")

    status = main(
        ["quarantine", "export", note.id, str(out), "--key", str(other), "--config", str(site.config)]
    )

    assert status == ExitCode.INCOMPLETE
    assert not out.exists()


# --- rerun ------------------------------------------------------------------------------------------------


def rerun(site: Site, node: Node, *words: str) -> int:
    assert node.settings.state == site.state
    return main(["quarantine", "rerun", "--key", str(site.private), *words, "--config", str(site.config)])


def with_rule(site: Site, condition: str) -> dict[str, Any]:
    """Settings whose route rejects what a condition says."""
    profile = site.config.with_name("rule.toml")
    profile.write_text(
        'name = "rule"\nversion = "1"\nextends = ["basic"]\n'
        f'[[reject]]\nwhen = "{condition}"\nbecause = "x"\n'
    )
    route = site.settings["routes"]["r"].model_copy(update={"profile": str(profile)})
    return {**site.settings, "routes": {"r": route}}


def test_what_the_profile_takes_now_leaves_the_quarantine_and_is_delivered(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(site.state, **with_rule(site, "Modality == 'CT'")) as node:
        assert store(node, CT).status == StoreStatus.SUCCESS
        assert store(node, CT.with_name("MR_small.dcm")).status == StoreStatus.SUCCESS
    [note] = site.quarantine()

    with running(site.state, **with_rule(site, "Modality == 'MR'")) as node:
        status = rerun(site, node, note.id, "--json")
        wait_for(lambda: len(list((tmp_path / "out").rglob("*.dcm"))) == 2, "both are delivered")

    [told] = json.loads(capsys.readouterr().out)
    assert status == ExitCode.OK
    assert told == {"id": note.id, "status": "0000", "again": None, "told": "was taken"}
    assert site.quarantine() == []
    results = {ds.Modality: ds for ds in map(pydicom.dcmread, (tmp_path / "out").rglob("*.dcm"))}
    assert results["CT"].PixelData == pydicom.dcmread(CT).PixelData
    assert results["CT"].PatientID != pydicom.dcmread(CT).PatientID
    audit = (site.state / "audit" / "audit.jsonl").read_text()
    assert '"event":"quarantine-rerun"' in audit
    assert audit.index('"quarantine-rerun"') < audit.rindex('"object-stored"')


def test_what_is_rejected_again_stays_under_a_new_id(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
        [note] = site.quarantine()
        status = rerun(site, node, "--all")

    [again] = site.quarantine()
    assert status == ExitCode.INCOMPLETE
    assert again.id != note.id
    assert f"{note.id}: is in quarantine again, as {again.id}" in capsys.readouterr().err


def test_what_the_node_refuses_or_does_not_hear_stays_as_it_is(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
    [note] = site.quarantine()
    refusing = {**site.settings, "routes": {"r": RouteSettings(called="DEIDNODE", destinations="out")}}

    with running(site.state, **refusing) as node:
        refused = rerun(site, node, note.id)
    unheard = rerun(site, node, note.id)
    make_key_pair(tmp_path / "other.pem", tmp_path / "other.pub")
    with running(site.state, **site.settings) as node:
        locked = rerun(site, node, note.id, "--key", str(tmp_path / "other.pem"))

    assert [refused, unheard, locked] == [ExitCode.INCOMPLETE] * 3
    told = capsys.readouterr().err
    for said in ("stays: the node answers C", "was not given: no node runs", "another key"):
        assert said in told
    assert site.quarantine() == [note]


def test_a_rerun_wants_to_know_what(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with running(site.state, **site.settings) as node:
        neither = rerun(site, node)
        both = rerun(site, node, "x", "--all")
        unknown = rerun(site, node, "nothing")

    assert [neither, both, unknown] == [ExitCode.USAGE, ExitCode.USAGE, ExitCode.NO_INPUT]


def test_a_rerun_leaves_no_original_on_the_disk(site: Site) -> None:
    with running(site.state, **with_rule(site, "Modality == 'CT'")) as node:
        store(node, site.rejected)
    [note] = site.quarantine()

    with running(site.state, **with_rule(site, "Modality == 'MR'")) as node:
        assert rerun(site, node, note.id) == ExitCode.INCOMPLETE  # burned-in text is rejected by `basic`

    for path in site.state.rglob("*"):
        if path.is_file():
            assert b"Quellwasser" not in path.read_bytes(), path


# --- how much, and how long -------------------------------------------------------------------------------


def test_a_full_quarantine_leaves_objects_with_their_sender_and_lets_others_through(site: Site) -> None:
    limited = {**site.settings, "quarantine": QuarantineSettings(public_key=site.public, max_bytes=1 << 20)}
    ds = pydicom.dcmread(site.rejected)
    ds.PixelData = bytes(600_000)
    ds.save_as(site.rejected)

    with running(site.state, **limited) as node:
        answers = [store(node, site.rejected).status for _ in range(2)]
        passed = store(node, CT).status

    assert answers == [StoreStatus.SUCCESS, StoreStatus.OUT_OF_RESOURCES]
    assert passed == StoreStatus.SUCCESS
    assert len(list((site.state / "quarantine").iterdir())) == 2  # one object and its note


@pytest.mark.parametrize("days", [-4000, 4000])
def test_a_clock_that_jumps_removes_nothing_early(
    site: Site, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = {**site.settings, "quarantine": QuarantineSettings(public_key=site.public, keep_days=7)}
    with running(site.state, **limited) as node:
        store(node, site.rejected)
    kept = site.quarantine()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + days * 86400)

    with running(site.state, **limited) as node:
        store(node, site.rejected)
        wait_for(lambda: len(site.quarantine()) == 2, "the second one is kept")
    monkeypatch.undo()
    with running(site.state, **limited):
        pass

    assert len(kept) == 1
    assert {note.id for note in kept} < {note.id for note in site.quarantine()}
    assert len(site.quarantine()) == 2


def test_objects_are_removed_after_their_days_and_that_is_audited(site: Site) -> None:
    with running(site.state, **site.settings) as node:
        store(node, site.rejected)
        store(node, site.rejected)
    old, young = site.quarantine()
    path = site.state / "quarantine" / f"{old.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "steady_at": old.steady_at - 8 * 86400}))
    limited = {**site.settings, "quarantine": QuarantineSettings(public_key=site.public, keep_days=7)}

    with running(site.state, **limited):
        wait_for(lambda: site.quarantine() == [young], "the old one is removed")

    lines = (site.state / "audit" / "audit.jsonl").read_text().splitlines()
    [told] = [event for event in map(json.loads, lines) if event["event"] == "quarantine-purged"]
    assert (told["how"], told["ids"]) == ("age", [old.id])
