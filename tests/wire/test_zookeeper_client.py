"""What a request to ZooKeeper means: the fake ensemble and a real server pass the same tests."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoNodeError, RolledBackError, RuntimeInconsistency

from shim.agent.journal_lock import Client
from shim.wire.zookeeper_client import (
    CheckVersion,
    Create,
    Delete,
    OperationRefused,
    Refusal,
    SetData,
    Unanswered,
    ZooKeeperClient,
    multi_error,
)
from tests.fakes.zookeeper import FakeEnsemble, FakeZooKeeper
from tests.support.wait import until
from tests.wire.conftest import TcpProxy

Connect = Callable[[], Client]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.needs_zookeeper)])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes clients of one ensemble, which holds nothing but ``/mesos``."""
    made: list[Client] = []
    if request.param == "fake":
        ensemble = FakeEnsemble()
        make: Connect = lambda: FakeZooKeeper(ensemble)  # noqa: E731
    else:
        port: int = request.getfixturevalue("zookeeper")
        request.getfixturevalue("zk")
        make = lambda: ZooKeeperClient([f"127.0.0.1:{port}"], 4.0)  # noqa: E731

    def new() -> Client:
        client = make()
        made.append(client)
        client.start()
        return client

    yield new
    for client in made:
        if isinstance(client, FakeZooKeeper):
            client.end()
        else:
            await asyncio.to_thread(client.end)


@pytest.fixture
async def client(connect: Connect) -> Client:
    made = connect()
    await until(lambda: made.connected)
    await made.ensure_path("/mesos")
    return made


async def refusal(client: Client, *operations: CheckVersion | Create | SetData | Delete) -> object:
    with pytest.raises(OperationRefused) as refused:
        await client.multi(*operations)
    return refused.value.refusal, refused.value.operation


async def test_a_multi_is_carried_out_whole_or_not_at_all(client: Client) -> None:
    await client.multi(Create("/mesos/a", b"1"), SetData("/mesos/a", b"2", 0), Create("/mesos/b"))
    found = await client.get("/mesos/a")
    assert (found.data, found.version, found.owner) == (b"2", 1, 0)
    failing = (SetData("/mesos/a", b"3"), Delete("/mesos/b"), CheckVersion("/mesos/a", 7))
    assert await refusal(client, *failing) == (Refusal.BAD_VERSION, 2)
    assert (await client.get("/mesos/a")).data == b"2"
    assert sorted(await client.children("/mesos")) == ["a", "b"]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (CheckVersion("/mesos/a", 1), Refusal.BAD_VERSION),
        (CheckVersion("/mesos/none", 0), Refusal.NO_NODE),
        (Create("/mesos/a"), Refusal.NODE_EXISTS),
        (Create("/mesos/none/b"), Refusal.NO_NODE),
        (SetData("/mesos/a", b"", 1), Refusal.BAD_VERSION),
        (SetData("/mesos/none", b""), Refusal.NO_NODE),
        (Delete("/mesos/none"), Refusal.NO_NODE),
    ],
    ids=repr,
)
async def test_an_operation_is_refused_for_its_reason(
    client: Client, operation: CheckVersion | Create | SetData | Delete, expected: Refusal
) -> None:
    await client.multi(Create("/mesos/a"))
    assert await refusal(client, CheckVersion("/mesos/a", 0), operation) == (expected, 1)


async def test_a_node_that_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(OperationRefused, match="/mesos/none") as refused:
        await client.get("/mesos/none")
    assert refused.value.refusal is Refusal.NO_NODE


async def test_an_ephemeral_node_ends_with_its_session(connect: Connect, client: Client) -> None:
    other = connect()
    await until(lambda: other.connected)
    await other.multi(Create("/mesos/mine", b"x", ephemeral=True))
    assert (await client.get("/mesos/mine")).owner == other.session != client.session
    seen: list[str] = []
    assert await client.exists("/mesos/mine", lambda: seen.append("gone"))
    if isinstance(other, FakeZooKeeper):
        other.end()
    else:
        await asyncio.to_thread(other.end)
    await until(lambda: seen)
    assert not await client.exists("/mesos/mine")


async def test_a_watch_sees_a_node_come(client: Client) -> None:
    seen: list[str] = []
    assert not await client.exists("/mesos/new", lambda: seen.append("came"))
    await client.multi(Create("/mesos/new"))
    await until(lambda: seen)


# --- a real server only ---------------------------------------------------------------------


