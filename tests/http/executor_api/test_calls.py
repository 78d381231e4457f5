"""Bodies of calls: what is a valid one, and what a stock agent says of the others."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shim.http.executor_api.calls import PROTOBUF, event_type, parse
from shim.http.responses import JSON, HttpError
from shim.protos.executor_pb2 import Call
from shim.protos.mesos_pb2 import TaskState, TaskStatus

UUID = base64.b64encode(b"\1" * 6 + b"\x40" + b"\1" * 9).decode()
STATUS = {
    "task_id": {"value": "T"},
    "state": "TASK_RUNNING",
    "source": "SOURCE_EXECUTOR",
    "uuid": UUID,
    "timestamp": 1700000000,
}


def call(kind: str | None = "SUBSCRIBE", **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"executor_id": {"value": "E"}, "framework_id": {"value": "F"}}
    return body | ({} if kind is None else {"type": kind}) | fields


def update(**fields: Any) -> dict[str, Any]:
    status = {key: value for key, value in (STATUS | fields).items() if value is not None}
    return call("UPDATE", update={"status": status})


def parse_json(body: object) -> Call:
    return parse(JSON, json.dumps(body).encode())


def test_the_calls_of_pymesos_are_valid() -> None:
    subscribe = parse_json(
        call(subscribe={"unacknowledged_tasks": [], "unacknowledged_updates": []})
    )
    assert (subscribe.type, subscribe.HasField("subscribe")) == (Call.SUBSCRIBE, True)
    status = parse_json(update()).update.status
    assert (status.state, status.timestamp) == (TaskState.TASK_RUNNING, 1.7e9)
    assert parse_json(call("MESSAGE", message={"data": "aGk="})).message.data == b"hi"


def test_v1_names_are_those_of_agents() -> None:
    status = parse_json(update(agent_id={"value": "S"}, reason="REASON_AGENT_RESTARTED"))
    assert status.update.status.slave_id.value == "S"
    assert status.update.status.reason == TaskStatus.REASON_SLAVE_RESTARTED


def test_protobuf_and_json_are_the_same_call() -> None:
    parsed = parse_json(update())
    assert parse(PROTOBUF, parsed.SerializeToString()) == parsed


def test_bytes_that_are_not_utf_8_do_not_break_anything() -> None:
    body = parse_json(update(message="MARK")).SerializeToString().replace(b"MARK", b"\xff\xfe__")
    assert isinstance(parse(PROTOBUF, body).update.status.message, str)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "text"),
    [
        (None, b"", 400, "Expecting 'Content-Type' to be present"),
        ("text/plain", b"", 415, "application/json or application/x-protobuf"),
        ("application/json; charset=utf-8", b"{}", 415, "application/json"),
        (PROTOBUF, b"\xff\xff", 400, "Failed to parse body into Call protobuf"),
        (PROTOBUF, b"", 400, "Failed to parse body into Call protobuf"),
        (JSON, b"{", 400, "Failed to parse body into JSON"),
        (JSON, b"\xff", 400, "Failed to parse body into JSON"),
        (JSON, b"[" * 100_000, 400, "Failed to parse body into JSON"),
        (JSON, b"[]", 400, "Failed to convert JSON into Call protobuf"),
        # Calls are no RecordIO: only events are.
        ("application/recordio", b"2\n{}", 415, "application/json or application/x-protobuf"),
        (JSON, b'20\n{"type":"SUBSCRIBE"}', 400, "Failed to parse body into JSON"),
        (PROTOBUF, b"99\n\x08\x01", 400, "Failed to parse body into Call protobuf"),
        (JSON, b'{"type": "SUBSCRIBE"}', 400, "Missing required fields: executor_id"),
        (JSON, b'{"executor_id": {"value": 5}}', 400, "Failed to convert JSON into Call protobuf"),
    ],
)
def test_what_is_not_a_call(content_type: str | None, body: bytes, status: int, text: str) -> None:
    with pytest.raises(HttpError) as caught:
        parse(content_type, body)
    assert caught.value.status == status
    assert text in caught.value.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (call(None), "Expecting 'type' to be present"),
        (call("SUBSCRIBE"), "Expecting 'subscribe' to be present"),
        (call("UPDATE"), "Expecting 'update' to be present"),
        (call("MESSAGE"), "Expecting 'message' to be present"),
        (update(uuid=None), "Expecting 'uuid' to be present"),
        (update(uuid="c2hvcnQ="), "Not a valid UUID"),
        (
            update(executor_id={"value": "other"}),
            "ExecutorID in Call: E does not match ExecutorID in TaskStatus: other",
        ),
        (
            update(source="SOURCE_AGENT"),
            "Received Call from executor E of framework F with invalid source, "
            "expecting 'SOURCE_EXECUTOR'",
        ),
        (
            update(state="TASK_STAGING"),
            "Received TASK_STAGING from executor E of framework F which is not allowed",
        ),
    ],
)
def test_calls_that_are_not_valid(body: dict[str, Any], text: str) -> None:
    with pytest.raises(HttpError) as caught:
        parse_json(body)
    assert caught.value.status == 400
    assert caught.value.text == f"Failed to validate Executor::Call: {text}"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/x-protobuf", PROTOBUF),
        ("application/x-protobuf;q=0.9, application/json", JSON),
    ],
)
def test_the_format_of_events_is_the_one_that_is_accepted(
    accept: str | None, expected: str
) -> None:
    assert event_type(accept) == expected


def test_another_format_is_not_acceptable() -> None:
    with pytest.raises(HttpError) as caught:
        event_type("text/html")
    assert caught.value.status == 406
