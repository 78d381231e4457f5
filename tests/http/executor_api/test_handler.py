"""Requests of executors over HTTP, in front of a real core: checks, streams, tokens, bounds."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from shim import limits
from shim.core.registration import State
from shim.http.executor_api.calls import PROTOBUF
from shim.http.executor_api.executor_streams import EventStream, ExecutorStreams, record
from shim.http.executor_api.handler import ExecutorApi
from shim.http.executor_api.token import Claims, issue
from shim.http.recordio import RecordDecoder
from shim.model import facts, orders
from shim.model.facts import Fact
from shim.protos.executor_pb2 import Call, Event
from shim.protos.mesos_pb2 import TaskState
from tests.core.executor_harness import ExecutorShim, update_of
from tests.http.executor_api.test_calls import call, update
from tests.support.wait import patience

SECRET = b"secret"


class Agent:
    """The API, and a core whose events reach the streams at once."""

    def __init__(self, *, token_required: bool = False) -> None:
        self.shim = ExecutorShim()
        self.streams = ExecutorStreams()
        self.facts: list[Fact] = []
        self.api = ExecutorApi(
            self.shim.core.view, self.streams, self.post, SECRET, token_required=token_required
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.api.handle)
        self.client = TestClient(TestServer(app))

    def post(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.carry_out(self.shim.handle(fact).orders)

    def carry_out(self, given: list[orders.Order]) -> None:
        for order in given:
            if isinstance(order, orders.SendExecutorEvent):
                self.streams.send(order.stream, order.event)
            elif isinstance(order, orders.EndStream):
                self.streams.end(order.stream)

    def launch(self) -> None:
        self.shim.run_inside()
        self.carry_out(self.shim.executor_started().orders)

    def token(self) -> dict[str, str]:
        ref = self.shim.custom().ref
        claims = Claims(self.shim.custom().key, ref.container_id)
        return {"Authorization": f"Bearer {issue(claims, SECRET)}"}

    async def send(self, body: object, **headers: str) -> ClientResponse:
        return await self.client.post("/api/v1/executor", json=body, headers=headers)

    async def subscribe(self, **headers: str) -> ClientResponse:
        return await self.send(call(subscribe={}), **headers)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    async with agent.client:
        yield agent


async def events(response: ClientResponse, count: int) -> list[dict[str, Any]]:
    """The next JSON events of a stream."""
    decoder, found = RecordDecoder(1_000_000), list[dict[str, Any]]()
    async with patience():
        while len(found) < count:
            found += map(json.loads, decoder.feed(await response.content.readany()))
    return found


async def test_an_executor_subscribes_reports_and_is_told(agent: Agent) -> None:
    agent.launch()
    response = await agent.subscribe(Accept="application/json")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Transfer-Encoding"] == "chunked"
    subscribed, launch = await events(response, 2)
    about = subscribed["subscribed"]
    # pymesos compares these with equality.
    assert about["executor_info"]["executor_id"] == {"value": "E"}
    assert about["framework_info"]["id"] == {"value": "F"}
    assert about["agent_info"]["id"] == {"value": "S1"}
    assert "checkpoint" not in about["agent_info"]
    assert about["container_id"]["value"] == agent.shim.custom().ref.container_id
    assert launch["launch"]["task"]["task_id"] == {"value": "t"}
    assert launch["launch"]["task"]["agent_id"] == {"value": "S1"}
    assert launch["launch"]["task"]["executor"]["command"]["value"] == "./run"
    assert (await agent.send(update(task_id={"value": "t"}))).status == 202
    (acknowledged,) = await events(response, 1)
    assert acknowledged["acknowledged"]["task_id"] == {"value": "t"}
    assert agent.shim.task().wire.state == TaskState.TASK_RUNNING
    message = await agent.send(call("MESSAGE", message={"data": "aGk="}))
    assert message.status == 202
    agent.carry_out(agent.shim.kill().orders)
    assert [event["type"] for event in await events(response, 1)] == ["KILL"]
    agent.carry_out(agent.shim.executor_exited().orders)
    async with patience():
        assert await response.content.read() == b""


async def test_a_protobuf_executor_gets_protobuf_events(agent: Agent) -> None:
    agent.launch()
    subscribe = Call(type=Call.SUBSCRIBE)
    subscribe.framework_id.value, subscribe.executor_id.value = "F", "E"
    subscribe.subscribe.SetInParent()
    headers = {"Content-Type": PROTOBUF, "Accept": PROTOBUF}
    response = await agent.client.post(
        "/api/v1/executor", data=subscribe.SerializeToString(), headers=headers
    )
    assert response.headers["Content-Type"] == PROTOBUF
    decoder, found = RecordDecoder(1_000_000), list[Event]()
    async with patience():
        while len(found) < 2:
            records = decoder.feed(await response.content.readany())
            found += [Event.FromString(each) for each in records]
    assert [event.type for event in found] == [Event.SUBSCRIBED, Event.LAUNCH]
    assert found[1].launch.task.task_id.value == "t"


async def test_the_checks_come_in_the_order_of_a_stock_agent(agent: Agent) -> None:
    get = await agent.client.get("/api/v1/executor")
    assert (get.status, get.headers["Allow"]) == (405, "POST")
    text = "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    assert await get.text() == text
    refused = await agent.subscribe(Accept="text/html")
    assert refused.status == 406
    assert (await agent.send(call("HEARTBEAT"))).status == 202, "its ids may be dummies"
    unknown = await agent.subscribe()
    assert (unknown.status, await unknown.text()) == (400, "Framework cannot be found")
    assert unknown.headers["Connection"] == "close"
    agent.launch()
    body = call(subscribe={}, executor_id={"value": "X"})
    unknown = await agent.send(body)
    assert (unknown.status, await unknown.text()) == (400, "Executor cannot be found")
    early = await agent.send(update())
    assert (early.status, await early.text()) == (403, "Executor is not subscribed")
    assert "Connection" not in early.headers, "its end would end a subscription"
    assert (await agent.subscribe()).status == 200
    assert (await agent.send(call("UNKNOWN"))).status == 501
    agent.shim.core.registration.state = State.RECOVERING
    recovering = await agent.subscribe()
    assert recovering.status == 503
    assert await recovering.text() == "Agent has not finished recovery"


async def test_a_call_of_100_mb_is_refused(agent: Agent) -> None:
    agent.launch()
    body = io.BytesIO(bytes(100_000_000))
    answer = await agent.client.post(
        "/api/v1/executor", data=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status == 413
    assert str(limits.EXECUTOR_CALL_BYTES) in await answer.text()
    assert not agent.facts


async def test_a_large_call_is_parsed_beside_the_loop(agent: Agent) -> None:
    agent.launch()
    await agent.subscribe()
    data = "A" * (limits.EXECUTOR_CALL_INLINE + 3)
    data += "A" * (-len(data) % 4)
    assert (await agent.send(call("MESSAGE", message={"data": data}))).status == 202


async def test_a_token_is_checked_whenever_there_is_one(agent: Agent) -> None:
    agent.launch()
    false = await agent.subscribe(Authorization="Bearer a.b.c")
    assert false.status == 401
    challenge = false.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="mesos-agent-executor", error="invalid_token"')
    for number, field in enumerate(("fid", "eid", "cid")):
        claims = ["F", "E", agent.shim.custom().ref.container_id]
        claims[number] = "other"
        other: Any = Claims(type(agent.shim.custom().key)(*claims[:2]), claims[2])  # type: ignore[arg-type]
        stolen = await agent.subscribe(Authorization=f"Bearer {issue(other, SECRET)}")
        assert stolen.status == 403
        assert f"'{field}' claim" in await stolen.text()
    assert (await agent.subscribe(**agent.token())).status == 200


async def test_an_executor_that_proved_itself_has_to_do_so_with_each_call(agent: Agent) -> None:
    agent.launch()
    assert (await agent.subscribe(**agent.token())).status == 200
    assert (await agent.send(update())).status == 401
    assert (await agent.subscribe()).status == 401
    assert (await agent.send(update(), **agent.token())).status == 202


@pytest.mark.parametrize(
    "body",
    [
        call(subscribe={}),
        update(task_id={"value": "t"}),
        call("MESSAGE", message={"data": "aGk="}),
    ],
    ids=["SUBSCRIBE", "UPDATE", "MESSAGE"],
)
async def test_no_call_has_an_effect_with_a_wrong_token_or_without_one(
    agent: Agent, body: dict[str, Any]
) -> None:
    agent.launch()
    assert (await agent.subscribe(**agent.token())).status == 200
    agent.facts.clear()
    token = agent.token()["Authorization"]
    for wrong in ("", "Bearer", "Bearer " + token[7:-2], "Basic " + token[7:], token + "x"):
        answer = await agent.send(body, **({"Authorization": wrong} if wrong else {}))
        assert answer.status == 401
    assert agent.facts == []


async def test_a_token_can_be_required() -> None:
    agent = Agent(token_required=True)
    async with agent.client:
        agent.launch()
        assert (await agent.subscribe()).status == 401
        assert (await agent.subscribe(**agent.token())).status == 200


async def test_the_last_subscription_ends_the_earlier_one(agent: Agent) -> None:
    agent.launch()
    first = await agent.subscribe()
    await events(first, 2)
    second = await agent.subscribe()
    assert [e["type"] for e in await events(second, 1)] == ["SUBSCRIBED"]
    async with patience():
        assert await first.content.read() == b""
        while len(agent.streams) > 1:
            await asyncio.sleep(0.01)


def test_an_executor_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXECUTOR_STREAM_BYTES", 100)
    stream = EventStream("application/json", "executor E")
    for _ in range(10):
        stream.push(Event(type=Event.HEARTBEAT))
    assert stream.broken.is_set()


async def test_a_quiet_stream_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXECUTOR_HEARTBEAT", 0.01)
    stream = EventStream("application/json", "executor E")
    async with patience():
        assert await stream.next() == b'20\n{"type":"HEARTBEAT"}'
    stream.end()
    assert await stream.next() is None


def test_an_event_is_one_record() -> None:
    assert record(Event(type=Event.SHUTDOWN), "application/json") == b'19\n{"type":"SHUTDOWN"}'
    assert record(Event(type=Event.SHUTDOWN), PROTOBUF) == b"2\n\x08\x07"


async def test_an_event_for_a_stream_that_has_ended_is_lost() -> None:
    streams = ExecutorStreams()
    streams.send(5, Event(type=Event.SHUTDOWN))
    streams.end(5)
    assert len(streams) == 0


async def test_an_update_of_an_executor_that_ended_meanwhile_changes_nothing(agent: Agent) -> None:
    agent.launch()
    await agent.subscribe()
    agent.shim.executor_exited()
    late = facts.ExecutorCalled(agent.shim.custom().key, Call(type=Call.UPDATE))
    late.call.update.status.CopyFrom(update_of("t", TaskState.TASK_FINISHED))
    agent.post(late)
    assert agent.shim.pending_states() == ["TASK_FAILED"]
