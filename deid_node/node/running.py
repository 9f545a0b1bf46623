"""What the running node has in force, for another process to read: settings, profiles, since when.

A file in the state folder, written at the start and whenever settings, profiles or tables were taken over,
and removed at the end. No secret is in it, and no value of a patient.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from deid_node import __version__
from deid_node.profile.procedure import Procedure
from deid_node.settings import Settings

_NAME: Final = "running.json"
_START_TIME: Final = 19  # of the fields of /proc/PID/stat behind the name, from 0


@dataclass(frozen=True, slots=True)
class RunningRoute:
    """A route with its profile; `since` is when this content of the profile came into force."""

    profile: str
    name: str
    version: str
    digest: str
    since: float


@dataclass(frozen=True, slots=True)
class Running:
    """A running node. Times are seconds since 1970.

    `how` is what brought the settings: start, asked (a reload), table (a lookup table has changed).
    """

    process: int
    process_start: str
    program: str
    started_at: float
    since: float
    how: str
    file: str
    port: int
    routes: Mapping[str, RunningRoute]
    settings: Mapping[str, Any]


class RunningFile:
    """Keeps the file of one node up to date."""

    def __init__(self, state: Path, file: Path | None) -> None:
        self._path = state / _NAME
        self._file = str(file or "")
        self._started_at = time.time()
        self._since: dict[tuple[str, str], float] = {}

    def write(self, settings: Settings, procedures: Mapping[str, Procedure], port: int, how: str) -> None:
        """Write down what is in force from now on. Raises OSError."""
        now = time.time()
        routes = {}
        for name, route in settings.effective_routes.items():
            made = procedures[route.profile]
            since = self._since.setdefault((name, made.digest), now)
            routes[name] = RunningRoute(route.profile, made.name, made.version, made.digest, since)
        self._since = {(name, route.digest): route.since for name, route in routes.items()}
        running = Running(
            process=os.getpid(),
            process_start=_start_of(os.getpid()),
            program=__version__,
            started_at=self._started_at,
            since=now,
            how=how,
            file=self._file,
            port=port,
            routes=routes,
            settings=settings.model_dump(mode="json", fallback=str),  # secrets are asterisks in it
        )
        new = self._path.with_suffix(".new")
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w"
        ) as file:
            json.dump(asdict(running), file)
        os.replace(new, self._path)

    def remove(self) -> None:
        """The node ends."""
        with suppress(OSError):
            self._path.unlink()


def read_running(state: Path) -> Running | None:
    """Return what the node on a state folder has in force; None when none runs there.

    Raises:
        OSError: the file cannot be read by this account.
    """
    try:
        said = json.loads((state / _NAME).read_text("utf-8"))
        routes = {name: RunningRoute(**route) for name, route in said.pop("routes").items()}
        running = Running(routes=routes, **said)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    # What a process left that was killed is of nobody, also when another one has its number.
    return running if _start_of(running.process) == running.process_start else None


def _start_of(process: int) -> str:
    try:
        said = Path(f"/proc/{process}/stat").read_text("ascii", errors="replace")
    except OSError:
        return "gone"
    return said.rpartition(")")[2].split()[_START_TIME]
