"""The verbs of :class:`~shim.engine.api.Engine` that Docker and Triton answer alike."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import aiohttp

from shim import limits
from shim.engine.api import Auth, ExecResult, ImageRef
from shim.engine.client.frames import Frames, Line, LogLines
from shim.engine.client.transport import (
    ARCHIVE,
    Transport,
    container_path,
    json_lines,
    parsing,
    read_body,
    without_empty,
)
from shim.engine.images.pull_progress import PullProgress
from shim.errors import NotFound, ShimError, Transient
from shim.model.container import Container

CallObserver = Callable[[str, str, float], None]
"""``(verb, "ok" or the class of the error, seconds)``, once for each call that ended."""

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound="HttpEngine")


_FORMER_NAMES = {
    "AccessDenied": "Unwelcome",
    "Ambiguous": "Doubtful",
    "AnswerLost": "Lost",
    "InProgress": "Later",
}
"""Names of error classes in earlier versions, which dashboards know as label values."""


def outcome_of(error: Exception) -> str:
    """The label ``outcome`` of the metric ``engine_call_seconds`` for a failed call."""
    name = type(error).__name__
    return _FORMER_NAMES.get(name, name)


def measured_as(
    name: str,
) -> Callable[
    [Callable[Concatenate[E, P], Awaitable[T]]], Callable[Concatenate[E, P], Coroutine[Any, Any, T]]
]:
    """:func:`measured`, reported under another name than the method's."""

    def decorate(
        verb: Callable[Concatenate[E, P], Awaitable[T]],
    ) -> Callable[Concatenate[E, P], Coroutine[Any, Any, T]]:
        @functools.wraps(verb)
        async def timed(self: E, /, *args: P.args, **kwargs: P.kwargs) -> T:
            began = time.monotonic()
            try:
                result = await verb(self, *args, **kwargs)
            except Exception as error:
                self.observe_call(name, outcome_of(error), time.monotonic() - began)
                raise
            self.observe_call(name, "ok", time.monotonic() - began)
            return result

        return timed

    return decorate


def measured(
    verb: Callable[Concatenate[E, P], Awaitable[T]],
) -> Callable[Concatenate[E, P], Coroutine[Any, Any, T]]:
    """Reports each call of an engine's verb to the engine's call observer when the call ends.

    A cancelled call is not reported. Streams (events, logs) are not measured: they last as long
    as their reader reads.
    """
    return measured_as(verb.__name__)(verb)


