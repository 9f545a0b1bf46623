"""`deid-node serve` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deid_node.commands.exit_codes import ExitCode
from tests.node.running import CT
from tests.peers import LOOPBACK, free_port, listens, require, run, stop, wait_for


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run serve, with errors and events in one pipe."""
    command = [sys.executable, "-m", "deid_node", "serve", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        yield process
    finally:
        stop(process)  # type: ignore[arg-type]
        assert process.stdout is not None
        process.stdout.close()


def started(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    event: dict[str, object] = json.loads(process.stdout.readline())
    return event


def test_it_says_where_it_listens_what_it_does_and_where_objects_go(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving("--port", "0", "--state", str(state), DEID_NODE_HOST=LOOPBACK) as process:
        event = started(process)

    assert event["event"] == "node.started"
    assert (event["ae_title"], event["host"]) == ("DEIDNODE", LOOPBACK)
    assert event["routes"] == ["default: DEIDNODE -> basic 2026.1 -> out"]
    assert event["destinations"] == [f"out: folder {state / 'out'}"]


def test_storescu_to_a_node_without_configuration(tmp_path: Path) -> None:
    storescu = require("storescu")
    with serving("--port", "0", XDG_STATE_HOME=str(tmp_path), DEID_NODE_HOST=LOOPBACK) as process:
        port = str(started(process)["port"])

        said = run(storescu, "-aec", "DEIDNODE", LOOPBACK, port, CT)
        wait_for(lambda: list((tmp_path / "deid-node" / "out").rglob("*.dcm")), "the object is there")
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)

    assert said.returncode == 0, said.stderr
    assert status == ExitCode.OK


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [sys.executable, "-m", "deid_node", "serve", "--port", port, "--state", str(tmp_path)]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={"DEID_NODE_HOST": LOOPBACK}, check=False
        )

    assert done.returncode == ExitCode.CONFIGURATION
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_an_unknown_setting_is_told_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text("prot = 104\n")
    words = [sys.executable, "-m", "deid_node", "serve", "--config", str(config)]

    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr == f'{config} line 1: prot is not a setting; did you mean "port"?\n'


def test_echo_without_a_host_calls_the_configured_node_by_a_title_that_a_route_has(tmp_path: Path) -> None:
    config, port = tmp_path / "node.toml", free_port()
    config.write_text(
        f'host = "{LOOPBACK}"\nport = {port}\nae_title = "GATE"\nstate = "s"\n'
        '[routes.r]\ncalled = "OTHER"\ndestinations = "o"\n[destinations.o]\nkind = "folder"\npath = "o"\n'
    )
    with serving("--config", str(config)) as process:
        started(process)
        words = [sys.executable, "-m", "deid_node", "echo", "--config", str(config)]

        said = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)

    assert (said.returncode, said.stdout) == (0, f"OTHER at {LOOPBACK} port {port} answers.\n")


def test_a_hang_up_reads_the_settings_again(tmp_path: Path) -> None:
    config, port = tmp_path / "node.toml", free_port()
    text = f'host = "{LOOPBACK}"\nport = {port}\nstate = "s"\n[destinations.o]\nkind = "folder"\npath = "o"\n'
    config.write_text(text)
    with serving("--config", str(config)) as process:
        started(process)
        wait_for(lambda: listens(port), "it listens")
        config.write_text(text + '[routes.r]\ncalled = "NEW"\ndestinations = "o"\n')

        process.send_signal(signal.SIGHUP)

        def is_new() -> bool:
            words = [sys.executable, "-m", "deid_node", "echo", LOOPBACK, str(port), "NEW"]
            return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0

        wait_for(is_new, "the new AE title answers")
