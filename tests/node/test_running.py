"""What the running node has in force can be read by another process, without secrets."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.node.running import read_running
from deid_node.node.service import Node
from deid_node.settings import Settings
from deid_node.settings.load import Loaded
from tests.node.running import running
from tests.peers import LOOPBACK

KEY = "ab" * 32


@pytest.fixture
def here(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, which the commands find by the environment."""
    monkeypatch.setenv("DEID_NODE_STATE", str(state))
    return state


def test_the_settings_in_force_are_told_with_profiles_and_no_secret(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(here, key=KEY, ae_title="SOMEWHERE") as node:
        assert main(["settings"]) == ExitCode.OK
        shown = capsys.readouterr().out
        assert main(["settings", "--json"]) == ExitCode.OK
        told = json.loads(capsys.readouterr().out)
        file = here / "running.json"
        content = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        digest = node.procedures["basic"].digest

    assert "SOMEWHERE" in shown
    assert "limits.depth" not in shown
    assert digest in shown
    assert told["process"] == os.getpid()
    assert told["port"] == node.address[1]
    assert told["how"] == "start"
    assert told["settings"]["ae_title"] == "SOMEWHERE"
    assert told["settings"]["limits"]["depth"] == 32
    assert (told["routes"]["default"]["name"], told["routes"]["default"]["digest"]) == ("basic", digest)
    assert KEY not in content + shown


def test_without_a_running_node_nothing_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(here):
        left_over = (here / "running.json").read_text()

    assert main(["settings"]) == ExitCode.UNAVAILABLE
    assert "No node runs" in capsys.readouterr().err
    said = {
        **json.loads(left_over),
        "process": 1,
    }  # a process that was killed leaves it; its number is used again
    (here / "running.json").write_text(json.dumps(said))
    assert main(["settings"]) == ExitCode.UNAVAILABLE
    (here / "running.json").write_text(left_over[:100])
    assert read_running(here) is None


def test_a_reload_is_told_and_a_profile_that_stays_keeps_its_time(here: Path, tmp_path: Path) -> None:
    profile = tmp_path / "site.toml"
    profile.write_text('name = "site"\nversion = "1"\nextends = ["basic"]\n')
    routes = {
        "a": {"called": ["A"], "destinations": ["out"], "profile": str(profile)},
        "b": {"called": ["B"], "destinations": ["out"], "profile": "basic"},
    }
    more = {"destinations": {"out": {"kind": "folder", "path": tmp_path / "out"}}, "routes": routes}

    def loaded() -> Loaded:
        return Loaded(Settings(state=here, host=LOOPBACK, port=0, **more), None)

    node = Node(loaded())
    node.start()
    try:
        before = read_running(here)
        profile.write_text(profile.read_text().replace('"1"', '"2"'))
        node.reload(loaded)
        after = read_running(here)
    finally:
        node.stop()

    assert before is not None
    assert after is not None
    assert (before.how, after.how) == ("start", "asked")
    assert before.started_at == after.started_at
    assert after.since > before.since
    assert after.routes["a"].version == "2"
    assert after.routes["a"].since > before.routes["a"].since
    assert after.routes["b"] == before.routes["b"]


def test_all_settings_are_shown_when_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(here):
        assert main(["settings", "--all"]) == ExitCode.OK

    assert "limits.depth" in capsys.readouterr().out
