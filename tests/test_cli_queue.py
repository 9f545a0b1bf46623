"""`deid-node queue` and `sealed`: numbers and destinations that do not exist are told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.spool import Held, Spool
from tests.spool.objects import put


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """A state with one object that is held for `archive`, and the words that name its settings."""
    spool = Spool.open(tmp_path / "state" / "spool", durable=False)
    put(spool, 1, destinations=("archive",))
    (entry,) = spool.claim("archive", 1)
    spool.settle(entry, Held("poison"))
    spool.close()
    config = tmp_path / "deid-node.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\naudit.enabled = false\n')
    return ["--config", str(config)]


@pytest.mark.parametrize("command", ["list", "retry", "move --to out", "drop"])
def test_a_destination_that_nobody_knows_is_told_with_the_nearest(
    settings: list[str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status = main(["queue", *command.split(), "--destination", "archiv", *settings])

    assert status == ExitCode.USAGE
    assert "no destination 'archiv'; did you mean archive?" in capsys.readouterr().err


def test_a_destination_of_the_ledger_or_of_the_settings_is_known(settings: list[str]) -> None:
    assert main(["queue", "list", "-d", "archive", *settings]) == ExitCode.OK
    assert main(["queue", "list", "-d", "out", *settings]) == ExitCode.OK


@pytest.mark.parametrize(
    ("words", "done"),
    [
        (["queue", "retry", "1", "99"], {"retried": 1}),
        (["queue", "move", "--to", "out", "1", "99"], {"moved": 1}),
        (["queue", "drop", "--yes", "99"], {"dropped": 0}),
        (["sealed", "release", "7"], {"released": 0}),
        (["sealed", "drop", "--yes", "7"], {"dropped": 0}),
    ],
)
def test_a_number_that_chooses_nothing_is_told(
    settings: list[str], capsys: pytest.CaptureFixture[str], words: list[str], done: dict[str, int]
) -> None:
    status = main([*words, "--json", *settings])

    told = capsys.readouterr()
    assert status == ExitCode.INCOMPLETE
    assert json.loads(told.out) == done
    assert "1 of these numbers chose nothing" in told.err


def test_numbers_that_all_choose_something_are_all_right(settings: list[str]) -> None:
    assert main(["queue", "retry", "1", *settings]) == ExitCode.OK


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_what_nobody_agrees_to_is_not_done(
    settings: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    status = main(["queue", "drop", "1", *settings])

    assert status == ExitCode.INTERRUPTED
    assert "Nothing was dropped." in capsys.readouterr().err
    assert main(["queue", "retry", "1", *settings]) == ExitCode.OK


def test_a_state_without_a_spool_is_told_with_the_ways_to_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: list[str]
) -> None:
    monkeypatch.chdir(tmp_path / "state")
    monkeypatch.setenv("DEID_NODE_STATE", str(tmp_path / "none"))
    assert main(["status"]) == ExitCode.NO_INPUT
    assert "DEID_NODE_STATE" in capsys.readouterr().err

    monkeypatch.setenv("DEID_NODE_STATE", str(tmp_path / "state"))
    assert main(["status"]) == ExitCode.OK


def test_entries_are_moved_to_a_destination_of_the_settings_only(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = main(["queue", "move", "--to", "archive", "1", *settings])
    nothing_chosen = main(["queue", "move", "--to", "out", *settings])
    moved = main(["queue", "move", "--to", "out", "--state", "held", *settings])

    assert (wrong, nothing_chosen, moved) == (ExitCode.USAGE, ExitCode.USAGE, ExitCode.OK)
    told = capsys.readouterr()
    assert "no destination 'archive'" in told.err
    assert "Say which entries to move" in told.err
    assert main(["queue", "list", "--json", *settings]) == ExitCode.OK
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["destination"], entry["state"]) == ("out", "pending")


def test_the_counts_of_one_state_can_be_asked_for(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--state", "held", "--json", *settings]) == ExitCode.OK
    held = json.loads(capsys.readouterr().out)
    assert main(["status", "--state", "pending", "--json", *settings]) == ExitCode.OK
    pending = json.loads(capsys.readouterr().out)

    assert held["destinations"] == {"archive": {"held": 1}}
    assert len(held["studies"]) == 1
    assert (pending["destinations"], pending["studies"]) == ({}, [])
