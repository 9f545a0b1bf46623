"""The node does its work under everything that the service unit takes from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sandbox
from tests.node.running import CT
from tests.peers import LOOPBACK, free_port, listens, require, run, stop, wait_for

UNIT = Path(__file__).resolve().parents[1] / "systemd" / "deid-node.service"
PROBE = """
import json, mmap, os, socket
def fails(what):
    try:
        what()
    except OSError:
        return True
print(json.dumps([name for name, what in {
    "write outside": lambda: open("/etc/x", "w"),
    "write to its own code": lambda: open(os.path.dirname(os.__file__) + "/x", "w"),
    "memory that is written and run": lambda: mmap.mmap(-1, 4096, prot=7),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "root": lambda: os.setuid(0),
    "the memory of the machine": lambda: open("/proc/meminfo"),
    "the homes": lambda: open(os.path.expanduser("~root/.bashrc")),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "a key of others": lambda: open("/etc/shadow"),
}.items() if not fails(what)]))
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[str | Path]:
    """The command that runs another one under the unit, with a state folder and a credential."""
    require("systemd-analyze")
    if os.geteuid() != 0:
        pytest.skip("only root can make the namespaces of a service")
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    state.mkdir()
    credentials.mkdir()
    (credentials / "key").write_text("ab" * 32)
    (credentials / "key").chmod(0o400)
    return [sys.executable, sandbox.__file__, UNIT, state, credentials, sys.executable]


@pytest.mark.peer
def test_the_sandbox_takes_what_the_unit_says(folders: list[str | Path]) -> None:
    done = run(*folders, "-c", PROBE)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_no_directive_of_the_unit_is_forgotten(tmp_path: Path) -> None:
    unit = tmp_path / "more.service"
    unit.write_text(UNIT.read_text().replace("UMask=0077", "UMask=0077\nInventedDirective=yes"))

    assert "InventedDirective" in sandbox.directives(unit)
    assert sandbox.unknown(sandbox.directives(unit)) == {"InventedDirective"}
    assert sandbox.unknown(sandbox.directives(UNIT)) == set()


@pytest.mark.peer
def test_the_node_receives_delivers_and_stops_under_the_unit(
    folders: list[str | Path], tmp_path: Path
) -> None:
    port, state = free_port(), tmp_path / "state"
    config = state / "deid-node.toml"
    config.write_text(f'host = "{LOOPBACK}"\nport = {port}\n[crosswalk]\nenabled = true\n')
    here = str(sandbox.STATE / config.name)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, folders), "-m", "deid_node", "serve", "--config", here], stdout=log, stderr=log
        )
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, "the node listens", 40)
        sent = run(require("storescu"), "-aec", "DEIDNODE", LOOPBACK, str(port), CT)
        wait_for(lambda: list((state / "out").rglob("*.dcm")), "delivered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        stop(process)

    said = (tmp_path / "log").read_text()
    counted = run(*folders, "-m", "deid_node", "status", "--json", "--config", here)
    found = run(*folders, "-m", "deid_node", "crosswalk", "lookup", "1CT1", "--json", "--config", here)
    assert sent.returncode == 0
    assert '"level": "error"' not in said
    assert {path.stat().st_uid for path in state.rglob("*")} - {0} == {sandbox.ACCOUNT}
    assert not list(state.rglob("*.key"))  # that of the credential is used
    assert json.loads(counted.stdout)["destinations"] == {"out": {"delivered": 1}}
    assert json.loads(found.stdout)[0]["original"] == "1CT1"
