"""A Docker Engine, over a unix socket or TCP, with or without TLS."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote

from shim import limits
from shim.engine.api import Auth, ContainerSpec, EngineInfo, ImageRef
from shim.engine.client import parse
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.errors import pull_error
from shim.engine.client.frames import Line
from shim.engine.client.guard import MayAct, always
from shim.engine.client.http_engine import CallObserver, measured, stream_error
from shim.engine.client.interactive import InteractiveHttpEngine
from shim.engine.client.transport import (
    ARCHIVE,
    STREAM,
    Transport,
    as_list,
    json_lines,
    parsing,
    time_limit,
    without_empty,
)
from shim.errors import NameTaken, NotFound
from shim.model.container import LABEL_CONTAINER, LABEL_SHIM, Container, container_name
from shim.model.volume import Volume

DISK_UNKNOWN_MB = 100 * 1024
"""The disk of a remote engine, which does not report its size. --resources overrides it."""


class DockerEngine(InteractiveHttpEngine):
    """The :class:`~shim.engine.api.Engine` of a real Docker daemon."""

    kind = "docker"
    has_events = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        shim_id: str,
        connections: int = limits.ENGINE_CONNECTIONS,
        observe_call: CallObserver | None = None,
        may_act: MayAct = always,
    ) -> None:
        """Needs a running loop; opens no connection yet.

        Containers whose label ``mesos-shim.id`` is ``shim_id`` belong to this agent.
        """
        super().__init__(Transport(endpoint, connections, may_act), observe_call)
        self._label = f"{LABEL_SHIM}={shim_id}"

    async def info(self) -> EngineInfo:
        version = await self._http.version()
        data = await self._http.json("info", "GET", "/info")
        with parsing("info"):
            return EngineInfo(
                kind=self.kind,
                version=version["Version"],
                api_version=self._http.api_version,
                name=data.get("Name") or "",
                cpus=float(data.get("NCPU") or 0),
                memory_mb=int(data.get("MemTotal") or 0) // 2**20,
                disk_mb=self._disk_mb(data.get("DockerRootDir") or ""),
                architecture=version.get("Arch") or "",
            )

    @measured
    async def create(self, spec: ContainerSpec) -> str:
        params = without_empty({"name": spec.name, "platform": spec.platform})
        answer = await self._http.json(
            "create", "POST", "/containers/create", params=params, json=dict(spec.body)
        )
        with parsing("create"):
            return str(answer["Id"])

    @measured
    async def inspect(self, name: str) -> Container:
        raw = await self._call("inspect", "GET", name, "/json")
        with parsing("inspect"):
            return self._under_created_name(parse.from_inspect(raw))

    @measured
    async def stop(self, name: str, grace: float) -> None:
        whole = max(0, int(grace))
        await self._call(
            "stop",
            "POST",
            name,
            "/stop",
            params={"t": str(whole)},
            timeout=time_limit(whole + limits.ENGINE_STOP_SLACK),
            long=True,
        )

    @measured
    async def remove(self, name: str) -> None:
        params = {"force": "1", "v": "1"}
        with suppress(NotFound):
            await self._call("remove", "DELETE", name, params=params)

    @measured
    async def list(self) -> Sequence[Container]:
        params = {"all": "1", "filters": json.dumps({"label": [self._label]})}
        answer = await self._http.json("list", "GET", "/containers/json", params=params)
        with parsing("list"):
            return self._as_created([parse.from_list(entry) for entry in as_list(answer)])

    @measured
    async def pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str = "",
    ) -> None:
        await self._pull(image, auth, progress, platform, timeout=STREAM, error_for=pull_error)

    @measured
    async def load_image(self, archive: bytes) -> None:
        """As :class:`~shim.engine.api.ImageLoader` says."""
        async with self._http.open(
            "load_image",
            "POST",
            "/images/load",
            params={"quiet": "1"},
            data=archive,
            headers={"Content-Type": "application/x-tar"},
            timeout=ARCHIVE,
            long=True,
        ) as response:
            async for piece in json_lines(response):
                if error := stream_error(piece):
                    raise pull_error(error)

    @measured
    async def update(self, name: str, limits: Mapping[str, int]) -> None:
        """As :class:`~shim.engine.api.ContainerUpdater` says."""
        await self._call("update", "POST", name, "/update", json=dict(limits))

    @measured
    async def path_mode(self, name: str, path: str) -> int:
        """As :class:`~shim.engine.api.PathModes` says."""
        params = {"path": path}
        async with self._http.open(
            "stat", "HEAD", f"{self._path(name)}/archive", params=params
        ) as response:
            with parsing("stat"):
                return parse.path_mode(response.headers["X-Docker-Container-Path-Stat"])

    @measured
    async def create_volume(self, volume: Volume) -> None:
        body = {
            "Name": volume.name,
            "Driver": volume.driver,
            "DriverOpts": dict(volume.options),
            "Labels": dict(volume.labels),
        }
        answer = await self._http.json("create_volume", "POST", "/volumes/create", json=body)
        # The engine answers with the volume of that name, also where it existed already; after a
        # restart of the engine without its labels, until the volume is inspected.
        if not self._is_owned(answer, volume):
            path = f"/volumes/{quote(volume.name, safe='')}"
            answer = await self._http.json("create_volume", "GET", path)
            if not self._is_owned(answer, volume):
                raise NameTaken(f"a volume {volume.name} exists that is not this agent's")

    @staticmethod
    def _is_owned(answer: Any, volume: Volume) -> bool:
        """Whether the volume that an answer describes has the owner of ``volume``."""
        with parsing("create_volume"):
            return parse.volume(answer).owner == volume.owner

    @measured
    async def remove_volume(self, name: str) -> None:
        with suppress(NotFound):
            await self._http.call("remove_volume", "DELETE", f"/volumes/{quote(name, safe='')}")

    async def volumes_missing(self) -> str:
        return ""

    @measured
    async def list_volumes(self) -> Sequence[Volume]:
        params = {"filters": json.dumps({"label": [self._label]})}
        answer = await self._http.json("list_volumes", "GET", "/volumes", params=params)
        with parsing("list_volumes"):
            return [parse.volume(entry) for entry in answer["Volumes"] or []]

    async def events(self) -> AsyncGenerator[str, None]:
        filters = {"type": ["container"], "event": ["die", "destroy"], "label": [self._label]}
        params = {"filters": json.dumps(filters)}
        async with self._http.open(
            "events", "GET", "/events", params=params, timeout=STREAM, long=True
        ) as response:
            yield ""
            # Silence until the read times out means that nothing happened: the stream just ends.
            with suppress(TimeoutError):
                async for event in json_lines(response):
                    yield self._container_of(event)

    @staticmethod
    def _container_of(event: Mapping[str, Any]) -> str:
        """The name that the shim gave the container; the event has its present one."""
        with parsing("events"):
            # Labels are among the attributes.
            attributes = (event.get("Actor") or {}).get("Attributes") or {}
            container_id = attributes.get(LABEL_CONTAINER)
            return container_name(container_id) if container_id else attributes.get("name") or ""

    async def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[Line, None]:
        params = {"since": f"{since:.9f}"}
        if tail is not None:
            params["tail"] = str(tail)
        timeout = time_limit(idle=None if follow else limits.ENGINE_CALL_TIMEOUT)
        lines = self._log_lines(name, params, follow=follow, timeout=timeout)
        async with aclosing(lines):
            async for line in lines:
                yield line

    @measured
    async def stats(self, name: str) -> Mapping[str, Any]:
        params = {"stream": "0", "one-shot": "1"}
        # The daemon answers with its next collection, up to a second later.
        path = f"{self._path(name)}/stats"
        sample = await self._http.json("stats", "GET", path, params=params, long=True)
        with parsing("stats"):
            return dict(sample)

    def _disk_mb(self, root: str) -> int:
        """Size of the file system that holds the containers, if it is on this machine."""
        try:
            found = os.statvfs(root) if self._http.endpoint.is_local else None
        except OSError:
            found = None
        return DISK_UNKNOWN_MB if found is None else found.f_blocks * found.f_frsize // 2**20
