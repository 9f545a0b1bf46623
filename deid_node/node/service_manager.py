"""Telling systemd how the node is: ready, stopping, alive (sd_notify(3)). Silent without systemd."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress


class ServiceManager:
    """The datagram socket that systemd named, if it did."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        micros = environment.get("WATCHDOG_USEC", "") if for_us else ""
        self.watchdog_s = int(micros) / 1e6 if micros.isdigit() and int(micros) else None
        self._stopped = threading.Event()

    def tell(self, state: str) -> None:
        """Send one state, `READY=1` and the like; what cannot be sent is not worth failing for."""
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(state.encode(), self._address)

    def watch(self, is_well: Callable[[], bool]) -> None:
        """Say that the node is alive, twice in each watchdog interval, as long as it is."""
        if self.watchdog_s is None or not self._address:
            return
        threading.Thread(target=self._beat, args=(is_well, self.watchdog_s / 2), daemon=True).start()

    def stop(self) -> None:
        """End `watch`."""
        self._stopped.set()

    def _beat(self, is_well: Callable[[], bool], interval_s: float) -> None:
        while not self._stopped.wait(interval_s):
            if is_well():
                self.tell("WATCHDOG=1")
