"""The v1 operator API, ``/api/v1``: agents, teardown, reservations and volumes."""

from __future__ import annotations

from collections.abc import Callable

from shim.dev.master import agents, draining, frameworks, operations
from shim.dev.master.master_state import Agent, AgentCapability, MasterState
from shim.dev.master.scheduler_api import CallRejected, field, identifier
from shim.model.ids import AgentId, FrameworkId
from shim.model.v1_json import InvalidJson, Json, from_json
from shim.protos import mesos_pb2 as mesos

Operation = mesos.Offer.Operation


def carry_out(master: MasterState, call: Json) -> int:
    """Handle one call. Returns the HTTP status. Raises CallRejected."""
    kind = call.get("type")
    handler = _CALLS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        raise CallRejected(400, f"Failed to validate master::Call: unknown type {kind!r}")
    try:
        return handler(master, field(call, str(kind).lower()))
    except InvalidJson as error:
        raise CallRejected(400, f"Failed to convert JSON into Call protobuf: {error}") from None


def _agent(master: MasterState, body: Json) -> Agent:
    agent = master.agents.get(AgentId(identifier(body, "agent_id")))
    if agent is None:
        raise CallRejected(404, "Unknown agent")
    return agent


def _mark_gone(master: MasterState, body: Json) -> int:
    agent_id = AgentId(identifier(body, "agent_id"))
    if not agents.mark_gone(master, agent_id):
        raise CallRejected(404, f"Agent {agent_id} not found")
    return 200


def _drain(master: MasterState, body: Json) -> int:
    agent = _agent(master, body)
    if not agent.can(AgentCapability.AGENT_DRAINING):
        raise CallRejected(400, "Agent does not support draining")
    config = mesos.DrainConfig(mark_gone=bool(body.get("mark_gone", False)))
    if "max_grace_period" in body:
        from_json(body["max_grace_period"], config.max_grace_period)
    draining.drain(master, agent, config)
    return 200


def _deactivate(master: MasterState, body: Json) -> int:
    draining.deactivate(master, _agent(master, body))
    return 200


def _reactivate(master: MasterState, body: Json) -> int:
    draining.reactivate(master, _agent(master, body))
    return 200


def _teardown(master: MasterState, body: Json) -> int:
    framework = master.frameworks.get(FrameworkId(identifier(body, "framework_id")))
    if framework is None:
        raise CallRejected(400, "No framework found with specified ID")
    frameworks.remove(master, framework)
    return 200


def _operate(kind: Operation.Type.ValueType, resources: str) -> Callable[[MasterState, Json], int]:
    name = Operation.Type.Name(kind).lower()

    def handler(master: MasterState, body: Json) -> int:
        operation = from_json(
            {"type": name.upper(), name: {resources: body.get(resources, [])}}, Operation()
        )
        agent_id = AgentId(identifier(body, "agent_id"))
        if reason := operations.operate(master, agent_id, operation):
            raise CallRejected(409, reason)
        return 202

    return handler


def _resize(kind: Operation.Type.ValueType) -> Callable[[MasterState, Json], int]:
    name = Operation.Type.Name(kind).lower()

    def handler(master: MasterState, body: Json) -> int:
        resized = {key: value for key, value in body.items() if key != "agent_id"}
        operation = from_json({"type": name.upper(), name: resized}, Operation())
        if reason := operations.operate(master, AgentId(identifier(body, "agent_id")), operation):
            raise CallRejected(409, reason)
        return 202

    return handler


_CALLS: dict[str, Callable[[MasterState, Json], int]] = {
    "MARK_AGENT_GONE": _mark_gone,
    "DRAIN_AGENT": _drain,
    "DEACTIVATE_AGENT": _deactivate,
    "REACTIVATE_AGENT": _reactivate,
    "TEARDOWN": _teardown,
    "RESERVE_RESOURCES": _operate(Operation.RESERVE, "resources"),
    "UNRESERVE_RESOURCES": _operate(Operation.UNRESERVE, "resources"),
    "CREATE_VOLUMES": _operate(Operation.CREATE, "volumes"),
    "DESTROY_VOLUMES": _operate(Operation.DESTROY, "volumes"),
    "GROW_VOLUME": _resize(Operation.GROW_VOLUME),
    "SHRINK_VOLUME": _resize(Operation.SHRINK_VOLUME),
}
