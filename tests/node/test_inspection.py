"""What `deid-node check` finds: everything that is wrong, in one run, each with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.node.inspection import Area, Inspection, inspect
from deid_node.settings.load import read_settings
from tests.certificates import Authority

BROKEN = """\
port = "x"
key_file = "short.key"
zebra = 1
[tls]
certificate = "absent.pem"
key = "text.pem"
ca = "text.pem"
[spool]
folder = "short.key/spool"
low_water = 2
[audit.syslog]
host = "collector"
ca = "absent.pem"
key = "text.pem"
[sealed]
key_file = "absent.key"
[quarantine]
public_key = "text.pem"
[peers.ct]
ae_title = "CT"
address = "10.0.0.300"
[destinations.store]
kind = "folder"
path = "short.key/out"
template = "{PatientNam}.dcm"
[destinations.pacs]
kind = "ae"
host = "pacs"
port = 104
ae_title = "PACS"
tls = true
tls_ca = "text.pem"
[routes.a]
called = "A"
profile = "site.toml"
destinations = ["store", "pac"]
[routes.b]
called = "B"
profile = "secret.toml"
destinations = ["store"]
[routes.c]
called = "B"
profile = "basik"
destinations = ["pacs"]
"""
# area, line of the settings, a part of the problem: one row for each thing that is wrong above
WRONG = [
    ("settings", 1, "port must be a whole number"),
    ("settings", 3, "zebra is not a setting"),
    ("settings", 10, "spool.low_water must be less than or equal to 1"),
    ("settings", 21, "an address is an IP address or a CIDR block"),
    ("settings", 36, 'did you mean "pacs"?'),
    ("settings", 42, 'bound to route "b" already'),
    ("profiles", 35, "site.toml line 4: Selector 'PatintName'"),
    ("profiles", 39, "The secret 'nobody-wrote-this' that a profile names is not there; write it into"),
    ("profiles", 43, "there is no profile 'basik'; did you mean basic?"),
    ("keys", 2, "short.key: the project key is too short"),
    ("keys", 18, "is no X25519 public key in PEM; `quarantine keys` makes one"),
    ("certificates", 5, "tls.certificate: {folder}/absent.pem cannot be read (No such file"),
    ("certificates", 6, "tls.key: {folder}/text.pem may be read by others"),
    ("certificates", 7, "tls.ca: {folder}/text.pem holds no certificate in PEM"),
    ("certificates", 13, "audit.syslog.ca: {folder}/absent.pem cannot be read"),
    ("certificates", 14, "audit.syslog.key: is of no use without audit.syslog.certificate"),
    ("certificates", 32, "destinations.pacs.tls_ca: {folder}/text.pem holds no certificate"),
    ("destinations", 24, "destinations.store.path: {folder}/short.key/out cannot be written"),
    ("destinations", 25, "{{PatientNam}} is not the keyword of an attribute; did you mean {{PatientName}}?"),
    ("folders", 9, "spool.folder: {folder}/short.key/spool cannot be written"),
]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder in which everything is wrong that can be."""
    (tmp_path / "short.key").write_text("00")
    (tmp_path / "short.key").chmod(0o600)
    (tmp_path / "text.pem").write_text("nothing\n")
    (tmp_path / "site.toml").write_text(
        'name = "site"\nextends = ["basic"]\n[attributes]\nPatintName = "X"\n'
    )
    (tmp_path / "secret.toml").write_text(
        'name = "secret"\nextends = ["basic"]\n[attributes]\n'
        'PatientID = { do = "hash", key = "nobody-wrote-this" }\n'
    )
    (tmp_path / "node.toml").write_text(BROKEN)
    return tmp_path


def found_in(folder: Path, text: str) -> Inspection:
    (folder / "node.toml").write_text(text)
    return inspect(read_settings(folder / "node.toml", environment={}))


def told(found: Inspection) -> list[str]:
    return [f"{area}: {problem.text}" for area, problems in found.problems.items() for problem in problems]


def test_one_run_tells_all_that_is_wrong_and_where(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["check", "--json", "--config", str(broken / "node.toml")])

    result = json.loads(capsys.readouterr().out)
    assert status == ExitCode.CONFIGURATION
    for area, line, part in WRONG:
        part = part.format(folder=broken)
        assert [
            problem
            for problem in result["problems"]
            if problem["area"] == area
            and problem["where"] == f"{broken / 'node.toml'} line {line}"
            and part in problem["problem"]
        ], part
    others = [problem for problem in result["problems"] if problem["where"] == str(broken / "absent.key")]
    assert [problem["area"] for problem in others] == ["keys"]
    assert len(result["problems"]) == len(WRONG) + 1
    assert (result["ok"], result["not_checked"]) == (False, [])


