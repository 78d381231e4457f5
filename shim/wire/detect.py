"""Master detectors: the protocol of all of them, and the detector for a fixed address.

A detector calls ``on_change`` with the leading master's pid whenever the pid changes, and with
None when there is no leader any more. It does not report the same leader twice in a row.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from shim import limits
from shim.model.ids import Pid
from shim.model.settings import StaticMaster

OnChange = Callable[[Pid | None], None]

log = logging.getLogger(__name__)


class Detector(Protocol):
    async def run(self, on_change: OnChange) -> None:
        """Detect until cancelled. ``on_change`` is called on the event loop."""


class StaticDetector:
    """Reports the configured master as soon as its name resolves."""

    def __init__(self, master: StaticMaster) -> None:
        self._master = master

    async def run(self, on_change: OnChange) -> None:
        on_change(await self._resolve())
        await asyncio.Event().wait()

    async def _resolve(self) -> Pid:
        """Retry until DNS answers: the name may be registered after the agent starts."""
        loop, master = asyncio.get_running_loop(), self._master
        while True:
            try:
                found = await loop.getaddrinfo(master.host, master.port, family=socket.AF_INET)
                return Pid(master.id, str(found[0][4][0]), master.port)
            except (OSError, UnicodeError) as error:  # UnicodeError: the text is not a host name.
                log.warning("cannot resolve the master's name %r: %s", master.host, error)
            await asyncio.sleep(limits.DNS_RETRY)
