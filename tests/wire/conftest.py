"""A real ZooKeeper, and a TCP proxy in front of it that can be closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from kazoo.client import KazooClient

from tests.support.wait import PATIENCE
from tests.support.zookeeper import Ensemble


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a ZooKeeper that the tests start."""
    with Ensemble(tmp_path_factory.mktemp("zookeeper")) as ensemble:
        yield ensemble.ports[0]


@pytest.fixture
def zk(zookeeper: int) -> Iterator[KazooClient]:
    """A client with an empty tree."""
    client = KazooClient(f"127.0.0.1:{zookeeper}", timeout=10)
    client.start(timeout=PATIENCE)
    client.delete("/mesos", recursive=True)
    yield client
    client.stop()
    client.close()


class TcpProxy:
    """A TCP proxy. Closing it breaks open connections and refuses new ones."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        if self._server is None or not self._server.is_serving():
            for each in (writer, far_writer):  # It was shut meanwhile.
                each.transport.abort()
            return
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._open.add(sink)
            task = asyncio.ensure_future(self._pump(source, sink))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
        sink.transport.abort()
        self._open.discard(sink)


@pytest.fixture
async def proxy(zookeeper: int) -> AsyncIterator[TcpProxy]:
    found = TcpProxy(zookeeper)
    await found.open()
    yield found
    await found.shut()
