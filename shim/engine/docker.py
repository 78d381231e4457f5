"""A Docker Engine, over a unix socket or TCP, with or without TLS."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp

from shim import limits
from shim.engine.api import Auth, ContainerSpec, EngineInfo, ExecResult, ImageRef
from shim.engine.client import parse
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.errors import pull_failure
from shim.engine.client.frames import Frames, Line, LogLines
from shim.engine.client.transport import (
    ARCHIVE,
    STREAM,
    WORK,
    Transport,
    array,
    container_path,
    exec_body,
    exec_within,
    json_lines,
    read,
    timeout,
    understood,
    upload,
    without_empty,
)
from shim.engine.images.pull_progress import Progress
from shim.errors import NotFound
from shim.model.container import LABEL_SHIM, Container

API_NEWEST = (1, 51)
"""The newest API this was written against: a newer engine is asked to speak this one."""

DISK_UNKNOWN_MB = 100 * 1024
"""A remote engine does not tell the size of its disk; a budget, to be set by --resources."""


class DockerEngine:
    """The :class:`~shim.engine.api.Engine` of a real Docker daemon."""

    kind = "docker"
    has_events = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        shim_id: str,
        connections: int = limits.ENGINE_CONNECTIONS,
    ) -> None:
        """Needs a running loop; talks to nobody yet. ``shim_id`` says which containers are ours."""
        self._http = Transport(endpoint, connections)
        self._label = f"{LABEL_SHIM}={shim_id}"
        self._api = ""

    def __str__(self) -> str:
        return str(self._http.endpoint)

    async def close(self) -> None:
        await self._http.close()

    async def info(self) -> EngineInfo:
        version = await self._version()
        answer = await self._get("info", "/info")
        with understood("info"):
            data = json.loads(answer)
            return EngineInfo(
                kind=self.kind,
                version=version["Version"],
                api_version=self._api,
                name=data.get("Name") or "",
                cpus=float(data.get("NCPU") or 0),
                memory_mb=int(data.get("MemTotal") or 0) // 2**20,
                disk_mb=self._disk_mb(data.get("DockerRootDir") or ""),
            )

    async def create(self, spec: ContainerSpec) -> str:
        params = without_empty({"name": spec.name, "platform": spec.platform})
        path = await self._path("/containers/create")
        answer = await self._http.call(
            "create", "POST", path, params=params, json=dict(spec.body), limit=WORK
        )
        with understood("create"):
            return str(json.loads(answer)["Id"])

    async def start(self, name: str) -> None:
        await self._act("start", "POST", f"{container_path(name)}/start")

    async def inspect(self, name: str) -> Container:
        raw = await self._get("inspect", f"{container_path(name)}/json")
        with understood("inspect"):
            return parse.from_inspect(raw)

    async def stop(self, name: str, grace: float) -> None:
        whole = max(0, int(grace))
        patience = timeout(whole + limits.ENGINE_STOP_SLACK)
        path = f"{container_path(name)}/stop"
        await self._act("stop", "POST", path, params={"t": str(whole)}, limit=patience, long=True)

    async def remove(self, name: str) -> None:
        try:
            await self._act(
                "remove", "DELETE", container_path(name), params={"force": "1", "v": "1"}
            )
        except NotFound:
            return

    async def list(self) -> Sequence[Container]:
        params = {"all": "1", "filters": json.dumps({"label": [self._label]})}
        answer = await self._get("list", "/containers/json", params=params)
        with understood("list"):
            return [parse.from_list(entry) for entry in array(json.loads(answer))]

    async def has_image(self, image: ImageRef) -> bool:
        try:
            await self._get("image", f"/images/{quote(image.text, safe='/:@')}/json")
        except NotFound:
            return False
        return True

    async def pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str = "",
    ) -> None:
        wanted = {"fromImage": image.repository, "tag": image.tag, "platform": platform}
        headers = {} if auth is None else {"X-Registry-Auth": registry_auth(auth)}
        path = await self._path("/images/create")
        seen = Progress()
        async with self._http.open(
            "pull",
            "POST",
            path,
            params=without_empty(wanted),
            headers=headers,
            limit=STREAM,
            long=True,
        ) as response:
            async for piece in json_lines(response):
                if error := _stream_error(piece):
                    raise pull_failure(error)
                progress(seen.take(piece))

    async def events(self) -> AsyncGenerator[str, None]:
        filters = {"type": ["container"], "event": ["die", "destroy"], "label": [self._label]}
        path = await self._path("/events")
        params = {"filters": json.dumps(filters)}
        async with self._http.open(
            "events", "GET", path, params=params, limit=STREAM, long=True
        ) as response:
            yield ""
            async for event in json_lines(response):
                with understood("events"):
                    attributes = (event.get("Actor") or {}).get("Attributes") or {}
                    name = str(attributes.get("name") or "")
                yield name

    async def put_archive(self, name: str, path: str, tar: bytes | BinaryIO) -> None:
        where = f"{container_path(name)}/archive"
        await self._act("upload", "PUT", where, **upload(path, tar))

    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        url = await self._path(f"{container_path(name)}/archive")
        async with self._http.open(
            "download", "GET", url, params={"path": path}, limit=ARCHIVE, long=True
        ) as response:
            return await read(response, limit)

    async def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[Line, None]:
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": f"{since:.9f}"}
        if tail is not None:
            params["tail"] = str(tail)
        if follow:
            params["follow"] = "1"
        path = await self._path(f"{container_path(name)}/logs")
        patience = timeout(idle=None if follow else limits.ENGINE_CALL_TIMEOUT)
        async with self._http.open(
            "logs", "GET", path, params=params, limit=patience, long=True
        ) as response:
            lines = LogLines()
            async for data in response.content.iter_any():
                for line in lines.feed(data):
                    yield line

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        async with exec_within(timeout, argv):
            return await self._exec(name, argv, env)

    async def _exec(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> ExecResult:
        made = await self._act(
            "exec", "POST", f"{container_path(name)}/exec", json=exec_body(argv, env)
        )
        with understood("exec"):
            identity = json.loads(made)["Id"]
        path = await self._path(f"/exec/{identity}/start")
        output, frames = bytearray(), Frames()
        async with self._http.open(
            "exec", "POST", path, json={"Detach": False}, limit=aiohttp.ClientTimeout(), long=True
        ) as response:
            async for data in response.content.iter_any():
                for _, payload in frames.feed(data):
                    output += payload[: limits.EXEC_OUTPUT_BYTES - len(output)]
        ended = await self._get("exec", f"/exec/{identity}/json")
        with understood("exec"):
            return ExecResult(int(json.loads(ended)["ExitCode"]), bytes(output))

    async def stats(self, name: str) -> Mapping[str, Any]:
        params = {"stream": "0", "one-shot": "1"}
        # The daemon answers with its next collection: up to a second later.
        path = f"{container_path(name)}/stats"
        sample = await self._get("stats", path, params=params, long=True)
        with understood("stats"):
            return dict(json.loads(sample))

    async def _version(self) -> Mapping[str, Any]:
        """What the endpoint speaks, and settle on the newest API both of us know."""
        raw = await self._http.call("version", "GET", "/version")
        with understood("version"):
            answer = dict(json.loads(raw))
            newest = tuple(int(part) for part in answer["ApiVersion"].split("."))
            self._api = ".".join(str(part) for part in min(newest, API_NEWEST))
            return answer

    async def _path(self, path: str) -> str:
        if not self._api:
            await self._version()
        return f"/v{self._api}{path}"

    async def _get(self, verb: str, path: str, **kwargs: Any) -> bytes:
        return await self._http.call(verb, "GET", await self._path(path), **kwargs)

    async def _act(self, verb: str, method: str, path: str, **kwargs: Any) -> bytes:
        kwargs.setdefault("limit", WORK)
        return await self._http.call(verb, method, await self._path(path), **kwargs)

    def _disk_mb(self, root: str) -> int:
        """Size of the file system the engine keeps containers on, when it is ours to see."""
        try:
            found = os.statvfs(root) if self._http.endpoint.is_local else None
        except OSError:
            found = None
        return DISK_UNKNOWN_MB if found is None else found.f_blocks * found.f_frsize // 2**20


def registry_auth(auth: Auth) -> str:
    """The ``X-Registry-Auth`` header."""
    if auth.identity_token:
        told = {"identitytoken": auth.identity_token, "serveraddress": auth.server}
    else:
        told = {
            "username": auth.username,
            "password": auth.password,
            "serveraddress": auth.server,
        }
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _stream_error(piece: Mapping[str, Any]) -> str:
    """An error inside a 200 stream, in the registry's words; empty when there is none."""
    detail = piece.get("errorDetail")
    message = detail.get("message") if isinstance(detail, dict) else None
    return str(message or piece.get("error") or "")
