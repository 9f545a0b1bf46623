"""What a process keeps to itself whatever happens to it: no core file, and no text of an exception.

Memory holds identified bytes, and the texts of exceptions quote values. Both are settled here before
the first byte is read, for every command; `log.configure_log` takes the uncaught over into the log.
"""

from __future__ import annotations

import logging
import resource
import sys
import threading
import warnings
from contextlib import suppress
from types import TracebackType
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_to_yourself() -> None:
    """Forbid core files, and tell uncaught exceptions without their texts. For a process of our own."""
    forbid_core_files()
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def ignore_libraries() -> None:
    """Drop warnings and what libraries log, until `log.configure_log` counts them."""
    warnings.simplefilter("ignore")
    logging.lastResort = None
    logging.raiseExceptions = False


def forbid_core_files() -> None:
    """Let the kernel write no memory of this process to a disk, nor other processes of the account read it.

    The limit alone is not enough: programs that core files are piped into (systemd-coredump) get them
    all the same. Forked processes inherit both.
    """
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import ctypes  # not every command needs it

    with suppress(OSError, AttributeError):  # prctl is Linux's own
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def tell_on_stderr(error: BaseException) -> None:
    """Say class and frames of an exception that nobody expected; never its text."""
    from deid_node.log import describe

    told = describe(error)
    print(f"deid-node: {told['error']}: an error in deid-node itself. Where it happened:", file=sys.stderr)
    frames = told["frames"]
    for frame in frames if isinstance(frames, list) else []:
        print(f"  {frame}", file=sys.stderr)


def _uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        tell_on_stderr(error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        tell_on_stderr(args.exc_value)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:  # what it happened in is not named: the repr of an object has values
        tell_on_stderr(args.exc_value)
