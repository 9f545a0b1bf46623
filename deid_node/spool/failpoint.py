"""Named points of the durable path at which a test can strike.

`DEID_FAILPOINT=name:deed[:n]` strikes the n-th time (the first unless told) that `name` is reached:
`kill` ends the process as kill -9 does, `segv` as a fault in a library does, `eio` and `enospc` raise the
system's error, `sleep` waits for a test to come and kill, or DEID_FAILPOINT_SLEEP_S seconds. Without the
variable a point costs one comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from typing import Final

_SLEEP_S: Final = float(os.environ.get("DEID_FAILPOINT_SLEEP_S", "600"))
_NAME, _, _rest = os.environ.get("DEID_FAILPOINT", "").partition(":")
_DEED, _, _nth = _rest.partition(":")
_ERRORS: Final = {"eio": errno.EIO, "enospc": errno.ENOSPC}

_lock = threading.Lock()
_left = int(_nth or 1)


def reach(name: str) -> None:
    """Say that the point `name` was reached; do what the environment asks for there."""
    if name == _NAME:
        _strike()


def _strike() -> None:
    global _left
    with _lock:
        _left -= 1
        struck = _left == 0
    if not struck:
        return
    if _DEED == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif _DEED == "segv":
        signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
    elif _DEED == "sleep":
        time.sleep(_SLEEP_S)
    elif _DEED in _ERRORS:
        raise OSError(_ERRORS[_DEED], os.strerror(_ERRORS[_DEED]))
