"""A Docker socket that misbehaves on demand: everything goes to the real one through it.

=============  =====================================================================
``mode``       what calls meet
=============  =====================================================================
``open``       nothing: all is passed on
``failing``    a 500 for each, before the engine hears of it
``hanging``    no answer at all, for as long as it stays so
``slow``       half a second more each
=============  =====================================================================

``away()`` takes the socket away and breaks what is open; ``back()`` brings it again. ``lose[verb]``
answers of ``create``, ``start``, ... are cut off after the engine has done what it was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

REAL = "/var/run/docker.sock"
_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}


class DockerProxy:
    """``async with``; ``host`` is for DOCKER_HOST."""

    def __init__(self, path: Path, real: str = REAL) -> None:
        self._path = path
        self._real = real
        self._runner: web.AppRunner | None = None
        self.mode = "open"
        self.lose: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        """Calls by verb that the engine was given."""

    @property
    def host(self) -> str:
        return f"unix://{self._path}"

    async def __aenter__(self) -> DockerProxy:
        connector = aiohttp.UnixConnector(self._real, limit=0)
        self._http = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(),
        )
        await self.back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.away()
        await self._http.close()

    async def away(self) -> None:
        """As an engine that is down."""
        if self._runner is not None:
            self._path.unlink(missing_ok=True)
            self.break_streams()
            await self._runner.cleanup()
            self._runner = None

    async def back(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0
        )
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._path)).start()

    def break_streams(self) -> None:
        """End every connection that is open, events among them; new ones are taken."""
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.mode == "failing":
            return web.json_response({"message": "the engine is not itself"}, status=500)
        while self.mode == "hanging":
            await asyncio.sleep(0.1)
        if self.mode == "slow":
            await asyncio.sleep(0.5)
        verb = _verb(request.method, request.path)
        self.seen[verb] += 1
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        async with self._http.request(
            request.method,
            f"http://docker{request.raw_path}",
            headers=headers,
            data=await request.read() or None,
        ) as answer:
            if self.lose[verb] > 0:
                self.lose[verb] -= 1
                assert request.transport is not None
                request.transport.abort()
            return await self._pass_on(request, answer)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        with contextlib.suppress(ConnectionError):  # The client has gone.
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
        return response


def _verb(method: str, path: str) -> str:
    """``create``, ``start``, ``stop``, ``remove``, ... of a path."""
    if method == "DELETE":
        return "remove"
    last = re.sub(r"^/v[\d.]+", "", path).rpartition("/")[2]
    return {"json": "inspect" if path.count("/") > 3 else "list"}.get(last, last)
