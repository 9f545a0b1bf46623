"""Work that may have ended the process before is tried in a child first, which can end in its place.

For the start of a node, before threads that use the engine run: a fork copies their locks as they are.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
import warnings
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LOOK_S: Final = 0.01


def survives(work: Callable[[], None], within_s: float) -> bool:
    """Do some work in a child process and tell whether the child lived; an exception is no death.

    Nothing of what the work returns or remembers comes back. Work that takes too long is ended, and proves
    nothing.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: see above
        pid = os.fork()
    if not pid:
        try:
            _die_with(parent)
            work()
        finally:
            os._exit(0)
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.WIFEXITED(status)
        time.sleep(_LOOK_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def _die_with(parent: int) -> None:
    """Let nothing outlive the parent, whose locks the child holds as well."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
