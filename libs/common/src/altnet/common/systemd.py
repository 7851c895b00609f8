"""Telling systemd how it goes (sd_notify(3)), without its library."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping


class Systemd:
    """Sends to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self, env: Mapping[str, str]) -> None:
        path = env.get("NOTIFY_SOCKET", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        microseconds = env.get("WATCHDOG_USEC", "")
        for_us = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(microseconds) / 1e6 if microseconds.isdigit() and for_us else None
        """Seconds within which systemd wants to hear from us, None if it does not watch."""

    def tell(self, *lines: str) -> None:
        """`READY=1`, `STOPPING=1`, `STATUS=…`. A socket that is gone is systemd's business."""
        if not self._path:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1.0)
            sock.sendto("\n".join(lines).encode(), self._path)

    async def run_watchdog(self) -> None:
        """Say that we live, as long as the event loop turns; systemd restarts us otherwise."""
        if self.watchdog is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 3)
