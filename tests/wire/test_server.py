"""The server against raw bytes: whole, in pieces, pipelined, large, invalid, idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from shim import limits
from shim.model.ids import Pid
from shim.wire.framing import encode_request
from shim.wire.server import Inbox, bind, serve
from tests.support.wait import patience
from tests.wire import transcripts

MASTER = Pid("master", "127.0.0.1", 5050)
AGENT = Pid("slave(1)", "127.0.0.1", 5051)


@dataclass
class Peer:
    """A client that sends raw bytes, and the messages that the server delivered."""

    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)
    inbox: Inbox = field(init=False)
    got: list[tuple[str, Pid, str, bytes]] = field(default_factory=list)
    on_delivery: Callable[[str], None] = lambda name: None

    def deliver(self, process: str, sender: Pid, name: str, body: bytes) -> None:
        self.got.append((process, sender, name, body))
        self.on_delivery(name)

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answers(self, count: int) -> list[int]:
        """The statuses of the next answers."""
        return [await self._answer() for _ in range(count)]

    async def _answer(self) -> int:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (int(x.split(":")[1]) for x in head.lower().split("\r\n") if "content-length" in x), 0
        )
        await self.reader.readexactly(length)
        return int(head.split()[1])


def routes(app: web.Application) -> None:
    async def state(_: web.Request) -> web.Response:
        return web.json_response({"id": "me"})

    async def call(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    for prefix in ("", "/slave(1)"):
        app.router.add_get(f"{prefix}/state", state)
        app.router.add_post(f"{prefix}/api/v1", call)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    found = Peer()
    known = {"slave(1)", "crammd5-authenticatee(1)"}
    found.inbox = Inbox(known.__contains__, found.deliver)
    listener = await serve(routes, found.inbox, bind("127.0.0.1", 0))
    found.reader, found.writer = await asyncio.open_connection("127.0.0.1", listener.port)
    yield found
    found.writer.close()
    with contextlib.suppress(ConnectionError):
        await found.writer.wait_closed()
    await listener.close()


def to_agent(transcript: str) -> list[transcripts.Recorded]:
    return [m for m in transcripts.messages(transcript) if m.to_agent]


def as_delivered(messages: list[transcripts.Recorded]) -> list[tuple[str, Pid, str, bytes]]:
    return [(m.to.id, m.sender, m.name, m.body) for m in messages]


@pytest.mark.parametrize("transcript", [t for t in transcripts.NAMES if t != "unregister"])
async def test_recorded_requests_pipelined(peer: Peer, transcript: str) -> None:
    messages = [m for m in to_agent(transcript) if m.to.id != "crammd5-authenticatee(2)"]
    await peer.say(b"".join(m.raw for m in messages))
    assert await peer.answers(len(messages)) == [202] * len(messages)
    assert peer.got == as_delivered(messages)


async def test_recorded_requests_one_after_the_other(peer: Peer) -> None:
    for message in (messages := to_agent("lifecycle")):
        await peer.say(message.raw)
        assert await peer.answers(1) == [202]
    assert peer.got == as_delivered(messages)


async def test_recorded_requests_byte_by_byte(peer: Peer) -> None:
    messages = to_agent("register")[:3]
    for byte in b"".join(m.raw for m in messages):
        await peer.say(bytes([byte]))
        await asyncio.sleep(0)
    assert await peer.answers(len(messages)) == [202] * len(messages)
    assert peer.got == as_delivered(messages)


async def test_thousands_pipelined_keep_their_order(peer: Peer) -> None:
    data = b"".join(encode_request(AGENT, MASTER, f"m{i}", b"%d" % i) for i in range(2000))
    saying = asyncio.ensure_future(peer.say(data))
    assert await peer.answers(2000) == [202] * 2000
    await saying
    assert [name for _, _, name, _ in peer.got] == [f"m{i}" for i in range(2000)]


async def test_a_large_body(peer: Peer) -> None:
    body = bytes(range(256)) * 80 * 1024  # 20 MiB
    await peer.say(encode_request(AGENT, MASTER, "big", body))
    assert await peer.answers(1) == [202]
    assert peer.got[0][3] == body


async def test_an_oversized_body_does_not_close_the_connection(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES", 100_000)
    await peer.say(encode_request(AGENT, MASTER, "big", bytes(5_000_000)))
    await peer.say(encode_request(AGENT, MASTER, "small", b"x"))
    assert await peer.answers(2) == [413, 202]
    assert [name for _, _, name, _ in peer.got] == ["small"]


async def test_a_failed_delivery_does_not_close_the_connection(peer: Peer) -> None:
    def fail(name: str) -> None:
        if name == "bad":
            raise RuntimeError("boom")

    peer.on_delivery = fail
    for name in ("bad", "good"):
        await peer.say(encode_request(AGENT, MASTER, name, b""))
    assert await peer.answers(2) == [202, 202]
    assert len(peer.got) == 2
    assert peer.inbox.failed == 1
    assert peer.inbox.answered == {202: 2}


def raw(target: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: ", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


FROM = "Libprocess-From: master@127.0.0.1:5050"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (raw("/slave(2)/PING", FROM, body=b"x" * 100_000), 404),
        (raw("/slave(1)/PING", "Libprocess-From: master@host:5050"), 400),
        (raw("/slave(1)/PING", "Libprocess-From: "), 400),
        (raw("/slave(1)/PING", "User-Agent: libprocess/nobody"), 400),
        (raw("//PING", FROM), 400),
        (raw("/slave(1)/PING", FROM, body=b"abc"), 202),
        (raw("/slave%281%29/PING", FROM), 202),
        (raw("/slave(1)/PING", "User-Agent: libprocess/master@127.0.0.1:5050"), 202),
        (raw("/nowhere", "User-Agent: curl"), 404),
        (raw("/api/v1", body=b"hello"), 200),
        (raw("/slave(1)/api/v1", body=b"hello"), 200),
        (b"GET /state HTTP/1.1\r\nHost: \r\n\r\n", 200),
        (b"GET /slave(1)/state HTTP/1.1\r\nHost: \r\n\r\n", 200),
        (b"GET /slave%281%29/state HTTP/1.1\r\nHost: \r\n\r\n", 200),
    ],
)
async def test_no_request_closes_the_connection(peer: Peer, request_: bytes, status: int) -> None:
    await peer.say(request_, encode_request(AGENT, MASTER, "after", b"x"))
    assert await peer.answers(2) == [status, 202]
    assert peer.got[-1] == ("slave(1)", MASTER, "after", b"x")
    assert len(peer.got) == (2 if status == 202 else 1)


async def test_an_idle_connection_stays_open(peer: Peer) -> None:
    await peer.say(encode_request(AGENT, MASTER, "a", b""))
    assert await peer.answers(1) == [202]
    await asyncio.sleep(0.3)
    await peer.say(encode_request(AGENT, MASTER, "b", b""))
    assert await peer.answers(1) == [202]
    assert limits.KEEPALIVE > 365 * 24 * 3600


async def test_a_message_is_delivered_although_the_sender_closes(peer: Peer) -> None:
    arrived = asyncio.Event()
    peer.on_delivery = lambda name: arrived.set()
    await peer.say(encode_request(AGENT, MASTER, "a", b"x"))
    peer.writer.close()
    async with patience():
        await arrived.wait()


async def test_a_truncated_body_is_not_delivered(peer: Peer) -> None:
    await peer.say(encode_request(AGENT, MASTER, "a", b"x" * 1000)[:-500])
    peer.writer.close()
    await asyncio.sleep(0.1)
    assert peer.got == []


async def test_an_address_in_use_is_an_error(peer: Peer) -> None:
    port = peer.writer.get_extra_info("peername")[1]
    with pytest.raises(OSError, match="in use"):
        await serve(routes, peer.inbox, bind("127.0.0.1", port))


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/9.9\r\n\r\n", b"GET /state HTTP/1.1\r\n\r\n"],
)
async def test_a_request_that_is_not_http_is_one_log_line(
    peer: Peer, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.say(garbage)
    assert await peer.answers(1) == [400]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    assert "127.0.0.1" in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_with_peer_ip_match_a_sender_with_another_ip_is_rejected() -> None:
    got: list[str] = []
    inbox = Inbox(lambda _: True, lambda *args: got.append(args[2]), require_peer_ip_match=True)
    listener = await serve(routes, inbox, bind("127.0.0.1", 0))
    to = Pid("slave(1)", "127.0.0.1", listener.port)
    statuses = []
    for ip in ("10.0.0.1", "127.0.0.1"):
        reader, writer = await asyncio.open_connection(*to.address)
        writer.write(encode_request(to, Pid("master", ip, 5050), "mesos.internal.X", b"x"))
        statuses.append(int((await reader.readuntil(b"\r\n\r\n")).split()[1]))
        writer.close()
    await listener.close()
    assert statuses == [400, 202]
    assert got == ["mesos.internal.X"]
