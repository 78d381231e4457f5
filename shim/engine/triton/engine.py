"""The :class:`~shim.engine.api.Engine` of a Triton datacenter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from shim import limits
from shim.engine.api import Auth, ContainerSpec, EngineInfo, ImageRef
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.frames import Line
from shim.engine.client.guard import MayAct, always
from shim.engine.client.http_engine import CallObserver, measured, measured_as
from shim.engine.client.interactive import InteractiveHttpEngine
from shim.engine.client.transport import Transport, parsing, time_limit
from shim.engine.triton import parse
from shim.engine.triton.creates import CreateTracker
from shim.engine.triton.errors import pull_error
from shim.engine.triton.login import ClientLogin
from shim.engine.triton.transport import AnswerLost, TritonTransport
from shim.engine.triton.volumes import TritonVolumes
from shim.errors import InProgress, NameTaken, NotFound, Permanent, Transient
from shim.model.container import LABEL_SHIM, Container, Phase
from shim.model.volume import Volume

STREAM = time_limit(idle=limits.TRITON_CREATE_TIMEOUT)
PULL = time_limit(idle=limits.TRITON_PULL_IDLE)


class EngineObserver(Protocol):
    """Receives what the datacenter shows of this agent's containers. Its methods raise nothing."""

    def listed(self, containers: Sequence[Container], took: float) -> None:
        """All of the agent's containers, by a list that took ``took`` seconds."""

    def inspected(self, container: Container) -> None:
        """One of the agent's containers, inspected."""

    def removed(self, name: str) -> None:
        """The container does not exist any more, or never did."""


