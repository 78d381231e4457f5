"""The :class:`~shim.engine.api.Engine` of a Triton datacenter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO
from urllib.parse import quote

from shim import limits
from shim.engine.api import Auth, ContainerSpec, EngineInfo, ExecResult, ImageRef
from shim.engine.client.endpoint import Endpoint
from shim.engine.client.frames import Frames, Line, LogLines
from shim.engine.client.transport import (
    ARCHIVE,
    Transport,
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
from shim.engine.docker import registry_auth
from shim.engine.images.pull_progress import Progress
from shim.engine.triton import parse
from shim.engine.triton.creates import CreateTracker
from shim.engine.triton.errors import pull_error
from shim.engine.triton.login import ClientLogin
from shim.engine.triton.observer import EngineObserver
from shim.engine.triton.transport import Lost, TritonTransport
from shim.errors import InProgress, NameTaken, NotFound, Permanent, Transient, error_text
from shim.model.container import LABEL_SHIM, Container, Phase

STREAM = timeout(idle=limits.TRITON_CREATE_TIMEOUT)
PULL = timeout(idle=limits.TRITON_PULL_IDLE)


class TritonEngine:
    """One datacenter's Docker endpoint."""

    kind = "triton"
    has_events = False

    def __init__(
        self,
        url: str,
        login: ClientLogin,
        *,
        shim_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Needs a running loop; talks to nobody yet.

        ``url`` is ``https://host:port``; ``shim_id`` says which containers are ours.
        """
        self.login = login
        self._link = TritonTransport(url, login)
        self._shim_id = shim_id
        self.audience = EngineObserver()
        self.packages: dict[str, int] = {}
        """MiB of each package that an inspect has shown: what is paid for, whatever was asked."""
        self._clock = clock
        self._creates = CreateTracker(self._link, self.list, clock)
        self._down: dict[str, tuple[Phase, float]] = {}
        """How, and since when, lists show a container that is not up, by its name."""

    def __str__(self) -> str:
        return str(self._link)

    @property
    def provisioning(self) -> int:
        """Creates under way."""
        return self._creates.connected + self._creates.detached

    async def close(self) -> None:
        self._creates.close()
        await self._link.close()

    async def info(self) -> EngineInfo:
        version = await self._link.json("version", "GET", "/version")
        info = await self._link.json("info", "GET", "/info")
        with understood("info"):
            status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
            return EngineInfo(
                kind=self.kind,
                version=version["Version"],
                api_version="1.21",
                name=info.get("Name") or "",
                account=str(status.get("SDCAccount") or ""),
            )

    async def create(self, spec: ContainerSpec) -> str:
        """Returns after the provisioning, also after that of an earlier create of the same name."""
        while True:
            ready = asyncio.Event()
            try:
                return await self._create(spec, ready.set)
            except InProgress:
                await ready.wait()

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

    async def start(self, name: str) -> None:
        await self._link.call("start", "POST", f"{container_path(name)}/start")

    async def inspect(self, name: str) -> Container:
        raw = await self._link.call("inspect", "GET", f"{container_path(name)}/json")
        with understood("inspect"):
            container = self._ended_for_certain(parse.from_inspect(raw))
            package, memory = parse.package(container)
        if package:
            self.packages[package] = memory
        if container.owner == self._shim_id:
            self.audience.seen(container)
        return container

    def _ended_for_certain(self, container: Container) -> Container:
        """As long as an exit status may still come, one that lacks it counts as running: it may be
        stopping, which an inspect shows as it does a crash."""
        if container.phase is not Phase.EXITED or container.exit_code is not None:
            return container
        phase, since = self._down.get(container.name, (Phase.EXITED, math.inf))
        listed_as_ended = phase is Phase.EXITED
        patience = limits.EXIT_STATUS_PATIENCE if listed_as_ended else limits.NO_STATUS_PATIENCE
        if self._clock() - since >= patience:
            return container
        return replace(container, phase=Phase.RUNNING)

    def _note_down(self, containers: Iterable[Container], began: float) -> None:
        down: dict[str, tuple[Phase, float]] = {}
        for each in containers:
            provisioned = len(each.id) != parse.PROVISIONING_ID
            if provisioned and each.phase in (Phase.EXITED, Phase.PROVISIONING):
                phase, since = self._down.get(each.name, (None, began))
                down[each.name] = (each.phase, since if phase is each.phase else began)
        self._down = down

    async def stop(self, name: str, grace: float) -> None:
        """Triton cuts the call after two minutes, whatever the grace: then looking tells."""
        whole, began = max(0, int(grace)), self._clock()
        try:
            await self._link.call(
                "stop", "POST", f"{container_path(name)}/stop", params={"t": str(whole)}, long=True
            )
        except Lost as cut:
            await self._watch_it_stop(name, began + whole + limits.ENGINE_STOP_SLACK, cut)

    async def _watch_it_stop(self, name: str, until: float, cut: Transient) -> None:
        """A stop whose answer was cut off goes on; sending it again would begin a new grace."""
        while True:
            container = await self.inspect(name)
            if container.phase is not Phase.RUNNING:
                return
            if self._clock() > until:
                raise Transient(f"{name} still runs: {cut}")
            await asyncio.sleep(limits.STOP_POLL)

    async def remove(self, name: str) -> None:
        self._creates.forget(name)
        with contextlib.suppress(NotFound):
            await self._link.call("remove", "DELETE", container_path(name), params={"force": "1"})
        self.audience.removed(name)

    async def list(self) -> Sequence[Container]:
        began = self._clock()
        # A value is cut at its second "=", so an id that has one is looked for by key alone.
        wanted = LABEL_SHIM if "=" in self._shim_id else f"{LABEL_SHIM}={self._shim_id}"
        params = {"all": "1", "filters": json.dumps({"label": [wanted]})}
        raw = await self._link.call("list", "GET", "/containers/json", params=params)
        ours = []
        with understood("list"):
            for number, entry in enumerate(parse.members(raw), 1):
                container = parse.from_list(entry)
                if container.owner == self._shim_id:
                    ours.append(container)
                if number % limits.LIST_SLICE == 0:
                    await asyncio.sleep(0)
        self._note_down(ours, began)
        self._creates.listed(ours, began)
        self.audience.listed(ours, self._clock() - began)
        return ours

    async def has_image(self, image: ImageRef) -> bool:
        try:
            await self._link.call("image", "GET", f"/images/{quote(image.text, safe='/:@')}/json")
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
        """Triton has one platform: another wish is refused before anything is asked."""
        if platform not in ("", "linux/amd64"):
            raise Permanent(f"Triton runs linux/amd64 images only, not {platform}")
        params = without_empty({"fromImage": image.repository, "tag": image.tag})
        headers = {} if auth is None else {"X-Registry-Auth": registry_auth(auth)}
        seen = Progress()
        async with self._link.open(
            "pull", "POST", "/images/create", params=params, headers=headers, limit=PULL, long=True
        ) as response:
            async for piece in json_lines(response):
                if piece.get("error"):
                    raise pull_error(str(piece["error"]))
                progress(seen.take(piece))

    async def events(self) -> AsyncGenerator[str, None]:
        """There are none, and there will be none: see ``has_events``."""
        raise Permanent("Triton has no events")
        yield ""

    async def put_archive(self, name: str, path: str, tar: bytes | BinaryIO) -> None:
        where = f"{container_path(name)}/archive"
        await self._link.call("upload", "PUT", where, **upload(path, tar))

    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        async with self._link.open(
            "download",
            "GET",
            f"{container_path(name)}/archive",
            params={"path": path},
            limit=ARCHIVE,
            long=True,
        ) as response:
            return await read(response, limit)

    async def logs(
        self, name: str, *, since: float, follow: bool, tail: int | None = None
    ) -> AsyncGenerator[Line, None]:
        """Triton ignores ``since``, so that is ours to do; without ``tail`` it sends nothing."""
        wanted = "all" if tail is None else str(tail)
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": wanted}
        if follow:
            params["follow"] = "1"
        lines = LogLines()
        async with self._link.open(
            "logs", "GET", f"{container_path(name)}/logs", params=params, limit=STREAM, long=True
        ) as response:
            async for data in response.content.iter_any():
                for line in lines.feed(data):
                    if line[1] >= since:
                        yield line

    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        async with exec_within(timeout, argv):
            return await self._exec(name, argv, env)

    async def _exec(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> ExecResult:
        made = await self._link.json(
            "exec", "POST", f"{container_path(name)}/exec", json=exec_body(argv, env)
        )
        with understood("exec"):
            identity = made["Id"]
        output = await self._output_of(f"/exec/{identity}/start")
        # Looking at an exec forgets it, so there is one look, after the end of its output.
        ended = await self._link.json("exec", "GET", f"/exec/{identity}/json")
        with understood("exec"):
            return ExecResult(int(ended["ExitCode"]), output)

    async def _output_of(self, path: str) -> bytes:
        """Triton upgrades the connection, which then is raw frames until its end."""
        reader, writer = await self._link.raw(path, b'{"Detach": false, "Tty": false}')
        output, frames = bytearray(), Frames()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            if head[1] not in (b"101", b"200"):
                body = await reader.read(limits.ENGINE_ERROR_BYTES)
                raise self._link.refusal("exec", int(head[1]), body, {})
            while data := await reader.read(limits.EXEC_OUTPUT_BYTES):
                for _, payload in frames.feed(data):
                    output += payload[: limits.EXEC_OUTPUT_BYTES - len(output)]
        except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise Transient(f"exec: {self._link}: {error_text(error)}") from None
        finally:
            writer.transport.abort()
        return bytes(output)

    async def stats(self, name: str) -> Mapping[str, Any]:
        params = {"stream": "false"}
        path = f"{container_path(name)}/stats"
        sample = await self._link.json("stats", "GET", path, params=params)
        with understood("stats"):
            return dict(sample)


async def is_triton(endpoint: Endpoint) -> bool:
    """Whether it is Triton's: asks for a ping, which needs no account. Transient."""
    http = Transport(endpoint)
    try:
        async with http.open("ping", "GET", "/_ping") as answer:
            return answer.headers.get("Server", "").startswith("Triton/")
    except Permanent:
        return False
    finally:
        await http.close()
