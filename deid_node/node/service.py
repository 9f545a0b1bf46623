"""The running node: built from the settings, started in order, stopped in order.

Order of start: key, procedures, spool, destinations, lanes, and last the acceptor, so that whatever
is let in can be kept. Stop goes the other way. What cannot be started ends what was.
"""

from __future__ import annotations

import signal
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import FrameType
from typing import Final

import structlog

from deid_node.dimse.association import Acceptor
from deid_node.dimse.memory import MemoryBudget, default_budget
from deid_node.errors import ConfigurationError
from deid_node.log import describe
from deid_node.node.banner import banner
from deid_node.node.commitment import make_commitment
from deid_node.node.deposits import Depositor
from deid_node.node.destinations import make_destinations, make_throughs
from deid_node.node.housekeeping import Housekeeping
from deid_node.node.intake import NodeIntake
from deid_node.node.lanes import Lanes
from deid_node.node.operator_door import OperatorDoor
from deid_node.node.parts import make_acceptor, make_quarantine, make_routes, open_sealed, seldom_tasks
from deid_node.node.peers import Peers
from deid_node.node.procedures import compile_procedures
from deid_node.node.records import Records
from deid_node.node.routes import Routes
from deid_node.node.running import RunningFile
from deid_node.node.sealed_lane import SealedLane
from deid_node.node.service_manager import ServiceManager
from deid_node.node.steady import open_steady
from deid_node.node.suspects import Suspects
from deid_node.node.table_watch import TableWatch, refuse_unfinished
from deid_node.node.through import Through
from deid_node.node.tls import acceptor_context, check_tls, expires_soon, renew
from deid_node.node.warm_up import warm_up
from deid_node.profile.procedure import Procedure
from deid_node.settings import Settings
from deid_node.settings.load import Loaded
from deid_node.settings.routes import CommitmentMode
from deid_node.spool.failpoint import reach
from deid_node.spool.room import Water
from deid_node.spool.spool import Spool

_LOG: Final = structlog.get_logger(__name__)
_LOOK_S: Final = 0.5
# What a running node cannot change: it listens, keeps and delivers by these.
_FIXED: Final = (
    "host",
    "port",
    "tls",
    "acceptor",
    "state",
    "key_file",
    "key",
    "pseudonyms",
    "crosswalk",
    "audit",
    "limits",
    "spool",
    "quarantine",
    "sealed",
    "destinations",
)


