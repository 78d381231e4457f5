"""From the body of a request to a valid Call, with the codes and texts of a stock agent. Pure.

Source: Mesos' ``slave/http.cpp`` (``Http::executor``) and ``common/validation.cpp``.
"""

from __future__ import annotations

import json

from google.protobuf.message import DecodeError

from shim.http.responses import JSON, HttpError
from shim.model.v1_json import InvalidJson, from_json
from shim.model.validation import uuid_problem
from shim.protos.executor_pb2 import Call
from shim.protos.mesos_pb2 import TaskState, TaskStatus
from shim.wire.non_utf8 import decode_strings

PROTOBUF = "application/x-protobuf"

_BODIES = {Call.SUBSCRIBE: "subscribe", Call.UPDATE: "update", Call.MESSAGE: "message"}
"""The field that a call of this type needs."""


def parse(content_type: str | None, body: bytes) -> Call:
    """The call. Raises HttpError (400, 415); a type must match exactly, without parameters."""
    if content_type is None:
        raise HttpError(400, "Expecting 'Content-Type' to be present")
    if content_type == PROTOBUF:
        call = _from_protobuf(body)
    elif content_type == JSON:
        call = _from_json(body)
    else:
        raise HttpError(415, f"Expecting 'Content-Type' of {JSON} or {PROTOBUF}")
    if problem := _problem(call):
        raise HttpError(400, f"Failed to validate Executor::Call: {problem}")
    return call


def event_type(accept: str | None) -> str:
    """The format of the events that an ``Accept`` header asks for. Raises HttpError (406)."""
    if not accept:
        return JSON
    ranges = [part.partition(";")[0].strip() for part in accept.split(",")]
    for name in (JSON, PROTOBUF):
        if any(wanted in (name, "application/*", "*/*") for wanted in ranges):
            return name
    raise HttpError(406, f"Expecting 'Accept' to allow '{PROTOBUF}' or '{JSON}'")


def _from_protobuf(body: bytes) -> Call:
    call = Call()
    try:
        call.ParseFromString(body)
    except DecodeError:
        raise HttpError(400, "Failed to parse body into Call protobuf") from None
    if not call.IsInitialized():
        raise HttpError(400, "Failed to parse body into Call protobuf")
    decode_strings(call)
    return call


def _from_json(body: bytes) -> Call:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HttpError(400, f"Failed to parse body into JSON: {error}") from None
    try:
        return from_json(value, Call())
    except (InvalidJson, RecursionError) as error:
        raise HttpError(400, f"Failed to convert JSON into Call protobuf: {error}") from None


def _problem(call: Call) -> str | None:
    if not call.HasField("type"):
        return "Expecting 'type' to be present"
    name = _BODIES.get(call.type)
    if name == "subscribe" and not call.HasField("subscribe"):
        return "Expecting 'subscribe' to be present"
    if name == "update":
        return _update_problem(call)
    if name == "message" and not call.HasField("message"):
        return "Expecting 'message' to be present"
    return None


def _update_problem(call: Call) -> str | None:
    if not call.HasField("update"):
        return "Expecting 'update' to be present"
    status, executor_id = call.update.status, call.executor_id.value
    if not status.HasField("uuid"):
        return "Expecting 'uuid' to be present"
    if uuid_problem(status.uuid):
        return "Not a valid UUID"
    if status.HasField("executor_id") and status.executor_id.value != executor_id:
        return (
            f"ExecutorID in Call: {executor_id} does not match ExecutorID in TaskStatus: "
            f"{status.executor_id.value}"
        )
    sender = f"executor {executor_id} of framework {call.framework_id.value}"
    if status.source != TaskStatus.SOURCE_EXECUTOR:
        return f"Received Call from {sender} with invalid source, expecting 'SOURCE_EXECUTOR'"
    if status.state == TaskState.TASK_STAGING:
        return f"Received TASK_STAGING from {sender} which is not allowed"
    return None
