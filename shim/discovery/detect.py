"""Find the leading master by its name in Consul: ``consul://host:port/service/NAME``."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from shim import limits
from shim.discovery.client import ConsulClient
from shim.discovery.config import discovery_config
from shim.errors import ConfigError, Permanent, Transient
from shim.model.ids import Pid

log = logging.getLogger(__name__)

LEADER = "leader"
"""The tag that tells the leading master among several."""


def consul_detector(url: str, env: Mapping[str, str]) -> ConsulDetector:
    """For a value of ``--master``. Token and TLS come from CONSUL_*; ConfigError names what is
    wrong. Without ``host:port`` (``consul:///service/NAME``) CONSUL_HTTP_ADDR gives the address.
    """
    parts = urlsplit(url)
    kind, _, name = parts.path.strip("/").partition("/")
    if parts.scheme != "consul" or kind != "service" or not name or "/" in name:
        raise ConfigError(f"--master={url!r} is not consul://host:port/service/NAME")
    config = discovery_config(parts.netloc or None, "none", "mesos", env)
    if config is None:
        raise ConfigError(f"--master={url!r} names no Consul, nor does CONSUL_HTTP_ADDR")
    return ConsulDetector(ConsulClient(config), name)


class ConsulDetector:
    """Watches one service by blocking queries."""

    def __init__(self, client: ConsulClient, service: str) -> None:
        self._client, self._service = client, service
        self._warned = False

    async def run(self, on_change: Callable[[Pid | None], None]) -> None:
        """Call ``on_change`` with the first finding and each other one, until cancelled.

        A Consul that does not answer changes nothing: the master found last stays.
        """
        index: str | None = None
        last: list[Pid | None] = []
        try:
            while True:
                try:
                    index, found = await self._ask(index)
                except (Transient, Permanent) as error:
                    self._warn("looking for the master: %s", error)
                    index = None
                    await asyncio.sleep(limits.CONSUL_RETRY_MAX / 10)
                    continue
                if last != [found]:
                    last = [found]
                    self._warned = False
                    on_change(found)
                await asyncio.sleep(limits.CONSUL_BLOCK_PAUSE)
        finally:
            await self._client.close()

    async def _ask(self, index: str | None) -> tuple[str | None, Pid | None]:
        before = int(index or 0)
        told, nodes = await self._client.health.service(
            self._service, index=index, wait=f"{limits.CONSUL_BLOCK}s", passing=True
        )
        # Consul's rule: an index that went back (or is none) means to start afresh.
        fresh = told if told.isdigit() and int(told) >= max(before, 1) else None
        try:
            place = leading(nodes)
            if place is not None:
                return fresh, Pid("master", await _resolve(place[0]), place[1])
        except (KeyError, TypeError, ValueError) as error:
            raise Transient(f"an answer that is none of Consul's: {error!r}") from error
        self._warn("service %r in Consul: %s", self._service, f"{len(nodes)} passing, none leads")
        return fresh, None

    def _warn(self, text: str, *values: object) -> None:
        """Once until something is found."""
        log.log(logging.DEBUG if self._warned else logging.WARNING, text, *values)
        self._warned = True


def leading(nodes: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    """Address and port of the one instance, or of the one tagged ``leader``."""
    tagged = [node for node in nodes if LEADER in (node["Service"]["Tags"] or ())]
    fitting = tagged or nodes
    if len(fitting) != 1:
        return None
    node = fitting[0]
    return node["Service"]["Address"] or node["Node"]["Address"], node["Service"]["Port"]


async def _resolve(host: str) -> str:
    """libprocess speaks IPv4 only."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
    except (OSError, UnicodeError) as error:  # the latter for what is no name at all
        raise Transient(f"the master's address {host!r}: {error}") from None
    return str(found[0][4][0])