class Node:
    """A node that can be started once and stopped once."""

    def __init__(self, loaded: Loaded) -> None:
        """Build nothing yet; `start` does."""
        self.settings = loaded.settings
        self.file = loaded.file
        self.procedures: Mapping[str, Procedure] = {}
        self._running = ExitStack()
        self._records: Records | None = None
        self._spool: Spool | None = None
        self._has_room = True
        self._suspects: Suspects | None = None
        self._intake: NodeIntake | None = None
        self._sealed_lane: SealedLane | None = None
        self._throughs: Mapping[str, Through] = {}
        self._modes: dict[str, CommitmentMode] = {}
        self._tls: ssl.SSLContext | None = None
        self._acceptor: Acceptor | None = None
        self._tables = TableWatch()
        self._in_force = RunningFile(loaded.settings.state, loaded.file)

    def start(self) -> None:
        """Start everything, and return when associations are accepted.

        Raises:
            ConfigurationError: a setting, profile, key or folder is wrong, or the port is taken.
            SpoolError: the spool cannot be opened.
        """
        settings = self.settings
        with ExitStack() as started:
            began_ns = time.time_ns()
            self.procedures = compile_procedures(settings)
            self._tables.take(_table_files(self.procedures), began_ns)
            records = self._records = Records.open(settings)
            started.callback(records.close)
            spool = self._spool = Spool.open(
                settings.spool_folder,
                durable=settings.spool.durable,
                keep_s=settings.spool.keep_s,
                water=Water(settings.spool.high_water, settings.spool.low_water, settings.spool.enough_bytes),
            )
            started.callback(spool.close)
            records.catch_up(spool.desk)
            steady = open_steady(settings.state)
            housekeeping = Housekeeping(
                spool,
                settings.spool,
                often=[records.handshakes.tell_counted],
                seldom=seldom_tasks(settings, records, steady),
                steady=steady,
            )
            started.callback(housekeeping.stop)
            housekeeping.start()
            destinations = make_destinations(settings)
            self._throughs = make_throughs(settings, destinations)
            for through in self._throughs.values():
                started.callback(through.close)
            lanes = Lanes(spool, settings, destinations, records.settled)
            started.callback(lanes.stop)
            lanes.start()
            self._tls = acceptor_context(settings)
            routes = make_routes(settings, self.procedures, records, self._throughs)
            self._modes.update({route.name: route.commitment for route in routes})
            commitment = make_commitment(settings, spool, records.pseudonyms, self._modes)
            started.callback(commitment.stop)
            commitment.start()
            memory = MemoryBudget(settings.limits.memory_bytes or default_budget())
            store = open_sealed(settings, spool)
            if store is not None:
                self._sealed_lane = SealedLane(
                    store,
                    routes,
                    memory,
                    records,
                    workers=settings.sealed.workers,
                    stall_s=settings.sealed.stall_s,
                )
                started.callback(self._sealed_lane.stop)
                self._sealed_lane.start()
            self._intake = NodeIntake(
                peers=Peers(settings.peers),
                routes=routes,
                commitment=commitment,
                spool=spool,
                records=records,
                sealer=make_quarantine(settings, steady),
                depositor=Depositor(store) if store is not None else None,
                memory=memory,
                answer_s=settings.limits.answer_s,
                suspects=self._suspects,
            )
            door = OperatorDoor(settings.state, self._intake.begin_again)
            started.callback(door.stop)
            door.start()
            acceptor = self._acceptor = make_acceptor(settings, self._intake, memory, self._tls)
            acceptor.start()
            started.callback(acceptor.stop, settings.stop_limit_s)
            started.callback(self._in_force.remove)
            self._running = started.pop_all()
        records.started(settings.state)
        self._tell_in_force("start")
        _LOG.info(
            "node.started",
            ae_title=settings.ae_title,
            host=self.address[0],
            port=self.address[1],
            state=settings.state,
            routes=_lines_of("Route:", self.banner()),
            destinations=_lines_of("Objects:", self.banner()),
        )
        expires = expires_soon(settings)
        if expires is not None:
            _LOG.warning("node.certificate_expires", expires=f"{expires:%Y-%m-%d}")
        if was_mended(spool):
            found = spool.recovery
            _LOG.warning(
                "node.recovered",
                unfinished=found.unfinished,
                orphans=found.orphans,
                missing=found.missing,
                interrupted=found.interrupted,
            )

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens."""
        assert self._acceptor is not None
        return self._acceptor.address

    @property
    def failed(self) -> str | None:
        """Why the node has to be started anew; None while all is well."""
        return self._spool.failed if self._spool is not None else None

    def banner(self) -> list[str]:
        """Return the lines that say what runs."""
        return banner(self.settings, self.procedures, self.file, self.address[1])

    def reload(self, read: Callable[[], Loaded]) -> None:
        """Take over peers, routes and profiles from new settings: all of them or, on any problem, none."""
        assert self._records is not None
        began_ns = time.time_ns()
        try:
            settings = read().settings
            changed = [name for name in _FIXED if getattr(settings, name) != getattr(self.settings, name)]
            if changed:
                raise ConfigurationError(*(f"{name}: needs a restart to change." for name in changed))
            procedures = compile_procedures(settings)
            routes = make_routes(settings, procedures, self._records, self._throughs)
            check_tls(settings)
            if self._tls is not None:
                renew(self._tls, settings)
        except ConfigurationError as error:
            self._refuse_reload(error, "asked")
            return
        self._take_over(settings, procedures, routes, "asked")
        self._tables.take(_table_files(procedures), began_ns)

    def look_at_tables(self) -> bool:
        """Take over lookup tables whose files have changed: all or, on any problem, none; tell whether.

        Nothing else is taken over: a profile that has changed too waits for the person who changes it.
        """
        assert self._records is not None
        files = self._tables.changed()
        if not files:
            return False
        began_ns = time.time_ns()
        try:
            refuse_unfinished(files)
            procedures = compile_procedures(self.settings)
            if any(made.digest != self.procedures[name].digest for name, made in procedures.items()):
                raise ConfigurationError(
                    "A lookup table has changed, and so has a profile: a reload (SIGHUP) takes both."
                )
            routes = make_routes(self.settings, procedures, self._records, self._throughs)
        except ConfigurationError as error:
            self._refuse_reload(error, "table")
            return False
        self._take_over(self.settings, procedures, routes, "table")
        self._tables.take(_table_files(procedures), began_ns)
        return True

    def _refuse_reload(self, error: ConfigurationError, how: str) -> None:
        assert self._records is not None
        _LOG.error("node.reload_refused", how=how, problem=list(error.problems))
        self._records.tell("reload-refused", how=how, problems=len(error.problems))

    def _take_over(
        self, settings: Settings, procedures: Mapping[str, Procedure], routes: Routes, how: str
    ) -> None:
        assert self._intake is not None
        assert self._records is not None
        reach("reloading")
        self._modes.clear()  # until the new ones are in, nothing is committed
        self._modes.update({route.name: route.commitment for route in routes})
        self._intake.replace_gates(Peers(settings.peers), routes)
        if self._sealed_lane is not None:
            self._sealed_lane.replace_routes(routes)
        self.settings, self.procedures = settings, procedures
        _LOG.info("node.reloaded", how=how, routes=[route.name for route in routes])
        profiles = {route.name: route.procedure.digest for route in routes}
        self._records.tell("reloaded", how=how, routes=list(profiles), profiles=list(profiles.values()))
        self._tell_in_force(how)

    def _tell_in_force(self, how: str) -> None:
        """Let other processes read what is in force; a full disk is no reason not to run."""
        try:
            self._in_force.write(self.settings, self.procedures, self.address[1], how)
        except OSError as error:
            _LOG.warning("node.settings_not_told", **describe(error))

    def watch_for_faults(self) -> None:
        """Find out over which object an earlier process died, and watch this one; before `start`.

        Raises:
            ConfigurationError: the state folder cannot be used.
            SpoolError: another node runs on it.
        """
        folder = self.settings.state / "faults"
        try:
            self._suspects = Suspects.open(folder)
        except OSError as error:
            raise ConfigurationError(f"state: {folder} cannot be used ({error.strerror}).") from error
        if self._suspects.died_of:
            _LOG.error("node.died", reason=self._suspects.died_of)

    def look_at_room(self) -> None:
        """Say when the spool has no room for new objects any more, and when it has again."""
        assert self._spool is not None
        if self._spool.has_room() == self._has_room:
            return
        self._has_room = not self._has_room
        if self._has_room:
            _LOG.info("node.room_again", folder=self._spool.folder)
        else:
            _LOG.error("node.no_room", folder=self._spool.folder)

    def stop(self) -> None:
        """Take no new association, let running ones finish within the limit, then stop the rest."""
        if self._records is not None:
            self._records.tell("node-stopping" if self.failed is None else "node-failed")
        self._running.close()
        if self._suspects is not None:
            self._suspects.close()
        _LOG.info("node.stopped")


def _lines_of(head: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(head).strip() for line in lines if line.startswith(head)]


def _table_files(procedures: Mapping[str, Procedure]) -> set[str]:
    return {file for procedure in procedures.values() for file in procedure.lookup_files}


def was_mended(spool: Spool) -> bool:
    """Tell whether a crash left something that was mended when the spool was opened."""
    found = spool.recovery
    return bool(found.unfinished or found.orphans or found.missing or found.interrupted)


def run(
    node: Node,
    read: Callable[[], Loaded],
    *,
    ready: Callable[[], None] = lambda: None,
    manager: ServiceManager | None = None,
) -> str | None:
    """Start a node, run it until SIGTERM or SIGINT, stop it. SIGHUP reads the settings again,
    and a changed lookup table is taken when it is quiet.

    A second signal does not wait for running associations.

    Args:
        node: not yet started.
        read: reads the settings for a reload.
        ready: called when associations are accepted.
        manager: who is told that the node is ready, alive, stopping.

    Returns:
        Why the node has to be started anew, None after a stop that was asked for.
    """
    manager = manager or ServiceManager()
    stop, hang_up = threading.Event(), threading.Event()

    def on_stop(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_stop)
    signal.signal(signal.SIGHUP, lambda _number, _frame: hang_up.set())
    node.watch_for_faults()
    node.start()
    try:
        ready()
        manager.tell("READY=1")
        manager.watch(lambda: node.failed is None)
        warm_up(node.procedures.values())
        while not stop.wait(_LOOK_S) and node.failed is None:
            node.look_at_room()
            if hang_up.is_set():
                hang_up.clear()
                node.reload(read)
                warm_up(node.procedures.values())
            elif node.look_at_tables():
                warm_up(node.procedures.values())
        failed = node.failed
        manager.tell("STOPPING=1")
    finally:
        manager.stop()
        node.stop()
    return failed
