"""Sends the audit stream on as PS3.15 A.5 messages over TLS syslog, in a thread of its own.

It reads the stream from the disk: nothing of the way of an object waits for it or does more for it.
A collector that is away finds everything when it is back, up to the bound on what may wait; what is
passed over is counted in the stream and in the log. A message may come twice after a crash.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from deid_node.dimse.channel import reason_of
from deid_node.errors import SpoolError
from deid_node.node.audit import DROPPED, AuditTrail
from deid_node.node.audit_follow import Follower, read_position
from deid_node.node.audit_message import Message, Outcome, xml_of
from deid_node.node.audit_translation import Place, Translation
from deid_node.node.syslog import NOTICE, WARNING, Collector, host_name, message
from deid_node.node.tls import syslog_context
from deid_node.settings import Settings
from deid_node.settings.destinations import FolderSettings

_LOG: Final = structlog.get_logger(__name__)
_NAME: Final = "syslog"
_LOOK_S: Final = 0.25
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_LAST_WORDS_S: Final = 5.0


def is_unsent(settings: Settings, name: str) -> bool:
    """Tell whether a file of the stream that was put aside has lines that still have to be sent."""
    if settings.audit.syslog is None:
        return False
    position = read_position(settings.audit_folder / f"{_NAME}.position")
    return position is not None and name > position.after


def open_syslog(settings: Settings, audit: AuditTrail) -> AuditSyslog | None:
    """Return what sends the audit stream on, None when nothing does.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
        SpoolError: the stream cannot be read.
    """
    syslog, context = settings.audit.syslog, syslog_context(settings)
    if syslog is None or context is None:
        return None
    translation = Translation(str(settings.ae_title), host_name(), _places(settings))
    try:
        follower = Follower(settings.audit_folder, _NAME, syslog.max_waiting_bytes)
    except OSError as error:
        raise SpoolError(f"The audit stream cannot be followed ({error.strerror}).") from None
    translation.remember(audit.recent())
    return AuditSyslog(
        follower,
        translation,
        Collector(syslog.host, syslog.port, context, name=syslog.name, timeout_s=syslog.timeout_s),
        source=f"{settings.ae_title}@{host_name()}",
        dropped=lambda count: audit.post(DROPPED, count=count),
    )


def _places(settings: Settings) -> dict[str, Place]:
    return {
        name: Place(name, uri=destination.path.absolute().as_uri())
        if isinstance(destination, FolderSettings)
        else Place(str(destination.ae_title), destination.host)
        for name, destination in settings.effective_destinations.items()
    }


class AuditSyslog:
    """The thread that sends. `dropped` is told how many lines were passed over."""

    def __init__(
        self,
        follower: Follower,
        translation: Translation,
        collector: Collector,
        *,
        source: str,
        dropped: Callable[[int], None],
    ) -> None:
        """Prepare; `source` names the node in every message."""
        self._follower = follower
        self._translation = translation
        self._collector = collector
        self._source = source
        self._dropped = dropped
        self._host = host_name()
        self._stopping = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._serve, name="audit-syslog", daemon=True)

    def start(self) -> None:
        """Start to send what waits and what comes."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is in the stream now, within some seconds, and stop; the rest goes after a restart."""
        self._stopping.set()
        if self._thread.ident is None:
            return
        self._thread.join(_LAST_WORDS_S)
        if self._thread.is_alive():
            self._collector.abort()
            self._thread.join(_LAST_WORDS_S)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._step())
        end = time.monotonic() + _LAST_WORDS_S
        while not self._failures and time.monotonic() < end and not self._step():
            pass
        self._collector.close()

    def _step(self) -> float:
        """Send what waits, as much as is read at once; return the pause until the next step."""
        try:
            count = self._follower.pass_over()
            if count:
                _LOG.error("node.audit_syslog_dropped", count=count)
                self._dropped(count)
            events = self._follower.read()
            if not events:
                self._follower.done()
                return _LOOK_S
            messages = [self._encoded(one) for one in self._translation.messages(events)]
            if messages:
                self._collector.send(messages)
            self._follower.done()
        except OSError as error:
            self._follower.again()
            return self._after_failure(error)
        if self._failures and messages:
            self._failures = 0
            _LOG.info("node.audit_syslog_back")
        return 0

    def _after_failure(self, error: OSError) -> float:
        """Tell of it once, and return a random pause that grows with the number of failures."""
        if not self._failures:
            host, port = self._collector.address
            _LOG.error("node.audit_syslog_out", host=host, port=port, reason=reason_of(error))
        longest: float = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        return random.uniform(longest / 10, longest)  # noqa: S311  # spreads load, keeps no secret

    def _encoded(self, one: Message) -> bytes:
        severity = NOTICE if one.outcome is Outcome.SUCCESS else WARNING
        text = xml_of(one, self._source)
        return message(text, at=one.at, host=self._host, process=one.process, severity=severity)
