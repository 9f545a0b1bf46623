"""`deid-node serve`: run the node until it is told to stop."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config
from deid_node.commands.terminal import leave, say


def serve(
    config: Config = None,
    port: Annotated[
        int | None, typer.Option("--port", help="TCP port to listen on, 0 for a free one.")
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help="Folder of everything the node keeps.")] = None,
) -> None:
    """Run the node: receive, de-identify, deliver. SIGTERM stops it, SIGHUP reads the settings again."""
    from deid_node.log import configure_log
    from deid_node.node.service import Node, run
    from deid_node.settings import LogFormat
    from deid_node.settings.load import Loaded, load_settings

    arguments: dict[str, Any] = {"port": port, "state": state}
    given = {name: value for name, value in arguments.items() if value is not None}

    def read() -> Loaded:
        return load_settings(config, **given)

    loaded = read()
    log = loaded.settings.log
    configure_log(level=log.level, form=log.format)
    node = Node(loaded)

    def greet() -> None:
        """Tell a person where the node is; a program reads the event node.started."""
        if log.format is LogFormat.CONSOLE or (log.format is LogFormat.AUTO and sys.stdout.isatty()):
            for line in node.banner():
                say(line)

    failed = run(node, read, ready=greet)
    if failed is not None:
        leave(ExitCode.IO_ERROR, f"The node stopped: {failed} A restart finds out what is durable.")
