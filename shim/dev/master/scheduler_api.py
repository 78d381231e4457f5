"""The v1 scheduler API: parses a JSON call and applies it, or rejects it.

``http_api`` answers SUBSCRIBE, because its answer is a stream; this module has every other call.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shim.dev.master import accept, calls, frameworks
from shim.dev.master.master_state import MasterFramework, MasterState
from shim.dev.master.offers import DEFAULT_REFUSE_SECONDS
from shim.model.ids import AgentId, ExecutorId, FrameworkId, TaskId
from shim.model.v1_json import InvalidJson, Json, from_json
from shim.protos import mesos_pb2 as mesos


class CallRejected(Exception):
    """The HTTP answer to a call that is rejected."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Subscription:
    """A valid SUBSCRIBE call."""

    info: mesos.FrameworkInfo
    suppressed: frozenset[str]


def _bad(text: str) -> CallRejected:
    return CallRejected(400, text)


def field(body: Mapping[str, Any], name: str, where: str = "") -> Json:
    """A required object of a call."""
    value = body.get(name)
    if not isinstance(value, Mapping):
        raise _bad(f"Expecting '{where}{name}' to be present")
    return dict(value)


def identifier(body: Mapping[str, Any], name: str) -> str:
    """The value of a required id."""
    value = field(body, name).get("value")
    if not isinstance(value, str):
        raise _bad(f"Failed to convert JSON into Call protobuf: '{name}.value' is not a string")
    return value


def _maybe(body: Mapping[str, Any], name: str) -> str | None:
    return identifier(body, name) if name in body else None


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise _bad(f"Failed to convert JSON into Call protobuf: '{name}' is not a list")
    return value


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except binascii.Error:
        raise _bad("Failed to convert JSON into Call protobuf: a value is not base64") from None


def _refuse_seconds(body: Mapping[str, Any]) -> float:
    value = body.get("filters", {})
    seconds = value.get("refuse_seconds", DEFAULT_REFUSE_SECONDS)
    if not isinstance(seconds, int | float):
        raise _bad("Failed to convert JSON into Call protobuf: 'refuse_seconds' is not a number")
    return max(float(seconds), 0.0)


def subscription(call: Json) -> Subscription:
    """Raises CallRejected."""
    subscribe = field(call, "subscribe")
    raw = field(subscribe, "framework_info", "subscribe.")
    try:
        info = from_json(raw, mesos.FrameworkInfo())
    except InvalidJson as error:
        raise _bad(f"Failed to convert JSON into Call protobuf: {error}") from None
    if "framework_id" in call and identifier(call, "framework_id") != info.id.value:
        raise _bad("'framework_id' differs from 'subscribe.framework_info.id'")
    if info.HasField("id") and "framework_id" not in call:
        raise _bad("'framework_id' differs from 'subscribe.framework_info.id'")
    return Subscription(info, frozenset(_list(subscribe, "suppressed_roles")))


def framework_of(master: MasterState, call: Json, stream_id: str | None) -> MasterFramework:
    """The calling framework. Raises CallRejected with a master's own answer."""
    if "framework_id" not in call:
        raise _bad("Expecting 'framework_id' to be present")
    framework = master.frameworks.get(FrameworkId(identifier(call, "framework_id")))
    if framework is None:
        raise _bad("Framework cannot be found")
    if not framework.connected:
        raise CallRejected(403, "Framework is not subscribed")
    if stream_id is None:
        raise _bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header")
    if stream_id != framework.stream_id:
        raise _bad(
            f"The stream ID '{stream_id}' included in this request didn't match"
            f" the stream ID currently associated with framework ID '{framework.id}'"
        )
    return framework


def carry_out(master: MasterState, call: Json, stream_id: str | None) -> int:
    """Handle one call. Returns the HTTP status. Raises CallRejected."""
    kind = call.get("type")
    handler = _CALLS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        raise _bad(f"Failed to convert JSON into Call protobuf: unknown type {kind!r}")
    framework = framework_of(master, call, stream_id)
    name = str(kind).lower()
    body = field(call, name) if name in _NEED_BODY or name in call else {}
    try:
        return handler(master, framework, body) or 202
    except InvalidJson as error:
        raise _bad(f"Failed to convert JSON into Call protobuf: {error}") from None


def _accept(master: MasterState, framework: MasterFramework, body: Json) -> None:
    wanted = [from_json(o, mesos.Offer.Operation()) for o in _list(body, "operations")]
    ids = [str(o.get("value")) for o in _list(body, "offer_ids")]
    accept.accept(master, framework, ids, wanted, _refuse_seconds(body))


