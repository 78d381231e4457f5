"""Notifies systemd that the process is ready, that its loop runs, that it stops.

The protocol is that of sd_notify(3): datagrams to the socket in ``NOTIFY_SOCKET``. Without that
variable nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """The socket of the manager that started this process."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._watchdog = _watchdog_seconds(environ) if path else 0.0

    def ready(self, status: str) -> None:
        """The port is open: the service counts as started. ``status`` is one line for people."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    async def keep_alive(self) -> None:
        """Answer the watchdog from the event loop, twice as often as it asks, until cancelled.

        A loop that hangs answers no more, and the manager ends and restarts the process.
        """
        while self._watchdog:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning(
                "the service manager cannot be notified of %s: %s", text.split("\n")[0], error
            )


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """0 without a watchdog for this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() else 0.0
