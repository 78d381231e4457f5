"""An agent that comes back under another address, while a master still knows the old one.

A master dismisses an agent, with all its tasks, that re-registers under another IP or host name
while the agent is in its list. Once the master has marked the agent unreachable, or after a
failover, it accepts every address. So the master is asked first, and the agent registers only
when the master has forgotten it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from shim import limits
from shim.model.ids import Pid
from shim.model.settings import Credential

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What the journal holds, and what the agent has now. ``flag`` names the first difference."""

    agent_id: str
    flag: str
    old: str
    new: str

    def __str__(self) -> str:
        return (
            f"{self.flag}={self.new}: agent {self.agent_id} is registered with {self.old}, and a "
            "master that knows an agent kills all its tasks when it comes back with another one"
        )


class AddressGate:
    """Passes a detected master on as soon as that master does not know the agent any more."""

    def __init__(
        self,
        change: AddressChange | None,
        credential: Credential | None,
        detected: Callable[[Pid | None], None],
    ) -> None:
        """``change`` is None for an agent whose address is the registered one: all pass at once."""
        self._change = change
        self._credential = credential
        self._detected = detected
        self._waiting: asyncio.Task[None] | None = None

    def master_changed(self, master: Pid | None) -> None:
        """A detector's callback. A newer master ends the wait for an older one."""
        self.close()
        if master is None or self._change is None:
            self._detected(master)
        else:
            waiting = self._wait_until_forgotten(master, self._change)
            self._waiting = asyncio.create_task(waiting, name="address change")

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait_until_forgotten(self, master: Pid, change: AddressChange) -> None:
        log.warning("%s; waiting until %s no longer lists the agent", change, master)
        async with aiohttp.ClientSession() as session:
            while not await self._is_forgotten(session, master, change):  # noqa: ASYNC110
                await asyncio.sleep(limits.ADDRESS_CHANGE_POLL)
        log.info("%s no longer lists agent %s", master, change.agent_id)
        self._detected(master)

    async def _is_forgotten(
        self, session: aiohttp.ClientSession, master: Pid, change: AddressChange
    ) -> bool:
        """False also while the master cannot be asked."""
        url = f"http://{master.ip}:{master.port}/slaves"
        query = {"slave_id": change.agent_id}
        try:
            async with (
                asyncio.timeout(limits.ADDRESS_CHANGE_TIMEOUT),
                session.get(
                    url, params=query, headers=self._headers(), allow_redirects=False
                ) as response,
            ):
                # A master that does not lead points to the leader: before the election, to itself.
                if response.status in (307, 503):
                    log.info("%s: %d: this master does not lead yet", url, response.status)
                    return False
                if response.status != 200:
                    log.error(
                        "%s: %d %s: cannot find out whether the master still lists the agent; "
                        "start with %s=%s, or give a --credential that may read this page",
                        *(url, response.status, response.reason),
                        *(change.flag, change.old),
                    )
                    return False
                known: list[dict[str, Any]] = (await response.json(content_type=None))["slaves"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "%s: %r: cannot find out whether the master still lists the agent", url, error
            )
            return False
        return not any(agent.get("id") == change.agent_id for agent in known)

    def _headers(self) -> dict[str, str]:
        """The agent's own principal: by default a master takes it for its pages as well."""
        if self._credential is None:
            return {}
        secret = self._credential.secret.decode("utf-8", "replace")
        return {"Authorization": aiohttp.encode_basic_auth(self._credential.principal, secret)}
