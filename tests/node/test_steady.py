"""The clock that ages of days are counted by: nobody can set it, and it never runs ahead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deid_node.errors import ConfigurationError
from deid_node.node import steady
from deid_node.node.steady import SteadyClock, open_steady


class _Machine:
    """What a machine says of the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.boot_s, self.boot = 1_000_000.0, 500.0, "first"
        monkeypatch.setattr(time, "time", lambda: self.at)
        monkeypatch.setattr(steady, "_boot_s", lambda: self.boot_s)
        monkeypatch.setattr(steady, "_boot_id", lambda: self.boot)

    def pass_s(self, seconds: float) -> None:
        self.at += seconds
        self.boot_s += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> _Machine:
    return _Machine(monkeypatch)


def test_it_begins_with_the_time_and_goes_on_whatever_the_clock_is_set_to(
    tmp_path: Path, machine: _Machine
) -> None:
    clock = SteadyClock(tmp_path)

    machine.pass_s(60)
    machine.at -= 5_000_000

    assert clock.now() == 1_000_060


def test_a_restart_of_the_process_loses_no_second(tmp_path: Path, machine: _Machine) -> None:
    open_steady(tmp_path)

    machine.pass_s(3600)
    machine.at += 10_000_000

    assert SteadyClock(tmp_path).now() == 1_003_600


def test_the_time_in_which_the_machine_was_off_does_not_count(tmp_path: Path, machine: _Machine) -> None:
    clock = open_steady(tmp_path)
    machine.pass_s(100)
    clock.save()

    machine.boot, machine.boot_s = "second", 20.0
    machine.at += 10_000_000

    assert SteadyClock(tmp_path).now() == 1_000_100


@pytest.mark.parametrize("content", ["", "{", "[]", '{"at": "x"}', '{"at": 1}'])
def test_a_file_that_says_nothing_lets_it_begin_anew(content: str, tmp_path: Path, machine: _Machine) -> None:
    (tmp_path / "clock.json").write_text(content)

    assert SteadyClock(tmp_path).now() >= 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"clock\.json cannot be used"):
        open_steady(tmp_path / "absent")
