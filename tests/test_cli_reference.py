"""The reference of the commands says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.reference import reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"


def test_the_page_is_the_one_that_the_commands_make() -> None:
    assert PAGE.read_text() == reference(), "make it with python -m deid_node.commands.reference"


def test_every_option_says_what_it_does() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]

    assert rows
    assert all(row.split(" | ")[1].strip() for row in rows)


def test_no_command_has_two_options_of_one_name() -> None:
    for section in reference().split("\n## ")[1:]:
        options = re.findall(r"`(--?[\w-]+)`", "".join(re.findall(r"^\| (`-.*?) \|", section, re.M)))
        assert len(options) == len(set(options)), section.splitlines()[0]


def test_exit_statuses_are_numbers_and_names() -> None:
    assert ExitCode.CONFIGURATION == 78
    assert ExitCode(78).meaning.startswith("a setting")
