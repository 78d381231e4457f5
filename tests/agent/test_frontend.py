"""What answers on the agent's port, before and after the services of the agent exist."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shim.agent.frontend import Frontend, PingResponder
from shim.model.ids import Pid
from shim.protos import messages_pb2 as m
from shim.wire import codec
from tests.agent.test_messenger import MASTER, ME, OBSERVER, PONG, SentMessages


class FakeRouter:
    def __init__(self, text: str) -> None:
        self._text = text

    async def handle(self, request: web.Request) -> web.Response:
        return web.Response(text=self._text)


class FakeReceiver:
    def __init__(self) -> None:
        self.received: list[tuple[Any, ...]] = []

    def has_process(self, process: str) -> bool:
        return process == ME.id

    def deliver(self, *message: Any) -> None:
        self.received.append(message)


def receive(responder: PingResponder, message: Any, sender: Pid, name: str = "") -> None:
    body = message.SerializeToString()
    responder.deliver(ME.id, sender, name or codec.name_of(message), body)


def test_a_starting_agent_answers_pings_and_drops_other_messages() -> None:
    sent = SentMessages()
    responder = PingResponder(ME, sent)  # type: ignore[arg-type]
    assert responder.has_process("slave(1)")
    assert not responder.has_process("crammd5-authenticatee(1)")
    receive(responder, m.PingSlaveMessage(connected=True), OBSERVER)
    receive(responder, m.ShutdownMessage(message="go"), MASTER)
    receive(responder, m.PingSlaveMessage(connected=True), MASTER, name="PING")
    assert sent == [(OBSERVER, ME, PONG, b""), (MASTER, ME, "PONG", b"")]


async def test_requests_and_messages_go_to_the_handlers_of_the_moment() -> None:
    first, second = FakeReceiver(), FakeReceiver()
    frontend = Frontend(FakeRouter("first"), first)  # type: ignore[arg-type]
    app = web.Application(middlewares=[frontend.inbox.middleware])
    frontend.add_routes(app)
    async with TestClient(TestServer(app)) as client:

        async def answers() -> tuple[str, int]:
            page = await client.get("/state")
            headers = {"Libprocess-From": str(MASTER)}
            message = await client.post("/slave(1)/x", headers=headers)
            return await page.text(), message.status

        assert await answers() == ("first", 202)
        frontend.replace(FakeRouter("second"), second)  # type: ignore[arg-type]
        assert await answers() == ("second", 202)
    assert first.received == second.received == [("slave(1)", MASTER, "x", b"")]
