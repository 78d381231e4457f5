"""From where a check is made.

A stock agent probes 127.0.0.1 in the container's network namespace, where we cannot go. So a
probe goes to the container's own address (its host's, when it has none); where that is refused
or out of reach it is made again inside the container, which also finds a server that listens on
loopback only; and where the image has nothing to probe with, at the port it publishes. What
worked is kept for the next time.
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
from shim.engine.checks.spec import Command, Http, Target, Tcp
from shim.errors import ShimError
from shim.model.container import Ref

log = logging.getLogger(__name__)

_NO_ADDRESS = ProbeResult(ProbeStatus.UNREACHABLE, detail="it has no address of its own")


class Place(enum.Enum):
    ADDRESS = "the container's address"
    INSIDE = "a probe inside the container"
    PUBLISHED = "the published port"


class Prober:
    """Makes probes, for all checks."""

    def __init__(self, engine: Engine, host: str, execs_at_once: int) -> None:
        """``host`` is the address of the engine's host; empty: its ports cannot be reached."""
        self.engine = engine
        self.host = host
        self.outside = NetworkProbe()
        self.inside = ExecProbe(engine, execs_at_once)

    async def close(self) -> None:
        await self.outside.close()


class Route:
    """Where the probes of one check go, learned from what answers."""

    def __init__(
        self, ref: Ref, target: Target, addresses: Sequence[str], prober: Prober, timeout: float
    ) -> None:
        self._ref = ref
        self._target = target
        self._prober = prober
        self._timeout = timeout
        self._address = _choose(target, addresses or (prober.host,))
        self._place = Place.INSIDE if isinstance(target, Command) else Place.ADDRESS
        self._has_tools = True
        self._told_hopeless = False

    @property
    def inside(self) -> bool:
        """Whether the next probe goes into the container: the dearer way."""
        return self._place is Place.INSIDE

    async def probe(self) -> ProbeResult:
        """Never raises a ShimError."""
        target = self._target
        if isinstance(target, Command) or self._place is Place.INSIDE:
            return await self._inside()
        if self._place is Place.PUBLISHED:
            return await self._published(target)
        outcome = await self._own_address(target)
        if outcome.sign in (ProbeStatus.REFUSED, ProbeStatus.UNREACHABLE):
            return await self._otherwise(target, outcome)
        return outcome

    async def _own_address(self, target: Http | Tcp) -> ProbeResult:
        if not self._address:
            return _NO_ADDRESS
        return await self._prober.outside.probe(target, self._address, target.port, self._timeout)

    async def _inside(self) -> ProbeResult:
        return await self._prober.inside.probe(self._target, self._ref.name, self._timeout)

    async def _otherwise(self, target: Http | Tcp, direct: ProbeResult) -> ProbeResult:
        """The address gave no connection: ask inside, then at the published port."""
        found = await self._inside() if self._has_tools else ProbeResult(ProbeStatus.IMPOSSIBLE)
        unreachable = direct.sign is ProbeStatus.UNREACHABLE
        if found.sign is ProbeStatus.ANSWERED or (
            unreachable and found.sign is ProbeStatus.REFUSED
        ):
            self._settle(Place.INSIDE, direct)
        if found.sign is not ProbeStatus.IMPOSSIBLE:
            return found
        self._has_tools = False
        found = await self._published(target)
        if found.sign is ProbeStatus.ANSWERED:
            self._settle(Place.PUBLISHED, direct)
            return found
        if unreachable:
            self._give_up(direct)
        return direct

    async def _published(self, target: Http | Tcp) -> ProbeResult:
        host = self._prober.host
        port = await self._host_port(target.port) if host else 0
        if not port:
            return ProbeResult(ProbeStatus.IMPOSSIBLE, detail="it publishes no such port")
        return await self._prober.outside.probe(target, host, port, self._timeout)

    async def _host_port(self, port: int) -> int:
        try:
            found = await self._prober.engine.inspect(self._ref.name)
        except ShimError:
            return 0
        return published(found.inspect, port)

    def _settle(self, place: Place, direct: ProbeResult) -> None:
        self._place = place
        log.info(
            "%s: the check of port %d is made by %s from now on: %s",
            self._ref,
            _port(self._target),
            place.value,
            direct.detail or direct.sign.value,
        )

    def _give_up(self, direct: ProbeResult) -> None:
        if not self._told_hopeless:
            self._told_hopeless = True
            log.warning(
                "%s: the check of port %d cannot be made and counts as failed: %s, the image has"
                " no tool to probe with, and the port is not published",
                self._ref,
                _port(self._target),
                direct.detail,
            )


def published(inspect: bytes, port: int) -> int:
    """The host port under which an inspected container's TCP port is published; 0: none is."""
    if not inspect:
        return 0
    (described,) = json.loads(inspect)
    ports = (described.get("NetworkSettings") or {}).get("Ports") or {}
    for binding in ports.get(f"{port}/tcp") or ():
        if str(binding.get("HostPort", "")).isdigit():
            return int(binding["HostPort"])
    return 0


def _choose(target: Target, addresses: Sequence[str]) -> str:
    """The first address of the family that the check asks for; empty: there is none."""
    wanted = 6 if not isinstance(target, Command) and target.ipv6 else 4
    for address in addresses:
        if address and _family(address) == wanted:
            return address
    return ""


def _family(address: str) -> int:
    """A name, which only an engine's host has, is taken for IPv4."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 4


def _port(target: Target) -> int:
    return 0 if isinstance(target, Command) else target.port
