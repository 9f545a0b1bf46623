"""Structured events without values: one JSON object a line on stdout, or readable on a terminal.

A field is written when its name is known here and its value is short; everything else is withheld.
Messages of other libraries and warnings are dropped, because they quote attribute values: what is
told is which logger spoke, how loud, and how often. Exceptions are told as class, code and frames.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from collections.abc import MutableMapping
from enum import Enum
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from deid_node.errors import DeidNodeError

# What an event may carry. AE titles, addresses and ids of associations and entries are an operator's
# business; attribute paths come without values.
_FIELDS: Final = """
    accepted acceptor account action address ae_title after_s answered association associations attempt
    attempts by bytes called calling code committed count deferred delivered destination destinations
    duration_s entry errno error excluded expires failed file folder frames held host how interrupted item
    items kind level limit_s logger midway missing mode name number objects of oldest_s orphans out_for_s
    outcome path peer port problem procedure profile proposed quarantined reason refused repairs route routes
    seconds sealed signal sop_class spool stage state status step timestamp transactions transfer_syntax
    unfinished until version waiting warnings
"""
FIELDS: Final = frozenset(_FIELDS.split())
WITHHELD: Final = "(withheld)"
_LONGEST: Final = 300
_MOST_FRAMES: Final = 20
_TOLD_AT: Final = frozenset(10**power for power in range(10))

EventDict = MutableMapping[str, Any]
_level: int = logging.DEBUG  # of the last `configure_log`


def is_told(level: int) -> bool:
    """Whether events of a level are written: for those of every object, whose making costs more than this."""
    return level >= _level


def configure_log(*, level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send every event of the process to `stream` (stdout), and silence what quotes values.

    Args:
        level: debug, info, warning or error.
        form: json, console, or auto for console on a terminal.
        stream: where lines go.
    """
    global _level  # as the configuration of structlog is
    _level = getattr(logging, level.upper())
    out = sys.stdout if stream is None else stream
    console = form == "console" or (form == "auto" and out.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_known_fields,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    _silence_libraries()
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def get_log() -> Any:
    """Return the logger: `log.info("object-stored", route=..., destination=...)`."""
    return structlog.get_logger()


def only_known_fields(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Keep the fields that may be told; name an exception without its text."""
    told: EventDict = {"timestamp": event.pop("timestamp", None), "level": event.pop("level", None)}
    told["event"] = event.pop("event", "")
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if info:
        error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
        if isinstance(error, BaseException):
            event = {**event, **describe(error)}
    for name, value in event.items():
        told[name] = _plain(value) if name in FIELDS else WITHHELD
    return told


def describe(error: BaseException) -> dict[str, object]:
    """Return what may be told of an exception: class, code, and where; never its text.

    The texts of our own errors carry no value by contract, but may name paths: they are for the
    terminal of the operator, not for a log that travels.
    """
    frames = [
        f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_name}:{line}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    told: dict[str, object] = {"error": type(error).__name__, "frames": frames[-_MOST_FRAMES:]}
    code = getattr(error, "code", None)
    if isinstance(error, DeidNodeError) and isinstance(code, str):
        told["code"] = code
    elif isinstance(error, OSError) and error.errno is not None:
        told["code"] = f"errno {error.errno}"
    return told


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in list(value)[:_MOST_FRAMES]]
    if isinstance(value, str | PurePath):
        text = str(value)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return WITHHELD


class _CountOnly(logging.Handler):
    """Tells that a library spoke, and how often, but not what it said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: Counter[tuple[str, str, int]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        place = (record.name, record.module, record.lineno)
        self._heard[place] += 1
        count = self._heard[place]
        if count in _TOLD_AT:
            where = f"{record.module}:{record.lineno}"
            get_log().warning(
                "library-message-dropped",
                logger=record.name,
                number=record.levelno,
                path=where,
                count=count,
            )


def _silence_libraries() -> None:
    """Put one handler under every stdlib logger that may carry values, in place of theirs."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [_CountOnly()]
    root.setLevel(logging.WARNING)
    for name in ("pydicom", "pynetdicom", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.raiseExceptions = False


def _log_uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get_log().error("uncaught-exception", exc_info=error)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        get_log().error("uncaught-exception", exc_info=args.exc_value)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:  # what it happened in is not named: the repr of an object has values
        get_log().error("uncaught-exception", exc_info=args.exc_value)