def _decline(master: MasterState, framework: MasterFramework, body: Json) -> None:
    ids = [str(o.get("value")) for o in _list(body, "offer_ids")]
    accept.decline(master, framework, ids, _refuse_seconds(body))


def _roles(body: Json) -> set[str]:
    return {str(role) for role in _list(body, "roles")}


def _revive(master: MasterState, framework: MasterFramework, body: Json) -> None:
    calls.revive(master, framework, _roles(body))


def _suppress(master: MasterState, framework: MasterFramework, body: Json) -> None:
    calls.suppress(framework, _roles(body))


def _kill(master: MasterState, framework: MasterFramework, body: Json) -> None:
    policy = from_json(body["kill_policy"], mesos.KillPolicy()) if "kill_policy" in body else None
    agent = _maybe(body, "agent_id")
    calls.kill(
        master,
        framework,
        TaskId(identifier(body, "task_id")),
        AgentId(agent) if agent is not None else None,
        policy,
    )


def _acknowledge(master: MasterState, framework: MasterFramework, body: Json) -> None:
    uuid = _bytes(body.get("uuid"))
    if len(uuid) != 16:
        raise _bad("Expecting 'uuid' to be a UUID")
    calls.acknowledge(
        master,
        framework,
        AgentId(identifier(body, "agent_id")),
        TaskId(identifier(body, "task_id")),
        uuid,
    )


def _reconcile(master: MasterState, framework: MasterFramework, body: Json) -> None:
    asked = []
    for task in _list(body, "tasks"):
        agent = _maybe(task, "agent_id")
        agent_id = AgentId(agent) if agent is not None else None
        asked.append((TaskId(identifier(task, "task_id")), agent_id))
    calls.reconcile(master, framework, asked)


def _shutdown(master: MasterState, framework: MasterFramework, body: Json) -> None:
    agent, executor = identifier(body, "agent_id"), identifier(body, "executor_id")
    calls.shutdown_executor(master, framework, AgentId(agent), ExecutorId(executor))


def _message(master: MasterState, framework: MasterFramework, body: Json) -> None:
    agent, executor = identifier(body, "agent_id"), identifier(body, "executor_id")
    data = _bytes(body.get("data"))
    calls.send_message(master, framework, AgentId(agent), ExecutorId(executor), data)


def _acknowledge_operation(master: MasterState, framework: MasterFramework, body: Json) -> None:
    agent = _maybe(body, "agent_id") or ""
    uuid = _bytes(body.get("uuid"))
    if len(uuid) != 16:
        raise _bad("Expecting 'uuid' to be a UUID")
    operation = identifier(body, "operation_id")
    calls.acknowledge_operation(master, framework, AgentId(agent), operation, uuid)


def _reconcile_operations(master: MasterState, framework: MasterFramework, body: Json) -> None:
    asked = []
    for operation in _list(body, "operations"):
        agent = _maybe(operation, "agent_id")
        asked.append((identifier(operation, "operation_id"), AgentId(agent) if agent else None))
    calls.reconcile_operations(master, framework, asked)


def _teardown(master: MasterState, framework: MasterFramework, body: Json) -> None:
    frameworks.remove(master, framework)


def _update_framework(master: MasterState, framework: MasterFramework, body: Json) -> int:
    info = from_json(field(body, "framework_info", "update_framework."), mesos.FrameworkInfo())
    reason = frameworks.refused(master, info) or frameworks.immutable_change(framework, info)
    if reason:
        raise _bad(reason)
    frameworks.update(master, framework, info)
    framework.suppressed = {str(role) for role in _list(body, "suppressed_roles")}
    return 200


def _nothing(master: MasterState, framework: MasterFramework, body: Json) -> None:
    """Accepted and ignored, as by the allocator of Mesos."""


_CALLS: dict[str, Callable[[MasterState, MasterFramework, Json], int | None]] = {
    "ACCEPT": _accept,
    "DECLINE": _decline,
    "REVIVE": _revive,
    "SUPPRESS": _suppress,
    "KILL": _kill,
    "SHUTDOWN": _shutdown,
    "ACKNOWLEDGE": _acknowledge,
    "ACKNOWLEDGE_OPERATION_STATUS": _acknowledge_operation,
    "RECONCILE": _reconcile,
    "RECONCILE_OPERATIONS": _reconcile_operations,
    "MESSAGE": _message,
    "REQUEST": _nothing,
    "ACCEPT_INVERSE_OFFERS": _nothing,
    "DECLINE_INVERSE_OFFERS": _nothing,
    "TEARDOWN": _teardown,
    "UPDATE_FRAMEWORK": _update_framework,
}
_NEED_BODY = {name.lower() for name in _CALLS} - {"revive", "suppress", "teardown"}
