"""The node as its users run it: a process with a configuration file, started, killed, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers import ENVIRONMENT, LOOPBACK, free_port, listens, run, stop, wait_for

AE_TITLE = "DEIDNODE"


class RunningNode:
    """One node with its folders under `home`; survives its process."""

    def __init__(self, home: Path, destinations: str = "", *, extra: str = "") -> None:
        """Write the configuration.

        Args:
            destinations: TOML of the destinations; a folder store when empty.
            extra: top-level TOML settings.
        """
        self.home = home
        self.port = free_port()
        self.store = home / "store"
        self.log = home / "node.log"
        home.mkdir(parents=True, exist_ok=True)
        if not destinations:
            destinations = (
                f'[destinations.out]\nkind = "folder"\npath = "{self.store}"\n'
                'template = "{SeriesInstanceUID}/{SOPInstanceUID}.dcm"\n'
            )
        self.config = home / "deid-node.toml"
        self.config.write_text(
            f'host = "{LOOPBACK}"\nport = {self.port}\nstate = "{home / "state"}"\n{extra}\n{destinations}'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start the process, with variables of its own, and wait until it listens."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deid_node", "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**ENVIRONMENT, **environment},
            )
        process = self.process
        try:
            wait_for(lambda: listens(self.port) or process.poll() is not None, "the node listens", 30)
        except BaseException:
            stop(process)
            raise
        assert process.poll() is None, self.log.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """End the process without a chance to tidy up."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int | None:
        """Stop the process as a service manager would; return its exit status."""
        if self.process is None:
            return None
        stop(self.process)
        return self.process.returncode

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of deid-node with the node's configuration."""
        return run(sys.executable, "-m", "deid_node", *words, "--config", self.config)

    def stored(self) -> list[Path]:
        """Return the objects in the folder store."""
        return sorted(path for path in self.store.rglob("*.dcm") if not path.name.startswith("."))


@contextmanager
def running(home: Path, destinations: str = "", *, extra: str = "") -> Iterator[RunningNode]:
    """Run a node while the block runs."""
    node = RunningNode(home, destinations, extra=extra)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def ae_destination(port: int, title: str = "DOWN") -> str:
    """Return the TOML of one downstream AE on the loopback interface."""
    return f'[destinations.down]\nkind = "ae"\nhost = "{LOOPBACK}"\nport = {port}\nae_title = "{title}"\n'
