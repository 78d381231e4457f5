"""Decides from where a check is made.

A stock agent probes 127.0.0.1 in the container's network namespace, which this agent cannot enter.
A probe goes to these places, in this order:

1. the container's own address, or its host's address when it has none;
2. where that is refused or out of reach: inside the container, which also finds a server that
   listens on loopback only;
3. where the image has no tool to probe with: the port that the container publishes.

A place that worked is used for the next probes. A check of a port that cannot be listened on (0, or
beyond 65535) fails as at a stock agent, without a probe.
"""

from __future__ import annotations

import enum
import ipaddress
import json
import logging
from collections.abc import Sequence

from shim.engine.api import Engine
from shim.engine.checks.exec_probe import ExecProbe
from shim.engine.checks.network_probe import NetworkProbe
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import CheckTarget, CommandCheck, HttpCheck, TcpCheck
from shim.errors import ShimError
from shim.model.container import Ref

log = logging.getLogger(__name__)

_PORTS = range(1, 65_536)
_NO_ADDRESS = ProbeResult(ProbeStatus.UNREACHABLE, detail="the container has no address of its own")


class ProbePlace(enum.Enum):
    """Where a probe is made. The values stand in log lines."""

    ADDRESS = "the container's address"
    CONTAINER = "a probe inside the container"
    PUBLISHED_PORT = "the published port"


class ProbeTools:
    """The means to probe, shared by all checks."""

    def __init__(self, engine: Engine, host: str, execs_at_once: int) -> None:
        """``host`` is the address of the engine's host. Empty: its ports cannot be reached."""
        self.engine = engine
        self.host = host
        self.network = NetworkProbe()
        self.exec = ExecProbe(engine, execs_at_once)


class ProbeRoute:
    """The place of one check's probes, changed by what answers."""

    def __init__(
        self,
        ref: Ref,
        target: CheckTarget,
        addresses: Sequence[str],
        tools: ProbeTools,
        timeout: float,
    ) -> None:
        """``timeout`` is in seconds, for one probe at one place."""
        self._ref = ref
        self._target = target
        self._tools = tools
        self._timeout = timeout
        self._address = _address_for(target, addresses or (tools.host,))
        is_command = isinstance(target, CommandCheck)
        self._place = ProbePlace.CONTAINER if is_command else ProbePlace.ADDRESS
        self._image_has_tools = True
        self._warned = False

    @property
    def uses_exec(self) -> bool:
        """Whether the next probe runs in the container, which costs more than a connection."""
        return self._place is ProbePlace.CONTAINER

    async def probe(self) -> ProbeResult:
        """Make one probe. Raises no ShimError."""
        target = self._target
        if not isinstance(target, CommandCheck) and target.port not in _PORTS:
            return self._refuse_port(target.port)
        if isinstance(target, CommandCheck) or self._place is ProbePlace.CONTAINER:
            return await self._probe_in_container()
        if self._place is ProbePlace.PUBLISHED_PORT:
            return await self._probe_published_port(target)
        result = await self._probe_address(target)
        if result.status in (ProbeStatus.REFUSED, ProbeStatus.UNREACHABLE):
            return await self._probe_elsewhere(target, result)
        return result

    async def _probe_address(self, target: HttpCheck | TcpCheck) -> ProbeResult:
        if not self._address:
            return _NO_ADDRESS
        return await self._tools.network.probe(target, self._address, target.port, self._timeout)

    async def _probe_in_container(self) -> ProbeResult:
        return await self._tools.exec.probe(self._target, self._ref.name, self._timeout)

    async def _probe_elsewhere(
        self, target: HttpCheck | TcpCheck, direct: ProbeResult
    ) -> ProbeResult:
        """Probe in the container, then at the published port. ``direct`` failed to connect."""
        found = ProbeResult(ProbeStatus.IMPOSSIBLE)
        if self._image_has_tools:
            found = await self._probe_in_container()
        unreachable = direct.status is ProbeStatus.UNREACHABLE
        if found.status is ProbeStatus.ANSWERED or (
            unreachable and found.status is ProbeStatus.REFUSED
        ):
            self._move_to(ProbePlace.CONTAINER, direct)
        if found.status is not ProbeStatus.IMPOSSIBLE:
            return found
        self._image_has_tools = False
        found = await self._probe_published_port(target)
        if found.status is ProbeStatus.ANSWERED:
            self._move_to(ProbePlace.PUBLISHED_PORT, direct)
            return found
        if unreachable:
            self._warn_once(
                f"{direct.detail}, the image has no tool to probe with, and the port is not"
                " published"
            )
        return direct

    async def _probe_published_port(self, target: HttpCheck | TcpCheck) -> ProbeResult:
        host = self._tools.host
        port = await self._host_port(target.port) if host else 0
        if not port:
            return ProbeResult(
                ProbeStatus.IMPOSSIBLE, detail="the container publishes no such port"
            )
        return await self._tools.network.probe(target, host, port, self._timeout)

    async def _host_port(self, port: int) -> int:
        """The port is published by the container whose network a task of a task group shares."""
        inspect = self._tools.engine.inspect
        try:
            found = (await inspect(self._ref.name)).inspect
            if owner := network_owner(found):
                found = (await inspect(owner)).inspect
        except ShimError:
            return 0
        return published_port(found, port)

    def _move_to(self, place: ProbePlace, direct: ProbeResult) -> None:
        self._place = place
        log.info(
            "%s: the check of port %d is made by %s from now on: %s",
            self._ref,
            _port(self._target),
            place.value,
            direct.detail or direct.status.value,
        )

    def _refuse_port(self, port: int) -> ProbeResult:
        detail = f"no server can listen on port {port}"
        self._warn_once(detail)
        return ProbeResult(ProbeStatus.REFUSED, detail=detail)

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s: the check of port %d cannot be made and counts as failed: %s",
                self._ref,
                _port(self._target),
                reason,
            )


def network_owner(inspect: bytes) -> str:
    """Return the name or id of the container whose network this one shares; empty: its own."""
    if not inspect:
        return ""
    (described,) = json.loads(inspect)
    mode = str((described.get("HostConfig") or {}).get("NetworkMode") or "")
    return mode.removeprefix("container:") if mode.startswith("container:") else ""


def published_port(inspect: bytes, port: int) -> int:
    """Return the host port that publishes a container's TCP port, or 0.

    ``inspect`` is the engine's answer, a JSON list of one container; it may be empty.
    """
    if not inspect:
        return 0
    (described,) = json.loads(inspect)
    ports = (described.get("NetworkSettings") or {}).get("Ports") or {}
    for binding in ports.get(f"{port}/tcp") or ():
        if str(binding.get("HostPort", "")).isdigit():
            return int(binding["HostPort"])
    return 0


def _address_for(target: CheckTarget, addresses: Sequence[str]) -> str:
    """Return the first address of the IP version that the check asks for, or the empty text."""
    version = 6 if not isinstance(target, CommandCheck) and target.ipv6 else 4
    for address in addresses:
        if address and _ip_version(address) == version:
            return address
    return ""


def _ip_version(address: str) -> int:
    """Return 4 or 6. A host name, which only the engine's host has, counts as 4."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 4


def _port(target: CheckTarget) -> int:
    return 0 if isinstance(target, CommandCheck) else target.port
