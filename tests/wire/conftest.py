"""A real ZooKeeper, and a TCP proxy in front of it that can be closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.support.ports import free_port
from tests.support.wait import PATIENCE

JAR = Path("/usr/share/java/zookeeper.jar")
TICK_MS = 200
"""Sessions last 2 to 20 ticks."""


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a ZooKeeper that the tests start."""
    directory, port = tmp_path_factory.mktemp("zookeeper"), free_port()
    config = directory / "zoo.cfg"
    config.write_text(
        f"tickTime={TICK_MS}\ndataDir={directory}\nclientPort={port}\n"
        "clientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    options = ["-Xmx64m", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["java", *options, "-cp", str(JAR), main, str(config)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process, directory / "log")
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"ZooKeeper did not start: {log.read_text()[-2000:]}")


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
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._behind)
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