@pytest.mark.needs_zookeeper
async def test_a_request_without_a_connection_is_not_kept_for_later(
    zk: KazooClient, proxy: TcpProxy
) -> None:
    client = ZooKeeperClient([f"127.0.0.1:{proxy.port}"], 4.0)
    with pytest.raises(Unanswered, match=f"127.0.0.1:{proxy.port} does not answer"):
        await client.ensure_path("/mesos")
    client.start()
    await until(lambda: client.connected)
    await client.ensure_path("/mesos")
    await proxy.shut()
    await until(lambda: not client.connected)
    with pytest.raises(Unanswered):
        await client.multi(Create("/mesos/late"))
    await proxy.open()
    await until(lambda: client.connected)
    assert await client.children("/mesos") == []
    await asyncio.to_thread(client.end)


@pytest.mark.needs_zookeeper
async def test_a_request_that_is_too_large_is_unanswered(zookeeper: int, zk: KazooClient) -> None:
    """The server closes the connection. So the journal keeps far below its limit."""
    client = ZooKeeperClient([f"127.0.0.1:{zookeeper}"], 4.0)
    client.start()
    await until(lambda: client.connected)
    await client.ensure_path("/mesos")
    with pytest.raises(Unanswered):
        await client.multi(Create("/mesos/big", b"x" * 1_100_000))
    await asyncio.to_thread(client.end)


@pytest.mark.needs_zookeeper
async def test_with_credentials_nobody_else_may_read(zookeeper: int, zk: KazooClient) -> None:
    zk.ensure_path("/mesos")
    client = ZooKeeperClient([f"127.0.0.1:{zookeeper}"], 4.0, "user:s3cret")
    client.start()
    await until(lambda: client.connected)
    await client.multi(Create("/mesos/secret", b"x"))
    assert (await client.get("/mesos/secret")).data == b"x"
    other = ZooKeeperClient([f"127.0.0.1:{zookeeper}"], 4.0)
    other.start()
    await until(lambda: other.connected)
    with pytest.raises(OperationRefused, match="ACL") as refused:
        await other.get("/mesos/secret")
    assert refused.value.refusal is Refusal.NO_AUTH
    for each in (client, other):
        await asyncio.to_thread(each.end)
    zk.add_auth("digest", "user:s3cret")
    zk.delete("/mesos", recursive=True)


# --- results of a multi ---------------------------------------------------------------------


def test_the_refused_operation_of_a_multi_is_found() -> None:
    assert multi_error([True, "/a"], "multi") is None
    found = multi_error([RolledBackError(), BadVersionError(), RuntimeInconsistency()], "multi")
    assert found is not None
    assert (found.refusal, found.operation) == (Refusal.BAD_VERSION, 1)
    found = multi_error([NoNodeError()], "multi")
    assert found is not None
    assert found.refusal is Refusal.NO_NODE
    found = multi_error([RolledBackError()], "multi")
    assert found is not None
    assert found.refusal is Refusal.OTHER


# --- a server that errs -------------------------------------------------------------------------


class ConfusedServer:
    """Answers the first request as if it were the second one; every node is missing."""

    def __init__(self) -> None:
        self.connections = 0
        self._confused = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._packet(reader)
            self._send(writer, struct.pack(">iiqi16s?", 0, 4000, 7, 16, b"password", False))
            while True:
                (xid,) = struct.unpack_from(">i", await self._packet(reader))
                if xid > 0 and self._confused:
                    self._confused = False
                    xid += 1
                self._send(writer, struct.pack(">iqi", xid, 1, NoNodeError.code))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    @staticmethod
    async def _packet(reader: asyncio.StreamReader) -> bytes:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)

    @staticmethod
    def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(struct.pack(">i", len(data)) + data)


async def test_an_answer_to_another_request_breaks_the_connection_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """kazoo's own connection would end its thread, and the agent would wait for ever."""
    confused = ConfusedServer()
    server = await asyncio.start_server(confused.serve, "127.0.0.1", 0)
    async with server:
        client = ZooKeeperClient([f"127.0.0.1:{server.sockets[0].getsockname()[1]}"], 4.0)
        client.start()
        try:
            await until(lambda: client.connected)
            with pytest.raises(Unanswered):
                await client.exists("/x")
            await until(lambda: client.connected and confused.connections == 2)
            assert not await client.exists("/x")
        finally:
            await asyncio.to_thread(client.end)
    assert "Traceback" not in caplog.text
