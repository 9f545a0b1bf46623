"""`deid-node settings`: what the running node has in force, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import leave, print_json, print_table, say

_HOW = {"start": "at its start", "asked": "by a reload", "table": "with a changed lookup table"}


def settings(
    every: Annotated[bool, typer.Option("--all", help="Also settings that are as by default.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the settings and profiles that the running node has in force, and since when.

    No secret is shown. What a file says that the node has not taken over yet is told by `check`.
    """
    from deid_node.node.running import read_running
    from deid_node.settings import Settings
    from deid_node.settings.load import load_settings

    state = load_settings(config).settings.state
    try:
        running = read_running(state)
    except OSError as error:
        leave(ExitCode.NO_INPUT, f"{state}: cannot be looked at ({error.strerror}).")
    if running is None:
        leave(ExitCode.UNAVAILABLE, f"No node runs on {state}. For another one say --config.")
    if as_json:
        print_json(asdict(running))
        return
    say(f"deid-node {running.program} runs since {_moment(running.started_at)} as process {running.process}.")
    taken = _HOW.get(running.how, running.how)
    where = running.file or "defaults, the environment and secret files"
    say(f"Settings of {where}, taken over {_moment(running.since)} {taken}; port {running.port}.")
    columns = ("route", "profile", "version", "digest", "in force since")
    print_table(
        columns,
        ((name, r.name, r.version, r.digest, _moment(r.since)) for name, r in running.routes.items()),
    )
    default = dict(_flat(Settings(state=state).model_dump(mode="json", fallback=str)))
    shown = [(name, value) for name, value in _flat(running.settings) if every or default.get(name) != value]
    if shown:
        print_table(("setting", "value"), shown)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", "unset" if value is None else str(value)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S %z}"
