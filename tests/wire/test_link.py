"""Outgoing links: order, one connection per address, broken and idle links, closing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from shim import limits
from shim.model.ids import Pid
from shim.wire.framing import encode_request
from shim.wire.link import Links
from shim.wire.server import Inbox, bind, serve
from tests.support.wait import patience, until

AGENT = Pid("slave(1)", "127.0.0.1", 5051)


class Master:
    """A peer that keeps every byte, and can break or stall its connections."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.data = bytearray()
        self.answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        self.stalled = False
        self.changed = asyncio.Event()

    server: asyncio.Server
    port: int

    @classmethod
    async def listen(cls, port: int = 0) -> Master:
        self = cls()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def pid(self, process: str = "master") -> Pid:
        return Pid(process, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with contextlib.suppress(ConnectionError):
            while not self.stalled and (data := await reader.read(65536)):
                self.data += data
                self.changed.set()
                for byte in self.answer:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
            if self.stalled:
                await asyncio.Event().wait()
        writer.close()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with patience():
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def break_connections(self) -> None:
        for writer in self.connections:
            writer.transport.abort()

    async def close(self) -> None:
        self.server.close()
        self.break_connections()
        await asyncio.sleep(0)


@pytest.fixture
async def master() -> AsyncIterator[Master]:
    found = await Master.listen()
    yield found
    await found.close()


class Broken(list[tuple[str, int]]):
    def __init__(self) -> None:
        self.happened = asyncio.Event()

    def __call__(self, address: tuple[str, int]) -> None:
        self.append(address)
        self.happened.set()

    async def wait(self) -> None:
        async with patience():
            await self.happened.wait()
        self.happened.clear()


@pytest.fixture
def broken() -> Broken:
    return Broken()


@pytest.fixture
async def links(broken: Broken) -> AsyncIterator[Links]:
    found = Links(broken)
    yield found
    await found.close(flush=0.1)


async def test_messages_arrive_in_order_on_one_connection(master: Master, links: Links) -> None:
    expected = b""
    for i in range(500):
        to = master.pid(f"slave-observer({i})" if i % 2 else "master")
        links.send(to, AGENT, f"m{i}", b"%d" % i)
        expected += encode_request(to, AGENT, f"m{i}", b"%d" % i)
    await master.until(lambda: len(master.data) >= len(expected))
    assert bytes(master.data) == expected
    assert len(master.connections) == 1
    assert links.sent == 500
    assert set(links._links) == {master.pid().address}


async def test_a_message_that_may_not_be_sent_when_its_turn_comes_is_dropped(
    master: Master, links: Links, broken: Broken
) -> None:
    """It waited for its connection, and the agent's lease ended meanwhile."""
    leads = True
    links.send(master.pid(), AGENT, "update", b"1", lambda: leads)
    links.send(master.pid(), AGENT, "pong", b"")
    leads = False
    expected = encode_request(master.pid(), AGENT, "pong", b"")
    await master.until(lambda: len(master.data) >= len(expected))
    assert bytes(master.data) == expected
    assert (links.sent, links.dropped) == (2, 1)
    assert broken == [master.pid().address], "it is lost as by a link that broke"


async def test_messages_arrive_at_the_inbox(links: Links) -> None:
    got: list[str] = []
    inbox = Inbox("master".__eq__, lambda process, sender, name, body: got.append(name))
    listener = await serve(lambda app: None, inbox, bind("127.0.0.1", 0))
    to = Pid("master", "127.0.0.1", listener.port)
    for i in range(300):
        links.send(to, AGENT, f"m{i}", b"x" * i)
    await until(lambda: len(got) == 300)
    assert got == [f"m{i}" for i in range(300)]
    await links.close()
    await listener.close()


async def test_a_large_message(master: Master, links: Links) -> None:
    links.send(master.pid(), AGENT, "big", bytes(20 * 1024 * 1024))
    await master.until(lambda: len(master.data) > 20 * 1024 * 1024)


async def test_a_broken_link_is_reported_and_reopened(
    master: Master, links: Links, broken: Broken
) -> None:
    links.send(master.pid(), AGENT, "first", b"")
    await master.until(lambda: b"first" in master.data)
    master.break_connections()
    await broken.wait()
    assert broken == [master.pid().address]
    links.send(master.pid(), AGENT, "second", b"")
    await master.until(lambda: b"second" in master.data)
    assert master.data.count(b"first") == 1
    assert len(master.connections) == 2


async def test_queued_messages_of_a_broken_link_are_dropped(
    master: Master, links: Links, broken: Broken
) -> None:
    port = master.port
    await master.close()
    to = Pid("master", "127.0.0.1", port)
    links.send(to, AGENT, "early", b"")
    links.send(to, AGENT, "early", b"")
    await broken.wait()
    assert links.dropped == 2
    again = await Master.listen(port)
    links.send(to, AGENT, "late", b"")
    await again.until(lambda: b"late" in again.data)
    assert b"early" not in again.data
    await again.close()


async def test_connection_attempts_back_off(
    monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    async def refuse(address: tuple[str, int]) -> object:
        raise ConnectionRefusedError("no")

    monkeypatch.setattr("shim.wire.link.asyncio.sleep", sleep)
    links = Links(broken, connect=refuse)  # type: ignore[arg-type]
    for _ in range(8):
        links.send(Pid("master", "127.0.0.1", 1), AGENT, "x", b"")
        await broken.wait()
    await links.close()
    assert pauses[:4] == [0, 0.2, 0.4, 0.8]
    assert pauses[7] == limits.LINK_BACKOFF_MAX


async def test_a_dead_path_breaks_the_link(monkeypatch: pytest.MonkeyPatch, broken: Broken) -> None:
    async def hang(address: tuple[str, int]) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(limits, "LINK_CONNECT_TIMEOUT", 0.05)
    links = Links(broken, connect=hang)  # type: ignore[arg-type]
    links.send(Pid("master", "127.0.0.1", 1), AGENT, "x", b"")
    await broken.wait()
    await links.close()


async def test_the_queue_of_a_peer_that_does_not_read_is_bounded(
    master: Master, links: Links, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.stalled = True
    monkeypatch.setattr(limits, "LINK_QUEUE_MESSAGES", 10)
    for _ in range(11):
        links.send(master.pid(), AGENT, "x", b"")
    assert broken == [], "on_broken is called later, not within send()"
    await broken.wait()
    assert links.dropped == 11
    monkeypatch.setattr(limits, "LINK_QUEUE_BYTES", 1000)
    links.send(master.pid(), AGENT, "x", bytes(1001))
    await broken.wait()
    assert links.dropped == 12


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


async def test_a_peer_that_is_not_mesos_is_logged_once(
    master: Master, links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    accepted, master.answer = master.answer, NOT_FOUND

    async def say(name: str) -> None:
        before = len(master.connections)
        links.send(master.pid(), AGENT, name, b"")
        await master.until(
            lambda: len(master.connections) > before and name.encode() in master.data
        )
        await asyncio.sleep(0.1)
        master.break_connections()
        await until(lambda: caplog.text.count("broke the link") > before)

    await say("first")
    await say("second")
    warning = f"no libprocess answer from 127.0.0.1:{master.port}, but 'HTTP/1.1 404"
    assert caplog.text.count(warning) == 1
    master.answer = accepted
    await say("third")
    master.answer = NOT_FOUND
    await say("fourth")
    assert caplog.text.count(warning) == 2


async def test_a_later_404_is_not_logged(
    master: Master, links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    links.send(master.pid(), AGENT, "first", b"")
    await master.until(lambda: b"first" in master.data)
    await asyncio.sleep(0.05)
    master.answer = NOT_FOUND
    links.send(master.pid("gone"), AGENT, "second", b"")
    await master.until(lambda: b"second" in master.data)
    await asyncio.sleep(0.05)
    assert "answers a message" not in caplog.text


async def test_an_idle_link_is_closed(master: Master, broken: Broken) -> None:
    links = Links(broken, idle=0.1)
    links.send(master.pid(), AGENT, "one", b"")
    await until(lambda: not links._links)
    assert broken == []
    links.send(master.pid(), AGENT, "two", b"")
    await master.until(lambda: b"two" in master.data)
    assert len(master.connections) == 2
    await links.close()


async def test_no_message_is_lost_between_two_connections(master: Master, broken: Broken) -> None:
    links = Links(broken, idle=0.001)
    for i in range(100):
        links.send(master.pid(), AGENT, f"m{i}.", b"")
        await asyncio.sleep(0.0005 * (i % 7))
    await master.until(lambda: b"m99." in master.data)
    assert [b"m%d." % i in master.data for i in range(100)] == [True] * 100
    assert broken == []
    await links.close()


async def test_closing_flushes_the_queue(master: Master, broken: Broken) -> None:
    links = Links(broken)
    links.send(master.pid(), AGENT, "goodbye", b"x" * 3_000_000)
    await links.close()
    assert master.data.endswith(b"x\r\n0\r\n\r\n")
    assert not links._links


async def test_closing_does_not_wait_for_an_unreachable_peer(
    master: Master, broken: Broken
) -> None:
    master.stalled = True
    links = Links(broken)
    links.send(master.pid(), AGENT, "goodbye", bytes(20_000_000))
    async with patience():
        await links.close(flush=0.1)
    assert not links._links


async def test_an_invalid_name_is_an_error_at_once(links: Links) -> None:
    with pytest.raises(ValueError, match="process id"):
        links.send(Pid("a/b", "127.0.0.1", 1), AGENT, "x", b"")
    assert not links._links