class HttpEngine(ABC):
    """What the engines share. A subclass adds the verbs that differ, each one :func:`measured`."""

    def __init__(self, http: Transport, observe_call: CallObserver | None) -> None:
        self._http = http
        self.observe_call: CallObserver = observe_call or (lambda verb, outcome, seconds: None)
        self._renamed: dict[str, str] = {}
        """Ids of this shim's containers that have another name than it gave them, by its name."""

    def __str__(self) -> str:
        return str(self._http)

    async def close(self) -> None:
        await self._http.close()

    # --- containers that a user has renamed -------------------------------------------------

    @abstractmethod
    async def list(self) -> Sequence[Container]:
        """As :meth:`shim.engine.api.Engine.list`; passes its result through ``_as_created``."""

    def _as_created(self, listed: Sequence[Container]) -> Sequence[Container]:
        """All containers under the names that the shim gave them, which every verb takes."""
        containers = [self._under_created_name(each) for each in listed]
        self._renamed = {
            after.name: before.id
            for before, after in zip(listed, containers, strict=True)
            if after.name != before.name
        }
        return containers

    @staticmethod
    def _under_created_name(container: Container) -> Container:
        name = container.created_as
        return container if name == container.name else replace(container, name=name)

    def _path(self, name: str) -> str:
        return container_path(self._renamed.get(name, name))

    async def _call(self, verb: str, method: str, name: str, suffix: str = "", **kw: Any) -> bytes:
        """A call about one container. NotFound only if no container of this shim was renamed so."""
        try:
            return await self._http.call(verb, method, self._path(name) + suffix, **kw)
        except NotFound:
            before = self._renamed.get(name)
            await self.list()
            if self._renamed.get(name) == before:
                raise
        return await self._http.call(verb, method, self._path(name) + suffix, **kw)

    # --- verbs ------------------------------------------------------------------------------

    @measured
    async def start(self, name: str) -> None:
        await self._call("start", "POST", name, "/start")

    @measured
    async def has_image(self, image: ImageRef) -> bool:
        try:
            await self._http.call("image", "GET", f"/images/{quote(image.text, safe='/:@')}/json")
        except NotFound:
            return False
        return True

    @measured
    async def image_config(self, image: ImageRef) -> Mapping[str, Any]:
        path = f"/images/{quote(image.text, safe='/:@')}/json"
        answer = await self._http.json("image", "GET", path)
        with parsing("image"):
            return dict(answer.get("Config") or {})

    @measured
    async def put_archive(self, name: str, path: str, tar: bytes | BinaryIO) -> None:
        await self._http.call(
            "upload",
            "PUT",
            f"{self._path(name)}/archive",
            params={"path": path},
            data=tar,
            headers={"Content-Type": "application/x-tar"},
            timeout=ARCHIVE,
            long=True,
        )

    @measured
    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        async with self._http.open(
            "download",
            "GET",
            f"{self._path(name)}/archive",
            params={"path": path},
            timeout=ARCHIVE,
            long=True,
        ) as response:
            return await read_body(response, limit)

    @measured
    async def exec(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ExecResult:
        try:
            async with asyncio.timeout(timeout):
                return await self._exec(name, argv, env)
        except TimeoutError:
            raise Transient(f"exec: {argv[0]!r} has not ended after {timeout:g} s") from None

    async def _exec(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> ExecResult:
        body = {
            "Cmd": list(argv),
            "Env": [f"{key}={value}" for key, value in env.items()],
            "AttachStdout": True,
            "AttachStderr": True,
        }
        created = await self._http.json("exec", "POST", f"{self._path(name)}/exec", json=body)
        with parsing("exec"):
            path = f"/exec/{created['Id']}"
        output = await self._exec_output(path)
        # Triton forgets an exec that was inspected: one inspect, after the end of its output.
        ended = await self._http.json("exec", "GET", f"{path}/json")
        with parsing("exec"):
            return ExecResult(int(ended["ExitCode"]), output)

    async def _exec_output(self, path: str) -> bytes:
        """Start the exec at ``path`` and read what it writes, at most EXEC_OUTPUT_BYTES of it."""
        output, frames = bytearray(), Frames()
        async with self._http.open(
            "exec",
            "POST",
            f"{path}/start",
            json={"Detach": False},
            timeout=aiohttp.ClientTimeout(),
            long=True,
        ) as response:
            async for data in response.content.iter_any():
                for _, payload in frames.feed(data):
                    output += payload[: limits.EXEC_OUTPUT_BYTES - len(output)]
        return bytes(output)

    async def _pull(
        self,
        image: ImageRef,
        auth: Auth | None,
        progress: Callable[[str], None],
        platform: str,
        *,
        timeout: aiohttp.ClientTimeout,
        error_for: Callable[[str], ShimError],
    ) -> None:
        """``POST /images/create``. ``error_for`` maps an error inside the stream, in its words."""
        params = {"fromImage": image.repository, "tag": image.tag, "platform": platform}
        headers = {} if auth is None else {"X-Registry-Auth": registry_auth(auth)}
        layers = PullProgress()
        async with self._http.open(
            "pull",
            "POST",
            "/images/create",
            params=without_empty(params),
            headers=headers,
            timeout=timeout,
            long=True,
        ) as response:
            async for piece in json_lines(response):
                if error := stream_error(piece):
                    raise error_for(error)
                progress(layers.update(piece))

    async def _log_lines(
        self, name: str, params: Mapping[str, str], *, follow: bool, timeout: aiohttp.ClientTimeout
    ) -> AsyncGenerator[Line, None]:
        """``GET /containers/{name}/logs`` of both streams with timestamps."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", **params}
        if follow:
            query["follow"] = "1"
        lines = LogLines()
        async with self._http.open(
            "logs", "GET", f"{self._path(name)}/logs", params=query, timeout=timeout, long=True
        ) as response:
            async for data in response.content.iter_any():
                for line in lines.feed(data):
                    yield line


def registry_auth(auth: Auth) -> str:
    """The ``X-Registry-Auth`` header: base64 of a JSON object."""
    if auth.identity_token:
        fields = {"identitytoken": auth.identity_token, "serveraddress": auth.server}
    else:
        fields = {
            "username": auth.username,
            "password": auth.password,
            "serveraddress": auth.server,
        }
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def stream_error(piece: Mapping[str, Any]) -> str:
    """The error inside a stream answered with 200, in the registry's words; empty without one."""
    detail = piece.get("errorDetail")
    message = detail.get("message") if isinstance(detail, dict) else None
    return str(message or piece.get("error") or "")
