"""A web server with files, faults and a count of what it was asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Server:
    """``/NAME`` serves what is in ``files``; the other paths are faults."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def app(self) -> web.Application:
        made = web.Application()
        made.router.add_get("/onward", self._onward)
        made.router.add_get("/stall/{name}", self._stall)
        made.router.add_get("/cut/{name}", self._cut)
        made.router.add_get("/endless/{name}", self._endless)
        made.router.add_get("/{name:.*}", self._file)
        return made

    async def _file(self, request: web.Request) -> web.Response:
        self.asked[request.match_info["name"]] += 1
        self.headers = dict(request.headers)
        content = self.files.get(request.raw_path.removeprefix("/"))
        if content is None:
            raise web.HTTPNotFound
        encoding = {"Content-Encoding": "gzip"} if "gz" in request.path else {}
        return web.Response(body=content, headers=encoding)

    async def _onward(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def _stall(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        await asyncio.sleep(5)
        return response

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
