"""`deid-node decrypt`: what was encrypted comes back, for who has the key, and the audit knows."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.engine.functions_keyed import encrypt

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
PROFILE = """
name = "site"
extends = ["basic"]
[attributes]
PatientID = { do = "encrypt", key = "site" }
PatientName = { do = "encrypt", algorithm = "aes-gcm" }
StudyDescription = [{ do = "encrypt", algorithm = "aes-cbc", when = "Modality == 'CT'" }, "Z"]
"""
SECRET = "correct horse battery staple"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, a profile that encrypts, and an object that it was done to."""
    monkeypatch.setenv("DEID_NODE_SECRET_SITE", SECRET)
    monkeypatch.setenv("DEID_NODE_STATE", str(tmp_path / "state"))
    (tmp_path / "site.toml").write_text(PROFILE)
    ds = pydicom.dcmread(CT)
    ds.PatientName, ds.StudyDescription = "Doe^J", "S-77"
    ds.save_as(tmp_path / "in.dcm")
    words = ["-p", str(tmp_path / "site.toml"), str(tmp_path / "in.dcm"), str(tmp_path / "out.dcm")]
    assert main(["deidentify", *words]) == ExitCode.OK
    return tmp_path


def audited(folder: Path) -> list[str]:
    lines = (folder / "state" / "audit" / "audit.jsonl").read_text().splitlines()
    return [line for line in lines if '"values-decrypted"' in line]


def test_ms_v19_what_a_profile_encrypted_comes_back(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()

    status = main(["decrypt", str(state / "out.dcm"), "-p", str(state / "site.toml"), "--json"])

    found = {one["path"]: one["value"] for one in json.loads(capsys.readouterr().out)}
    assert status == ExitCode.OK
    assert found == {"PatientName": "Doe^J", "PatientID": "1CT1", "StudyDescription": "S-77"}


def test_one_attribute_is_decrypted_without_the_profile(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    status = main(["decrypt", str(state / "out.dcm"), "-a", "PatientID", "--key", "site"])

    assert status == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == ["path\ttag\tvalue", "PatientID\t(0010,0020)\t1CT1"]


def test_every_read_is_audited_without_its_values(state: Path) -> None:
    main(["decrypt", str(state / "out.dcm"), "-p", str(state / "site.toml")])

    (line,) = audited(state)
    told = json.loads(line)
    assert (told["how"], told["count"]) == ("file", 3)
    assert "1CT1" not in line


@pytest.mark.parametrize("algorithm", ["aes-siv", "aes-gcm"])
def test_one_text_is_decrypted(state: Path, capsys: pytest.CaptureFixture[str], algorithm: str) -> None:
    sealed = encrypt("Müller^Änne", algorithm, SECRET.encode())
    capsys.readouterr()

    status = main(["decrypt", "--text", sealed, "--algorithm", algorithm, "--key", "site"])

    assert status == ExitCode.OK
    assert capsys.readouterr().out == "Müller^Änne\n"
    assert len(audited(state)) == 1


def test_another_key_opens_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_NODE_SECRET_SITE", "another")
    capsys.readouterr()

    status = main(["decrypt", str(state / "out.dcm"), "--key", "site"])

    assert status == ExitCode.INCOMPLETE
    assert capsys.readouterr().out == ""


def test_nothing_is_decrypted_without_an_audit(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEID_NODE_AUDIT__ENABLED", "false")
    capsys.readouterr()

    status = main(["decrypt", str(state / "out.dcm"), "--key", "site"])

    assert status == ExitCode.CONFIGURATION
    assert "1CT1" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], ExitCode.USAGE),
        (["out.dcm", "--text", "x"], ExitCode.USAGE),
        (["--text", "x", "-a", "PatientID"], ExitCode.USAGE),
        (["nowhere.dcm"], ExitCode.NO_INPUT),
        (["site.toml", "--key", "site"], ExitCode.NO_INPUT),
        (["out.dcm", "-a", "vr:PN"], ExitCode.USAGE),
        (["out.dcm", "--key", "absent"], ExitCode.CONFIGURATION),
        (["out.dcm", "-p", "basic"], ExitCode.CONFIGURATION),
        (["--text", "not Base64", "--key", "site"], ExitCode.INCOMPLETE),
    ],
)
def test_a_command_line_that_opens_nothing_is_told(
    state: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: ExitCode
) -> None:
    monkeypatch.chdir(state)

    assert main(["decrypt", *words]) == status
