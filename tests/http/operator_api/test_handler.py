"""Checks of a request in the order of a stock agent, rights, and answers in both formats."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shim import limits
from shim.core.registration import State
from shim.http.operator_api.calls import READS, is_supported
from shim.http.operator_api.rights import NEEDED
from shim.protos.agent_pb2 import Call
from tests.http.operator_api.conftest import INPUT, JSON, PROTOBUF, RECORDIO, Api, serving_api

HEALTH = {"type": "GET_HEALTH"}
BASIC = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({"Content-Type": f"{JSON}; charset=utf-8"}, 415, "Expecting 'Content-Type' of"),
        ({"Content-Type": "text/plain"}, 415, f"Expecting 'Content-Type' of {JSON} or {PROTOBUF}"),
        ({"Message-Content-Type": JSON}, 415, "Expecting 'Message-Content-Type' to be not set"),
        ({"Content-Type": RECORDIO}, 400, "Expecting 'Message-Content-Type' to be set"),
        (
            {"Content-Type": RECORDIO, "Message-Content-Type": RECORDIO},
            415,
            f"Expecting 'Message-Content-Type' of {JSON} or {PROTOBUF}",
        ),
        ({"Accept": "text/html"}, 406, f"Expecting 'Accept' to allow {JSON} or {PROTOBUF}"),
        ({"Accept": "*"}, 406, f"Expecting 'Accept' to allow {JSON} or {PROTOBUF}"),
        ({"Message-Accept": JSON}, 406, "Expecting 'Message-Accept' to be not set"),
        (
            {"Accept": RECORDIO, "Message-Accept": "text/html"},
            406,
            "Expecting 'Message-Accept' to allow",
        ),
        ({"Accept": RECORDIO}, 406, "Streaming response is not supported for GET_HEALTH call"),
        ({"Content-Type": PROTOBUF}, 400, "Failed to parse body into a protobuf object"),
    ],
)
async def test_wrong_headers_are_refused(
    api: Api, headers: dict[str, str], status: int, text: str
) -> None:
    answer = await api.refused(HEALTH, headers)
    assert answer[0] == status
    assert answer[1].startswith(text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Failed to parse body into JSON: "),
        (b"{", "Failed to parse body into JSON: "),
        (b"[" * 100_000, "Failed to parse body into JSON: nested too deep"),
        (b'{"a":' * 100_000, "Failed to parse body into JSON: nested too deep"),
        (b"[]", "Expecting a JSON object"),
        (b'{"type":1}', "Not expecting a JSON number for field 'type'"),
        (b'{"type":true}', "Not expecting a JSON boolean for field 'type'"),
        (b'{"type":["GET_HEALTH"]}', "Not expecting a JSON array for field 'type'"),
        (b'{"type":"1"}', "Failed to validate agent::Call: Expecting 'type' to be present"),
        (b'{"type":"GET_HEALTH","x":NaN}', "Failed to parse body into JSON: "),
        (b'\xef\xbb\xbf{"type":"GET_HEALTH"}', "Failed to parse body into JSON: "),
        ('{"type":"GET_HEALTH"}'.encode("utf-16"), "Failed to parse body into JSON: "),
        (b"{}", "Failed to validate agent::Call: Expecting 'type' to be present"),
        (b'{"type":"NO_CALL"}', "Failed to validate agent::Call: Expecting 'type' to be present"),
        (
            b'{"type":"GET_METRICS"}',
            "Failed to validate agent::Call: Expecting 'get_metrics' to be present",
        ),
        (
            b'{"type":"READ_FILE","read_file":{"path":"a"}}',
            "Missing required fields: read_file.offset",
        ),
        (b'{"type":"LIST_FILES","list_files":5}', "Not expecting a JSON number for field"),
        (b"\xff\xfe", "Failed to parse body into JSON: "),
    ],
)
async def test_a_body_that_is_no_call_is_refused(api: Api, body: bytes, text: str) -> None:
    status, said = await api.refused(body)
    assert status == 400
    assert said.startswith(text)


async def test_only_post_with_a_content_type_is_a_call(api: Api) -> None:
    answer = await api.client.get("/slave(1)/api/v1")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    text = "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    assert await answer.text() == text
    answer = await api.client.post("/api/v1", data=b"{}", skip_auto_headers=["Content-Type"])
    assert answer.status == 400
    assert await answer.text() == "Expecting 'Content-Type' to be present"


@pytest.mark.parametrize("path", ["/api/v1", "/slave(1)/api/v1", "/slave%281%29/api/v1/"])
async def test_the_api_has_the_paths_of_a_stock_agent(api: Api, path: str) -> None:
    assert (await api.post(HEALTH, path=path)).status == 200


async def test_a_large_body_is_refused_before_it_is_read(api: Api) -> None:
    text = f"A call has at most {limits.API_CALL_BYTES} bytes"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000_000

    large = io.BytesIO(b" " * (limits.API_CALL_BYTES + 1))
    assert await api.refused(large) == (413, text)
    assert (await api.post(endless())).status == 413
    assert (await api.post(HEALTH)).status == 200


async def test_a_body_that_does_not_come_is_not_waited_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_BODY_TIMEOUT", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.2)

    assert (await api.post(slow())).status == 408


async def test_a_recovering_agent_answers_no_call(api: Api) -> None:
    api.data.core.registration.state = State.RECOVERING
    assert await api.refused(HEALTH) == (503, "Agent has not finished recovery")


async def test_calls_without_a_meaning_here_are_refused_by_name(api: Api) -> None:
    info = {"type": "a", "name": "b"}
    nested = {"container_id": {"value": "c", "parent": {"value": "p"}}}
    bodies: dict[str, Any] = {
        "LAUNCH_CONTAINER": {"container_id": {"value": "c"}},
        "LAUNCH_NESTED_CONTAINER": nested,
        "ADD_RESOURCE_PROVIDER_CONFIG": {"info": info},
        "UPDATE_RESOURCE_PROVIDER_CONFIG": {"info": info},
        "REMOVE_RESOURCE_PROVIDER_CONFIG": info,
        "MARK_RESOURCE_PROVIDER_GONE": {"resource_provider_id": {"value": "a"}},
    }
    for kind, body in bodies.items():
        assert not is_supported(Call.Type.Value(kind))
        needed = f"Failed to validate agent::Call: Expecting '{kind.lower()}' to be present"
        assert await api.refused({"type": kind}) == (400, needed)
        status, text = await api.refused({"type": kind, kind.lower(): body})
        assert (status, text) == (501, f"{kind} is not supported by this agent")
    supported = {kind for kind, number in Call.Type.items() if is_supported(number)}
    assert set(Call.Type.keys()) - supported - bodies.keys() == {"UNKNOWN"}
    assert await api.refused({"type": "UNKNOWN"}) == (501, "501 Not Implemented.")


async def test_a_protobuf_without_a_required_field_is_no_call(api: Api) -> None:
    call = Call(type=Call.READ_FILE)
    call.read_file.path = "a"
    status, text = await api.refused(call.SerializePartialToString(), {"Content-Type": PROTOBUF})
    assert (status, text) == (400, "Failed to parse body into a protobuf object")


async def test_every_call_that_reads_answers_in_both_formats(api: Api) -> None:
    api.run()
    bodies: dict[int, Any] = {
        Call.GET_METRICS: {},
        Call.LIST_FILES: {"path": "/slave/log"},
        Call.READ_FILE: {"path": "/slave/log", "offset": 0},
    }
    for kind in READS:
        name = Call.Type.Name(kind)
        body = {"type": name}
        if kind in bodies:
            body[name.lower()] = bodies[kind]
        answer = await api.post(body)
        assert answer.status == 200, await answer.text()
        assert json.loads(await answer.text())["type"] == name
        call = Call(type=kind)
        if kind in bodies:
            getattr(call, name.lower()).SetInParent()
        if kind in (Call.LIST_FILES, Call.READ_FILE):
            getattr(call, name.lower()).path = "/slave/log"
        if kind == Call.READ_FILE:
            call.read_file.offset = 0
        response = await api.protobuf(call)
        assert response.type == READS[kind][0]
        assert response.HasField(name.lower())  # type: ignore[arg-type]


async def test_input_has_to_be_streamed(api: Api) -> None:
    body = {
        "type": "ATTACH_CONTAINER_INPUT",
        "attach_container_input": {"type": "CONTAINER_ID", "container_id": {"value": "a"}},
    }
    text = f"Expecting 'Content-Type' to be {RECORDIO} for ATTACH_CONTAINER_INPUT call"
    assert await api.refused(body) == (415, text)
    text = f"Streaming 'Content-Type' {RECORDIO} is not supported for GET_HEALTH call"
    assert await api.refused(b'21\n{"type":"GET_HEALTH"}', INPUT) == (415, text)
    text = "Received EOF while reading request body"
    assert await api.refused(b"", INPUT) == (400, text)


TOUCHING: list[dict[str, Any]] = [
    {
        "type": "SET_LOGGING_LEVEL",
        "set_logging_level": {"level": 1, "duration": {"nanoseconds": 1}},
    },
    {"type": "KILL_CONTAINER", "kill_container": {"container_id": {"value": "a"}}},
    {"type": "REMOVE_CONTAINER", "remove_container": {"container_id": {"value": "a"}}},
    {
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": {
            "container_id": {"value": "a", "parent": {"value": "b"}},
            "command": {"value": "c"},
        },
    },
]


@pytest.mark.parametrize("body", TOUCHING, ids=lambda body: body["type"])
async def test_touching_needs_a_right(body: dict[str, Any]) -> None:
    async with serving_api(may_touch=False) as api:
        assert await api.refused(body) == (403, f"{body['type']} needs {NEEDED}")
        assert (await api.post(HEALTH)).status == 200


async def test_a_password_is_asked_for_before_anything_else() -> None:
    async with serving_api(credentials={"alice": "secret"}) as api:
        answer = await api.post(b"nonsense")
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="mesos-agent-readwrite"'
        assert (await api.post(HEALTH, BASIC)).status == 200


async def test_pages_of_other_origins_may_not_call(api: Api) -> None:
    own = f"127.0.0.1:{api.client.port}"
    for origin in (f"http://{own}", f"https://{own}"):
        assert (await api.post(HEALTH, {"Origin": origin})).status == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "", "http://["):
        status, text = await api.refused(HEALTH, {"Origin": origin})
        assert (status, text) == (403, f"Calls from the web origin {origin!r} are refused")
    # a foreign name that was bound to the agent's address
    rebound = {"Origin": "http://evil.example:5051", "Host": "evil.example:5051"}
    assert (await api.post(HEALTH, rebound)).status == 403
    named = {"Origin": "http://agent.example:5051", "Host": "agent.example:5051"}
    assert (await api.post(HEALTH, named)).status == 200
