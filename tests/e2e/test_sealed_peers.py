"""Real senders to a node that keeps originals sealed: killed, reloaded, asked by a person."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pydicom
import pytest

from deid_node.node.key_file import make_key
from deid_node.spool import Desk, check
from tests.e2e.objects import NAME, PATIENT_ID, assert_deidentified, pixel_digests, series
from tests.e2e.running import AE_TITLE, RunningNode, ae_destination
from tests.peers import ENVIRONMENT, LOOPBACK, require, run, stop, storescp, wait_for

pytestmark = pytest.mark.peer

FOLDER = '[destinations.out]\nkind = "folder"\npath = "{store}"\ntemplate = "{{SOPInstanceUID}}.dcm"\n'
TABLE = """name = "site"
extends = ["basic"]
[attributes]
PatientID = { do = "lookup", table = "ids", missing = "hold" }
[tables.ids]
file = "ids.csv"
key = "old"
value = "new"
"""


def node_with(home: Path, route: str, destinations: str = "") -> RunningNode:
    """Return a node with a key for originals and one route, to all destinations."""
    name = "down" if destinations else "out"
    settings = (
        f'[sealed]\nkey_file = "{home / "sealed.key"}"\n'
        f'[routes.r]\ncalled = "{AE_TITLE}"\ndestinations = "{name}"\n{route}\n'
    )
    node = RunningNode(
        home, destinations or FOLDER.format(store=home / "store"), extra=settings
    )  # fmt: skip
    make_key(home / "sealed.key")
    return node


def storescu(node: RunningNode, *files: Path) -> int:
    return run(require("storescu"), "-aec", AE_TITLE, "-xe", LOOPBACK, str(node.port), *files).returncode


def desk(node: RunningNode) -> Desk:
    return Desk(node.home / "state" / "spool")


def ended(node: RunningNode) -> bool:
    return not desk(node).sealed() and not desk(node).queue()


def assert_nothing_is_left(node: RunningNode) -> None:
    spool = node.home / "state" / "spool"
    assert check(spool) == []
    assert list((spool / "sealed").iterdir()) == []
    for path in (node.home / "state").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert NAME.encode() not in content, path
            assert PATIENT_ID.encode() not in content, path


@pytest.mark.parametrize("point", ["after-sealed-claim", "sealed-half", "before-erase"])
def test_a_node_that_is_killed_while_it_deidentifies_delivers_everything_once(
    tmp_path: Path, point: str
) -> None:
    sent = series(tmp_path / "in", 4, pixel_bytes=200_000)
    with storescp(tmp_path / "down", "+xa") as port:
        node = node_with(tmp_path / "node", 'intake = "sealed"', ae_destination(port))
        node.start(DEID_FAILPOINT=f"{point}:kill:2")
        assert node.process is not None
        try:
            storescu(node, *sent)
            assert node.process.wait(30) == -signal.SIGKILL
            node.start()
            assert storescu(node, *sent) == 0
            wait_for(lambda: ended(node), "all is delivered")
        finally:
            node.stop()
        received = [path for path in (tmp_path / "down").iterdir() if path.is_file()]

    assert pixel_digests(received) == pixel_digests(sent)
    assert_deidentified(received)
    assert_nothing_is_left(node)
    [study] = desk(node).status().studies
    assert (study.objects, study.revisions) == (len(sent), 0)


def test_a_person_fills_in_the_row_that_a_held_object_lacks(tmp_path: Path) -> None:
    [sent] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", f'profile = "{tmp_path / "site.toml"}"\non_hold = "seal"')
    (tmp_path / "site.toml").write_text(TABLE)
    (tmp_path / "ids.csv").write_text("old,new\n")
    more = tmp_path / "more.csv"
    node.start()
    try:
        assert storescu(node, sent) == 0
        listed = node.command("sealed", "list").stdout
        collected = node.command(
            "table", "collect", "--held", "-p", tmp_path / "site.toml", "--table", "ids", "-o", more
        )
        more.write_text(more.read_text().replace(f"{PATIENT_ID},", f"{PATIENT_ID},STUDY-0001"))
        more.rename(tmp_path / "ids.csv")
        assert node.process is not None
        os.kill(node.process.pid, signal.SIGHUP)
        wait_for(node.stored, "it has gone on")
        wait_for(lambda: ended(node), "nothing waits")
    finally:
        node.stop()

    assert "has no row for a value" in listed
    assert "PatientID" in listed
    assert collected.returncode == 0, collected.stderr
    [stored] = node.stored()
    assert pydicom.dcmread(stored).PatientID == "STUDY-0001"
    assert_nothing_is_left(node)
    assert PATIENT_ID not in node.log.read_text()


def test_a_held_object_goes_on_without_a_signal_when_its_row_is_written(tmp_path: Path) -> None:
    [sent] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", f'profile = "{tmp_path / "site.toml"}"\non_hold = "seal"')
    (tmp_path / "site.toml").write_text(TABLE)
    table = tmp_path / "ids.csv"
    table.write_text("old,new\n")
    node.start()
    try:
        assert storescu(node, sent) == 0
        wait_for(desk(node).sealed, "it is held")
        with table.open("a") as rows:
            rows.write(f"{PATIENT_ID},STUDY-0001\n{PATIENT_ID},STUDY-0002\n")
        wait_for(lambda: '"node.reload_refused"' in node.log.read_text(), "the broken table is told", 30)
        held = [row.code for row in desk(node).sealed()]
        with table.open("w") as rows:
            rows.write(f"old,new\n{PATIENT_ID},STUDY-")
            rows.flush()
            wait_for(
                lambda: node.log.read_text().count('"node.reload_refused"') > 1, "half a row is told", 30
            )
            rows.write("0001\n")
        wait_for(node.stored, "it has gone on", 30)
        wait_for(lambda: ended(node), "nothing waits")
    finally:
        node.stop()

    log = node.log.read_text()
    audit = (node.home / "state" / "audit" / "audit.jsonl").read_text()
    assert held == ["held"]
    [stored] = node.stored()
    assert pydicom.dcmread(stored).PatientID == "STUDY-0001"
    assert log.count('"node.reload_refused"') == 2
    assert log.count('"node.reloaded"') == 1
    assert "ids.csv line 3: contradicts line 2" in log
    assert "ids.csv: its last line has no end" in log
    assert '"event":"reloaded"' in audit
    assert '"how":"table"' in audit
    assert PATIENT_ID not in log + audit
    assert "STUDY-000" not in log + audit
    assert_nothing_is_left(node)


def test_a_changed_table_takes_no_changed_profile_along(tmp_path: Path) -> None:
    [sent] = series(tmp_path / "in", 1)
    node = node_with(tmp_path / "node", f'profile = "{tmp_path / "site.toml"}"\non_hold = "seal"')
    (tmp_path / "site.toml").write_text(TABLE)
    (tmp_path / "ids.csv").write_text("old,new\n")
    node.start()
    try:
        assert storescu(node, sent) == 0
        wait_for(desk(node).sealed, "it is held")
        (tmp_path / "site.toml").write_text(TABLE.replace("[tables", 'PatientSex = "K"\n[tables'))
        (tmp_path / "ids.csv").write_text(f"old,new\n{PATIENT_ID},STUDY-0001\n")
        wait_for(lambda: '"node.reload_refused"' in node.log.read_text(), "it is told", 30)
        held = [row.code for row in desk(node).sealed()]
        assert node.process is not None
        os.kill(node.process.pid, signal.SIGHUP)
        wait_for(node.stored, "a person's word takes both")
    finally:
        node.stop()

    assert held == ["held"]
    assert "A lookup table has changed, and so has a profile" in node.log.read_text()


@pytest.mark.parametrize("route", ['intake = "sealed"', 'intake = "ram"'])
def test_one_object_on_four_associations_at_once_is_delivered_once(tmp_path: Path, route: str) -> None:
    [sent] = series(tmp_path / "in", 1, pixel_bytes=200_000)
    node = node_with(tmp_path / "node", route)
    node.start()
    command = [
        require("storescu"),
        "-aec",
        AE_TITLE,
        "-xe",
        "--repeat",
        "5",
        LOOPBACK,
        str(node.port),
        str(sent),
    ]
    try:
        senders = [subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) for _ in range(4)]
        statuses = [sender.wait(60) for sender in senders]
        wait_for(lambda: ended(node), "nothing waits")
        wait_for(node.stored, "it is delivered")
    finally:
        for sender in senders:
            stop(sender)
        node.stop()

    assert statuses == [0] * 4
    assert pixel_digests(node.stored()) == pixel_digests([sent])
    [study] = desk(node).status().studies
    assert (study.objects, study.revisions) == (1, 0)
    assert_nothing_is_left(node)


def test_a_stop_in_the_middle_of_an_original_is_no_death_of_it(tmp_path: Path) -> None:
    sent = series(tmp_path / "in", 3, pixel_bytes=2_000_000)
    node = node_with(tmp_path / "node", 'intake = "sealed"')
    for _ in range(3):
        node.start()
        assert storescu(node, *sent) == 0
        assert node.stop() == 0
    node.start()
    try:
        wait_for(lambda: ended(node), "all is delivered")
        wait_for(lambda: len(node.stored()) == len(sent), "all is there")
    finally:
        node.stop()

    assert pixel_digests(node.stored()) == pixel_digests(sent)
    assert_nothing_is_left(node)