class TritonEngine(InteractiveHttpEngine):
    """One datacenter's Docker endpoint."""

    kind = "triton"
    has_events = False
    forgets_execs = True
    _http: TritonTransport

    def __init__(
        self,
        url: str,
        login: ClientLogin,
        *,
        shim_id: str,
        clock: Callable[[], float] = time.monotonic,
        observe_call: CallObserver | None = None,
        may_act: MayAct = always,
    ) -> None:
        """Needs a running loop; opens no connection yet.

        ``url`` is ``https://host:port``. Containers whose label ``mesos-shim.id`` is ``shim_id``
        belong to this agent.
        """
        super().__init__(TritonTransport(url, login, may_act), observe_call)
        self.login = login
        self.packages: dict[str, int] = {}
        """MiB of each package that an inspect has shown. Only an inspect shows it."""
        self._shim_id = shim_id
        self._clock = clock
        self._observers: list[EngineObserver] = []
        self._creates = CreateTracker(self._http, self.list, clock)
        self._volumes = TritonVolumes(self._http, shim_id)
        self._not_running: dict[str, tuple[Phase, float]] = {}
        """The phase in which lists show a container that is not running, and since when."""

    def subscribe(self, observer: EngineObserver) -> None:
        """From now on pass to ``observer`` what lists, inspects and removals show."""
        self._observers.append(observer)

    @property
    def provisioning(self) -> int:
        """Creates under way."""
        return self._creates.connected + self._creates.detached

    @property
    def maintenance(self) -> str:
        """The announced maintenance, in the endpoint's words; empty when there is none."""
        return self._http.maintenance

    async def close(self) -> None:
        self._creates.close()
        await super().close()

    async def info(self) -> EngineInfo:
        version = await self._http.json("version", "GET", "/version")
        info = await self._http.json("info", "GET", "/info")
        with parsing("info"):
            status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
            return EngineInfo(
                kind=self.kind,
                version=version["Version"],
                api_version="1.21",
                name=info.get("Name") or "",
                account=str(status.get("SDCAccount") or ""),
            )

    @measured
    async def create(self, spec: ContainerSpec) -> str:
        """Returns after the provisioning, also after that of an earlier create of the same name."""
        while True:
            ready = asyncio.Event()
            try:
                return await self._create(spec, ready.set)
            except InProgress:
                await ready.wait()

    @measured_as("create")
    async def create_or_notify(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        """As :class:`~shim.engine.api.CreateNotifier` says."""
        return await self._create(spec, on_ready)

    async def _create(self, spec: ContainerSpec, on_ready: Callable[[], None]) -> str:
        try:
            return await self._creates.create(spec, on_ready)
        except NameTaken as error:
            conflict = NameTaken(f"{spec.name}: {error}")
        if (await self.inspect(spec.name)).phase is Phase.PROVISIONING:
            self._creates.watch(spec.name, on_ready, conflict)
            raise InProgress
        raise conflict

    @measured
    async def inspect(self, name: str) -> Container:
        raw = await self._call("inspect", "GET", name, "/json")
        with parsing("inspect"):
            described = self._under_created_name(parse.from_inspect(raw))
            container = self._ended_only_if_certain(described)
            package, memory = parse.package(container)
        if package:
            self.packages[package] = memory
        if container.owner == self._shim_id:
            for observer in self._observers:
                observer.inspected(container)
        return container

    def _ended_only_if_certain(self, container: Container) -> Container:
        """A container that ended without exit code counts as running while a code may still come.

        Inspect shows a container that is stopping, one that crashed with its server, and one that
        ended without a known code alike. Lists tell a stopping one (no status) from an ended one.
        """
        if container.phase is not Phase.EXITED or container.exit_code is not None:
            return container
        phase, since = self._not_running.get(container.name, (Phase.EXITED, math.inf))
        listed_as_ended = phase is Phase.EXITED
        wait = limits.EXIT_STATUS_WAIT if listed_as_ended else limits.NO_STATUS_WAIT
        if self._clock() - since >= wait:
            return container
        return replace(container, phase=Phase.RUNNING)

    def _record_not_running(self, containers: Iterable[Container], began: float) -> None:
        """Keep since when each container is listed in its phase. The list began at ``began``."""
        not_running: dict[str, tuple[Phase, float]] = {}
        for each in containers:
            provisioned = len(each.id) != parse.PROVISIONING_ID
            if provisioned and each.phase in (Phase.EXITED, Phase.PROVISIONING):
                phase, since = self._not_running.get(each.name, (None, began))
                not_running[each.name] = (each.phase, since if phase is each.phase else began)
        self._not_running = not_running

    @measured
    async def stop(self, name: str, grace: float) -> None:
        """Triton cuts the call after two minutes; a longer grace is then awaited by inspects."""
        whole, began = max(0, int(grace)), self._clock()
        try:
            await self._call("stop", "POST", name, "/stop", params={"t": str(whole)}, long=True)
        except AnswerLost as lost:
            await self._wait_until_down(name, began + whole + limits.ENGINE_STOP_SLACK, lost)

    async def _wait_until_down(self, name: str, deadline: float, lost: Transient) -> None:
        """A stop whose answer was lost continues. A second stop would begin a new grace period."""
        while True:
            container = await self.inspect(name)
            if container.phase is not Phase.RUNNING:
                return
            if self._clock() > deadline:
                raise Transient(f"{name} still runs: {lost}")
            await asyncio.sleep(limits.STOP_POLL)

    @measured
    async def remove(self, name: str) -> None:
        self._creates.forget(name)
        with contextlib.suppress(NotFound):
            await self._call("remove", "DELETE", name, params={"force": "1"})
        for observer in self._observers:
            observer.removed(name)

    @measured
    async def list(self) -> Sequence[Container]:
        began = self._clock()
        # Triton cuts a label's value at its second "=": an id with one is found by key alone.
        wanted = LABEL_SHIM if "=" in self._shim_id else f"{LABEL_SHIM}={self._shim_id}"
        params = {"all": "1", "filters": json.dumps({"label": [wanted]})}
        raw = await self._http.call("list", "GET", "/containers/json", params=params)
        own = []
        with parsing("list"):
            for number, entry in enumerate(parse.members(raw), 1):
                container = parse.from_list(entry)
                if container.owner == self._shim_id:
                    own.append(container)
                if number % limits.LIST_SLICE == 0:
                    await asyncio.sleep(0)
        containers = self._as_created(own)
        self._record_not_running(containers, began)
        self._creates.listed(containers, began)
        for observer in self._observers:
            observer.listed(containers, self._clock() - began)
        return containers

    @measured
    async def pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str = "",
    ) -> None:
        """Triton runs one platform: any other is refused before anything is sent."""
        if platform not in ("", "linux/amd64"):
            raise Permanent(f"Triton runs linux/amd64 images only, not {platform}")
        await self._pull(image, auth, progress, "", timeout=PULL, error_for=pull_error)

    @measured
    async def create_volume(self, volume: Volume) -> None:
        await self._volumes.create(volume)

    @measured
    async def remove_volume(self, name: str) -> None:
        await self._volumes.remove(name)

    async def volumes_missing(self) -> str:
        return await self._volumes.missing()

    @measured
    async def list_volumes(self) -> Sequence[Volume]:
        return await self._volumes.list()

    async def events(self) -> AsyncGenerator[str, None]:
        """Triton has none; ``has_events`` says so."""
        raise Permanent("Triton has no events")
        yield ""

    async def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[Line, None]:
        """Triton ignores ``since``, so lines are filtered here, and sends nothing without tail."""
        params = {"tail": "all" if tail is None else str(tail)}
        lines = self._log_lines(name, params, follow=follow, timeout=STREAM)
        async with contextlib.aclosing(lines):
            async for line in lines:
                if line[1] >= since:
                    yield line

    async def _exec_output(self, path: str) -> bytes:
        """Triton upgrades the connection, which carries raw frames until its end."""
        process = await self._start(path, tty=False)
        output = bytearray()
        try:
            while (piece := await process.read()) is not None:
                output += piece[1][: limits.EXEC_OUTPUT_BYTES - len(output)]
        finally:
            process.close()
        return bytes(output)

    @measured
    async def stats(self, name: str) -> Mapping[str, Any]:
        params = {"stream": "false"}
        path = f"{self._path(name)}/stats"
        sample = await self._http.json("stats", "GET", path, params=params)
        with parsing("stats"):
            return dict(sample)


async def is_triton(endpoint: Endpoint) -> bool:
    """Whether ``GET /_ping``, which needs no account, is answered by Triton. Transient."""
    http = Transport(endpoint)
    try:
        async with http.open("ping", "GET", "/_ping", versioned=False) as answer:
            return answer.headers.get("Server", "").startswith("Triton/")
    except Permanent:
        return False
    finally:
        await http.close()
