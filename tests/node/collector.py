"""A real collector of syslog messages over TLS, rsyslog, and the rules its messages have to keep."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tests.certificates import Authority, Issued
from tests.peers import LOOPBACK, free_port, require, run, started

SCHEMA = Path(__file__).with_name("audit_message.rng")
HEADER = re.compile(
    r"<(84|85)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 [!-~]+ deid-node \d+ DICOM\+RFC3881"
    r" - (<\?xml .*)"
)


@dataclass(frozen=True)
class Collector:
    """A collector that runs, or ran, with everything it got."""

    port: int
    authority: Authority
    file: Path

    def raw(self) -> list[str]:
        """The messages as they came."""
        return self.file.read_text("utf-8").splitlines() if self.file.exists() else []

    def messages(self) -> list[Element]:
        """The audit messages, after their headers were found to be right."""
        found = []
        for line in self.raw():
            header = HEADER.fullmatch(line)
            assert header is not None, line[:200]
            found.append(ElementTree.fromstring(header.group(2)))
        return found

    def told(self) -> list[tuple[str, ...]]:
        """Event, type code, action and outcome of every message."""
        return [summary(message) for message in self.messages()]


def summary(message: Element) -> tuple[str, ...]:
    """Event, type codes, action and outcome."""
    event = message.find("EventIdentification")
    assert event is not None
    codes = [code.get("csd-code", "") for code in event if code.tag in {"EventID", "EventTypeCode"}]
    return (*codes, event.get("EventActionCode", ""), event.get("EventOutcomeIndicator", ""))


def assert_valid(messages: list[str], folder: Path) -> None:
    """Check messages (their XML) against the schema of PS3.15 A.5.1, with xmllint."""
    folder.mkdir()
    files = []
    for number, text in enumerate(messages):
        files.append(folder / f"{number}.xml")
        files[-1].write_text(text)
    done = run(require("xmllint"), "--nonet", "--noout", "--relaxng", SCHEMA, *files)
    assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def collecting(
    folder: Path, authority: Authority, *, port: int = 0, permitted: str | None = None
) -> Iterator[Collector]:
    """Run rsyslog with TLS while the block runs.

    Args:
        folder: of its files; what is in the file of messages stays.
        authority: issued what it shows and what it trusts.
        port: the port, a free one when 0.
        permitted: name in the certificate of senders, which they have to show then.
    """
    program = require("rsyslogd")
    folder.mkdir(exist_ok=True)
    own = _issued(folder, authority)
    port = port or free_port()
    file = folder / "messages"
    config = folder / "rsyslog.conf"
    peers = f'StreamDriver.AuthMode="x509/name" PermittedPeer=["{permitted}"]' if permitted else ""
    config.write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{authority.file}"
  defaultNetstreamDriverCertFile="{own.file}" defaultNetstreamDriverKeyFile="{own.key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1"
  {peers or 'StreamDriver.AuthMode="anon"'})
input(type="imtcp" address="{LOOPBACK}" port="{port}")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{file}" template="raw")
""")
    checked = subprocess.run([program, "-N1", "-f", str(config)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    command = (program, "-n", "-f", config, "-i", folder / "pid")
    with started(*command, port=port, log=folder / "log"):
        yield Collector(port, authority, file)


def _issued(folder: Path, authority: Authority) -> Issued:
    return authority.issue(f"collector-{folder.name}")
