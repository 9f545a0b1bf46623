"""A hundred wrong settings: each is told, none is taken over, and the node goes on by the old ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.dimse.status import StoreStatus
from deid_node.node.service import Node
from deid_node.settings.load import load_settings
from tests.node.running import CT, store
from tests.peers import LOOPBACK

TOP = ("ae_title", "host", "port", "acceptor", "profile", "state", "key_file", "pseudonyms", "stop_limit_s")
SECTIONS = {
    "limits": ("associations", "waiting", "pdu_s", "idle_s", "pdu_bytes", "depth", "elements", "items"),
    "spool": ("folder", "durable", "keep_s", "history_days", "high_water", "low_water"),
    "routes.r": ("called", "profile", "destinations", "peers", "acknowledge", "commitment", "on_reject"),
    "destinations.o": ("path", "template", "may_link", "folder_mode", "file_mode", "hours", "max_age_s"),
    "peers.p": ("ae_title", "address", "certificate", "report_port"),
    "tls": ("certificate", "key", "ca", "mutual"),
    "quarantine": ("folder", "public_key"),
    "log": ("level", "format"),
}


def good(state: Path) -> str:
    return (
        f'host = "{LOOPBACK}"\nport = 0\nstate = "{state}"\n'
        '[routes.r]\ncalled = "DEIDNODE"\ndestinations = "o"\n'
        f'[destinations.o]\nkind = "folder"\npath = "{state}/o"\n'
        '[peers.p]\nae_title = "CT1"\naddress = "10.0.0.1"\n'
    )


def bad_ones(state: Path) -> list[str]:
    """Return a hundred files, each wrong in one way."""
    text = good(state)
    places = [("", name) for name in TOP]
    places += [(section, name) for section, names in SECTIONS.items() for name in names]
    # A table is the wrong kind of value everywhere, and so is a date.
    made = [with_line(text, section, f"{name} = {{ wrong = 1 }}", name) for section, name in places]
    made += [with_line(text, section, f"{name}x = 1", f"{name}x") for section, name in places]
    made += [text[: text.index(cut) + len(cut)] for cut in ("host =", 'state = "', "[routes", "called =")]
    made += [
        with_line(text, "routes.r", line, line.split(" ")[0])
        for line in (
            'profile = "no-such-profile"',
            'destinations = "nowhere"',
            'peers = "nobody"',
            'acknowledge = "through"',
            'on_reject = "quarantine"',
            'commitment = "downstream"',
            'called = "A TITLE THAT IS TOO LONG"',
        )
    ]
    return made[:100]


def with_line(text: str, section: str, line: str, name: str) -> str:
    """Put a line into a section in the place of what it sets there."""
    head = f"[{section}]\n" if section else ""
    if head not in text:
        text += head
    before, _, after = text.partition(head) if head else ("", "", text)
    own, bracket, rest = after.partition("\n[") if "\n[" in after else (after, "", "")
    kept = [row for row in own.splitlines() if row.split(" ")[0] != name]
    return f"{before}{head}{line}\n" + "\n".join(kept) + (bracket + rest if bracket else "\n")


def test_a_hundred_bad_settings_are_told_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(good(tmp_path / "state"))
    bad = bad_ones(tmp_path / "state")
    node = Node(load_settings(file))
    node.start()
    try:
        before = node.settings
        for number, text in enumerate(bad):
            file.write_text(text)
            with capture_logs() as events:
                node.reload(lambda: load_settings(file))
            [refused] = [event for event in events if event["event"] == "node.reload_refused"]
            assert refused["problem"], text
            assert node.settings is before
            if number % 20 == 0:
                assert store(node, CT).status == StoreStatus.SUCCESS

            code = main(["check", "--config", str(file)])

            told = capsys.readouterr().err
            assert code == ExitCode.CONFIGURATION, text
            assert told, text
            assert "Traceback" not in told, text
        file.write_text(good(tmp_path / "state").replace('"DEIDNODE"', '"OTHER"'))
        node.reload(lambda: load_settings(file))
        after = store(node, CT, called="OTHER").status
    finally:
        node.stop()

    assert len(set(bad)) == 100
    assert after == StoreStatus.SUCCESS