def test_the_list_for_people_has_the_same_problems_under_headings(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", "--config", str(broken / "node.toml")])

    lines = capsys.readouterr().err.splitlines()
    assert status == ExitCode.CONFIGURATION
    assert lines[0] == f"{len(WRONG) + 1} problems:"
    assert [line for line in lines[1:] if not line.startswith(" ")] == [area.value for area in Area]
    assert len([line for line in lines if line.startswith("  ")]) == len(WRONG) + 1


def test_each_problem_that_is_mended_is_one_less(broken: Path) -> None:
    before = inspect(read_settings(broken / "node.toml", environment={})).count

    (broken / "site.toml").write_text('name = "site"\nextends = ["basic"]\n')
    after = inspect(read_settings(broken / "node.toml", environment={})).count

    assert after == before - 1


def test_checking_makes_nothing(broken: Path) -> None:
    before = sorted(broken.rglob("*"))

    main(["check", "--config", str(broken / "node.toml")])

    assert sorted(broken.rglob("*")) == before


def test_what_hangs_on_a_wrong_setting_is_named_and_not_guessed(tmp_path: Path) -> None:
    found = found_in(tmp_path, 'state = 7\nprofile = "basik"\n[tls]\ncertificate = 7\nkey = "absent"\n')

    assert told(found) == [
        "settings: state must be a path in quotes.",
        "settings: tls.certificate must be a path in quotes.",
    ]
    assert found.unseen == [Area.PROFILES, Area.KEYS, Area.CERTIFICATES, Area.DESTINATIONS, Area.FOLDERS]


def test_a_wrong_setting_is_not_told_again_as_missing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("node").file

    found = found_in(tmp_path, f'[tls]\ncertificate = "{certificate}"\nkey = 7\nca = "{authority.file}"\n')

    assert told(found) == ["settings: tls.key must be a path in quotes."]
    assert found.unseen == []


def test_values_that_contradict_only_the_default_of_a_wrong_one_are_not_told(tmp_path: Path) -> None:
    found = found_in(tmp_path, 'profile = "basik"\n[spool]\nhigh_water = "much"\nlow_water = 0.99\n')

    assert [text.split(":")[0] for text in told(found)] == ["settings", "profiles"]


@pytest.mark.parametrize("text", ["port = \n", "\xff"])
def test_a_file_that_cannot_be_read_is_the_one_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.toml").write_bytes(text.encode("latin-1"))

    found = inspect(read_settings(tmp_path / "node.toml", environment={}))

    assert found.count == 1
    assert found.unseen == [area for area in Area if area is not Area.SETTINGS]


def test_wrong_variables_are_told_beside_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = inspect(read_settings(tmp_path / "absent.toml", environment={"DEID_NODE_PORT": "x"}))

    assert {problem.where for problem in found.problems[Area.SETTINGS]} == {
        "DEID_NODE_PORT",
        str(tmp_path / "absent.toml"),
    }


def test_a_former_key_that_cannot_be_read_is_told_with_the_others(tmp_path: Path) -> None:
    for name in ("project.key", "project.key.AAAAAAAA", "project.key.BBBBBBBB"):
        (tmp_path / name).write_text("00" * (32 if name == "project.key" else 1))
        (tmp_path / name).chmod(0o600)

    found = found_in(tmp_path, 'state = "."\n')

    assert [problem.where for problem in found.problems[Area.KEYS]] == [
        str(tmp_path / "project.key.AAAAAAAA"),
        str(tmp_path / "project.key.BBBBBBBB"),
    ]


def test_random_codes_that_are_gone_are_told(tmp_path: Path) -> None:
    (tmp_path / "random-codes").touch()

    found = found_in(tmp_path, 'state = "."\npseudonyms = "random"\n')

    assert "the table of random codes is gone" in told(found)[0]


def test_settings_that_are_right_have_no_problem(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("node")

    found = found_in(
        tmp_path,
        f'state = "s"\n[tls]\ncertificate = "{issued.file}"\nkey = "{issued.key}"\nca = "{authority.file}"\n',
    )

    assert (found.count, found.unseen) == (0, [])
    assert set(found.procedures) == {"basic"}
