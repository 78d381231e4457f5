"""Local ports that lead to other processes over TLS, for libraries that only speak plain HTTP."""

from __future__ import annotations

import asyncio
import threading

from shim.errors import PeerError, error_text
from shim.wire.connect import connector
from shim.wire.tls import Tls

CHUNK = 65_536
"""Bytes read at once."""


class TlsTunnel:
    """One port on loopback for each peer. A thread of its own carries the bytes, until exit."""

    def __init__(self, tls: Tls) -> None:
        self._connect = connector(tls)
        self._local: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        """By ``host:port``: why the last connection to it failed."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="TLS tunnel", daemon=True).start()

    def local_address(self, peer: str) -> str:
        """``127.0.0.1:port`` that leads to ``host:port``. Raises OSError, ValueError."""
        if peer not in self._local:
            opening = asyncio.run_coroutine_threadsafe(self._listen(peer), self._loop)
            self._local[peer] = f"127.0.0.1:{opening.result()}"
        return self._local[peer]

    async def _listen(self, peer: str) -> int:
        host, _, port = peer.rpartition(":")
        address = host, int(port)

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there = await self._connect(address)
            except (OSError, PeerError) as error:
                self.problems[peer] = error_text(error)
            else:
                self.problems.pop(peer, None)
                await _carry_both_ways((reader, writer), there)
            finally:
                writer.close()

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        port_number: int = server.sockets[0].getsockname()[1]
        return port_number


async def _carry_both_ways(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Until either side closes its connection."""
    pumps = {
        asyncio.create_task(_carry(here[0], there[1])),
        asyncio.create_task(_carry(there[0], here[1])),
    }
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        there[1].close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
