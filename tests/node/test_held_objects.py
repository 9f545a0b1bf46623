"""An object that waits for a row of a lookup table is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StatusClass, StoreStatus, class_of
from deid_node.errors import Rejected
from deid_node.node.answers import answer_for
from deid_node.node.procedures import compile_procedures
from deid_node.settings.load import load_settings

PROFILE = """
name = "site"
extends = ["basic"]
[attributes]
PatientID = { do = "lookup", table = "ids", missing = "hold" }
[tables.ids]
file = "ids.csv"
key = "old"
value = "new"
"""


def test_a_held_object_is_answered_so_that_the_sender_tries_again() -> None:
    answer = answer_for(Rejected("no row", code="held"))

    assert answer.status is StoreStatus.OUT_OF_RESOURCES
    assert class_of(answer.status) is StatusClass.DEFERRED
    assert len(answer.comment) <= 64


def test_a_rejected_object_is_not_asked_for_again() -> None:
    assert class_of(answer_for(Rejected("no row")).status) is StatusClass.REFUSED


def test_settings_that_are_read_again_see_a_new_row(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(PROFILE)
    config = tmp_path / "node.toml"
    config.write_text('state = "s"\nprofile = "site.toml"\n')

    def rows() -> dict[str, str]:
        (procedure,) = compile_procedures(load_settings(config, environment={}).settings).values()
        return dict(procedure.lookups["ids"])

    (tmp_path / "ids.csv").write_text("old,new\n")
    before = rows()
    (tmp_path / "ids.csv").write_text("old,new\nA,1\n")

    assert (before, rows()) == ({}, {"A": "1"})


def test_check_tells_what_should_be_known_about_a_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(PROFILE)
    (tmp_path / "ids.csv").write_text("old,new\nSECRET,1\nSECRET,1\n")
    (tmp_path / "node.toml").write_text('state = "s"\nprofile = "site.toml"\n')

    status = main(["check", "--config", str(tmp_path / "node.toml")])

    told = capsys.readouterr().out
    assert status == ExitCode.OK
    assert "Note:      ids.csv: what a line above says stands again in line 3" in told
    assert "SECRET" not in told
