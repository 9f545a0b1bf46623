"""Objects that could not be de-identified: sealed on disk, readable with the private key alone."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StoreStatus
from deid_node.errors import ConfigurationError
from deid_node.node import quarantine
from deid_node.node.sealing import Seal, make_key_pair, read_private_key, read_public_key, unseal
from deid_node.settings import FolderSettings, OnReject, QuarantineSettings, RouteSettings
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
