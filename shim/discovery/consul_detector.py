"""Detection of the leading master by its service name in Consul."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shim import limits
from shim.errors import Permanent, Transient
from shim.model.ids import Pid

if TYPE_CHECKING:
    from shim.discovery.consul_client import ConsulClient

log = logging.getLogger(__name__)

LEADER = "leader"
"""The tag of the leading master among several instances."""


class ConsulDetector:
    """Watches one service with blocking queries."""

    def __init__(self, client: ConsulClient, service: str) -> None:
        self._client, self._service = client, service
        self._warned = False

    async def run(self, on_change: Callable[[Pid | None], None]) -> None:
        """Call ``on_change`` with the first result and with every other one, until cancelled.

        When Consul does not answer, the last known master stays.
        """
        index: str | None = None
        last: list[Pid | None] = []
        try:
            while True:
                try:
                    index, leader = await self._query(index)
                except (Transient, Permanent) as error:
                    self._warn("looking for the master: %s", error)
                    index = None
                    await asyncio.sleep(limits.CONSUL_RETRY_MAX / 10)
                    continue
                if last != [leader]:
                    last = [leader]
                    self._warned = False
                    on_change(leader)
                await asyncio.sleep(limits.CONSUL_BLOCK_PAUSE)
        finally:
            await self._client.close()

    async def _query(self, index: str | None) -> tuple[str | None, Pid | None]:
        """The index for the next blocking query, and the leader."""
        before = int(index or 0)
        answered, nodes = await self._client.health.service(
            self._service, index=index, wait=f"{limits.CONSUL_BLOCK}s", passing=True
        )
        # Consul's rule for clients: start again without an index when the index went back.
        usable = answered.isdigit() and int(answered) >= max(before, 1)
        next_index = answered if usable else None
        try:
            address = leading_address(nodes)
            if address is not None:
                return next_index, Pid("master", await _resolve(address[0]), address[1])
        except (KeyError, TypeError, ValueError) as error:
            raise Transient(f"not an answer of a Consul agent: {error!r}") from error
        self._warn("service %r in Consul: %s", self._service, _no_leader(nodes))
        return next_index, None

    def _warn(self, text: str, *values: object) -> None:
        """A warning once until a master is found; debug level after that."""
        log.log(logging.DEBUG if self._warned else logging.WARNING, text, *values)
        self._warned = True


def _no_leader(nodes: Sequence[object]) -> str:
    return f"{len(nodes)} passing instances, no single one tagged {LEADER}"


def leading_address(nodes: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    """``(host, port)`` of the only instance, or of the only one with the tag ``leader``."""
    tagged = [node for node in nodes if LEADER in (node["Service"]["Tags"] or ())]
    candidates = tagged or nodes
    if len(candidates) != 1:
        return None
    node = candidates[0]
    return node["Service"]["Address"] or node["Node"]["Address"], node["Service"]["Port"]


async def _resolve(host: str) -> str:
    """An IPv4 address, the only kind that libprocess supports."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
    except (OSError, UnicodeError) as error:  # UnicodeError: the text is not a host name.
        raise Transient(f"the master's address {host!r}: {error}") from None
    return str(found[0][4][0])
