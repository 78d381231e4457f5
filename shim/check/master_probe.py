"""Checks of the master: detection, reachability, leadership. Nothing is registered."""

from __future__ import annotations

import asyncio
import json
import re
import ssl

import aiohttp

from shim import limits
from shim.check.report import CheckFailed
from shim.discovery.master_detector import detector_for
from shim.engine.client.transport import unreachable
from shim.errors import PeerError, error_text
from shim.model.ids import Pid
from shim.model.settings import ConsulMaster, MasterLocation, StaticMaster, TlsSettings
from shim.wire.connect import connector
from shim.wire.tls import Tls

_FIELD = r'"{}"\s*:\s*"([^"]*)"'


class MasterProbe:
    """Two checks. The second one asks the leader that the first one detected."""

    def __init__(self, master: MasterLocation, tls: TlsSettings | None = None) -> None:
        self._master = master
        self._tls = tls
        self.leader: Pid | None = None

    async def detect(self) -> str:
        """Detect the leader with ``--master``."""
        found: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()

        def changed(pid: Pid | None) -> None:
            if pid is not None and not found.done():
                found.set_result(pid)

        running = asyncio.ensure_future(detector_for(self._master).run(changed))
        try:
            async with asyncio.timeout(limits.CHECK_TIMEOUT / 2):
                self.leader = await found
        except TimeoutError:
            raise CheckFailed(f"{self._master}: no leading master was detected") from None
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return f"{self._master} names {self.leader}"

    async def ask(self) -> str:
        """Ask the leader for its version and state over HTTP."""
        if self.leader is None:
            raise CheckFailed("not checked: no leading master was detected")
        address = f"{self.leader.ip}:{self.leader.port}"
        if self._tls is None:
            return await self._ask(f"http://{address}")
        tls = Tls(self._tls)
        if await self._speaks_tls(tls, self.leader):
            return await self._ask(f"https://{address}", tls.client())
        return await self._ask(f"http://{address}")

    @staticmethod
    async def _speaks_tls(tls: Tls, leader: Pid) -> bool:
        """Connect as the agent's links do. False: the master is plain, and may be."""
        try:
            _, writer = await connector(tls)(leader.address)
        except (OSError, PeerError) as error:
            text = f"{leader.ip}:{leader.port}: no TLS connection: {error_text(error)}"
            raise CheckFailed(text) from None
        writer.transport.abort()
        return writer.get_extra_info("ssl_object") is not None

    async def _ask(self, url: str, tls: ssl.SSLContext | None = None) -> str:
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls or True)
            ) as session:
                version = await _version(session, f"{url}/version")
                state = await _beginning(session, f"{url}/state")
        except aiohttp.ClientConnectorError as error:
            raise CheckFailed(f"{url}: {unreachable(error)}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise CheckFailed(f"{url}: {error}") from None
        self._compare(state)
        return f"{url}: Mesos {version}"

    def _compare(self, state: str) -> None:
        """Compare pids: an agent silently ignores a sender that is not the detected pid."""
        pid, leader = (_field(state, name) for name in ("pid", "leader"))
        if leader and pid and leader != pid:
            raise CheckFailed(f"{pid} does not lead, {leader} does", f"try {self._instead(leader)}")
        if isinstance(self._master, StaticMaster) and pid and pid != str(self.leader):
            raise CheckFailed(
                f"the master's own pid is {pid}, and its messages to an agent have that sender",
                f"try {self._instead(pid)}",
            )

    def _instead(self, pid: str) -> str:
        if isinstance(self._master, StaticMaster):
            return f"--master={pid.rpartition('@')[2]}, or zk:// to follow the leader"
        where = "Consul" if isinstance(self._master, ConsulMaster) else "ZooKeeper"
        return f"again: {where} still names the earlier leader"


async def _version(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        text = (await answer.content.read(limits.CHECK_PAGE_BYTES)).decode(errors="replace")
    if answer.status != 200:
        raise CheckFailed(f"{url}: {answer.status} {answer.reason}")
    try:
        return str(json.loads(text)["version"])
    except (ValueError, KeyError, TypeError):
        raise CheckFailed(f"{url}: not the answer of a Mesos master: {text[:80]!r}") from None


async def _beginning(session: aiohttp.ClientSession, url: str) -> str:
    """The beginning of ``/state``, which has the master's own fields.

    Empty when the master requires authentication.
    """
    async with session.get(url) as answer:
        if answer.status != 200:
            return ""
        data = b""
        while len(data) < limits.CHECK_PAGE_BYTES:
            chunk = await answer.content.read(limits.CHECK_PAGE_BYTES - len(data))
            if not chunk:
                break
            data += chunk
        return data.decode(errors="replace")


def _field(state: str, name: str) -> str:
    """The first field of that name in a JSON text that may be truncated."""
    found = re.search(_FIELD.format(name), state)
    return found[1] if found else ""
