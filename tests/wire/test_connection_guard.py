"""Which connections the server ends, and which it leaves open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from shim import limits
from shim.model.ids import Pid
from shim.wire.framing import encode_request
from shim.wire.server import Inbox, Listener, bind, serve
from tests.support.wait import patience

MASTER, AGENT = Pid("master", "127.0.0.1", 5050), Pid("slave(1)", "127.0.0.1", 5051)
LARGE = bytes(20 * 1024 * 1024)


def routes(app: web.Application) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(body=LARGE if request.path == "/large" else b"page")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(body=b"slow")

    for path in ("/page", "/large"):
        app.router.add_get(path, page)
    app.router.add_get("/slow", slow)
    app.router.add_post("/slave(1)/api/v1/executor", page)


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    for name in ("HEAD_TIMEOUT", "IDLE_TIMEOUT", "OUTPUT_TIMEOUT"):
        monkeypatch.setattr(limits, name, 0.1)
    inbox = Inbox(lambda _: True, lambda *_: None)
    listening = await serve(routes, inbox, bind("127.0.0.1", 0))
    yield listening
    await listening.close()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


MESSAGE = encode_request(AGENT, MASTER, "PING", b"x")
CALL = b"POST /slave(1)/api/v1/executor HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def test_only_clients_that_are_no_peers_of_the_agent_are_cut_off(listener: Listener) -> None:
    async def is_open(first: bytes) -> bool:
        """Whether the connection still is, and answers, after three times the limits."""
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first)
        await asyncio.sleep(0.3)
        try:
            writer.write(MESSAGE)
            await writer.drain()
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"202 Accepted" in head and first is not MESSAGE:
                    return True
                first = b""
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        finally:
            writer.close()
        return False

    peers = [b"", MESSAGE, CALL, get("/slow")]
    others = [b"G", get("/page")[:-1], get("/page")]
    async with patience():
        found = await asyncio.gather(*map(is_open, [*peers, *others]))
    assert found == [True] * len(peers) + [False] * len(others)


async def test_a_client_that_does_not_read_is_cut_off(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
    writer.write(get("/large"))
    await asyncio.sleep(0.4)
    size = 0
    async with patience():
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1024 * 1024):
                size += len(piece)
    writer.close()
    assert 0 < size < len(LARGE)
