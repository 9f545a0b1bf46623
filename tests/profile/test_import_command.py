"""`deid-node profile import`: what is written, listed and kept, and that the result runs."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.profile_import import Dialect, Kind
from deid_node.profile.imports import KINDS
from deid_node.profile.imports.ctp import CTP, RSNA

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
MICROSOFT = {
    "rules": [
        {"tag": "PN", "method": "redact"},
        {"tag": "PatientID", "method": "cryptoHash"},
        {"tag": "DA", "method": "dateShift"},
    ],
    "defaultSettings": {"cryptoHash": {"cryptoHashKey": "123"}, "dateShift": {"dateShiftKey": "secret key"}},
}


def written(folder: Path, name: str, content: object) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return file


def test_the_command_knows_every_import() -> None:
    assert tuple(Kind) == KINDS
    assert set(Dialect) == {CTP, RSNA}


def test_an_import_runs_with_the_keys_of_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, profile = written(tmp_path, "rules.json", MICROSOFT), tmp_path / "site.toml"

    imported = main(["profile", "import", "--from", "microsoft", str(source), "-o", str(profile)])
    ran = main(["deidentify", "--profile", str(profile), str(CT), str(tmp_path / "out.dcm")])

    assert (imported, ran) == (ExitCode.OK, ExitCode.OK)
    assert dcmread(tmp_path / "out.dcm").PatientID == hmac.digest(b"123", b"1CT1", "sha256").hex()
    assert "secret key" not in profile.read_text()
    assert "site-hash" in capsys.readouterr().out


def test_another_key_under_the_same_name_gets_a_name_of_its_own(tmp_path: Path) -> None:
    one, two = tmp_path / "1" / "site.toml", tmp_path / "2" / "site.toml"
    other = {**MICROSOFT, "defaultSettings": {"cryptoHash": {"cryptoHashKey": "456"}}}
    for profile, content in ((one, MICROSOFT), (two, other)):
        profile.parent.mkdir()
        source = written(profile.parent, "rules.json", content)
        assert main(["profile", "import", "--from", "microsoft", str(source), "-o", str(profile)]) == 0

    ids = []
    for profile in (one, two):
        target = profile.with_suffix(".dcm")
        assert main(["deidentify", "--profile", str(profile), str(CT), str(target)]) == ExitCode.OK
        ids.append(dcmread(target).PatientID)

    assert 'key = "site-hash-2"' in two.read_text()
    assert ids[0] != ids[1]


def test_what_is_left_out_is_listed_and_the_profile_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path, "tags.json", {"PatientName": "anon", "Nonsense": "x"})
    profile = tmp_path / "site.toml"

    status = main(["profile", "import", "--from", "pfdicom", str(source), "-o", str(profile)])

    told = capsys.readouterr()
    assert status == ExitCode.INCOMPLETE
    assert "not carried over: tags.json line 3: Nonsense" in told.err
    assert profile.exists()


def test_a_program_reads_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path, "spec.js", "export default { modifyDicomHeader() { return {} } }")
    profile = tmp_path / "site.toml"

    status = main(["profile", "import", "--from", "dicom-curate", str(source), "-o", str(profile), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert status == ExitCode.INCOMPLETE
    assert [(one["where"], one["what"]) for one in told["left_out"]] == [
        ("spec.js line 1", "modifyDicomHeader")
    ]


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("microsoft", "{", ExitCode.CONFIGURATION),
        ("ctp", '<script><e t="00100010">@empty()</e></script>', ExitCode.CONFIGURATION),
        ("nothing", "{}", ExitCode.USAGE),
    ],
)
def test_what_cannot_be_read_leaves_no_profile(
    tmp_path: Path, kind: str, content: str, status: ExitCode
) -> None:
    source = written(tmp_path, "source", content)

    assert main(["profile", "import", "--from", kind, str(source), "-o", str(tmp_path / "p.toml")]) == status
    assert not (tmp_path / "p.toml").exists()


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    source = written(tmp_path, "tags.json", {"PatientName": "anon"})
    profile = written(tmp_path, "site.toml", "mine")

    status = main(["profile", "import", "--from", "pfdicom", str(source), "-o", str(profile)])

    assert status == ExitCode.CANNOT_CREATE
    assert profile.read_text() == "mine"


def test_a_grand_challenge_procedure_is_imported(tmp_path: Path) -> None:
    procedure = {
        "version": "2026.1",
        "default": "R",
        "dicomStandardVersion": "2025c",
        "justification": "no",
        "sopClass": {
            "1.2.840.10008.5.1.4.1.1.2": {
                "default": "X",
                "justification": "no",
                "tag": {
                    "(0008,0016)": {"default": "K", "justification": "needed"},
                    "(0008,0018)": {"default": "U", "justification": "new"},
                    "(0010,0010)": {"default": "Z", "justification": "name"},
                },
            }
        },
    }
    source, profile = written(tmp_path, "procedure.json", procedure), tmp_path / "site.toml"

    imported = main(["profile", "import", "--from", "grand-challenge", str(source), "-o", str(profile)])
    ran = main(["deidentify", "--profile", str(profile), str(CT), str(tmp_path / "out.dcm")])

    assert (imported, ran) == (ExitCode.OK, ExitCode.OK)
    assert dcmread(tmp_path / "out.dcm").PatientName == "DUMMY^PATIENT^^^"
